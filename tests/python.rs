//! The Python package as its users get it: a wheel built and installed into a virtual environment of its own, its types
//! checked, its tests run against the real binary.
//!
//! The environment lies below target/ and is kept; pip fetches what it lacks the first time.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the package and its tests need, beside the package.
const NEEDED: [&str; 5] = ["hatchling", "msgpack", "mypy", "numpy", "pytest"];

fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/python")
}

/// Runs to its end, without input; what it printed is shown where it fails.
fn run(command: &mut Command, what: &str) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot {what}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "cannot {what}: {}\n{said}\n{errors}", output.status);
    eprintln!("{said}");
}

/// The environment's interpreter, everything that is needed installed.
fn python() -> PathBuf {
    let environment = target().join("python");
    let python = environment.join("bin/python");
    let has_all = |python: &Path| {
        let imports = format!("import {}", NEEDED.join(", "));
        Command::new(python).args(["-c", &imports]).output().is_ok_and(|output| output.status.success())
    };
    if !has_all(&python) {
        let mut create = Command::new("python3");
        run(create.args(["-m", "venv", "--clear"]).arg(&environment), "create a virtual environment (python3, venv)");
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(NEEDED), "fetch what the tests need");
    }
    python
}

#[test]
fn the_python_package_installs_from_its_wheel_and_holds_its_tests_against_the_real_server() {
    let python = python();
    let wheels = target().join("wheels");
    let _ = std::fs::remove_dir_all(&wheels);
    let mut wheel = Command::new(&python);
    wheel.args(["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]);
    run(wheel.arg(&wheels).arg(package()), "build the wheel");
    let wheel = std::fs::read_dir(&wheels).unwrap().next().expect("pip leaves the wheel there").unwrap().path();
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall"]);
    run(install.arg(wheel), "install the wheel");

    // From elsewhere than the package's folder, so that the installed one is imported, and its types are found by it.
    let mut types = Command::new(&python);
    types.current_dir(target()).args(["-m", "mypy", "--strict", "--config-file"]).arg(package().join("pyproject.toml"));
    run(types.args(["--package", "sutra_storage_client"]), "check the package's types");

    let mut tests = Command::new(&python);
    tests
        .current_dir(target())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SUTRA_TEST_BINARY", env!("CARGO_BIN_EXE_sutra"));
    tests.args(["-X", "dev", "-m", "pytest", "-q", "--durations=5", "--basetemp"]).arg(target().join("pytest"));
    run(tests.arg("--rootdir").arg(package()).arg(package().join("tests")), "pass the package's tests");
}
