//! The Python package as its users get it: a wheel built and installed into a virtual environment
//! of its own, its types checked, its tests run against the real binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::python::{python, run, target};

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/python")
}

#[test]
fn the_python_package_installs_from_its_wheel_and_holds_its_tests_against_the_real_server() {
    let python = python();
    // Of this run alone: another one may be under way beside it.
    let own = tempfile::tempdir_in(target()).unwrap();
    let (wheels, installed) = (own.path().join("wheels"), own.path().join("installed"));
    let mut wheel = Command::new(&python);
    wheel.args([
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
    ]);
    run(wheel.arg(&wheels).arg(package()), "build the wheel");
    let wheel = std::fs::read_dir(&wheels)
        .unwrap()
        .next()
        .expect("pip leaves the wheel there")
        .unwrap()
        .path();
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(&installed);
    run(install.arg(wheel), "install the wheel");

    // From elsewhere than the package's folder, so that the installed one is imported, and its
    // types are found by it.
    let mut types = Command::new(&python);
    types.current_dir(own.path()).env("PYTHONPATH", &installed).args([
        "-m",
        "mypy",
        "--strict",
        "--config-file",
    ]);
    types.arg(package().join("pyproject.toml")).args(["--package", "sutra_storage_client"]);
    run(&mut types, "check the package's types");

    let mut tests = Command::new(&python);
    tests
        .current_dir(own.path())
        .env("PYTHONPATH", &installed)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SUTRA_TEST_BINARY", env!("CARGO_BIN_EXE_sutra"));
    tests
        .args(["-X", "dev", "-m", "pytest", "-q", "--durations=5", "--basetemp"])
        .arg(own.path().join("pytest"));
    let said = run(
        tests.arg("--rootdir").arg(package()).arg(package().join("tests")),
        "pass the package's tests",
    );
    eprintln!("{said}");
}
