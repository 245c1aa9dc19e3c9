//! What is shown, as text in columns: the same on the screen and where it is printed once.

use std::time::Duration;

use sutra_runtime::Histogram;

use super::interval::{CoreRates, Interval};
use super::sample::{Core, Stats};
use crate::printable::name;
use crate::words::{bytes, counted, duration, grouped, short_duration};

/// From when on a commit that is under way is told of.
const HANGS: Duration = Duration::from_secs(1);

/// Lines in columns below their headings: the first column to the left, the others to the right.
pub(super) struct Table {
    pub(super) heading: String,
    pub(super) lines: Vec<String>,
}

impl Table {
    /// Columns of its longest line.
    pub(super) fn width(&self) -> usize {
        let lines = self.lines.iter().chain([&self.heading]);
        lines.map(|line| line.chars().count()).max().unwrap_or(0)
    }

    fn new(headings: &[&str], rows: &[Vec<String>]) -> Self {
        let width = |(column, heading): (usize, &&str)| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(heading.len())
        };
        let widths: Vec<usize> = headings.iter().enumerate().map(width).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let cell = |(at, (cell, width)): (usize, (&str, &usize))| match at {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            };
            let line: String = cells.zip(&widths).enumerate().map(cell).collect();
            line.trim_end().to_owned()
        };
        Self {
            heading: line(&mut headings.iter().copied()),
            lines: rows.iter().map(|row| line(&mut row.iter().map(String::as_str))).collect(),
        }
    }
}

/// How often a second: with a digit behind the point where there are few.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        0.0 => "0".into(),
        ..9.95 => format!("{rate:.1}"),
        _ => grouped(rate.round() as u64),
    }
}

fn byte_rate(rate: f64) -> String {
    bytes(rate as u64) + "/s"
}

fn took(took: &Histogram, share: f64) -> String {
    took.quantile(share).map_or_else(|| "–".into(), short_duration)
}

/// What is asked for, how often, and how long it takes. `with_totals`: and how often since the
/// server's start.
pub(super) fn operations(interval: &Interval, with_totals: bool) -> Table {
    let row = |operation: &super::interval::Operation| {
        let mut row = vec![name(&operation.name).replace('_', " "), rate(operation.requests)];
        row.extend([0.5, 0.99, 0.999].map(|share| took(&operation.took, share)));
        if with_totals {
            row.push(grouped(operation.total));
        }
        row
    };
    let rows: Vec<_> = interval.operations.iter().map(row).collect();
    let mut headings = vec!["operation", "a second", "p50", "p99", "p99.9"];
    headings.extend(with_totals.then_some("since the start"));
    Table::new(&headings, &rows)
}

/// What each core does, and what waits there.
pub(super) fn cores(stats: &Stats, interval: &Interval) -> Table {
    let row = |(core, rates): (&Core, &CoreRates)| {
        let number = core.core.to_string();
        if !core.answers {
            return vec![format!("{number} does not answer")];
        }
        let number = if core.problem.is_some() { number + " !" } else { number };
        vec![
            number,
            rate(rates.requests),
            grouped(core.in_flight),
            grouped(core.pending),
            grouped(core.connections),
            rate(rates.turns),
            rate(rates.sleeps),
            rate(rates.messages),
            bytes(core.log_bytes),
        ]
    };
    let rows: Vec<_> = stats.by_core.iter().zip(&interval.cores).map(row).collect();
    let headings = [
        "core",
        "requests",
        "in flight",
        "pending",
        "clients",
        "turns",
        "sleeps",
        "messages",
        "log",
    ];
    Table::new(&headings, &rows)
}

/// What the cores say is wrong.
pub(super) fn problems(stats: &Stats) -> Vec<String> {
    let problem = |core: &Core| {
        core.problem.as_ref().map(|problem| format!("core {}: {}", core.core, name(problem)))
    };
    stats.by_core.iter().filter_map(problem).collect()
}

