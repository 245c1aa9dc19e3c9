//! Tells the binary which commit it is made of: what `sutra --version` and the metrics say.
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
        Some((commit, day)) => {
            println!("cargo::rustc-env=SUTRA_COMMIT={commit}");
            format!("{version} ({commit} {day})")
        }
        None => version.to_owned(),
    };
    println!("cargo::rustc-env=SUTRA_VERSION={told}");
}

/// The commit that is checked out and its day, as in `fe80ec3` and `2026-11-30`.
fn commit() -> Option<(String, String)> {
    // Another project's checkout may lie around sources that are none.
    git(&["ls-files", "--error-unmatch", "src/build.rs"])?;
    // A commit and a checkout both end in a line of this log; a clone begins with one.
    for changed in ["logs/HEAD", "HEAD"] {
        let file = git(&["rev-parse", "--git-path", changed])?;
        if Path::new(&file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    let told = git(&["log", "-1", "--no-show-signature", "--format=%h %cs"])?;
    told.split_once(' ').map(|(commit, day)| (commit.to_owned(), day.to_owned()))
}

/// What git says, on one line.
fn git(arguments: &[&str]) -> Option<String> {
    let told = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    told.status.success().then(|| text.trim().to_owned())
}
