//! How wide prose and code are, and that nothing in them is left for later.

use super::{all, sources};
use crate::pages::blocks::markdown;
use crate::support::files::read;

#[test]
fn comments_have_a_hundred_columns() {
    let mut long = Vec::new();
    for source in sources() {
        // The pages' examples, as they are printed there.
        if source.ends_with("tests/pages/examples.rs") {
            continue;
        }
        let text = read(&source);
        let mut is_fenced = false;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            let mark = ["///", "//!", "//", "# "]
                .into_iter()
                .find(|mark| line.trim_start().starts_with(mark));
            let comment = mark.map_or("", |mark| &line.trim_start()[mark.len()..]);
            let is_comment = mark.is_some();
            is_fenced = is_comment && (is_fenced ^ comment.trim_start().starts_with("```"));
            // Programs, tables and byte maps are as wide as they are.
            let comment = comment.trim();
            let is_prose =
                is_comment && !is_fenced && !comment.contains("  ") && !comment.starts_with('|');
            if is_prose && line.chars().count() > 100 {
                long.push(format!("{}:{number}", source.display()));
            }
        }
    }
    assert!(long.is_empty(), "longer than 100 columns:\n{}", long.join("\n"));
}

#[test]
fn code_has_a_hundred_columns() {
    let mut long = Vec::new();
    for source in sources() {
        // The pages' examples, as they are printed there.
        if source.ends_with("tests/pages/examples.rs") {
            continue;
        }
        let text = read(&source);
        for (number, line) in (1..).zip(text.lines()) {
            // Comments have a test of their own, above.
            let is_code = !["//", "# "].iter().any(|mark| line.trim_start().starts_with(mark));
            if is_code && line.chars().count() > 100 {
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
        // Published data with a page of its own.
        if page.ends_with("tests/data/wordnet/README.md") {
            continue;
        }
        let text = read(&page);
        let blocks = markdown(&text);
        for (number, line) in (1..).zip(text.lines()) {
            let is_code = blocks.iter().any(|block| (block.line..=block.end).contains(&number));
            let is_prose = !is_code && !line.trim_start().starts_with(['|', '!']);
            if is_prose && line.chars().count() > 100 {
                long.push(format!("{}:{number}", page.display()));
            }
        }
    }
    assert!(long.is_empty(), "longer than 100 columns:\n{}", long.join("\n"));
}

#[test]
fn nothing_is_left_to_be_done_later() {
    // In two pieces, so that this file has none of them.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|pieces| pieces.concat());
    let mut left = Vec::new();
    for source in [sources(), all(&["md"])].concat() {
        let text = read(&source);
        for (number, line) in (1..).zip(text.lines()) {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                left.push(format!("{}:{number}", source.display()));
            }
        }
    }
    assert!(left.is_empty(), "left for later:\n{}", left.join("\n"));
}
