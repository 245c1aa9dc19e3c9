//! The report's section on more than one core.

use std::fmt::Write;

use super::super::markdown::show;
use super::super::record::{Figure, Record, Shape, Spread};
use super::super::tables::{QUERY, RELAXED};
use super::measured::{Point, Question, Scaling};
use super::model::{BROKEN, FAR, Model, Operation};
use crate::compare::contender::Instance;

/// The machines that are looked at.
const MACHINES: [usize; 3] = [8, 32, 128];
/// Clients that know the layout and keep a connection to every core.
const CLIENTS: f64 = 1000.0;
/// Connections that a core takes (`Limits` of the server).
const CONNECTIONS: f64 = 100_000.0;

pub(crate) fn section(record: &Record) -> String {
    let mut out = String::new();
    let Some(scaling) = &record.scaling else { return out };
    let _ = writeln!(
        out,
        "## More than one core\n\n\
         One and two pinned cores, and 4 and more cores unpinned on the host's CPUs, in shuffled turns; the load's two threads run on the same two CPUs as the server. So \
         this says what a request costs, and nothing of: throughput that grows with cores, memory bandwidth and caches that cores share, wake-ups between CPUs that idle, NUMA, the network card. \
         Unpinned cores beyond the CPUs take turns on them: turns find more waiting than on a machine of that size, which flatters, and caches are lost at every switch, which does not. \
         \u{201c}Aware\u{201d} clients send each request to the core that owns it; what others send crosses to it and back with two messages. \
         All run with `--durability os`, so that the disk is not measured. The learned records have content in place of a vector, so that no indexing is measured. Messages, wake-ups and turns are the server's own counters.\n"
    );
    points(&mut out, scaling);
    match Model::of(scaling, |question, shape| apart(record, question, shape)) {
        Ok(model) => {
            predict(&mut out, record, &model);
            against(&mut out, scaling, &model);
        }
        Err(missing) => {
            let _ = writeln!(out, "There is no model of more cores: {missing}.\n");
        }
    }
    out
}

/// What the question takes on one core in its own table, where the load does not share the server's
/// CPU.
fn apart(record: &Record, question: Question, (connections, depth): (usize, usize)) -> Option<Spread> {
    let (section, contender) = match question {
        Question::Query => (QUERY, Instance::Sutra),
        Question::Learn => (RELAXED, Instance::SutraOs),
        Question::Health | Question::Search | Question::Scan => return None,
    };
    record.cell(section, contender.name(), Shape::closed((connections, depth)))?.figures(Figure::Cpu)
}

/// The model held against every point that was measured.
fn against(out: &mut String, scaling: &Scaling, model: &Model) {
    out.push_str(
        "### The model against what was measured here\n\n\
         Two CPUs carry all cores of the server and the load, so this is no test of the model's larger machines; it shows what the model leaves out. Above 1: a request took more than the model says. \
         The same connections over more cores find less waiting a turn, so each turn's cost is shared by fewer requests; cores beyond the CPUs lose their caches to each other; and a core that shares its CPU with the load takes less a request than one with the load elsewhere, \
         as more has come when it looks.\n\n\
         | request | connections × depth | cores | measured CPU µs | model | measured / model |\n|---|---|---|---|---|---|\n",
    );
    for point in &scaling.points {
        let Some(operation) = model.operations.iter().find(|operation| operation.is_of(point)) else { continue };
        let Some(cpu) = point.cpu() else { continue };
        // Half of the vectors are a constant of the model and no point of it.
        if point.question == Question::Search && point.vectors != scaling.vectors {
            continue;
        }
        let cost = operation.cost(point.cores).total();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {cost:.2} | {:.2} |",
            operation.name,
            point.shape.name(),
            point.cores,
            show(cpu, 2),
            cpu.median / cost
        );
    }
    out.push('\n');
}

fn points(out: &mut String, scaling: &Scaling) {
    out.push_str("| request | connections × depth | cores | clients | vectors | CPU µs a request | messages a request | wake-ups a request | turns a request | CPU for messages |\n");
    out.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
    for point in &scaling.points {
        let clients = if point.is_aware { "aware" } else { "not" };
        let vectors = if point.vectors > 0 { point.vectors.to_string() } else { String::new() };
        let _ = write!(
            out,
            "| {} | {} | {} | {clients} | {vectors} |",
            point.question.name(),
            point.shape.name(),
            point.cores
        );
        let Some(cpu) = point.cpu() else {
            out.push_str(" no figures, see above | | | | |\n");
            continue;
        };
        let median = |figure: Option<Spread>| figure.map_or_else(String::new, |figure| format!("{:.3}", figure.median));
        let _ = writeln!(
            out,
            " {} | {} | {} | {} | {} |",
            show(cpu, 2),
            median(point.spread(|costs| costs.messages)),
            median(point.spread(|costs| costs.wakes)),
            median(point.spread(|costs| costs.turns)),
            share(scaling, point).map_or_else(String::new, |share| format!("{} %", show(share, 0)))
        );
    }
    out.push('\n');
    out.push_str("| cores, unpinned, one of them at work | ns a turn in the mailboxes | resident with an empty store, MB |\n|---|---|---|\n");
    for turning in &scaling.turns {
        let turn = Spread::of(turning.mailboxes_ns.clone()).map_or_else(String::new, |turn| show(turn, 0));
        let _ = writeln!(out, "| {} | {turn} | {:.1} |", turning.cores, turning.resident as f64 / 1e6);
    }
    out.push('\n');
}

