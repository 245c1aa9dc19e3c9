//! Code blocks of Markdown pages, and of the doc comments of Rust files, as they are printed.

/// A block of code.
#[derive(Debug)]
pub struct Block {
    /// What stands behind the fence; empty where the block is indented.
    pub language: String,
    pub text: String,
    /// Where it begins on its page.
    pub line: usize,
}

/// The blocks of a page, in order: fenced ones, and those that are indented by four columns.
pub fn markdown(page: &str) -> Vec<Block> {
    let lines: Vec<&str> = page.lines().collect();
    let is_indented = |at: usize| lines.get(at).is_some_and(|line| line.starts_with("    "));
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let start = at;
        if let Some(language) = lines[at].strip_prefix("```") {
            at += 1 + lines[at + 1..].iter().take_while(|line| **line != "```").count();
            blocks.push(Block {
                language: language.to_owned(),
                text: lines[start + 1..at].join("\n"),
                line: start + 1,
            });
        } else if is_indented(at) && (at == 0 || lines[at - 1].is_empty()) {
            // A blank line within a block belongs to it.
            while is_indented(at)
                || lines.get(at).is_some_and(|line| line.is_empty()) && is_indented(at + 1)
            {
                at += 1;
            }
            let inside: Vec<&str> =
                lines[start..at].iter().map(|line| line.get(4..).unwrap_or_default()).collect();
            blocks.push(Block {
                language: String::new(),
                text: inside.join("\n"),
                line: start + 1,
            });
            continue;
        }
        at += 1;
    }
    blocks
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
