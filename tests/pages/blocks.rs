//! Code blocks of Markdown pages, and of the doc comments of Rust files, as they are printed.

/// A block of code.
#[derive(Debug)]
pub struct Block {
    /// What stands behind the fence; empty where the block is indented.
    pub language: String,
    pub text: String,
    /// Where it begins on its page.
    pub line: usize,
    /// Its last line there.
    pub end: usize,
}

/// The blocks of a page, in order: fenced ones, and those that are indented by four columns. What
/// belongs to an item of a list is indented by as many from the item's text.
pub fn markdown(page: &str) -> Vec<Block> {
    let lines: Vec<&str> = page.lines().collect();
    let indent = |at: usize| lines[at].len() - lines[at].trim_start_matches(' ').len();
    let is_blank = |at: usize| lines[at].is_empty();
    let mut blocks = Vec::new();
    // Where the text of the item begins that the line is in.
    let mut margin = 0;
    let mut at = 0;
    while at < lines.len() {
        let start = at;
        let is_indented = |at: usize| at < lines.len() && !is_blank(at) && indent(at) >= margin + 4;
        if let Some(language) = lines[at].strip_prefix("```") {
            at += 1 + lines[at + 1..].iter().take_while(|line| **line != "```").count();
            blocks.push(Block {
                language: language.to_owned(),
                text: lines[start + 1..at].join("\n"),
                line: start + 1,
                end: at + 1,
            });
        } else if is_indented(at) && (at == 0 || is_blank(at - 1)) {
            // A blank line within a block belongs to it.
            while is_indented(at) || at < lines.len() && is_blank(at) && is_indented(at + 1) {
                at += 1;
            }
            let inside: Vec<&str> = lines[start..at]
                .iter()
                .map(|line| line.get(margin + 4..).unwrap_or_default())
                .collect();
            blocks.push(Block {
                language: String::new(),
                text: inside.join("\n"),
                line: start + 1,
                end: at,
            });
            continue;
        } else if !is_blank(at) {
            margin = item(lines[at]).unwrap_or(margin.min(indent(at)));
        }
        at += 1;
    }
    blocks
}

/// The column at which an item's text begins, where the line is the first of one.
fn item(line: &str) -> Option<usize> {
    let text = line.trim_start();
    let behind = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_item = text.starts_with("- ") || behind.len() < text.len() && behind.starts_with(". ");
    let mark = text.split(' ').next().unwrap_or_default();
    is_item.then(|| line.len() - text.len() + mark.len() + 1)
}

/// The blocks of a Rust file's doc comments.
pub fn doc_comments(source: &str) -> Vec<Block> {
    let comment = |line: &str| {
        let line = line.trim_start();
        let text = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"))?;
        Some(text.strip_prefix(' ').unwrap_or(text).to_owned())
    };
    // What is no comment is a blank line, so that lines keep their numbers.
    let page: Vec<String> = source.lines().map(|line| comment(line).unwrap_or_default()).collect();
    markdown(&page.join("\n"))
}
