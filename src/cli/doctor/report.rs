//! What `sutra doctor` has found, for people and for programs: the worst first.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sutra_host::{Host, Look, Setting, Severity, State};

use crate::output::columns;
use crate::words::counted;

/// How wide the words of an answer are that goes to no terminal.
const COLUMNS: usize = 100;

/// A setting, and how it is.
pub(super) struct Finding {
    pub(super) setting: &'static Setting,
    pub(super) look: Look,
}

/// All of them.
pub(super) struct Report<'a> {
    pub(super) host: &'a Host,
    pub(super) findings: Vec<Finding>,
}

/// From the worst to what is not there, with the words for one and for all that follows.
const ORDER: [(State, &str); 6] = [
    (State::Wrong(Severity::Fatal), "fatal: no server can run here, or keep what it promises"),
    (State::Wrong(Severity::Warning), "warning: it is slower or less safe than it looks"),
    (State::Wrong(Severity::Hint), "hint: it could be faster, or is worth knowing"),
    (State::Unknown, "not known here"),
    (State::Good, "good"),
    (State::Absent, "not there on this host"),
];

impl Report<'_> {
    /// The worst of all.
    pub(super) fn worst(&self) -> State {
        let states = self.findings.iter().map(|finding| finding.look.state);
        states.max().unwrap_or(State::Absent)
    }

    fn of(&self, state: State) -> Vec<&Finding> {
        self.findings.iter().filter(|finding| finding.look.state == state).collect()
    }

    /// For programs.
    pub(super) fn as_json(&self) -> Value {
        let counts = ORDER.map(|(state, _)| (state.word(), self.of(state).len()));
        let counts: serde_json::Map<String, Value> =
            counts.into_iter().map(|(word, count)| (word.to_owned(), count.into())).collect();
        let checks = ORDER.iter().flat_map(|(state, _)| self.of(*state)).map(|finding| {
            let Finding { setting, look } = finding;
            json!({
                "check": setting.name,
                "group": setting.group,
                "state": look.state.word(),
                "current": look.current,
                "wanted": look.wanted,
                "why": setting.why,
                "effect": setting.effect,
                "source": setting.source,
                "measured": look.measured,
                "figures": look.figures,
                "remedy": look.remedy,
            })
        });
        json!({
            "kernel": self.host.kernel(),
            "root": self.host.root().folder().display().to_string(),
            "data": self.host.data().display().to_string(),
            "cores": self.host.cores(),
            "server": self.host.server(),
            "worst": self.worst().word(),
            "counts": counts,
            "checks": checks.collect::<Vec<_>>(),
        })
    }

    /// For people.
    pub(super) fn in_words(&self) -> String {
        let columns = columns().min(COLUMNS);
        let mut text = self.head() + "\n";
        for (state, words) in ORDER {
            let found = self.of(state);
            if found.is_empty() {
                continue;
            }
            // What is counted in the singular is a noun; the other words stand as they are.
            let heading = match words.split_once(':') {
                Some((noun @ ("warning" | "hint"), rest)) => {
                    format!("{}:{rest}", counted(found.len() as u64, noun))
                }
                _ => format!("{} {words}", found.len()),
            };
            let _ = write!(text, "\n{heading}\n");
            for finding in found {
                match state {
                    State::Wrong(_) => text += &wrong(finding, columns),
                    _ => text += &told(finding, columns),
                }
            }
        }
        text.trim_end().to_owned()
    }

    fn head(&self) -> String {
        let kernel =
            self.host.kernel().map_or_else(String::new, |kernel| format!("Linux {kernel}, "));
        let cores = counted(self.host.cores() as u64, "core");
        let data = self.host.data().display();
        let server = match self.host.server() {
            Some(pid) => format!("process {pid} serves it"),
            None => "no server runs on it".into(),
        };
        format!("{kernel}{cores}, data folder {data} ({server})")
    }
}

/// What is wrong, in full.
fn wrong(finding: &Finding, columns: usize) -> String {
    let Finding { setting, look } = finding;
    let mut text = format!("  {}\n", setting.name);
    for (word, line) in [
        ("is", look.current.as_str()),
        ("wanted", &look.wanted),
        ("why", setting.why),
        ("effect", &format!("{} ({})", setting.effect, setting.source)),
        ("here", &look.measured),
        ("mend", &look.remedy),
    ] {
        if !line.is_empty() {
            text += &paragraph(&format!("    {word:8}"), line, columns);
        }
    }
    text
}

/// What is as it is, on a line.
fn told(finding: &Finding, columns: usize) -> String {
    let Finding { setting, look } = finding;
    let measured = match look.measured.as_str() {
        "" => String::new(),
        measured => format!("; {measured}"),
    };
    paragraph(&format!("  {:18}", setting.name), &(look.current.clone() + &measured), columns)
}

/// A text behind its first words, wrapped below itself.
fn paragraph(begin: &str, text: &str, columns: usize) -> String {
    let indent = begin.chars().count();
    let room = columns.saturating_sub(indent).max(20);
    let mut lines = vec![String::new()];
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > room {
            lines.push(String::new());
            width = 0;
        }
        let line = lines.last_mut().expect("there is one from the beginning");
        if width > 0 {
            line.push(' ');
            width += 1;
        }
        line.push_str(word);
        width += length;
    }
    let mut out = String::new();
    for (at, line) in lines.iter().enumerate() {
        let before = if at == 0 { begin.to_owned() } else { " ".repeat(indent) };
        let _ = writeln!(out, "{before}{line}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_wrapped_below_itself() {
        let text = paragraph("  why  ", "one two three four five six seven", 27);
        assert_eq!(text, "  why  one two three four\n       five six seven\n");
        let long = paragraph("  x  ", &"y".repeat(40), 10);
        assert_eq!(long.lines().count(), 1, "a word is never cut: {long}");
    }
}
