//! A clock on the wall that a test sets, for one process: a library of our own (`clock.c`) stands
//! in front of the C library's clock. Needs a C compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sutra;

/// A clock that is off by some seconds.
pub struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// One that is right, with its files in this folder.
    pub fn new(folder: &Path) -> Self {
        let clock = Self { library: folder.join("clock.so"), offset: folder.join("offset") };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/clock.c");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&clock.library).arg(source);
        let output = compile.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        clock.set(0);
        clock
    }

    /// Sets it: so many seconds from the right time.
    pub fn set(&self, seconds: i64) {
        // As a whole: it is read while it is written.
        let new = self.offset.with_extension("new");
        fs::write(&new, seconds.to_string()).unwrap();
        fs::rename(&new, &self.offset).unwrap();
    }

    /// The binary, by this clock.
    pub fn sutra(&self) -> Command {
        let mut command = sutra();
        command.env("LD_PRELOAD", &self.library).env("TEST_CLOCK", &self.offset);
        command
    }
}
