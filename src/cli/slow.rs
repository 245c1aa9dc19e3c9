//! `sutra slow`: the last requests that took long, and what each stage took.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::admin_port::AdminPort;
use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::printable::name;
use crate::target::Admin;
use crate::values::count;
use crate::words::{counted, grouped, local_time, short_duration};

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra slow --limit 20")]
pub(crate) struct Slow {
    /// How many to show at most, the newest first
    #[arg(
        long,
        value_name = "N",
        default_value = "20",
        value_parser = count::<1, 1000>,
        allow_hyphen_values = true
    )]
    limit: u64,
    #[command(flatten)]
    admin: Admin,
}

/// What `/api/v1/slow` tells.
#[derive(Deserialize, Serialize)]
pub(crate) struct SlowRequests {
    /// How long a request must take to be here; `None` where none is kept.
    pub(crate) threshold_us: Option<u64>,
    /// How many there were since the server's start.
    pub(crate) seen: u64,
    kept: u64,
    /// The newest first.
    pub(crate) requests: Vec<SlowRequest>,
}

/// One of them.
#[derive(Deserialize, Serialize)]
pub(crate) struct SlowRequest {
    /// When it was done with, in µs since 1970.
    at_us: u64,
    operation: String,
    peer: String,
    core: u64,
    took_us: u64,
    bytes_in: u64,
    bytes_out: u64,
    status: String,
    subject: Option<String>,
    /// By name, with `_us` behind it.
    stages: BTreeMap<String, u64>,
    /// Others whose answers left together with its own.
    others: u64,
}

/// The stages in their order.
const STAGES: [&str; 5] = ["receive", "wait", "execute", "commit", "send"];

impl SlowRequest {
    /// How long it took in each stage that is known.
    fn stages(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let took = |stage| Some((stage, *self.stages.get(&format!("{stage}_us"))?));
        STAGES.into_iter().filter_map(took)
    }

    /// The stage that took longest, and how long.
    fn longest(&self) -> String {
        let longest = self.stages().max_by_key(|(_, took)| *took);
        longest.map_or_else(|| "–".into(), |(stage, took)| format!("{stage} {}", micros(took)))
    }

    /// When it was, in local time: the day is left out where the time alone is wanted.
    fn when(&self, with_day: bool) -> String {
        let time = local_time(self.at_us);
        let Some((day, time)) = time.split_once('T') else { return time };
        let time = time.get(..8).unwrap_or(time);
        if with_day { format!("{day} {time}") } else { time.to_owned() }
    }

    /// When, what, how long, where most of it went, all stages, who, about what.
    fn cells(&self, columns: Columns) -> Vec<String> {
        let others =
            if self.others > 0 { format!(" +{}", grouped(self.others)) } else { String::new() };
        let status =
            if self.status == "ok" { String::new() } else { format!(" ({})", self.status) };
        let mut cells = vec![
            self.when(columns == Columns::All),
            name(&format!("{}{status}{others}", self.operation)).replace('_', " "),
            micros(self.took_us),
            self.longest(),
        ];
        if columns != Columns::Few {
            let stage = |(stage, took)| format!("{stage} {}", micros(took));
            cells.push(self.stages().map(stage).collect::<Vec<_>>().join(", "));
        }
        cells.push(name(&self.peer));
        cells.push(self.subject.as_deref().map_or_else(|| "–".into(), name));
        cells
    }
}

/// How much of a slow request is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Everything, with the day.
    All,
    /// Without the day.
    Today,
    /// And of its stages only the longest.
    Few,
}

impl Columns {
    fn headings(self) -> Vec<String> {
        let stages = (self != Columns::Few).then_some("stages");
        let first = if self == Columns::All { "when" } else { "slow at" };
        let all = [Some(first), Some("operation"), Some("took"), Some("most of it"), stages];
        let all = all.into_iter().chain([Some("peer"), Some("subject")]);
        all.flatten().map(str::to_owned).collect()
    }
}

