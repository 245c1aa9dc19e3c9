//! The files of the project, as tests read them.

use std::path::{Path, PathBuf};

/// Where the project lies.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files of the repository, by their paths in it, in order. What builds and runs leave is not
/// among them.
pub fn all_files() -> Vec<PathBuf> {
    fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_made = ["target", "__pycache__", "corpus", "artifacts"].contains(&name.as_str());
            let is_ours = !name.starts_with('.') || [".ci", ".github"].contains(&name.as_str());
            if path.is_dir() && !path.is_symlink() && !is_made && is_ours {
                gather(&path, found);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    gather(repository(), &mut found);
    let in_it = |path: PathBuf| path.strip_prefix(repository()).unwrap().to_owned();
    let mut found: Vec<PathBuf> = found.into_iter().map(in_it).collect();
    found.sort();
    found
}

/// The files of the repository with this extension, or with none if it is empty.
pub fn files(extension: &str) -> Vec<PathBuf> {
    let of_the_kind = |path: &PathBuf| path.extension().unwrap_or_default() == extension;
    all_files().into_iter().filter(of_the_kind).collect()
}

/// A file of the repository.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}
