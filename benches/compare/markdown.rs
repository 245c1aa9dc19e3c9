//! The report for people: what `report.json` holds, as tables.

use std::fmt::Write;

use super::claims;
use super::costs::{self, CORES, DOLLARS_PER_HOUR, IDLE_CONNECTIONS, MEMORY_GB, QUERIES_PER_SECOND, UTILIZATION};
use super::goals;
use super::record::{Cell, Figure, Profiled, Record, Searched, Section, Shape, Spread};
use super::scaling;
use super::tables::{OPEN, PRICED_RATE};

/// The whole report; `plots` are the files that lie beside it, with their captions.
pub(crate) fn report(record: &Record, plots: &[(String, String)]) -> String {
    let mut text = String::new();
    let out = &mut text;
    head(out, record);
    problems(out, record);
    closing(out, record);
    distances(out, record);
    for section in &record.sections {
        if section.id == OPEN { open_loop(out, section) } else { table(out, section) }
    }
    profiles(out, record);
    search(out, record);
    serialized(out, record);
    round_trips(out, record);
    out.push_str(&scaling::text::section(record));
    memory(out, record);
    claimed(out, record);
    bills(out, record);
    for (file, caption) in plots {
        line(out, &format!("![{caption}]({file})\n"));
    }
    contenders(out, record);
    text
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn head(out: &mut String, record: &Record) {
    let (host, settings) = (&record.host, &record.settings);
    line(out, "# Sutra beside everything else\n");
    let _ = writeln!(
        out,
        "{}, {} ({} CPUs{}{}), {:.0} GiB, Linux {}, logs on {}. Sutra {}. Rounds: {}, of {} s{}; {:.0} minutes.\n",
        record.started,
        host.processor,
        host.cpus,
        if host.virtual_machine { ", a virtual machine" } else { "" },
        host.governor.as_ref().map_or_else(String::new, |governor| format!(", governor {governor}")),
        host.memory_bytes as f64 / (1u64 << 30) as f64,
        host.kernel,
        host.disk,
        record.sutra,
        settings.rounds,
        settings.seconds,
        if record.quick { " (quick: a look, not a measurement)" } else { "" },
        record.minutes
    );
    let _ = writeln!(
        out,
        "Each server has CPU {} for itself and the load CPU {}; contenders take turns in an order shuffled each round, and are frozen outside their turn. \
         Every answer is checked. A figure is the median of the rounds [lowest, highest]; a ratio is taken round by round. \
         \u{201c}≥\u{201d} marks a figure that the load's CPU bounded in half of the rounds or more while the server's had time left: the server could do more.\n",
        settings.server_cpu, settings.load_cpu
    );
}

fn problems(out: &mut String, record: &Record) {
    let missing: Vec<_> = record.contenders.iter().filter(|contender| contender.missing.is_some()).collect();
    if record.problems.is_empty() && missing.is_empty() {
        return line(out, "Nothing was missing, nothing failed, nobody was starved.\n");
    }
    line(out, "## What was left out, and what went wrong\n");
    for contender in missing {
        let why = contender.missing.as_deref().unwrap_or_default();
        line(out, &format!("- {} is not in this run: {why}", contender.name));
    }
    for problem in &record.problems {
        line(out, &format!("- {problem}"));
    }
    line(out, "");
}

fn distances(out: &mut String, record: &Record) {
    line(out, "## Distances\n");
    line(
        out,
        "Sutra's figure over each of the others', round by round. Of latencies and CPU less is better, of rates more.\n",
    );
    let ratios = goals::ratios(record);
    let mut tables: Vec<(&str, &str)> = Vec::new();
    for ratio in &ratios {
        push_new(&mut tables, (&ratio.section, &ratio.ours));
    }
    for (section, ours) in tables {
        let within = || ratios.iter().filter(move |ratio| ratio.section == section && ratio.ours == ours);
        let (mut others, mut rows) = (Vec::new(), Vec::new());
        for ratio in within() {
            push_new(&mut others, &ratio.other);
            push_new(&mut rows, (ratio.shape, ratio.figure));
        }
        line(out, &format!("### {section}: {ours} over …\n"));
        let names: Vec<_> = others.iter().map(|other| other.as_str()).collect();
        line(out, &format!("| connections × depth | figure | {} |", names.join(" | ")));
        line(out, &format!("|---|---|{}", "---|".repeat(names.len())));
        for (shape, figure) in rows {
            let _ = write!(out, "| {} | {} |", shape.name(), figure.name());
            for other in &others {
                let found = within().find(|ratio| (&ratio.other, ratio.shape, ratio.figure) == (*other, shape, figure));
                let shown = found
                    .and_then(|ratio| ratio.spread)
                    .map_or_else(|| "\u{2013}".to_owned(), |spread| show(spread, 2));
                let _ = write!(out, " {shown} |");
            }
            line(out, "");
        }
        line(out, "");
    }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn table(out: &mut String, section: &Section) {
    line(out, &format!("## {}\n\n{}\n", section.title, section.note));
    line(
        out,
        "| connections × depth | contender | requests/s | p50 µs | p99 µs | p99.9 µs | server CPU µs a request | system calls a request | bytes a request |",
    );
    line(out, "|---|---|---|---|---|---|---|---|---|");
    let mut shapes: Vec<Shape> = Vec::new();
    for cell in &section.cells {
        if !shapes.contains(&cell.shape) {
            shapes.push(cell.shape);
        }
    }
    for shape in shapes {
        for cell in section.cells.iter().filter(|cell| cell.shape == shape) {
            row(out, cell);
        }
    }
    line(out, "");
}

fn row(out: &mut String, cell: &Cell) {
    let _ = write!(out, "| {} | {} |", cell.shape.name(), cell.contender);
    if let Some(why) = without_figures(cell) {
        return line(out, &format!(" {why} | | | | | | |"));
    }
    let figure = |figure, digits| cell.figures(figure).map_or_else(String::new, |spread| show(spread, digits));
    let calls = cell.system_calls.map_or_else(String::new, |calls| round(calls).to_string());
    let _ = writeln!(
        out,
        " {}{} | {} | {} | {} | {} | {calls} | {} |",
        bound(cell),
        figure(Figure::Rate, 0),
        figure(Figure::P50, 1),
        figure(Figure::P99, 1),
        figure(Figure::P999, 1),
        figure(Figure::Cpu, 2),
        cell.figures(Figure::Bytes)
            .filter(|bytes| bytes.median > 0.0)
            .map_or_else(String::new, |bytes| format!("{:.0}", bytes.median)),
    );
}

/// The mark of a figure that the load bounded.
fn bound(cell: &Cell) -> &'static str {
    if cell.bound_by_load * 2 >= cell.rounds.len() { "≥ " } else { "" }
}

/// Why a cell has none.
fn without_figures(cell: &Cell) -> Option<String> {
    match &cell.failed {
        Some(_) => Some("FAILED, see above".to_owned()),
        None => cell.figures(Figure::Rate).is_none().then(|| "STARVED, see above".to_owned()),
    }
}

fn open_loop(out: &mut String, section: &Section) {
    line(out, &format!("## {}\n\n{}\n", section.title, section.note));
    line(
        out,
        "| due | contender | answered/s | p50 µs | p99 µs | p99.9 µs | server CPU µs a request |\n|---|---|---|---|---|---|---|",
    );
    for cell in &section.cells {
        let _ = write!(out, "| {} | {} |", cell.shape.name(), cell.contender);
        if let Some(why) = without_figures(cell) {
            line(out, &format!(" {why} | | | | |"));
            continue;
        }
        let figure = |figure, digits| cell.figures(figure).map_or_else(String::new, |spread| show(spread, digits));
        let _ = writeln!(
            out,
            " {}{} | {} | {} | {} | {} |",
            bound(cell),
            figure(Figure::Rate, 0),
            figure(Figure::P50, 1),
            figure(Figure::P99, 1),
            figure(Figure::P999, 1),
            figure(Figure::Cpu, 2)
        );
    }
    line(out, "");
}

fn profiles(out: &mut String, record: &Record) {
    if record.profiles.is_empty() {
        return;
    }
    line(out, "## Where the time goes\n");
    line(
        out,
        "Of one of Sutra's requests, in ns by the server's own clock (one turn of its loop in about 64 is timed; `sutra bench --profile` prints the same). \
         Kernel: the ring's system call, in which sends and receives are made; write: submitting a write of the log.\n",
    );
    let mut stages: Vec<&str> = Vec::new();
    for stage in record.profiles.iter().flat_map(|one| &one.profile.stages) {
        push_new(&mut stages, &stage.stage);
    }
    let columns = |show: &dyn Fn(&Profiled) -> String| record.profiles.iter().map(show).collect::<Vec<_>>().join(" | ");
    line(out, &format!("| stage | {} |", columns(&|one| format!("{}, {}", one.section, one.shape.name()))));
    line(out, &format!("|---|{}", "---|".repeat(record.profiles.len())));
    for stage in stages {
        line(out, &format!("| {stage} | {} |", columns(&|one| format!("{:.0}", one.profile.ns(stage)))));
    }
    line(out, &format!("| together | {} |", columns(&|one| format!("{:.0}", one.profile.busy_ns()))));
    line(out, &format!("| server CPU of the process | {} |", columns(&|one| format!("{:.0}", one.cpu_us * 1000.0))));
    line(out, &format!("| asleep | {} |\n", columns(&|one| format!("{:.0}", one.profile.wait_ns))));
}

/// The distances that the next piece of work is to close, with what stands between.
fn closing(out: &mut String, record: &Record) {
    let goals = goals::goals(record);
    if goals.is_empty() {
        return;
    }
    line(out, "## What is to be closed\n");
    line(out, "| goal | today | where the rest of the time goes |\n|---|---|---|");
    for goal in goals {
        let today: Vec<_> = goal.today.iter().map(|(what, spread)| format!("{what} {}", show(*spread, 2))).collect();
        line(out, &format!("| {} | {} | {} |", goal.name, today.join("; "), goal.rest));
    }
    line(out, "");
}

fn search(out: &mut String, record: &Record) {
    if record.search.is_empty() {
        return;
    }
    line(out, "## Vector search\n");
    line(
        out,
        "The ten nearest by cosine, one server core. The old server and gRPC scan: so did the servers that are replaced. The index library and the fast scan run \
         inside this process, on the server's CPU and without a network. Recall is over the answers that were measured; of gRPC over 50 queries more. \
         A p99 of fewer than 100 searches a round is left out.\n",
    );
    line(
        out,
        "| connections × depth | contender | vectors | searches/s | p50 µs | p99 µs | server CPU µs a search | recall@10 |\n|---|---|---|---|---|---|---|---|",
    );
    let mut rows: Vec<&Searched> = record.search.iter().collect();
    rows.sort_by_key(|searched| searched.cell.shape.connections);
    for Searched { vectors, recall, cell } in rows {
        let _ = write!(out, "| {} | {} | {vectors} |", cell.shape.name(), cell.contender);
        if let Some(why) = without_figures(cell) {
            line(out, &format!(" {why} | | | | |"));
            continue;
        }
        let figure = |figure, digits| cell.figures(figure).map_or_else(String::new, |spread| show(spread, digits));
        let is_many = cell.rounds.iter().flatten().all(|report| report.requests >= 100);
        let _ = writeln!(
            out,
            " {}{} | {} | {} | {} | {} |",
            bound(cell),
            figure(Figure::Rate, 0),
            figure(Figure::P50, 0),
            if is_many { figure(Figure::P99, 0) } else { String::new() },
            figure(Figure::Cpu, 0),
            recall.map_or_else(String::new, |recall| format!("{recall:.4}"))
        );
    }
    line(out, "");
}

fn serialized(out: &mut String, record: &Record) {
    if record.serialized.is_empty() {
        return;
    }
    line(out, "## Messages\n");
    line(
        out,
        "One message in each encoding, without its frame, in this process and without a network: a learn of 100 bytes of content and 384 numbers, the answer to a query of 200 bytes, a heartbeat and its answer. \
         rkyv: archiving, and checking the archive in place, after which its fields are read where they lie; the others decode into values of their own.\n",
    );
    line(out, "| message | encoding | bytes | encode, ns | decode or check, ns |\n|---|---|---|---|---|");
    let mut messages: Vec<&str> = Vec::new();
    for one in &record.serialized {
        push_new(&mut messages, &one.message);
    }
    for message in messages {
        for one in record.serialized.iter().filter(|one| one.message == message) {
            let name = message.replace('_', " ");
            line(
                out,
                &format!("| {name} | {} | {} | {:.0} | {:.0} |", one.encoding, one.bytes, one.encode_ns, one.decode_ns),
            );
        }
    }
    line(out, "");
}

fn round_trips(out: &mut String, record: &Record) {
    if record.round_trips.is_empty() {
        return;
    }
    line(out, "## Round trips to the first answer\n");
    line(
        out,
        "From connecting until the first query is answered, over a link whose bytes take 10 ms each way; TCP's handshake, which such a link can't delay, is one and added. \
         Sutra's client says Hello first, which tells it the layout of the cores; a connection to each core follows.\n",
    );
    line(out, "| contender | round trips |\n|---|---|");
    for one in &record.round_trips {
        let shown =
            one.round_trips.as_ref().map_or_else(|why| format!("not measured: {why}"), |count| format!("{count:.1}"));
        line(out, &format!("| {} | {shown} |", one.contender));
    }
    line(out, "");
}

fn memory(out: &mut String, record: &Record) {
    line(out, "## Memory\n");
    line(
        out,
        "| contender | resident with the data, MB | at the end of the run, MB | bytes an idle connection (of so many) |\n|---|---|---|---|",
    );
    for memory in &record.memory {
        let idle = record.idle.iter().find(|idle| idle.contender == memory.contender);
        let idle = idle.map_or_else(String::new, |idle| match &idle.bytes_each {
            Ok(bytes) => format!("{bytes:.0} ({})", idle.connections),
            Err(why) => format!("not measured: {why}"),
        });
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let _ = writeln!(
            out,
            "| {} | {:.1} | {} | {idle} |",
            memory.contender,
            megabytes(memory.filled),
            memory.at_end.map_or_else(|| "gone".to_owned(), |bytes| format!("{:.1}", megabytes(bytes)))
        );
    }
    line(out, "");
}

fn claimed(out: &mut String, record: &Record) {
    line(out, "## The old documentation's claims\n");
    line(
        out,
        "| | claimed: gRPC → its successor | gRPC, measured | its successor, measured | Sutra, measured | what was measured |\n|---|---|---|---|---|---|",
    );
    for claim in claims::rows(record) {
        let figure =
            |figure: Option<f64>| figure.map_or_else(|| "\u{2013}".to_owned(), |figure| round(figure).to_string());
        let _ = writeln!(
            out,
            "| {}{} | {} → {} | {} | {} | {} | {} |",
            claim.what,
            if claim.unit.is_empty() { String::new() } else { format!(", {}", claim.unit) },
            claim.claimed.0,
            claim.claimed.1,
            figure(claim.grpc),
            figure(claim.old),
            figure(claim.sutra),
            claim.measured
        );
    }
    line(out, "");
}

fn bills(out: &mut String, record: &Record) {
    let millions = |count: f64| count / 1e6;
    line(out, "## What that costs\n");
    let _ = writeln!(
        out,
        "{} million queries/s and {} million idle connections on instances of {CORES} cores and {MEMORY_GB} GB, run at {:.0} %, at an assumed ${DOLLARS_PER_HOUR:.2} an hour (${:.0} a year). \
         CPU a query is what it takes at {PRICED_RATE:.0}/s on one core, a core that is far from full, as these are; of who does not keep up with that rate (*) as measured at 64 × 1. \
         Cores = queries/s × CPU a query; instances for CPU = cores / ({CORES} × {UTILIZATION}), for memory = connections × bytes each / ({MEMORY_GB} GB × {UTILIZATION}), rounded up; the dearer of the two is paid. \
         It supposes that a contender uses more cores as well as one, which no table here shows, and counts the server's user memory, not the kernel's socket buffers (the same for all).\n",
        millions(QUERIES_PER_SECOND),
        millions(IDLE_CONNECTIONS),
        UTILIZATION * 100.0,
        DOLLARS_PER_HOUR * costs::HOURS_A_YEAR
    );
    line(
        out,
        "| contender | CPU µs a query | cores | instances for CPU | GB of connections | instances for memory | $ a year |\n|---|---|---|---|---|---|---|",
    );
    for bill in costs::bills(record) {
        let show = |figure: Option<f64>, digits: usize| {
            figure.map_or_else(|| "\u{2013}".to_owned(), |figure| format!("{figure:.digits$}"))
        };
        let _ = writeln!(
            out,
            "| {} | {}{} | {} | {} | {} | {} | {} |",
            bill.contender,
            show(bill.cpu_us, 2),
            if bill.keeps_up { "" } else { " *" },
            show(bill.cores(), 1),
            show(bill.instances_for_cpu(), 0),
            show(bill.gigabytes(), 1),
            show(bill.instances_for_memory(), 0),
            show(bill.a_year(), 0)
        );
    }
    line(out, "");
}

fn contenders(out: &mut String, record: &Record) {
    line(out, "## The contenders, and how each was run\n");
    for contender in record.contenders.iter().filter(|contender| contender.missing.is_none()) {
        line(out, &format!("- **{}**: {}.", contender.name, contender.what));
        for (setting, reason) in &contender.settings {
            line(out, &format!("  - {setting}: {reason}"));
        }
    }
}

/// The median with the lowest and the highest round.
pub(crate) fn show(spread: Spread, digits: usize) -> String {
    format!("{:.digits$} [{:.digits$}, {:.digits$}]", spread.median, spread.low, spread.high)
}

/// To three digits.
fn round(figure: f64) -> f64 {
    if figure == 0.0 {
        return 0.0;
    }
    let scale = 10f64.powi(2 - figure.abs().log10().floor() as i32);
    (figure * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_claims_have_three_digits() {
        assert_eq!([0.0, 0.012345, 1.23456, 1234.5].map(round), [0.0, 0.0123, 1.23, 1230.0]);
    }

    #[test]
    fn a_fixed_rate_that_the_load_did_not_keep_is_marked() {
        let shape = Shape { connections: 64, depth: 16, rate: Some(50_000.0) };
        let report = sutra_load::Report { requests_per_second: 40_000.0, ..sutra_load::Report::default() };
        let cell = |contender, bound_by_load| Cell {
            rounds: vec![Some(report.clone()); 3],
            bound_by_load,
            ..Cell::new(contender, shape)
        };
        let cells = vec![cell("busy load", 2), cell("slow server", 1)];
        let section = Section { id: "open".into(), title: "Open".into(), note: String::new(), cells };
        let mut out = String::new();
        open_loop(&mut out, &section);
        assert!(out.contains("| 50000/s | busy load | ≥ 40000 "), "{out}");
        assert!(out.contains("| 50000/s | slow server | 40000 "), "{out}");
    }
}
