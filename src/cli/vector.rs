//! Vectors as they are given on the command line.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use crate::exit::Failure;
use crate::text;

/// The longest file that is read: 65,536 numbers of 25 digits and as much again for how they are
/// set.
const MAX_FILE: u64 = 4 << 20;

/// The vector that a flag gives: a JSON list of numbers, or the name of a file or pipe that holds
/// one. A pipe is waited for no longer than `patience`.
pub(crate) fn vector(flag: &str, given: &str, patience: Duration) -> Result<Vec<f32>, Failure> {
    let wrong = |problem: String| Failure::Usage(format!("{flag}: {problem}"));
    let given = given.trim_start_matches('\u{feff}');
    let in_file = !given.trim_start().starts_with('[');
    let list = if in_file {
        text::read(Path::new(given), MAX_FILE, patience).map_err(|error| match error.kind() {
            ErrorKind::TimedOut => {
                Failure::Host(format!("{flag}: {given}: {error}; --timeout waits longer"))
            }
            _ => wrong(format!(
                "cannot read the file {given}: {error}; \
                 give a JSON list of numbers, like [0.1, 0.2], or a file that holds one"
            )),
        })?
    } else {
        given.as_bytes().to_vec()
    };
    serde_json::from_slice(&list).map_err(|error| {
        let place = if in_file { format!(" in {given}") } else { String::new() };
        wrong(format!("expected a JSON list of numbers{place}, like [0.1, 0.2]: {error}"))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(text: &str) -> Result<Vec<f32>, Failure> {
        vector("--embedding", text, Duration::from_secs(60))
    }

    #[test]
    fn a_vector_is_a_list_or_a_file_with_one() {
        assert_eq!(read(" [1, 0.5]").unwrap(), [1.0, 0.5]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[2.5]").unwrap();
        assert_eq!(read(file.path().to_str().unwrap()).unwrap(), [2.5]);
        let utf16: Vec<u8> =
            "\u{feff}[0.5,\r\n1]\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        std::fs::write(file.path(), utf16).unwrap();
        assert_eq!(read(file.path().to_str().unwrap()).unwrap(), [0.5, 1.0]);
        assert_eq!(read("\u{feff}[1]").unwrap(), [1.0]);
    }

    #[test]
    fn what_is_neither_is_wrong_usage_that_says_why() {
        for (text, says) in [("[1, \"a\"]", "list of numbers"), ("no-such-file", "no-such-file")] {
            let failure = read(text).unwrap_err();
            assert!(failure.code() == 2 && failure.to_string().contains(says), "{failure}");
        }
    }
}
