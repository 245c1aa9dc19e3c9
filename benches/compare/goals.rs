//! The ratios of Sutra's figures to other contenders', taken round by round; and the goals, which
//! are those among them that further work is to improve.

use super::cell::{Cell, Figure, Shape};
use super::contenders::{
    BARE, GRID_MASTER, GRPC, OLD, REDIS, REDIS_ALWAYS, SUTRA, SUTRA_OS, SUTRA_OS_VECTORS,
    SUTRA_VECTORS,
};
use super::python::CLIENTS;
use super::record::Record;
use super::tables::{
    DISK, DURABLE, FEW_QUERIES, FEW_WRITES, HEARTBEAT, Loads, PYTHON_LEARN, PYTHON_QUERY, QUERY,
    RELAXED,
};
use crate::spread::Spread;

/// A figure of one of Sutra's rows over another contender's, under the same load. `spread` is
/// `None` where it could not be measured.
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

    /// Takes the ratio over the rounds that are fair in both. The disk alone has no figure but its
    /// rate.
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

/// The ratios of Sutra's figures to all others', in the order of the tables.
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
            for other in
                cells.iter().filter(|other| other.shape == ours.shape && other.contender != sutra)
            {
                // The disk has no CPU time. A contender that never sleeps is compared with none
                // that does.
                let is_left_out = |figure| {
                    other.contender == DISK && figure == Figure::Cpu
                        || other.contender.ends_with("polling")
                };
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

/// The figures that tell most about a load. With one request in flight that is the latency. With
/// more it is the rate of a core, and the CPU time that each request takes of it.
fn telling(shape: Shape) -> &'static [Figure] {
    if shape.connections * shape.depth == 1 { &[Figure::P50] } else { &[Figure::Rate, Figure::Cpu] }
}

/// Adds the ratios of Sutra's searches. Those that run in-process have one load, and are compared
/// with all loads of Sutra's.
fn search_ratios(record: &Record, ratios: &mut Vec<Ratio>) {
    let (ours, others): (Vec<_>, Vec<_>) = record
        .search
        .iter()
        .map(|searched| &searched.cell)
        .partition(|cell| cell.contender == SUTRA.name);
    for ours in ours {
        let beside =
            |other: &&&Cell| other.shape == ours.shape || other.contender.ends_with("in-process");
        for other in others.iter().filter(beside) {
            ratios.extend(
                telling(ours.shape).iter().map(|figure| Ratio::of("search", ours, other, *figure)),
            );
        }
    }
}

/// A goal, and how far away it is.
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    /// The ratios of this run, each with its load and figure.
    pub(crate) today: Vec<(String, Spread)>,
    /// In words: the CPU time of a request, and the stages of the profile that take most of it.
    pub(crate) rest: String,
}

/// The goals of the server itself: a name, the table, the row that Sutra's is compared with, and
/// the loads that count.
const AIMS: [(&str, &str, &str, &Loads); 6] = [
    ("query / bare echo", QUERY, BARE.name, &FEW_QUERIES),
    ("query / gRPC", QUERY, GRPC.name, &FEW_QUERIES),
    ("query / Redis", QUERY, REDIS.name, &FEW_QUERIES),
    ("durable learn / the disk alone", DURABLE, DISK, &FEW_WRITES),
    ("durable learn / Redis `always`", DURABLE, REDIS_ALWAYS.name, &FEW_WRITES),
    ("durable learn / the server this replaces", DURABLE, OLD.name, &FEW_WRITES),
];

/// The goals, as far as they were measured.
pub(crate) fn goals(record: &Record) -> Vec<Goal> {
    let ratios = ratios(record);
    let mut goals = Vec::new();
    for (name, section, other, loads) in AIMS {
        let mut goal = Goal { name, today: Vec::new(), rest: String::new() };
        let is_aim = |ratio: &&Ratio| {
            (&*ratio.section, &*ratio.ours, &*ratio.other) == (section, SUTRA.name, other)
                && ratio.figure != Figure::Cpu
                && loads.contains(&(ratio.shape.connections, ratio.shape.depth))
        };
        let mut rest = Vec::new();
        for Ratio { shape, figure, spread, .. } in ratios.iter().filter(is_aim) {
            goal.today.extend(
                spread.map(|spread| (format!("{} {}", shape.name(), figure.name()), spread)),
            );
            rest.extend(spread.and_then(|_| explained(record, section, other, *shape)));
        }
        goal.rest = rest.join("<br>");
        goals.push(goal);
    }
    for name in [PYTHON_QUERY, PYTHON_LEARN] {
        let of = |ratio: &Ratio| Some((format!("p50 / {}", ratio.other), ratio.spread?));
        let today = ratios.iter().filter(|ratio| ratio.section == name).filter_map(of).collect();
        let rest = "the interpreter: \
                    the server's share of a call is that of a native query or learn above"
            .to_owned();
        goals.push(Goal { name, today, rest });
    }
    goals.retain(|goal| !goal.today.is_empty());
    goals
}

/// In words: the CPU time of a request of ours and of theirs, over all threads, and the stages on
/// which our core's loop spends most of its share.
fn explained(record: &Record, section: &str, other: &str, shape: Shape) -> Option<String> {
    let profiled =
        record.profiles.iter().find(|one| one.section == section && one.shape == shape)?;
    let profile = &profiled.profile;
    let mut stages: Vec<_> =
        profile.stages.iter().filter(|stage| stage.ns >= 0.03 * profile.busy_ns()).collect();
    stages.sort_by(|a, b| b.ns.total_cmp(&a.ns));
    let stages: Vec<_> =
        stages.iter().map(|stage| format!("{} {:.2}", stage.stage, stage.ns / 1000.0)).collect();
    let said = |contender: &str, whose: &str| {
        let cpu = record.cell(section, contender, shape).and_then(|cell| cell.figures(Figure::Cpu));
        cpu.map_or_else(String::new, |cpu| format!("{whose} {:.2} µs of CPU in all; ", cpu.median))
    };
    Some(format!(
        "{}: {}{}in the profiled run {:.2} in all, {:.2} of it in the core's loop: \
         {}; asleep {:.2}",
        shape.name(),
        said(SUTRA.name, "ours"),
        said(other, "theirs"),
        profiled.cpu_us,
        profile.busy_ns() / 1000.0,
        stages.join(", "),
        profile.wait_ns / 1000.0
    ))
}
