//! An interpreter of Python with the packages that tests need, in a virtual environment of its own.
//!
//! The environment lies below target/ and is kept; pip fetches what it lacks the first time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is imported: by the packages' tests, and to read exports and manifests as others do.
const NEEDED: [&str; 13] = [
    "auditwheel",
    "check_jsonschema",
    "eventlet",
    "gevent",
    "hatchling",
    "kubernetes_validate",
    "msgpack",
    "mypy",
    "networkx",
    "numpy",
    "pydot",
    "pytest",
    "uvloop",
];

/// The build's folder for what tests leave.
pub fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Runs to its end, without input; what it printed is returned, and shown where it fails.
pub fn run(command: &mut Command, what: &str) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot {what}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "cannot {what}: {}\n{said}\n{errors}", output.status);
    said
}

/// The environment's interpreter, everything that is needed installed. Runs of the tests beside
/// each other share it.
pub fn python() -> PathBuf {
    let environment = target().join("python");
    let python = environment.join("bin/python");
    let has_all = |python: &Path| {
        let find = "from importlib.util import find_spec; from sys import argv, exit; \
                    exit(not all(map(find_spec, argv[1:])))";
        let mut look = Command::new(python);
        look.args(["-c", find]).args(NEEDED).output().is_ok_and(|output| output.status.success())
    };
    // Whoever comes first makes it; let go of at the end of this function.
    let lock = File::create(target().join("python.lock"))
        .expect("a file can be made where the build lies");
    lock.lock().expect("a file that was made can be locked");
    if !has_all(&python) {
        let mut create = Command::new("python3");
        run(
            create.args(["-m", "venv", "--clear"]).arg(&environment),
            "create a virtual environment (python3, venv)",
        );
        run(
            Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(NEEDED),
            "fetch what the tests need",
        );
    }
    python
}
