//! The distances that the next piece of work is to close: each a ratio of two contenders, taken
//! round by round.

use super::contender::Instance;
use super::record::{Cell, Figure, Record, Shape, Spread};
use super::tables::{DISK, DURABLE, HEARTBEAT, PYTHON_LEARN, PYTHON_QUERY, QUERY, RELAXED};

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

/// Sutra beside everybody else, in the order of the tables.
pub(crate) fn ratios(record: &Record) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for (section, sutra) in [
        (QUERY, Instance::Sutra),
        (DURABLE, Instance::Sutra),
        (DURABLE, Instance::SutraVectors),
        (RELAXED, Instance::SutraOs),
        (RELAXED, Instance::SutraOsVectors),
        (HEARTBEAT, Instance::GridMaster),
    ] {
        section_ratios(record, section, sutra.name(), &mut ratios);
    }
    search_ratios(record, &mut ratios);
    for (section, ours, others) in PYTHON {
        for other in others {
            push(record, section, ours, other, Shape::closed((1, 1)), Figure::P50, &mut ratios);
        }
    }
    ratios
}

/// The Python tables, our client's row, and whom it stands beside.
pub(crate) const PYTHON: [(&str, &str, &[&str]); 2] = [
    (PYTHON_QUERY, "sutra_storage_client", &["bare socket and msgpack", "grpcio", "redis-py"]),
    (PYTHON_LEARN, "sutra_storage_client", &["bare socket and msgpack", "grpcio", "redis-py"]),
];

fn section_ratios(record: &Record, id: &str, sutra: &str, ratios: &mut Vec<Ratio>) {
    let Some(section) = record.sections.iter().find(|section| section.id == id) else { return };
    for cell in section.cells.iter().filter(|cell| cell.contender == sutra) {
        // One connection waits: latency says it. Many: what a core gets done, and what each request
        // takes of it.
        let figures: &[Figure] =
            if cell.shape.connections * cell.shape.depth == 1 { &[Figure::P50] } else { &[Figure::Rate, Figure::Cpu] };
        for other in section.cells.iter().filter(|other| other.shape == cell.shape && other.contender != sutra) {
            for figure in figures {
                if other.contender == DISK && *figure == Figure::Cpu || other.contender.ends_with("polling") {
                    continue;
                }
                push(record, id, sutra, &other.contender, cell.shape, *figure, ratios);
            }
        }
    }
}

/// Our searches beside the others'; what runs in-process has one load, and stands beside all of
/// ours.
fn search_ratios(record: &Record, ratios: &mut Vec<Ratio>) {
    let (ours, others): (Vec<_>, Vec<_>) =
        record.search.iter().map(|searched| &searched.cell).partition(|cell| cell.contender == Instance::Sutra.name());
    for ours in ours {
        let beside = |other: &&&Cell| other.shape == ours.shape || other.contender.ends_with("in-process");
        for other in others.iter().filter(beside) {
            let figures: &[Figure] =
                if ours.shape.connections == 1 { &[Figure::P50] } else { &[Figure::Rate, Figure::Cpu] };
            ratios.extend(figures.iter().map(|figure| Ratio {
                section: "search".to_owned(),
                ours: ours.contender.clone(),
                other: other.contender.clone(),
                shape: ours.shape,
                figure: *figure,
                spread: ours.ratio(other, *figure),
            }));
        }
    }
}

fn push(
    record: &Record,
    section: &str,
    ours: &str,
    other: &str,
    shape: Shape,
    figure: Figure,
    ratios: &mut Vec<Ratio>,
) {
    let (Some(ours), Some(other)) = (record.cell(section, ours, shape), record.cell(section, other, shape)) else {
        return;
    };
    let figure_of = if other.contender == DISK && figure == Figure::P50 { Figure::Rate } else { figure };
    ratios.push(Ratio {
        section: section.to_owned(),
        ours: ours.contender.clone(),
        other: other.contender.clone(),
        shape,
        figure: figure_of,
        spread: ours.ratio(other, figure_of),
    });
}

/// One of the next piece of work's goals.
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    /// Ratios, each with what it is of.
    pub(crate) today: Vec<(String, Spread)>,
    /// By the profile.
    pub(crate) rest: String,
}

/// What a goal is about: its table, the other's row and ours, and the loads with the figures that
/// count.
type Aim = (&'static str, &'static str, Instance, &'static [((usize, usize), Figure)]);

const QUERIES: &[((usize, usize), Figure)] =
    &[((1, 1), Figure::P50), ((64, 1), Figure::Rate), ((64, 16), Figure::Rate)];
const WRITES: &[((usize, usize), Figure)] = &[((1, 1), Figure::P50), ((32, 1), Figure::Rate), ((128, 1), Figure::Rate)];

/// The goals, as far as they were measured.
pub(crate) fn goals(record: &Record) -> Vec<Goal> {
    let aims: [(&'static str, Aim); 6] = [
        ("query / bare echo", (QUERY, "bare io_uring echo", Instance::Sutra, QUERIES)),
        ("query / gRPC", (QUERY, "gRPC (tonic)", Instance::Sutra, QUERIES)),
        ("query / Redis", (QUERY, "Redis", Instance::Sutra, QUERIES)),
        ("durable learn / the disk alone", (DURABLE, DISK, Instance::Sutra, WRITES)),
        ("durable learn / Redis `always`", (DURABLE, "Redis, `always`", Instance::Sutra, WRITES)),
        ("durable learn / the server this replaces", (DURABLE, "old server (tokio, msgpack)", Instance::Sutra, WRITES)),
    ];
    let mut goals: Vec<Goal> = aims.into_iter().map(|(name, aim)| goal(record, name, aim)).collect();
    for (section, ours, others) in PYTHON {
        let today = others.iter().filter_map(|other| {
            let cell = |contender| record.cell(section, contender, Shape::closed((1, 1)));
            Some((format!("p50 / {other}"), cell(ours)?.ratio(cell(other)?, Figure::P50)?))
        });
        let rest = "the interpreter: the server's share of a call is that of a native query or learn above".to_owned();
        goals.push(Goal { name: section, today: today.collect(), rest });
    }
    goals.retain(|goal| !goal.today.is_empty());
    goals
}

fn goal(record: &Record, name: &'static str, (section, other, ours, loads): Aim) -> Goal {
    let mut today = Vec::new();
    let mut rest = Vec::new();
    for (load, figure) in loads {
        let shape = Shape::closed(*load);
        let cell = |contender| record.cell(section, contender, shape);
        let (Some(mine), Some(theirs)) = (cell(ours.name()), cell(other)) else { continue };
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