/// Of requests that come to any core: how much of their CPU they take more than those that come to
/// their owners, in percent.
fn share(scaling: &Scaling, point: &Point) -> Option<Spread> {
    if point.is_aware {
        return None;
    }
    let shape = (point.shape.connections, point.shape.depth);
    let aware = scaling.point(point.question, point.cores, true, shape)?;
    let rounds = aware.rounds.iter().zip(&point.rounds);
    let share =
        rounds.filter_map(|(aware, point)| Some(100.0 * (1.0 - aware.as_ref()?.cpu_us / point.as_ref()?.cpu_us)));
    Spread::of(share.collect())
}

fn predict(out: &mut String, record: &Record, model: &Model) {
    out.push_str("### What that comes to on larger machines\n\n");
    out.push_str(
        "A model, not a measurement. CPU a request on N cores = on one core (from its own table, where the load does not share the CPU; of health and searches from here) + (N \u{2212} 1) × a look × turns (with the owner's turn, where a request crosses) + 2 (N \u{2212} 1)/N × a message (where clients don't know the layout) \
         + (N \u{2212} 1) × a further core (where every core is asked; then the looks of every core's turns count) + N × the search of 1/N of the vectors. Requests/s = N / CPU. \
         It takes each core to have the load that the one core had, messages to be as dear from 128 cores as from one other, a search to get cheaper by the same amount with every halving of its vectors \
         and shards of fewer than 1,024 to be scanned; looks to stay in the first-level cache; cores to be as fast together as alone, and even load. \
         Machines do worse by what is not measured here: memory bandwidth, NUMA, the network card. A constant whose spread includes 0 can't be told from 0 here; below 0 it counts as 0.\n\n",
    );
    out.push_str("| constant | median [lowest, highest] |\n|---|---|\n");
    for constant in &model.constants {
        let digits = if constant.value.median.abs() < 1.0 { 4 } else { 2 };
        let _ = writeln!(out, "| {} | {} |", constant.name, show(constant.value, digits));
    }
    if let Some(memory) = model.memory {
        let _ = writeln!(
            out,
            "| resident, empty store: once, MB; each core, MB (a line through all) | {:.1}; {:.1} |",
            memory.fixed / 1e6,
            memory.each / 1e6
        );
    }
    let _ =
        writeln!(out, "| mailbox from one core to another, bytes (from the code) | {:.0} |\n", model.mailbox_bytes(1));
    out.push_str("| request | cores | CPU µs a request | requests/s of the machine | looks | messages | searching beyond one core's |\n|---|---|---|---|---|---|---|\n");
    for operation in &model.operations {
        for cores in MACHINES {
            let cost = operation.cost(cores);
            let percent = |part: f64| format!("{:.1} %", 100.0 * part / cost.total());
            let _ = writeln!(
                out,
                "| {} | {cores} | {:.2} | {:.0} | {} | {} | {} |",
                operation.name,
                cost.total(),
                operation.rate(cores),
                percent(cost.looks),
                percent(cost.messages),
                percent(cost.searching)
            );
        }
    }
    out.push_str("\nWhat breaks, and where:\n\n");
    let mut operations: Vec<&Operation> = model.operations.iter().collect();
    operations.sort_by_key(|operation| operation.breaks_at().unwrap_or(usize::MAX));
    for operation in operations {
        let _ = writeln!(out, "- {}: {}", operation.name, verdict(operation));
    }
    memory(out, record, model);
}

fn verdict(operation: &Operation) -> String {
    let Some(cores) = operation.breaks_at() else {
        let cost = operation.cost(FAR);
        return format!("not before {FAR} cores ({:.2} times the CPU there)", cost.total() / operation.cost(1).total());
    };
    let best = operation.best();
    let most = match best {
        FAR => String::new(),
        _ => format!(
            "; the machine answers most with {best} cores, {:.0}/s, {:.1} times what one answers",
            operation.rate(best),
            operation.rate(best) / operation.rate(1)
        ),
    };
    format!(
        "{BROKEN} times the CPU of one core at {cores} cores, most of what was added by {}{most}.",
        operation.cost(cores).worst()
    )
}

fn memory(out: &mut String, record: &Record, model: &Model) {
    for cores in MACHINES {
        let empty = model.memory.map_or(f64::NAN, |memory| memory.fixed + memory.each * cores as f64);
        let _ = writeln!(
            out,
            "- Memory, {cores} cores: an empty store {:.0} MB; mailboxes {:.0} MB when all have been used ({cores}² of them, address space before).",
            empty / 1e6,
            model.mailbox_bytes(cores) / 1e6
        );
    }
    if let Some(cores) = model.mailboxes_outgrow() {
        let _ = writeln!(out, "- The mailboxes outgrow everything else of an empty store at {cores} cores.");
    }
    let idle = record.idle.iter().find(|idle| idle.contender == Instance::Sutra.name());
    if let Some(bytes) = idle.and_then(|idle| idle.bytes_each.as_ref().ok()) {
        let cores = MACHINES[MACHINES.len() - 1];
        let _ = writeln!(
            out,
            "- Connections: an aware client keeps one a core. {CLIENTS:.0} clients have {:.0} connections with {cores} cores, {:.0} MB at {bytes:.0} bytes each, each core still {CLIENTS:.0}; a core takes {CONNECTIONS:.0}, so no server has more aware clients than that, however many cores.",
            CLIENTS * cores as f64,
            CLIENTS * cores as f64 * bytes / 1e6
        );
    }
    out.push('\n');
}
