//! What the pages and sources of the project promise about themselves.

mod layers;
mod names;
mod program;
mod prose;
mod python;
mod structure;

use std::path::PathBuf;

use crate::support::files::{files, read};

/// The files with one of these extensions, by their paths in the project.
fn all(extensions: &[&str]) -> Vec<PathBuf> {
    extensions.iter().flat_map(|extension| files(extension)).collect()
}

/// The programs of a shell: those that say so in their first lines. Most have no extension.
fn scripts() -> Vec<PathBuf> {
    let all = all(&["", "sh"]).into_iter();
    all.filter(|path| read(path).starts_with("#!")).collect()
}

/// What people write and read as code.
fn sources() -> Vec<PathBuf> {
    [all(&["rs", "py", "toml", "proto"]), scripts()].concat()
}
