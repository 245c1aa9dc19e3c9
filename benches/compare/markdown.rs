//! The report for people: what `report.json` holds, in the sections of `report.md`.

use super::cell::{Cell, Figure, Shape, distinct};
use super::costs;
use super::goals::{self, Ratio};
use super::record::{Idle, Profiled, Record, Searched, Section, Serialized};
use super::scaling;
use super::setup::{DIMENSION, LEARNED_CONTENT, QUERIED_CONTENT};
use super::tables::{KEPT_UP, OPEN, OPEN_LOOP};
use super::template::{dashes, row, rows, section, with};

/// What a table shows where there is no figure.
const NONE: &str = "–";

/// The whole report. `plots` are the files beside it, with their captions.
pub(crate) fn report(record: &Record, plots: &[(String, String)]) -> String {
    let mut out = head(record) + &problems(record) + &closing(record) + &distances(record);
    for section in &record.sections {
        out += &table(section);
    }
    out += &profiles(record);
    out += &search(record);
    out += &messages(record);
    out += &round_trips(record);
    out += &scaling::text::section(record);
    out += &memory(record);
    out += &section("claims", |gap| {
        claimed(record, gap).map_or_else(|| NONE.to_owned(), |figure| round(figure).to_string())
    });
    out += &bills(record);
    for (file, caption) in plots {
        out += &format!("![{caption}]({file})\n\n");
    }
    out + &contenders(record)
}

/// A section whose only gap is for rows; empty if there are none.
fn of_rows(name: &str, all: impl IntoIterator<Item = String>) -> String {
    let all = rows(all);
    if all.is_empty() { all } else { with(name, &[("rows", all)]) }
}

fn head(record: &Record) -> String {
    let (host, settings) = (&record.host, &record.settings);
    let governor = host
        .governor
        .as_ref()
        .map_or_else(String::new, |governor| format!(", governor {governor}"));
    let gaps = [
        ("started", record.started.clone()),
        ("processor", host.processor.clone()),
        ("cpus", host.cpus.to_string()),
        ("virtual", if host.virtual_machine { ", a virtual machine" } else { "" }.to_owned()),
        ("governor", governor),
        ("memory", format!("{:.0}", host.memory_bytes as f64 / (1u64 << 30) as f64)),
        ("kernel", host.kernel.clone()),
        ("disk", host.disk.clone()),
        ("sutra", record.sutra.clone()),
        ("rounds", settings.rounds.to_string()),
        ("seconds", settings.seconds.to_string()),
        ("quick", if record.quick { " (quick: a look, not a measurement)" } else { "" }.to_owned()),
        ("minutes", format!("{:.0}", record.minutes)),
        ("server_cpu", settings.server_cpu.to_string()),
        ("load_cpu", settings.load_cpu.to_string()),
    ];
    with("head", &gaps)
}

fn problems(record: &Record) -> String {
    let missing = record.contenders.iter().filter_map(|contender| {
        let why = contender.missing.as_ref()?;
        Some(format!("- {} is not in this run: {why}", contender.name))
    });
    let listed = of_rows(
        "problems",
        missing.chain(record.problems.iter().map(|problem| format!("- {problem}"))),
    );
    if listed.is_empty() { with("flawless", &[]) } else { listed }
}

/// The goals: how far away each is, and where the rest of the time goes.
fn closing(record: &Record) -> String {
    let goals = goals::goals(record).into_iter().map(|goal| {
        let today = goal.today.iter().map(|(what, spread)| format!("{what} {}", spread.show(2)));
        row([goal.name, &today.collect::<Vec<_>>().join("; "), &goal.rest])
    });
    of_rows("goals", goals)
}

fn distances(record: &Record) -> String {
    let ratios = goals::ratios(record);
    let mut out = with("ratios", &[]);
    let tables = distinct(ratios.iter().map(|ratio| (&ratio.section, &ratio.ours)));
    for (section, ours) in tables {
        let within: Vec<&Ratio> = ratios
            .iter()
            .filter(|ratio| (&ratio.section, &ratio.ours) == (section, ours))
            .collect();
        let others = distinct(within.iter().map(|ratio| ratio.other.as_str()));
        let loads = distinct(within.iter().map(|ratio| (ratio.shape, ratio.figure)));
        let lines = loads.into_iter().map(|(shape, figure)| {
            let against = |other: &&str| {
                let is_it = |ratio: &&&Ratio| {
                    (ratio.other.as_str(), ratio.shape, ratio.figure) == (other, shape, figure)
                };
                let spread = within.iter().find(is_it).and_then(|ratio| ratio.spread);
                spread.map_or_else(|| NONE.to_owned(), |spread| spread.show(2))
            };
            row([shape.name(), figure.name().to_owned()]
                .into_iter()
                .chain(others.iter().map(against)))
        });
        let gaps = [
            ("section", section.clone()),
            ("ours", ours.clone()),
            ("others", others.join(" | ")),
            ("dashes", dashes(others.len())),
            ("rows", rows(lines)),
        ];
        out += &with("ratios-of", &gaps);
    }
    out
}

