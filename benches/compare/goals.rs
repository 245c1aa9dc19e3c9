//! The distances that the next piece of work is to close: each a ratio of two contenders, taken
//! round by round.

use super::cell::{Cell, Figure, Shape};
use super::contenders::{
    BARE, GRID_MASTER, GRPC, OLD, REDIS, REDIS_ALWAYS, SUTRA, SUTRA_OS, SUTRA_OS_VECTORS, SUTRA_VECTORS,
};
use super::python::CLIENTS;
use super::record::Record;
use super::tables::{DISK, DURABLE, HEARTBEAT, PYTHON_LEARN, PYTHON_QUERY, QUERY, RELAXED};
use crate::spread::Spread;

/// One of Sutra's rows over somebody else's under the same load, as far as it could be measured.
pub(crate) struct Ratio {
    pub(crate) section: String,
    pub(crate) ours: String,
    pub(crate) other: String,
    pub(crate) shape: Shape,
    pub(crate) figure: Figure,
    pub(crate) spread: Option<Spread>,
}

impl Ratio {
    /// What is compared, in words that are the same in every run.
    pub(crate) fn name(&self) -> String {
        let Self { section, ours, other, .. } = self;
        format!("{section}: {ours} / {other}, {}, {}", self.shape.name(), self.figure.name())
    }
}

impl Ratio {
    /// By the rounds that are fair in both; there is nothing but a rate to be had of the disk.
    fn of(section: &str, ours: &Cell, other: &Cell, figure: Figure) -> Self {
        let figure = if other.contender == DISK { Figure::Rate } else { figure };
        Self {
            section: section.to_owned(),
            ours: ours.contender.clone(),
            other: other.contender.clone(),
            shape: ours.shape,
            figure,
            spread: ours.ratio(other, figure),
        }
    }
}

/// Sutra beside everybody else, in the order of the tables.
pub(crate) fn ratios(record: &Record) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for (section, sutra) in [
        (QUERY, SUTRA.name),
        (DURABLE, SUTRA.name),
        (DURABLE, SUTRA_VECTORS.name),
        (RELAXED, SUTRA_OS.name),
        (RELAXED, SUTRA_OS_VECTORS.name),
        (HEARTBEAT, GRID_MASTER.name),
    ] {
        let cells = record.section(section).map_or(&[][..], |section| &section.cells);
        for ours in cells.iter().filter(|cell| cell.contender == sutra) {
            for other in cells.iter().filter(|other| other.shape == ours.shape && other.contender != sutra) {
                // The disk has no CPU, and who never sleeps is compared with nobody who does.
                let is_left_out =
                    |figure| other.contender == DISK && figure == Figure::Cpu || other.contender.ends_with("polling");
                let figures = telling(ours.shape).iter().filter(|figure| !is_left_out(**figure));
                ratios.extend(figures.map(|figure| Ratio::of(section, ours, other, *figure)));
            }
        }
    }
    search_ratios(record, &mut ratios);
    for section in [PYTHON_QUERY, PYTHON_LEARN] {
        let cells = record.section(section).map_or(&[][..], |section| &section.cells);
        if let Some(ours) = cells.iter().find(|cell| cell.contender == CLIENTS[0].name) {
            let others = cells.iter().filter(|other| other.contender != ours.contender);
            ratios.extend(others.map(|other| Ratio::of(section, ours, other, Figure::P50)));
        }
    }
    ratios
}

/// One connection waits: latency says it. Many: what a core gets done, and what each request takes
/// of it.
fn telling(shape: Shape) -> &'static [Figure] {
    if shape.connections * shape.depth == 1 { &[Figure::P50] } else { &[Figure::Rate, Figure::Cpu] }
}

/// Our searches beside the others'; what runs in-process has one load, and stands beside all of
/// ours.
fn search_ratios(record: &Record, ratios: &mut Vec<Ratio>) {
    let (ours, others): (Vec<_>, Vec<_>) =
        record.search.iter().map(|searched| &searched.cell).partition(|cell| cell.contender == SUTRA.name);
    for ours in ours {
        let beside = |other: &&&Cell| other.shape == ours.shape || other.contender.ends_with("in-process");
        for other in others.iter().filter(beside) {
            ratios.extend(telling(ours.shape).iter().map(|figure| Ratio::of("search", ours, other, *figure)));
        }
    }
}

