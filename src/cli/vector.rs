//! Vectors as they are given on the command line.

use crate::exit::Failure;

/// The vector that a flag gives: a JSON list of numbers, or the name of a file that holds one.
pub(crate) fn vector(flag: &str, text: &str) -> Result<Vec<f32>, Failure> {
    let wrong = |problem: String| Failure::Usage(format!("{flag}: {problem}"));
    let in_file = !text.trim_start().starts_with('[');
    let list = if in_file {
        std::fs::read(text).map_err(|error| wrong(format!("cannot read the file {text}: {error}")))?
    } else {
        text.as_bytes().to_vec()
    };
    serde_json::from_slice(&list).map_err(|error| {
        let place = if in_file { format!(" in {text}") } else { String::new() };
        wrong(format!("expected a JSON list of numbers{place}, like [0.1, 0.2]: {error}"))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(text: &str) -> Result<Vec<f32>, Failure> {
        vector("--embedding", text)
    }

    #[test]
    fn a_vector_is_a_list_or_a_file_with_one() {
        assert_eq!(read(" [1, 0.5]").unwrap(), [1.0, 0.5]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[2.5]").unwrap();
        assert_eq!(read(file.path().to_str().unwrap()).unwrap(), [2.5]);
    }

    #[test]
    fn what_is_neither_is_wrong_usage_that_says_why() {
        for (text, says) in [("[1, \"a\"]", "list of numbers"), ("no-such-file", "no-such-file")] {
            let failure = read(text).unwrap_err();
            assert!(failure.code() == 2 && failure.to_string().contains(says), "{failure}");
        }
    }
}
