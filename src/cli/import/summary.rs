//! What an import did, for people and for programs.

use std::fmt::{Display, Formatter, Result};
use std::time::Duration;

use serde::Serialize;

use super::dimensions::Decision;
use super::old_store::OldReport;
use super::survey::BadLine;
use crate::printable::in_namespace;
use crate::words::{counted, duration, grouped};

/// What an import did.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) concepts_written: u64,
    pub(crate) associations_written: u64,
    /// Concepts had a vector, and the lines that replaced them have none.
    pub(crate) vectors_removed: u64,
    /// The server has them just so.
    pub(crate) unchanged: u64,
    /// The server has others, which it keeps.
    pub(crate) kept: u64,
    /// A later line is of the same concept or association.
    pub(crate) repeated: u64,
    pub(crate) bad: u64,
    /// The first bad lines.
    pub(crate) bad_lines: Vec<BadLine>,
    /// Lines that decided how long vectors are, where others were refused for it.
    pub(crate) decisions: Vec<Decision>,
    /// Files that this store was given before, and what was deleted since is not to come back from.
    pub(crate) passed_over: u64,
    pub(crate) seconds: f64,
    /// It ended before all was done.
    pub(crate) stopped: bool,
    /// What is to be told of old servers' folders.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) old_stores: Vec<OldReport>,
    /// A concept to ask questions about.
    pub(crate) example: Option<String>,
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.passed_over > 0 && self.nothing_else() {
            let were = if self.passed_over == 1 { "was" } else { "were" };
            return write!(
                f,
                "nothing to import: {} {were} imported into this store before, \
                 and what was deleted or changed since stays so; `sutra import` imports again",
                counted(self.passed_over, "file")
            );
        }
        write!(
            f,
            "{} {} and {} in {}",
            if self.stopped { "stopped after" } else { "imported" },
            counted(self.concepts_written, "concept"),
            counted(self.associations_written, "association"),
            duration(Duration::from_secs_f64(self.seconds))
        )?;
        let mut part = |count: u64, one: &str, many: &str| match count {
            0 => Ok(()),
            1 => write!(f, "; 1 {one}"),
            _ => write!(f, "; {} {many}", grouped(count)),
        };
        part(
            self.vectors_removed,
            "concept lost its vector to a line without one",
            "concepts lost their vectors to lines without one",
        )?;
        part(self.unchanged, "was there already", "were there already")?;
        part(
            self.kept,
            "differs on the server and was kept there",
            "differ on the server and were kept there",
        )?;
        part(
            self.repeated,
            "line was left out for a later one of the same concept or association",
            "lines were left out for later ones of the same concepts or associations",
        )?;
        part(self.bad, "bad line was left out", "bad lines were left out")?;
        part(self.passed_over, "file was imported before", "files were imported before")?;
        self.decisions.iter().try_for_each(
            |Decision { namespace, numbers, file, line, refused }| {
                write!(
                    f,
                    "; {}:{line} decided that embeddings{} have {}; {} not",
                    file.display(),
                    in_namespace(namespace),
                    counted(*numbers as u64, "number"),
                    if *refused == 1 {
                        "1 other has".to_owned()
                    } else {
                        format!("{} others have", grouped(*refused))
                    }
                )
            },
        )?;
        self.old_stores.iter().try_for_each(|old| write!(f, "\n{old}"))
    }
}

impl Summary {
    fn nothing_else(&self) -> bool {
        let lines = self.concepts_written
            + self.associations_written
            + self.unchanged
            + self.kept
            + self.repeated
            + self.bad;
        lines == 0 && !self.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_was_written_left_and_left_out() {
        let mut summary = Summary { concepts_written: 3_900, seconds: 2.0, ..Summary::default() };
        assert_eq!(summary.to_string(), "imported 3,900 concepts and 0 associations in 2.0 s");
        summary = Summary { unchanged: 12, kept: 1, repeated: 2, bad: 1, stopped: true, ..summary };
        assert_eq!(
            summary.to_string(),
            "stopped after 3,900 concepts and 0 associations in 2.0 s; 12 were there already; \
             1 differs on the server and was kept there; 2 lines were left out for later ones of \
             the same concepts or associations; 1 bad line was left out"
        );
        let again = Summary { passed_over: 2, ..Summary::default() };
        assert!(
            again
                .to_string()
                .starts_with("nothing to import: 2 files were imported into this store before")
        );
    }
}
