//! The report's section on more than one core.

use super::super::cell::{Figure, Shape, paired};
use super::super::contenders::{SUTRA, SUTRA_OS};
use super::super::record::Record;
use super::super::tables::{QUERY, RELAXED};
use super::super::template::{row, rows, with};
use super::measured::{Point, Question, Scaling};
use super::model::{BROKEN, FAR, Model, Operation};
use crate::spread::Spread;

/// Cores of the machines that the model is computed for.
const MACHINES: [usize; 3] = [8, 32, 128];
/// Clients that know the layout and keep a connection to every core.
const CLIENTS: f64 = 1000.0;
/// The most connections that a core takes (`Limits` of the server).
const CONNECTIONS: f64 = 100_000.0;

pub(crate) fn section(record: &Record) -> String {
    let Some(scaling) = &record.scaling else { return String::new() };
    let points = rows(scaling.points.iter().map(|point| point_row(scaling, point)));
    let turns = rows(scaling.turns.iter().map(|turning| {
        let turn = Spread::of(turning.mailboxes_ns.iter().copied());
        let turn = turn.map_or_else(String::new, |turn| turn.show(0));
        row([turning.cores.to_string(), turn, format!("{:.1}", turning.resident as f64 / 1e6)])
    }));
    let measured = with("scaling", &[("points", points), ("turns", turns)]);
    let model = match Model::of(scaling, |question, shape| apart(record, question, shape)) {
        Ok(model) => predicted(record, &model) + &held(scaling, &model),
        Err(missing) => with("no-model", &[("missing", missing)]),
    };
    measured + &model
}

/// The CPU time of the question's requests on one core, from its own table. There the load does not
/// share the server's CPU.
fn apart(record: &Record, question: Question, shape: (usize, usize)) -> Option<Spread> {
    let (section, contender) = match question {
        Question::Query => (QUERY, SUTRA.name),
        Question::Learn => (RELAXED, SUTRA_OS.name),
        Question::Health | Question::Search | Question::Scan => return None,
    };
    record.cell(section, contender, Shape::closed(shape))?.figures(Figure::Cpu)
}