fn table(table: &Section) -> String {
    const FIGURES: [(Figure, usize); 5] = [
        (Figure::Rate, 0),
        (Figure::P50, 1),
        (Figure::P99, 1),
        (Figure::P999, 1),
        (Figure::Cpu, 2),
    ];
    let note = section(&format!("note-{}", table.id), given);
    let is_open = table.id == OPEN;
    let shapes = distinct(table.cells.iter().map(|cell| cell.shape));
    let cells =
        shapes.iter().flat_map(|shape| table.cells.iter().filter(move |cell| cell.shape == *shape));
    let lines = cells.map(|cell| {
        let calls = cell.system_calls.map_or_else(String::new, |calls| round(calls).to_string());
        let bytes = cell.figures(Figure::Bytes).filter(|bytes| bytes.median > 0.0);
        let bytes = bytes.map_or_else(String::new, |bytes| format!("{:.0}", bytes.median));
        cell_row(cell, None, &FIGURES, if is_open { vec![] } else { vec![calls, bytes] })
    });
    let gaps = [
        ("title", table.title.clone()),
        ("note", note.trim_end().to_owned()),
        ("rows", rows(lines)),
    ];
    with(if is_open { "open-loop" } else { "table" }, &gaps)
}

/// The value of a gap that is the same for every run.
fn given(gap: &str) -> String {
    match gap {
        "queried_content" => QUERIED_CONTENT.to_string(),
        "learned_content" => LEARNED_CONTENT.to_string(),
        "dimension" => DIMENSION.to_string(),
        "open_connections" => OPEN_LOOP.0.to_string(),
        "open_depth" => OPEN_LOOP.1.to_string(),
        "kept_up" => format!("{:.0}", KEPT_UP * 100.0),
        _ => panic!("report.md has a gap {gap}, which nothing fills"),
    }
}

/// A cell's row in a table: its load and contender, `before`, its figures with their numbers of
/// decimals, and `behind`. Or, in place of the figures, why there are none.
fn cell_row(
    cell: &Cell,
    before: Option<String>,
    figures: &[(Figure, usize)],
    behind: Vec<String>,
) -> String {
    let what = [cell.shape.name(), cell.contender.clone()].into_iter().chain(before);
    let without = match &cell.failed {
        Some(_) => Some("FAILED, see above"),
        None => cell.figures(Figure::Rate).is_none().then_some("STARVED, see above"),
    };
    if let Some(why) = without {
        let blank = figures.len() + behind.len() - 1;
        return row(what.chain([why.to_owned()]).chain(std::iter::repeat_n(String::new(), blank)));
    }
    let shown = figures.iter().map(|(figure, digits)| {
        let shown = shown(cell, *figure, *digits);
        // “≥” marks a rate that the load bounded.
        let is_bound = *figure == Figure::Rate && cell.bound_by_load * 2 >= cell.rounds.len();
        if is_bound { format!("≥ {shown}") } else { shown }
    });
    row(what.chain(shown).chain(behind))
}

fn shown(cell: &Cell, figure: Figure, digits: usize) -> String {
    cell.figures(figure).map_or_else(String::new, |spread| spread.show(digits))
}

fn profiles(record: &Record) -> String {
    if record.profiles.is_empty() {
        return String::new();
    }
    let columns =
        |show: &dyn Fn(&Profiled) -> String| record.profiles.iter().map(show).collect::<Vec<_>>();
    let line = |name: &str, ns: &dyn Fn(&Profiled) -> f64| {
        row([name.to_owned()].into_iter().chain(columns(&|one| format!("{:.0}", ns(one)))))
    };
    let stages = record.profiles.iter().flat_map(|one| &one.profile.stages);
    let stages = distinct(stages.map(|stage| stage.stage.as_str()));
    let mut lines: Vec<_> =
        stages.into_iter().map(|stage| line(stage, &|one| one.profile.ns(stage))).collect();
    lines.push(line("together", &|one| one.profile.busy_ns()));
    lines.push(line("server CPU of the process", &|one| one.cpu_us * 1000.0));
    lines.push(line("asleep", &|one| one.profile.wait_ns));
    let loads = columns(&|one| format!("{}, {}", one.section, one.shape.name())).join(" | ");
    with(
        "profiles",
        &[("loads", loads), ("dashes", dashes(record.profiles.len())), ("rows", rows(lines))],
    )
}

fn search(record: &Record) -> String {
    let mut searched: Vec<&Searched> = record.search.iter().collect();
    searched.sort_by_key(|searched| searched.cell.shape.connections);
    let lines = searched.into_iter().map(|Searched { vectors, recall, cell }| {
        let recall = recall.map_or_else(String::new, |recall| format!("{recall:.4}"));
        let is_many = cell.rounds.iter().flatten().all(|report| report.requests >= 100);
        let p99 = if is_many { shown(cell, Figure::P99, 0) } else { String::new() };
        let behind = vec![p99, shown(cell, Figure::Cpu, 0), recall];
        cell_row(cell, Some(vectors.to_string()), &[(Figure::Rate, 0), (Figure::P50, 0)], behind)
    });
    of_rows("search", lines)
}

