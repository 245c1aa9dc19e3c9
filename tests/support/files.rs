//! The files of the project, as tests read them.

use std::path::{Path, PathBuf};

/// Where the project lies.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the repository with this extension, by their paths in it, in order.
pub fn files(extension: &str) -> Vec<PathBuf> {
    fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_made = ["target", "__pycache__", "corpus", "artifacts"].contains(&name.as_str());
            if path.is_dir()
                && !path.is_symlink()
                && !is_made
                && (!name.starts_with('.') || name == ".github")
            {
                gather(&path, found);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    gather(repository(), &mut found);
    let of_the_kind = |path: &PathBuf| path.extension().is_some_and(|known| known == extension);
    let in_it = |path: PathBuf| path.strip_prefix(repository()).unwrap().to_owned();
    let mut found: Vec<PathBuf> = found.into_iter().filter(of_the_kind).map(in_it).collect();
    found.sort();
    found
}

/// A file of the repository.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}