fn point_row(scaling: &Scaling, point: &Point) -> String {
    let clients = if point.is_aware { "aware" } else { "not" };
    let vectors = if point.vectors > 0 { point.vectors.to_string() } else { String::new() };
    let what = [
        point.question.name().to_owned(),
        point.shape.name(),
        point.cores.to_string(),
        clients.into(),
        vectors,
    ];
    let median = |figure: Option<Spread>| {
        figure.map_or_else(String::new, |figure| format!("{:.3}", figure.median))
    };
    let figures = match point.cpu() {
        None => [
            "no figures, see above".to_owned(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
        ],
        Some(cpu) => [
            cpu.show(2),
            median(point.spread(|costs| costs.messages)),
            median(point.spread(|costs| costs.wakes)),
            median(point.spread(|costs| costs.turns)),
            share(scaling, point).map_or_else(String::new, |share| format!("{} %", share.show(0))),
        ],
    };
    row(what.into_iter().chain(figures))
}

/// The share of the CPU time, in percent, that requests take for arriving at any core: by so much
/// they would take less if they came to their owners.
fn share(scaling: &Scaling, point: &Point) -> Option<Spread> {
    if point.is_aware {
        return None;
    }
    let shape = (point.shape.connections, point.shape.depth);
    let aware = scaling.point(point.question, point.cores, true, shape)?;
    paired(&aware.rounds, &point.rounds, |aware, point| 100.0 * (1.0 - aware.cpu_us / point.cpu_us))
}

/// The model beside every point that was measured, except the search over half of the vectors,
/// which is one of the model's constants.
fn held(scaling: &Scaling, model: &Model) -> String {
    let held = scaling.points.iter().filter_map(|point| {
        let operation = model.operations.iter().find(|operation| operation.is_of(point))?;
        let cpu = point
            .cpu()
            .filter(|_| point.question != Question::Search || point.vectors == scaling.vectors)?;
        let cost = operation.cost(point.cores).total();
        let (name, load, cores) =
            (operation.name.clone(), point.shape.name(), point.cores.to_string());
        Some(row([
            name,
            load,
            cores,
            cpu.show(2),
            format!("{cost:.2}"),
            format!("{:.2}", cpu.median / cost),
        ]))
    });
    with("model-held", &[("rows", rows(held))])
}

fn predicted(record: &Record, model: &Model) -> String {
    let constant = |(name, value): &(String, Spread)| {
        row([name, &value.show(if value.median.abs() < 1.0 { 4 } else { 2 })])
    };
    let mut constants: Vec<String> = model.constants.iter().map(constant).collect();
    if let Some(memory) = model.memory {
        let figures = format!("{:.1}; {:.1}", memory.fixed / 1e6, memory.each / 1e6);
        constants.push(row([
            "resident memory of an empty store, MB: fixed; for each core (a fitted line)",
            &figures,
        ]));
    }
    let machines = model
        .operations
        .iter()
        .flat_map(|operation| MACHINES.map(|cores| machine_row(operation, cores)));
    let mut operations: Vec<&Operation> = model.operations.iter().collect();
    operations.sort_by_key(|operation| operation.breaks_at().unwrap_or(usize::MAX));
    let verdicts = operations
        .into_iter()
        .map(|operation| format!("- {}: {}", operation.name, verdict(operation)));
    with(
        "model",
        &[
            ("constants", rows(constants)),
            ("mailbox", format!("{:.0}", model.mailbox_bytes(1))),
            ("machines", rows(machines)),
            ("verdicts", rows(verdicts)),
            ("memory", memory(record, model).trim_end().to_owned()),
        ],
    )
}

fn machine_row(operation: &Operation, cores: usize) -> String {
    let cost = operation.cost(cores);
    let percent = |part: f64| format!("{:.1} %", 100.0 * part / cost.total());
    row([
        operation.name.clone(),
        cores.to_string(),
        format!("{:.2}", cost.total()),
        format!("{:.0}", operation.rate(cores)),
        percent(cost.looks),
        percent(cost.messages),
        percent(cost.searching),
    ])
}

fn verdict(operation: &Operation) -> String {
    let Some(cores) = operation.breaks_at() else {
        let times = operation.cost(FAR).total() / operation.cost(1).total();
        return format!("not before {FAR} cores ({times:.2} times the CPU there)");
    };
    let (best, worst) = (operation.best(), operation.cost(cores).worst());
    let (rate, alone) = (operation.rate(best), operation.rate(1));
    let most = match best {
        FAR => String::new(),
        _ => format!(
            ". The rate is highest with {best} cores: {rate:.0}/s, {:.1} times that of one core",
            rate / alone
        ),
    };
    format!("{BROKEN} times the CPU of one core at {cores} cores, mostly because of {worst}{most}.")
}

fn memory(record: &Record, model: &Model) -> String {
    let mut out = String::new();
    for cores in MACHINES {
        let empty =
            model.memory.map_or(f64::NAN, |memory| memory.fixed + memory.each * cores as f64);
        let mailboxes = format!("{:.0}", model.mailbox_bytes(cores) / 1e6);
        let empty = format!("{:.0}", empty / 1e6);
        out += &with(
            "memory-of",
            &[("cores", cores.to_string()), ("empty", empty), ("mailboxes", mailboxes)],
        );
    }
    if let Some(cores) = model.mailboxes_outgrow() {
        out += &format!(
            "- The mailboxes outgrow everything else of an empty store at {cores} cores.\n"
        );
    }
    if let Some(bytes) = record.idle_bytes(SUTRA.name) {
        let cores = MACHINES[MACHINES.len() - 1];
        let connections = CLIENTS * cores as f64;
        let gaps = [
            ("clients", CLIENTS.to_string()),
            ("connections", connections.to_string()),
            ("cores", cores.to_string()),
            ("megabytes", format!("{:.0}", connections * bytes / 1e6)),
            ("bytes", format!("{bytes:.0}")),
            ("taken", CONNECTIONS.to_string()),
        ];
        out += &with("connections", &gaps);
    }
    out
}