fn messages(record: &Record) -> String {
    let messages = distinct(record.serialized.iter().map(|one| &one.message));
    let of = |message| record.serialized.iter().filter(move |one| &one.message == message);
    let lines = messages.into_iter().flat_map(of).map(|one| {
        let ns = |ns: f64| format!("{ns:.0}");
        let (name, bytes) = (one.message.replace('_', " "), one.bytes.to_string());
        row([name, one.encoding.clone(), bytes, ns(one.encode_ns), ns(one.decode_ns)])
    });
    let lines = rows(lines);
    if lines.is_empty() {
        return lines;
    }
    section("messages", |gap| if gap == "rows" { lines.clone() } else { given(gap) })
}

/// A figure, or why it was not measured.
fn or_why<T>(figure: &Result<T, String>, show: impl Fn(&T) -> String) -> String {
    figure.as_ref().map_or_else(|why| format!("not measured: {why}"), show)
}

fn round_trips(record: &Record) -> String {
    let counted = |count: &f64| format!("{count:.1}");
    let lines = record
        .round_trips
        .iter()
        .map(|one| row([&one.contender, &or_why(&one.round_trips, counted)]));
    of_rows("round-trips", lines)
}

fn memory(record: &Record) -> String {
    let lines = record.memory.iter().map(|memory| {
        let idle = record.idle.iter().find(|idle| idle.contender == memory.contender);
        let each = |idle: &Idle| {
            or_why(&idle.bytes_each, |bytes| format!("{bytes:.0} ({})", idle.connections))
        };
        let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
        row([
            memory.contender.clone(),
            megabytes(memory.filled),
            memory.at_end.map_or_else(|| "gone".to_owned(), megabytes),
            idle.map_or_else(String::new, each),
        ])
    });
    with("memory", &[("rows", rows(lines))])
}

/// The figure beside one of the old documentation's claims. The name of its gap says which: a
/// table, a contender, a load and a figure; or what was counted, and for which contender.
fn claimed(record: &Record, gap: &str) -> Option<f64> {
    let words: Vec<&str> = gap.split("; ").collect();
    match words[..] {
        ["message", encoding] => {
            let is_it =
                |one: &&Serialized| one.encoding == encoding && one.message == "learn_request";
            record.serialized.iter().find(is_it).map(|one| (one.encode_ns + one.decode_ns) / 1000.0)
        }
        ["round trips", contender] => record
            .round_trips
            .iter()
            .find(|one| one.contender == contender)?
            .round_trips
            .clone()
            .ok(),
        ["idle", contender] => Some(record.idle_bytes(contender)? / 1000.0),
        [table, contender, load, figure] => {
            let shape = [Shape::closed((1, 1)), Shape::closed((64, 1))]
                .into_iter()
                .find(|shape| shape.name() == load)?;
            let figure = [Figure::Rate, Figure::P50, Figure::Bytes]
                .into_iter()
                .find(|known| known.name() == figure)?;
            let median = record.cell(table, contender, shape)?.figures(figure)?.median;
            Some(if figure == Figure::Rate { median / 1000.0 } else { median })
        }
        _ => None,
    }
}

fn bills(record: &Record) -> String {
    let show = |figure: Option<f64>, digits: usize| {
        figure.map_or_else(|| NONE.to_owned(), |figure| format!("{figure:.digits$}"))
    };
    let lines = costs::bills(record).into_iter().map(|bill| {
        let mark = if bill.keeps_up { "" } else { " *" };
        row([
            bill.contender.to_owned(),
            show(bill.cpu_us, 2) + mark,
            show(bill.cores(), 1),
            show(bill.instances_for_cpu(), 0),
            show(bill.gigabytes(), 1),
            show(bill.instances_for_memory(), 0),
            show(bill.a_year(), 0),
        ])
    });
    let lines = rows(lines);
    section("costs", |gap| if gap == "rows" { lines.clone() } else { costs::assumption(gap) })
}

fn contenders(record: &Record) -> String {
    let mut lines = Vec::new();
    for contender in record.contenders.iter().filter(|contender| contender.missing.is_none()) {
        lines.push(format!("- **{}**: {}.", contender.name, contender.what));
        lines.extend(
            contender.settings.iter().map(|(setting, reason)| format!("  - {setting}: {reason}")),
        );
    }
    with("contenders", &[("rows", rows(lines))])
}

/// Rounds a figure to three significant digits.
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
        let report =
            sutra_load::Report { requests_per_second: 40_000.0, ..sutra_load::Report::default() };
        let cell = |contender, bound_by_load| Cell {
            rounds: vec![Some(report.clone()); 3],
            bound_by_load,
            ..Cell::new(contender, shape)
        };
        let cells = vec![cell("busy load", 2), cell("slow server", 1)];
        let out = table(&Section { id: OPEN.into(), title: "Open".into(), cells });
        assert!(out.contains("| 50000/s | busy load | ≥ 40000 "), "{out}");
        assert!(out.contains("| 50000/s | slow server | 40000 "), "{out}");
    }
}
