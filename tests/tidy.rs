//! What the pages and sources of the project promise about themselves.

mod names;
mod program;
mod prose;
mod structure;

use std::path::PathBuf;

use crate::support::files::files;

/// The files with one of these extensions, by their paths in the project.
fn all(extensions: &[&str]) -> Vec<PathBuf> {
    extensions.iter().flat_map(|extension| files(extension)).collect()
}