/// Requests as lines below their headings; no column is wider than it has to be.
pub(crate) fn table(requests: &[SlowRequest], columns: Columns) -> Vec<String> {
    let rows: Vec<Vec<String>> = std::iter::once(columns.headings())
        .chain(requests.iter().map(|slow| slow.cells(columns)))
        .collect();
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cell = |(at, (cell, width)): (usize, (&String, &usize))| match at {
            2 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        };
        let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(cell).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The path that tells so many.
pub(crate) fn path(limit: u64) -> String {
    format!("/api/v1/slow?limit={limit}")
}

pub(crate) fn run(slow: &Slow, output: Output) -> Result<Answer, Failure> {
    let found: SlowRequests = AdminPort::new(&slow.admin.address).get(&path(slow.limit))?;
    output.answer(&found, || for_people(&found))?;
    Ok(Answer::Yes)
}

fn for_people(found: &SlowRequests) -> String {
    let Some(threshold) = found.threshold_us.map(micros) else {
        return "no slow requests are kept: the server was started with --slow off".into();
    };
    if found.requests.is_empty() {
        return format!("no request has taken {threshold} or longer since the server started");
    }
    let (shown, seen) = (found.requests.len() as u64, found.seen);
    format!(
        "{}\n\n{} of {} that took {threshold} or longer since the server started",
        table(&found.requests, Columns::All).join("\n"),
        grouped(shown),
        counted(seen, "request"),
    )
}

fn micros(micros: u64) -> String {
    if micros == 0 {
        return "0 µs".into();
    }
    short_duration(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found() -> SlowRequests {
        let request = |operation: &str, others: u64, stages: serde_json::Value| {
            json!({
                "at_us": 1_700_000_000_000_000u64, "operation": operation, "peer": "10.0.0.1:5",
                "core": 1, "took_us": 12_400, "bytes_in": 1_000, "bytes_out": 48, "status": "ok",
                "subject": "ab".repeat(16), "stages": stages, "others": others,
            })
        };
        let mut missing = request("path", 0, json!({ "execute_us": 12_400 }));
        missing["subject"] = serde_json::Value::Null;
        missing["status"] = "deadline_exceeded".into();
        let learn = json!({ "execute_us": 300, "commit_us": 12_000, "send_us": 100 });
        let requests = [request("learn", 3, learn), missing];
        serde_json::from_value(json!({
            "threshold_us": 10_000, "seen": 1_234, "kept": 2, "requests": requests,
        }))
        .expect("as the server tells it")
    }

    #[test]
    fn people_see_which_stage_took_longest() {
        let text = for_people(&found());
        for words in [
            "learn +3 ",
            "12.4 ms  commit 12.0 ms ",
            "execute 300 µs, commit 12.0 ms, send 100 µs",
            "path (deadline exceeded)",
            "10.0.0.1:5",
            &"ab".repeat(16),
            "2 of 1,234 requests that took 10.0 ms or longer",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
        let at = |line: &str| line.find("commit").or(line.find("most of it"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(at(lines[0]), at(lines[1]), "columns stand under each other:\n{text}");
    }

    #[test]
    fn a_narrow_table_has_the_longest_stage_alone() {
        let lines = table(&found().requests, Columns::Few);
        assert!(lines[0].starts_with("slow at ") && !lines[0].contains("stages"), "{lines:?}");
        assert!(lines[1].contains("  commit 12.0 ms  ") && !lines[1].contains("300"), "{lines:?}");
    }

    #[test]
    fn nothing_slow_and_nothing_kept_are_told_apart() {
        let none = SlowRequests { requests: Vec::new(), ..found() };
        assert!(for_people(&none).contains("no request has taken 10.0 ms"));
        let off = SlowRequests { threshold_us: None, ..none };
        assert!(for_people(&off).contains("--slow off"));
    }

    #[test]
    fn what_the_server_did_not_write_can_not_steer_a_terminal() {
        let mut found = found();
        found.requests[0].peer = "\u{1b}[2J".into();
        found.requests[0].subject = Some("\u{202e}".into());
        let text = for_people(&found);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    }
}
