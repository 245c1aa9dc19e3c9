//! Where answers go: words for people, JSON for programs. Never panics on a closed stream, and
//! never makes a service wait for a reader.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use tracing::Level;

use crate::exit::Failure;
use crate::json;
use crate::known::Content;
use crate::printable::{printable, steers};
use crate::streams::{ANSWERS, ERRORS};
use crate::systemd::journal;

/// How answers are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    /// Whether it goes through a queue, so that the writer never waits for a reader.
    queued: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, queued: false }
    }

    /// The same for a command that runs until it is told to stop, and must not wait for a reader.
    pub(crate) fn of_service(json: bool) -> Self {
        ANSWERS.start();
        ERRORS.start();
        Self { json, queued: true }
    }

    /// How much of what concepts hold an answer shows in a list.
    pub(crate) fn content(self) -> Content {
        if self.json { Content::Whole } else { Content::FirstLine }
    }

    /// Whether answers are for programs.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Says to standard error how a command failed, if there is anything to say.
    pub(crate) fn fail(self, failure: &Failure) {
        if let Failure::Arguments(error) = failure
            && !(self.json && error.use_stderr())
        {
            let text = error.render().to_string();
            if error.use_stderr() && (text.chars().any(steers) || journal::reads_errors()) {
                // It repeats what was typed, or stood in a variable; colours are not worth that.
                self.complain(Level::ERROR, text.trim_end());
            } else {
                // A reader who closed the stream does not want it.
                let _ = error.print();
            }
            return;
        }
        let Some(problem) = failure.problem() else { return };
        if self.json {
            let error = serde_json::json!({ "error": problem, "code": failure.code() });
            self.complain(Level::ERROR, &json::line(&error).unwrap_or_default());
        } else {
            self.complain(Level::ERROR, &format!("error: {problem}"));
        }
    }

    /// Writes what people may want to know meanwhile to standard error, which programs read errors
    /// from.
    pub(crate) fn note(self, line: &str) {
        if !self.json {
            self.complain(Level::INFO, line);
        }
    }

    /// Writes a line to standard error. There is nowhere to complain about that failing.
    fn complain(self, level: Level, line: &str) {
        let line = journal::prefixed(level, (printable(line) + "\n").into_bytes());
        if self.queued {
            ERRORS.push(line);
        } else {
            let _ = io::stderr().lock().write_all(&line);
        }
    }

    /// Writes an answer: `value` as one line of JSON, or `words`, which need no line end.
    pub(crate) fn answer(
        self,
        value: &impl Serialize,
        words: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let mut line = if self.json {
            json::line(value).map_err(io::Error::from)?
        } else {
            printable(&words())
        };
        line.push('\n');
        if self.queued {
            ANSWERS.push(line.into_bytes());
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(line.as_bytes())?;
        out.flush()?;
        Ok(())
    }
}

/// Whether people watch standard error, where progress is shown.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// How many columns a line of an answer may have: the terminal's, or no bound where standard output
/// is none.
pub(crate) fn columns() -> usize {
    let terminal = console::Term::stdout();
    terminal.size_checked().map_or(usize::MAX, |(_, columns)| usize::from(columns))
}
