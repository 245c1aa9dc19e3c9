//! Tells the binary which commit it is made of: what `sutra --version` says.
//!
//! Sources that are no checkout, as those of a package, have the version alone. Nothing fails where
//! there is no git.

#![allow(clippy::print_stdout, reason = "cargo reads it")]

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    let version = env!("CARGO_PKG_VERSION");
    let told = match commit() {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    };
    println!("cargo::rustc-env=SUTRA_VERSION={told}");
}

/// The commit that is checked out and its day, as in `fe80ec3 2026-11-30`.
fn commit() -> Option<String> {
    // Another project's checkout may lie around sources that are none.
    git(&["ls-files", "--error-unmatch", "src/build.rs"])?;
    // A commit and a checkout both end in a line of this log; a clone begins with one.
    for changed in ["logs/HEAD", "HEAD"] {
        let file = git(&["rev-parse", "--git-path", changed])?;
        if Path::new(&file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    git(&["log", "-1", "--no-show-signature", "--format=%h %cs"])
}

/// What git says, on one line.
fn git(arguments: &[&str]) -> Option<String> {
    let told = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    told.status.success().then(|| text.trim().to_owned())
}
