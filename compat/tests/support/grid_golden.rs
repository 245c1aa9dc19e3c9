//! The old grid's messages as they were recorded, in `tests/golden/grid.txt`.

const GOLDEN: &str = include_str!("../../../tests/golden/grid.txt");

/// Titles ("request …" or "reply …") and messages.
pub(crate) fn golden() -> Vec<(&'static str, Vec<u8>)> {
    let lines: Vec<_> =
        GOLDEN.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let digit = |digits: &[u8]| {
        u8::from_str_radix(std::str::from_utf8(digits).expect("ASCII"), 16).expect("digits")
    };
    let message = |digits: &str| digits.trim().as_bytes().chunks(2).map(digit).collect();
    lines.chunks(2).map(|pair| (pair[0], message(pair[1]))).collect()
}