/// One of the next piece of work's goals.
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    /// Ratios, each with what it is of.
    pub(crate) today: Vec<(String, Spread)>,
    /// By the profile.
    pub(crate) rest: String,
}

/// What a goal is about: its table, the other's row, and the loads with the figures that count.
type Aim = (&'static str, &'static str, &'static [((usize, usize), Figure)]);

const QUERIES: &[((usize, usize), Figure)] =
    &[((1, 1), Figure::P50), ((64, 1), Figure::Rate), ((64, 16), Figure::Rate)];
const WRITES: &[((usize, usize), Figure)] = &[((1, 1), Figure::P50), ((32, 1), Figure::Rate), ((128, 1), Figure::Rate)];

const AIMS: [(&str, Aim); 6] = [
    ("query / bare echo", (QUERY, BARE.name, QUERIES)),
    ("query / gRPC", (QUERY, GRPC.name, QUERIES)),
    ("query / Redis", (QUERY, REDIS.name, QUERIES)),
    ("durable learn / the disk alone", (DURABLE, DISK, WRITES)),
    ("durable learn / Redis `always`", (DURABLE, REDIS_ALWAYS.name, WRITES)),
    ("durable learn / the server this replaces", (DURABLE, OLD.name, WRITES)),
];

/// The goals, as far as they were measured.
pub(crate) fn goals(record: &Record) -> Vec<Goal> {
    let mut goals: Vec<Goal> = AIMS.into_iter().map(|(name, aim)| goal(record, name, aim)).collect();
    for section in [PYTHON_QUERY, PYTHON_LEARN] {
        let today = CLIENTS[1..].iter().filter_map(|other| {
            let cell = |contender| record.cell(section, contender, Shape::closed((1, 1)));
            let ratio = cell(CLIENTS[0].name)?.ratio(cell(other.name)?, Figure::P50)?;
            Some((format!("p50 / {}", other.name), ratio))
        });
        let rest = "the interpreter: the server's share of a call is that of a native query or learn above".to_owned();
        goals.push(Goal { name: section, today: today.collect(), rest });
    }
    goals.retain(|goal| !goal.today.is_empty());
    goals
}

fn goal(record: &Record, name: &'static str, (section, other, loads): Aim) -> Goal {
    let mut today = Vec::new();
    let mut rest = Vec::new();
    for (load, figure) in loads {
        let shape = Shape::closed(*load);
        let cell = |contender| record.cell(section, contender, shape);
        let (Some(mine), Some(theirs)) = (cell(SUTRA.name), cell(other)) else { continue };
        let figure = if other == DISK { Figure::Rate } else { *figure };
        let Some(ratio) = mine.ratio(theirs, figure) else { continue };
        today.push((format!("{} {}", shape.name(), figure.name()), ratio));
        let cpu = [mine, theirs].map(|cell| cell.figures(Figure::Cpu).map(|cpu| cpu.median));
        rest.extend(explained(record, section, shape, cpu));
    }
    Goal { name, today, rest: rest.join("<br>") }
}

/// What a request's CPU is, of all threads of ours and of theirs, and what our core's loop spends
/// its share on.
fn explained(record: &Record, section: &str, shape: Shape, cpu: [Option<f64>; 2]) -> Option<String> {
    let profiled = record.profiles.iter().find(|one| one.section == section && one.shape == shape)?;
    let profile = &profiled.profile;
    let mut stages: Vec<_> = profile.stages.iter().filter(|stage| stage.ns >= 0.03 * profile.busy_ns()).collect();
    stages.sort_by(|a, b| b.ns.total_cmp(&a.ns));
    let stages: Vec<_> = stages.iter().map(|stage| format!("{} {:.2}", stage.stage, stage.ns / 1000.0)).collect();
    let said = |cpu: f64, whose: &str| {
        if cpu.is_finite() { format!("{whose} {cpu:.2} µs of CPU in all; ") } else { String::new() }
    };
    let [ours, theirs] = cpu.map(|cpu| cpu.unwrap_or(f64::NAN));
    Some(format!(
        "{}: {}{}in the profiled run {:.2} in all, {:.2} of it in the core's loop: {}; asleep {:.2}",
        shape.name(),
        said(ours, "ours"),
        said(theirs, "theirs"),
        profiled.cpu_us,
        profile.busy_ns() / 1000.0,
        stages.join(", "),
        profile.wait_ns / 1000.0
    ))
}
