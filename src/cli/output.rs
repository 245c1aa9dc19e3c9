//! Where answers go: words for people, JSON for programs. Never panics on a closed stream.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::exit::Failure;

/// How answers are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
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
            // Whoever closed the stream does not want to read it.
            let _ = error.print();
            return;
        }
        let Some(problem) = failure.problem() else { return };
        if self.json {
            complain(&serde_json::json!({ "error": problem, "code": failure.code() }).to_string());
        } else {
            complain(&format!("error: {problem}"));
        }
    }

    /// Writes what people may want to know meanwhile to standard error, which programs read errors from.
    pub(crate) fn note(self, line: &str) {
        if !self.json {
            complain(line);
        }
    }

    /// Writes an answer: `value` as one line of JSON, or `words`, which need no line end.
    pub(crate) fn answer(self, value: &impl Serialize, words: impl FnOnce() -> String) -> Result<(), Failure> {
        let mut line = if self.json { serde_json::to_string(value).map_err(io::Error::from)? } else { words() };
        line.push('\n');
        let mut out = io::stdout().lock();
        out.write_all(line.as_bytes())?;
        out.flush()?;
        Ok(())
    }
}

/// Writes a line to standard error. There is nowhere to complain about that failing.
fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(line));
}

/// Whether people watch standard error, where progress is shown.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// How many columns a line of an answer may have: the terminal's, or no bound where standard output is none.
pub(crate) fn columns() -> usize {
    let terminal = console::Term::stdout();
    terminal.size_checked().map_or(usize::MAX, |(_, columns)| usize::from(columns))
}

/// A time in µs since 1970, as an ISO 8601 date in the local time zone, to the second.
pub(crate) fn local_time(micros: u64) -> String {
    let at = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    at.map_or_else(
        || format!("{micros} µs"),
        |at| at.to_zoned(TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    )
}

/// The same for programs: in UTC, to the µs.
pub(crate) fn utc_time(micros: u64) -> String {
    let at = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    at.map_or_else(|| micros.to_string(), |at| at.to_string())
}

/// 1234567 as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something, with its plural.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A duration with the two units that matter.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} days {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// The first line of a text, cut to so many columns.
pub(crate) fn first_line(text: &str, columns: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    console::truncate_str(line, columns, "…").into_owned()
}

/// A text of several lines with its other control characters escaped, so that what is stored or given can't steer the terminal that
/// shows it.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, |c| c != '\n' && c != '\t')
}

/// A name on one line: every control character is escaped.
pub(crate) fn name(text: &str) -> String {
    escaped(text, |_| true)
}

/// Words for where it was looked for, where that is not the default.
pub(crate) fn in_namespace(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!(" in the namespace {}", name(namespace)) }
}

fn escaped(text: &str, also: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && also(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let counted = [0, 1, 2000].map(|number| counted(number, "line"));
        assert_eq!(counted, ["0 lines", "1 line", "2,000 lines"]);
    }

    #[test]
    fn times_are_iso_dates() {
        assert_eq!(utc_time(1_700_000_000_000_001), "2023-11-14T22:13:20.000001Z");
        let local: Timestamp = local_time(1_700_000_000_000_001).parse().expect("an ISO date with its offset");
        assert_eq!(local.as_second(), 1_700_000_000);
        assert_eq!(local_time(u64::MAX), "18446744073709551615 µs");
    }

    #[test]
    fn durations_have_the_units_that_matter() {
        let words = [5, 125, 7260, 90_000].map(|seconds| duration(Duration::from_secs(seconds)));
        assert_eq!(words, ["5.0 s", "2 min 5 s", "2 h 1 min", "1 days 1 h"]);
    }

    #[test]
    fn long_lines_are_cut_and_later_lines_left_out() {
        assert_eq!(first_line("dog, domestic dog\nCanis", 80), "dog, domestic dog");
        assert_eq!(first_line("dog, domestic dog", 8), "dog, do…");
    }

    #[test]
    fn stored_escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\tc\nd\u{9b}"), "a\\u{1b}[2Jb\tc\nd\\u{9b}");
        assert_eq!(name("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
    }
}
