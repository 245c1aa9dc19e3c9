//! A server's counters for people: grouped by what they are about, and named.
//!
//! What has never happened is left out. `--all` shows every counter by its own name.

use std::time::Duration;

use sutra_wire::ArchivedStats;

use crate::printable::printable;
use crate::words::{bytes, counted, duration, grouped, local_time, short_duration};

/// Counters by name.
struct Counters<'a>(&'a ArchivedStats);

impl Counters<'_> {
    fn get(&self, name: &str) -> u64 {
        let counter = self.0.counters.iter().find(|counter| counter.name == name);
        counter.map_or(0, |counter| counter.value.to_native())
    }

    /// Those that have risen and whose names begin like this, with the rest of their names.
    fn risen<'b>(&'b self, prefix: &'b str) -> impl Iterator<Item = (&'b str, u64)> {
        self.0.counters.iter().filter_map(move |counter| {
            let name = counter.name.as_str().strip_prefix(prefix)?;
            Some((name, counter.value.to_native())).filter(|(_, value)| *value > 0)
        })
    }

    /// How long something took that was done: half of all, 99 of 100, 999 of 1,000.
    fn took(&self, what: &str) -> Option<[String; 3]> {
        let time = |quantile: &str| {
            let nanoseconds = self.get(&format!("took_{what}_{quantile}_ns"));
            (nanoseconds > 0).then(|| short_duration(Duration::from_nanos(nanoseconds)))
        };
        Some([time("p50")?, time("p99")?, time("p999")?])
    }
}

/// A heading with its rows, each a name and cells.
struct Group {
    name: &'static str,
    columns: &'static [&'static str],
    rows: Vec<(String, Vec<String>)>,
}

impl Group {
    fn new(name: &'static str) -> Self {
        Self { name, columns: &[], rows: Vec::new() }
    }

    fn row(mut self, name: &str, value: impl Into<String>) -> Self {
        self.rows.push((name.into(), vec![value.into()]));
        self
    }

    fn row_if(self, is_there: bool, name: &str, value: impl FnOnce() -> String) -> Self {
        if is_there { self.row(name, value()) } else { self }
    }

    /// As text: names to the left, numbers under each other.
    fn text(&self) -> String {
        let width = self.rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let columns = self.rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|(_, cells)| cells.get(column));
            let heading = self.columns.get(column).map_or(0, |heading| heading.len());
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(heading)
        };
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let line = |name: &str, cells: &mut dyn Iterator<Item = &str>| {
            let mut line = format!("  {name:<width$}");
            for (cell, width) in cells.zip(&widths) {
                // One value needs no column.
                line +=
                    &if columns == 1 { format!("  {cell}") } else { format!("  {cell:>width$}") };
            }
            line.trim_end().to_owned() + "\n"
        };
        let mut text = if self.columns.is_empty() {
            format!("{}\n", self.name)
        } else {
            let heading = line("", &mut self.columns.iter().copied());
            format!("{}{}", self.name, &heading[self.name.len().min(heading.len())..])
        };
        for (name, cells) in &self.rows {
            text += &line(name, &mut cells.iter().map(String::as_str));
        }
        text
    }
}

/// The groups that have anything to say.
pub(super) fn for_people(stats: &ArchivedStats) -> String {
    let counters = Counters(stats);
    let groups = [
        stored(stats, &counters),
        asked(&counters),
        refused(&counters),
        written(stats, &counters),
        memory(&counters),
        connections(&counters),
        backed_up(&counters),
        server(stats, &counters),
    ];
    let texts: Vec<String> =
        groups.iter().filter(|group| !group.rows.is_empty()).map(Group::text).collect();
    texts.join("\n").trim_end().to_owned()
}

/// Every counter that is not 0, by its own name.
pub(super) fn counters(stats: &ArchivedStats) -> String {
    let counters = Counters(stats);
    let mut group = Group::new("counters");
    for (name, value) in counters.risen("") {
        group = group.row(name, grouped(value));
    }
    group.text().trim_end().to_owned()
}

fn stored(stats: &ArchivedStats, counters: &Counters<'_>) -> Group {
    let vectors = stats.vectors.to_native();
    let tail = counters.get("vectors_tail");
    let mut with = grouped(vectors);
    if tail > 0 {
        with += &format!(" ({} not indexed yet: every search scans them)", grouped(tail));
    }
    Group::new("stored")
        .row("concepts", grouped(stats.concepts.to_native()))
        .row("associations", grouped(stats.associations.to_native()))
        .row("vectors", with)
}