/// Commits, log, disk, memory, connections, the last backup: names and values.
pub(super) fn facts(stats: &Stats, interval: &Interval) -> Vec<(&'static str, String)> {
    let per_second = |what: f64| rate(what) + "/s";
    let commits = &interval.commit_took;
    let memory = &stats.memory;
    let mut resident = memory.resident_bytes.map_or_else(|| "–".into(), bytes);
    if let Some(host) = memory.host_bytes {
        resident += &format!(" of {}", bytes(host));
    }
    let disk = stats.disk.map(|disk| {
        let share = disk.free_bytes as f64 / (disk.size_bytes.max(1)) as f64 * 100.0;
        format!("{} free, {share:.0} %", bytes(disk.free_bytes))
    });
    let waits = Duration::from_micros(stats.commits.in_flight_us);
    let hangs = waits >= HANGS;
    let under_way = if hangs { format!(", one for {}", duration(waits)) } else { String::new() };
    let mut facts = vec![
        ("commits", per_second(interval.commits) + &under_way),
        ("  took", format!("p50 {}, p99 {}", took(commits, 0.5), took(commits, 0.99))),
        ("writes", format!("{}, {} pending", per_second(interval.writes), stats.writes.pending)),
        (
            "log",
            format!(
                "{}, {}",
                bytes(stats.stored.log_bytes),
                counted(stats.stored.log_segments, "segment")
            ),
        ),
        ("disk", disk.unwrap_or_else(|| "–".into())),
        ("memory", resident),
        ("CPU", format!("{:.2} of {} cores", interval.cpus, stats.by_core.len())),
        (
            "clients",
            format!("{}, {} new", grouped(stats.connections.open), per_second(interval.accepted)),
        ),
        ("in", byte_rate(interval.received)),
        ("out", byte_rate(interval.sent)),
        ("stored", counted(stats.stored.concepts, "concept")),
    ];
    if let Some(taken) = stats.counters.get("last_backup_taken_us") {
        let age = Duration::from_micros(stats.time_us.saturating_sub(*taken));
        facts.push(("backup", duration(age) + " ago"));
    }
    if stats.read_only {
        facts.push(("read-only", "no writes are taken".into()));
    }
    let rare = [
        ("refused", interval.failed_connections, "/s connections"),
        ("waits", interval.waits, "/s for room"),
    ];
    let rare = rare.into_iter().filter(|(_, rate, _)| *rate > 0.0);
    facts.extend(rare.map(|(name, often, words)| (name, rate(often) + words)));
    let held = stats.held.input_bytes + stats.held.output_bytes;
    if held > 0 {
        facts.push(("held", bytes(held)));
    }
    if stats.damaged > 0 {
        facts.push(("damaged", counted(stats.damaged, "place")));
    }
    if stats.scrub.running {
        let (done, total) = (stats.scrub.done_bytes, stats.scrub.total_bytes);
        facts.push(("scrub", format!("{} of {}", bytes(done), bytes(total))));
    }
    facts
}

/// How the server is, on one line.
pub(super) fn server(stats: &Stats) -> String {
    let up = duration(Duration::from_micros(stats.uptime_us));
    let ready = if stats.ready { "" } else { ", not ready" };
    format!("{}{ready}, up {up}, version {}", name(&stats.status), name(&stats.version))
}

/// What is asked and what goes wrong, on one line.
pub(super) fn summary(stats: &Stats, interval: &Interval) -> String {
    let mut text = format!(
        "{} requests/s, {} in flight, {} errors/s",
        rate(interval.requests),
        grouped(stats.in_flight),
        rate(interval.errors)
    );
    let by_status = interval.errors_by_status.iter().take(2);
    let by_status: Vec<String> = by_status
        .map(|(status, often)| format!("{} {}", name(status).replace('_', " "), rate(*often)))
        .collect();
    if !by_status.is_empty() {
        text += &format!(" ({})", by_status.join(", "));
    }
    text + &format!(", {} slow/s", rate(interval.slow))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let rows = [vec!["query".into(), "1,000".into()], vec!["a".into(), "7".into()]];
        let table = Table::new(&["operation", "a second"], &rows);
        assert_eq!(table.heading, "operation  a second");
        assert_eq!(table.lines, ["query         1,000", "a                 7"]);
    }

    #[test]
    fn few_a_second_have_a_digit_behind_the_point() {
        assert_eq!(
            [0.0, 0.04, 9.94, 9.96, 12_345.6].map(rate),
            ["0", "0.0", "9.9", "10", "12,346"]
        );
    }
}
