//! What holds for Rust's sources holds for Python's: no module that nobody reads, no function that
//! is too long to be read at once.
//!
//! Python's own parser says what stands in a file; `python.py` passes it on.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use serde::Deserialize;

use super::all;
use crate::support::files::{read, repository};

/// A source file, as its parser sees it.
#[derive(Deserialize)]
struct Source {
    path: PathBuf,
    /// Names, and lengths in lines.
    functions: Vec<(String, usize)>,
    /// The words of its imports: modules, and what is taken from them.
    imported: Vec<String>,
}

fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let mut python = Command::new("python3");
        python.current_dir(repository()).arg("tests/tidy/python.py").args(all(&["py"]));
        let told = python.output().expect("python3 can be started");
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        serde_json::from_slice(&told.stdout).expect("the program prints JSON")
    });
    &SOURCES
}

#[test]
fn every_python_file_is_imported_or_its_start_is_written_somewhere() {
    let starters = all(&["rs", "toml", "md"]).into_iter().map(|file| read(&file));
    let starters: Vec<String> = starters.collect();
    let is_dead = |source: &&Source| {
        let name = source.path.file_name().unwrap().to_str().unwrap();
        let module = source.path.file_stem().unwrap().to_str().unwrap();
        // Python and pytest find these by their names.
        let is_found = ["__init__.py", "__main__.py", "conftest.py"].contains(&name)
            || name.starts_with("test_");
        let mut others = sources().iter().filter(|other| other.path != source.path);
        let is_imported = others.any(|other| other.imported.iter().any(|word| word == module));
        // A module of a package is no program.
        let is_started = !name.starts_with('_')
            && ["/", "\""].iter().any(|before| {
                let path = format!("{before}{name}");
                starters.iter().any(|text| text.contains(&path))
            });
        !is_found && !is_imported && !is_started
    };
    let dead: Vec<_> = sources().iter().filter(is_dead).map(|source| &source.path).collect();
    assert!(dead.is_empty(), "nobody imports or starts these: {dead:?}");
}

#[test]
fn python_functions_have_at_most_seventy_lines() {
    let mut long = Vec::new();
    for source in sources() {
        for (name, length) in source.functions.iter().filter(|(_, length)| *length > 70) {
            long.push(format!("{}: {name} has {length} lines", source.path.display()));
        }
    }
    assert!(long.is_empty(), "longer than seventy lines:\n{}", long.join("\n"));
}