fn asked(counters: &Counters<'_>) -> Group {
    let mut group = Group { columns: &["requests", "p50", "p99", "p99.9"], ..Group::new("asked") };
    let is_operation = |name: &str| !["in_flight", "translated"].contains(&name);
    for (operation, count) in counters.risen("requests_").filter(|(name, _)| is_operation(name)) {
        let times = counters.took(operation).map(Vec::from).unwrap_or_default();
        let cells = [vec![grouped(count)], times].concat();
        group.rows.push((operation.replace('_', " "), cells));
    }
    group
}

fn refused(counters: &Counters<'_>) -> Group {
    let mut group = Group::new("refused");
    for (status, count) in counters.risen("errors_") {
        group = group.row(&status.replace('_', " "), grouped(count));
    }
    group
}

fn written(stats: &ArchivedStats, counters: &Counters<'_>) -> Group {
    let commits = counters.get("commits");
    let pending = stats.pending.to_native();
    let log = (counters.get("log_bytes"), counters.get("log_segments"));
    let cut = counters.get("recovered_cut_bytes");
    Group::new("written")
        .row("writes", grouped(stats.written.to_native()) + " since the start")
        .row_if(pending > 0, "pending", || grouped(pending))
        .row_if(commits > 0, "commits", || {
            let took = counters.took("commit");
            let took = took
                .map(|[half, most, nearly]| format!(": p50 {half}, p99 {most}, p99.9 {nearly}"));
            grouped(commits) + &took.unwrap_or_default()
        })
        .row("log", format!("{} in {}", bytes(log.0), counted(log.1, "segment")))
        .row_if(cut > 0, "cut", || format!("{} of an unfinished commit", bytes(cut)))
        .row(
            "durability",
            format!("{} ({})", printable(&stats.durability), printable(&stats.write_path)),
        )
        .row("data", printable(&stats.data))
        .row_if(counters.get("damaged_places") > 0, "damaged", || {
            counted(counters.get("damaged_places"), "place")
        })
        .row_if(counters.get("scrub_last_ended_us") > 0, "checked", || {
            let read = bytes(counters.get("scrub_last_bytes"));
            format!("{}, {read}", local_time(counters.get("scrub_last_ended_us")))
        })
}

fn backed_up(counters: &Counters<'_>) -> Group {
    let taken = counters.get("last_backup_taken_us");
    let elapsed = Duration::from_micros(counters.get("last_backup_elapsed_us"));
    Group::new("last backup")
        .row_if(taken > 0, "taken", || local_time(taken))
        .row_if(taken > 0, "log", || bytes(counters.get("last_backup_bytes")))
        .row_if(taken > 0, "took", || duration(elapsed))
}

fn memory(counters: &Counters<'_>) -> Group {
    let resident = counters.get("resident_bytes");
    let parts = [
        ("log segments", "memory_segments_bytes"),
        ("tables", "memory_tables_bytes"),
        ("vector indexes", "memory_vectors_bytes"),
    ];
    let mut group =
        Group::new("memory").row_if(resident > 0, "in all", || bytes(resident) + " resident");
    for (name, counter) in parts {
        let part = counters.get(counter);
        group = group.row_if(part > 0, name, || bytes(part));
    }
    group
}

fn connections(counters: &Counters<'_>) -> Group {
    let mut group = Group::new("connections")
        .row("open", grouped(counters.get("connections")))
        .row("accepted", grouped(counters.get("connections_accepted")));
    for (name, counter) in [
        ("refused", "connections_refused"),
        ("without a Hello", "connections_timed_out_in_hello"),
        ("stalled", "connections_timed_out_stalled"),
        ("idle", "connections_timed_out_idle"),
        ("not read from", "connections_closed_unread"),
        ("silent", "connections_closed_silent"),
        ("broken protocol", "connections_closed_protocol"),
    ] {
        let count = counters.get(counter);
        group = group.row_if(count > 0, name, || format!("{} closed", grouped(count)));
    }
    group
        .row("received", bytes(counters.get("received_bytes")))
        .row("sent", bytes(counters.get("sent_bytes")))
}

fn server(stats: &ArchivedStats, counters: &Counters<'_>) -> Group {
    let cpu = Duration::from_micros(counters.get("cpu_us"));
    let uptime = Duration::from_micros(stats.uptime.to_native());
    Group::new("server")
        .row("version", printable(&stats.version))
        .row("up", duration(uptime))
        .row("cores", grouped(stats.cores.to_native().into()))
        .row_if(!cpu.is_zero(), "CPU", || duration(cpu))
}
