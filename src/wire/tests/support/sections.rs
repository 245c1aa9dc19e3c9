//! Reads `tests/golden/wire-v1.txt`: sections of a title, notes and bytes.
//!
//! ```text
//! # type, value          the title
//! #   what it stands for a note, for people
//! 00112233…              the bytes in hexadecimal, over as many lines as it takes
//! ```
//!
//! Sections are separated by empty lines; a block that holds no bytes is a comment.

/// The golden bytes of version 1.
pub(crate) const GOLDEN: &str = include_str!("../../../../tests/golden/wire-v1.txt");

/// The titles and bytes of every section.
pub(crate) fn sections(text: &str) -> Vec<(&str, Vec<u8>)> {
    text.split("\n\n")
        .filter_map(|block| {
            let bytes: Vec<u8> =
                block.lines().filter(|line| !line.starts_with('#')).flat_map(decode).collect();
            let title = block.lines().next()?.strip_prefix("# ")?;
            (!bytes.is_empty()).then_some((title, bytes))
        })
        .collect()
}

fn decode(line: &str) -> Vec<u8> {
    let pairs = line.trim().as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let digits =
                std::str::from_utf8(pair).expect("the golden file is ASCII outside its comments");
            u8::from_str_radix(digits, 16)
                .unwrap_or_else(|_| panic!("{digits:?} in {line:?} is no hexadecimal byte"))
        })
        .collect()
}
