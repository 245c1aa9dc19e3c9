//! What the pages and comments of the project promise about itself.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::support::files::{files, read, repository};

/// The files with one of these extensions, by their paths in the project.
fn all(extensions: &[&str]) -> Vec<PathBuf> {
    extensions.iter().flat_map(|extension| files(extension)).collect()
}

/// What stands between backticks and names a file of the project, with a function behind it or not.
fn named_files(line: &str) -> Vec<(&str, Option<&str>)> {
    let quoted = line.split('`').skip(1).step_by(2);
    let named = quoted.filter_map(|text| {
        let (file, function) = match text.split_once("::") {
            Some((file, function)) => (file, Some(function)),
            None => (text, None),
        };
        let is_path = file.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
        (is_path && file.ends_with(".rs") && !file.starts_with('.')).then_some((file, function))
    });
    named.collect()
}

#[test]
fn every_file_and_function_that_pages_and_comments_name_is_there() {
    let sources = all(&["rs"]);
    let mut texts = HashMap::new();
    let mut missing = Vec::new();
    for page in all(&["md", "rs", "toml"]) {
        let text = read(&page);
        for (number, line) in (1..).zip(text.lines()) {
            let is_text = page.extension().is_some_and(|ending| ending == "md")
                || line.trim_start().starts_with("//")
                || line.trim_start().starts_with('#');
            if !is_text {
                continue;
            }
            for (file, function) in named_files(line) {
                let ending = format!("/{file}");
                let found: Vec<_> =
                    sources.iter().filter(|source| format!("/{}", source.display()).ends_with(&ending)).collect();
                let has_function = |source: &&PathBuf| {
                    let text = texts.entry((*source).clone()).or_insert_with(|| read(source));
                    function.is_none_or(|function| text.contains(&format!("fn {function}")))
                };
                if !found.iter().any(has_function) {
                    missing.push(format!("{}:{number}: {file} {}", page.display(), function.unwrap_or_default()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "named, and not there:\n{}", missing.join("\n"));
}

#[test]
fn every_link_of_a_page_to_a_file_leads_to_one() {
    let mut missing = Vec::new();
    for page in all(&["md"]) {
        let text = read(&page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            let is_file = !file.is_empty() && !file.contains("://");
            if is_file && !repository().join(page.parent().unwrap()).join(file).exists() {
                missing.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "linked, and not there:\n{}", missing.join("\n"));
}

#[test]
fn comments_have_a_hundred_columns() {
    let mut long = Vec::new();
    for source in all(&["rs", "py"]) {
        // The pages' examples, as they are printed there.
        if source.ends_with("tests/pages/examples.rs") {
            continue;
        }
        let text = read(&source);
        let mut is_fenced = false;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            let mark = ["///", "//!", "//", "# "].into_iter().find(|mark| line.trim_start().starts_with(mark));
            let comment = mark.map_or("", |mark| &line.trim_start()[mark.len()..]);
            let is_comment = mark.is_some();
            is_fenced = is_comment && (is_fenced ^ comment.trim_start().starts_with("```"));
            // Programs, tables and byte maps are as wide as they are.
            let is_prose = is_comment && !is_fenced && !comment.trim().contains("  ") && !comment.contains(" | ");
            if is_prose && line.chars().count() > 100 {
                long.push(format!("{}:{number}", source.display()));
            }
        }
    }
    assert!(long.is_empty(), "longer than 100 columns:\n{}", long.join("\n"));
}

#[test]
fn pages_have_a_hundred_columns() {
    let mut long = Vec::new();
    for page in all(&["md"]) {
        // Printed by a benchmark; published data with a page of its own.
        if ["benches/RESULTS.md", "tests/data/wordnet/README.md"].contains(&page.to_str().unwrap()) {
            continue;
        }
        let text = read(&page);
        let mut is_fenced = false;
        for (number, line) in (1..).zip(text.lines()) {
            is_fenced ^= line.starts_with("```");
            let is_prose = !is_fenced && !line.starts_with('|') && !line.starts_with("    ");
            if is_prose && line.chars().count() > 100 {
                long.push(format!("{}:{number}", page.display()));
            }
        }
    }
    assert!(long.is_empty(), "longer than 100 columns:\n{}", long.join("\n"));
}

#[test]
fn nothing_is_left_to_be_done_later() {
    let marks = ["TODO", "FIXME", "XXX"].map(|mark| format!("{mark}:"));
    let mut left = Vec::new();
    for source in all(&["rs", "py", "md", "toml"]) {
        let text = read(&source);
        for (number, line) in (1..).zip(text.lines()) {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                left.push(format!("{}:{number}", source.display()));
            }
        }
    }
    assert!(left.is_empty(), "left for later:\n{}", left.join("\n"));
}

/// Functions that are longer than seventy lines, and why they may be.
const LONG: [(&str, &str); 6] = [
    ("compat/request.rs", "archive"),       // a table: old request to native one
    ("compat/tests/bincode.rs", "request"), // a table
    ("compat/tests/bincode.rs", "every_reply_reads_as_the_old_enum"), // a table
    ("src/store/vectors/search.rs", "advance"), // the steps of a search, in order
    ("src/store/tests/model.rs", "a_store_shows_what_landed_and_nothing_else_through_any_crash"), // one story
    ("tests/grid.rs", "a_grid_outlives_the_loss_of_a_node_an_agent_and_its_master"), // one story
];

#[test]
fn functions_have_at_most_seventy_lines_but_for_those_with_a_reason() {
    let mut long = Vec::new();
    for source in all(&["rs"]) {
        let text = read(&source);
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let begin = line.trim_start();
            let Some((before, behind)) = begin.split_once("fn ") else { continue };
            let is_function = before
                .split_whitespace()
                .all(|word| ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe"].contains(&word));
            if !is_function {
                continue;
            }
            let end = format!("{}}}", &line[..line.len() - begin.len()]);
            let length = lines[number..].iter().position(|line| *line == end).map_or(0, |place| place + 1);
            let name: String = behind.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let is_excused = LONG.iter().any(|(file, function)| source.ends_with(file) && name == *function);
            if length > 70 && !is_excused {
                long.push(format!("{}:{}: {name} has {length} lines", source.display(), number + 1));
            }
        }
    }
    assert!(long.is_empty(), "longer than seventy lines:\n{}", long.join("\n"));
}
