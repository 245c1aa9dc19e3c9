//! The pages: all Markdown files of the repository, block by block.

use std::path::Path;
use std::process::Command;

use super::blocks::{Block, doc_comments, markdown};
use super::rust;
use super::shell::Session;
use crate::support::files::{files, read, repository};
use crate::support::python;

/// A picture made of characters.
fn is_drawing(block: &Block) -> bool {
    block.language == "text" || block.text.contains("──")
}

/// Runs a page from its first block to its last.
fn run(page: &str) {
    let mut session = Session::new();
    let mut programs = 0;
    for block in markdown(&read(Path::new(page))) {
        let Block { language, text, line, .. } = &block;
        eprintln!("{page}:{line}");
        match language.as_str() {
            _ if is_drawing(&block) => {}
            "" | "console" | "sh" => session.converse(text),
            "rust" => {
                rust::run(page, programs, &session.addresses);
                programs += 1;
            }
            "python" => run_python(&session, text),
            "toml" => drop(
                text.parse::<toml::Table>()
                    .unwrap_or_else(|error| panic!("{page}:{line}: {error}")),
            ),
            other => panic!("{page}:{line}: nobody runs {other:?}"),
        }
    }
}

/// Runs a Python program with the package of this repository.
fn run_python(session: &Session, program: &str) {
    let file = session.folder().join("program.py");
    std::fs::write(&file, session.actual(program)).unwrap();
    let mut command = Command::new(python::python());
    let packages = ["compat/python", "tuning/wheel"].map(|folder| repository().join(folder));
    command.current_dir(session.folder());
    command.env("PYTHONPATH", std::env::join_paths(packages).unwrap());
    // Where the wheel's package finds the binary that is not installed here.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", session.folder().join("bin").display()));
    python::run(
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(file),
        &format!("run\n{program}\n"),
    );
}

#[test]
fn the_readme_runs_as_it_is_printed() {
    run("README.md");
}

#[test]
fn the_python_packages_page_runs_as_it_is_printed() {
    run("compat/python/README.md");
}

#[test]
fn every_other_page_runs_as_it_is_printed() {
    for page in files("md") {
        let page = page.to_str().unwrap();
        if !["README.md", "compat/python/README.md"].contains(&page) {
            run(page);
        }
    }
}

#[test]
fn the_rust_packages_documentation_runs_as_it_is_printed() {
    let mut session = Session::new();
    for command in ["sutra serve", "sutra grid master", "sutra grid agent --id rack-1"] {
        session.command(command);
    }
    for path in rust::sources() {
        for block in doc_comments(&read(&path)) {
            let (file, Block { language, text, line, .. }) = (path.display(), &block);
            let is_known =
                ["", "no_run", "rust", "toml"].contains(&language.as_str()) || is_drawing(&block);
            assert!(is_known, "{file}:{line}: nobody runs {language:?}");
            if language == "toml" {
                text.parse::<toml::Table>()
                    .unwrap_or_else(|error| panic!("{file}:{line}: {error}"));
            }
        }
        for number in 0..rust::examples(&path).len() {
            eprintln!("{} {number}", path.display());
            rust::run(path.to_str().unwrap(), number, &session.addresses);
        }
    }
}
