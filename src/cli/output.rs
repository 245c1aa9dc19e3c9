//! Where answers go: words for people, JSON for programs. Never panics on a closed stream, and
//! never blocks a service on one that nobody reads.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::exit::Failure;
use crate::json;
use crate::known::Content;
use crate::streams::{ANSWERS, ERRORS};

/// How answers are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    /// Whether nobody may have to wait for what is written: it goes through a queue.
    queued: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, queued: false }
    }

    /// The same for a command that runs until it is told to stop, whoever reads along.
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
            if error.use_stderr() && text.chars().any(steers) {
                // It repeats what was typed, or stood in a variable; colours are not worth that.
                self.complain(text.trim_end());
            } else {
                // Whoever closed the stream does not want to read it.
                let _ = error.print();
            }
            return;
        }
        let Some(problem) = failure.problem() else { return };
        if self.json {
            let error = serde_json::json!({ "error": problem, "code": failure.code() });
            self.complain(&json::line(&error).unwrap_or_default());
        } else {
            self.complain(&format!("error: {problem}"));
        }
    }

    /// Writes what people may want to know meanwhile to standard error, which programs read errors
    /// from.
    pub(crate) fn note(self, line: &str) {
        if !self.json {
            self.complain(line);
        }
    }

    /// Writes a line to standard error. There is nowhere to complain about that failing.
    fn complain(self, line: &str) {
        let line = printable(line) + "\n";
        if self.queued {
            ERRORS.push(line.into_bytes());
        } else {
            let _ = io::stderr().lock().write_all(line.as_bytes());
        }
    }

    /// Writes an answer: `value` as one line of JSON, or `words`, which need no line end.
    pub(crate) fn answer(self, value: &impl Serialize, words: impl FnOnce() -> String) -> Result<(), Failure> {
        let mut line = if self.json { json::line(value).map_err(io::Error::from)? } else { printable(&words()) };
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

/// Serializes a number of 32 bits by the digits that tell it from its neighbours, 0.9 and not
/// 0.8999999761581421, also by way of a `Value`, which has 64 bits.
pub(crate) fn shortest<S: serde::Serializer>(number: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(number.to_string().parse().unwrap_or(f64::from(*number)))
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

/// A text of several lines in which what could steer or deceive the terminal that shows it is
/// escaped: it may be stored, given or another server's.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, |c| c != '\n' && c != '\t')
}

/// A name on one line: line ends and tabs are escaped as well.
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
        if steers(c) && also(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character does something to the text around it instead of standing there: control
/// characters, those that turn the direction of writing, and those that are not to be seen. They
/// are Unicode's categories Cc, Cf, Zl and Zp, and the letters that it says to show as nothing.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
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
        for c in "\u{202e}\u{2066}\u{200b}\u{200d}\u{feff}\u{61c}\u{2028}\u{e0041}\u{7f}\u{85}\u{ad}".chars() {
            assert_eq!(printable(&format!("a{c}b")), format!("a{}b", c.escape_unicode()));
        }
        let plain = "naïve e\u{301} 犬 🐕\u{fe0f} עברית ภาษา \u{a0}";
        assert_eq!(name(plain), plain);
    }
}
