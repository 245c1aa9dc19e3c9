//! `sutra-bench compare`: Sutra beside everything that a user could pick instead, and beside the
//! floor, in one run and one report.
//!
//! Every contender is started as its users would run it, on a CPU of its own for its turn, with the
//! load on another; orders are shuffled; every answer is checked; who was starved, answered wrongly
//! or died has no figures. What can't be had is named and left out. The run writes `report.json`,
//! `report.md` and plots, and exits with an error where a contender failed.

mod claims;
mod contender;
mod costs;
mod fairness;
mod goals;
mod host;
mod idle;
mod markdown;
mod peers;
mod plots;
mod profiles;
mod python;
mod record;
mod round_trips;
mod rounds;
mod scaling;
mod search;
mod serialize;
mod system_calls;
mod tables;
mod vector_data;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use sutra_load::{KeySpace, Keys, Plan, Query};

use crate::Outcome;
use crate::durable::Floor;
use crate::process::{Running, target_folder};
use contender::{Contender, Instance, Operation, Setup, Timing};
use record::{Agreement, Memory, Record, Settings};
use rounds::Bench;
use vector_data::Vectors;

#[derive(Args)]
pub(crate) struct Options {
    /// A look at everything in under three minutes, with few rounds and loads
    #[arg(long)]
    quick: bool,
    /// Rounds over all contenders [default: 7, quick: 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds measured for each figure [default: 0.5, quick: 0.15]
    #[arg(long)]
    seconds: Option<f64>,
    /// The servers' CPU
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// The load's CPU
    #[arg(long, default_value_t = 1)]
    load_cpu: usize,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Takes the server and the gRPC contender as they lie beside this program, and builds neither
    #[arg(long)]
    no_build: bool,
    /// A folder with embeddings.npy to search, and queries.npy and neighbours.npy if it has them
    /// [default: the slice of WordNet that tests use]
    #[arg(long)]
    wordnet: Option<PathBuf>,
    /// The folder for the report [default: a folder `compare` beside this program]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Measures nothing: says where the ratios of two reports disagree by more than their spreads
    #[arg(long, num_args = 2, value_names = ["REPORT", "REPORT"])]
    agree: Option<Vec<PathBuf>>,
    /// Measures nothing: writes tables and plots of an earlier run anew
    #[arg(long, value_name = "REPORT")]
    render: Option<PathBuf>,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Query,
    LearnDurable,
    LearnRelaxed,
    Heartbeat,
    QueryOpen,
    Python,
    Search,
    Scaling,
    Profile,
    Idle,
    Serialize,
    RoundTrips,
}

pub(crate) fn run(options: &Options) -> Outcome {
    if let Some([one, other]) = options.agree.as_deref() {
        return agree(&read(one)?, &read(other)?);
    }
    let out = match &options.out {
        Some(out) => out.clone(),
        None => target_folder()?.join("compare"),
    };
    if let Some(report) = &options.render {
        return write(&read(report)?, &out);
    }
    if !options.no_build {
        build()?;
    }
    let record = measure(options)?;
    write(&record, &out)?;
    println!("{}", out.join("report.md").display());
    for contender in record.contenders.iter().filter(|contender| contender.missing.is_some()) {
        println!("left out: {}: {}", contender.name, contender.missing.as_deref().unwrap_or_default());
    }
    for problem in &record.problems {
        println!("{problem}");
    }
    match record.problems.len() {
        0 => Ok(()),
        count => Err(format!("{count} things went wrong; the report names them and leaves out their figures").into()),
    }
}

/// Builds the server and the gRPC contender as this program was built, so that nothing old is
/// measured.
fn build() -> Outcome {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg("build").args((!cfg!(debug_assertions)).then_some("--release"));
    cargo.args(["-p", "sutra", "-p", "sutra-bench-grpc", "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"));
    if let Some(folder) = target_folder()?.parent() {
        cargo.arg("--target-dir").arg(folder);
    }
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{cargo:?}: {status}").into()),
        Err(error) => Err(format!("{cargo:?}: {error}").into()),
    }
}

fn measure(options: &Options) -> Outcome<Record> {
    let (began, started) = (Instant::now(), host::now());
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 7 });
    let seconds = options.seconds.unwrap_or(if options.quick { 0.15 } else { 0.5 });
    let setup = setup(options)?;
    let slice = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/wordnet");
    let vectors = Vectors::read(options.wordnet.as_deref().unwrap_or(&slice))?;
    let timing = Timing {
        warm_up: Duration::from_secs_f64((seconds / 4.0).max(0.1)),
        measured: Duration::from_secs_f64(seconds),
    };
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target_folder()?)?;
    let mut bench = Bench {
        setup,
        timing,
        anew: !options.quick,
        contenders: Instance::ALL.into_iter().map(|instance| (instance, Contender::start(instance, &setup))).collect(),
        floor: Floor::create(&folder.path().join("floor"))?,
        problems: Vec::new(),
        uncounted: system_calls::missing(),
    };
    if let Some(why) = &bench.uncounted {
        eprintln!("system calls are not counted: {why}");
    }
    let filled = resident(&mut bench);
    let mut sections = Vec::new();
    let quick = options.quick;
    for (part, table) in [
        (Part::Query, tables::query(rounds, quick)),
        (Part::LearnDurable, tables::durable(rounds, quick)),
        (Part::LearnRelaxed, tables::relaxed(rounds, quick)),
        (Part::Heartbeat, tables::heartbeat(rounds)),
    ] {
        if options.wants(part) {
            sections.push(bench.run(&table));
        }
    }
    if options.wants(Part::QueryOpen) {
        sections.push(tables::open_loop(&mut bench, if quick { 1 } else { 3 }, quick));
    }
    if options.wants(Part::Python) {
        for operation in [Operation::Query, Operation::Learn] {
            sections.push(bench.run(&tables::python(operation, rounds)));
        }
    }
    let profiles = if options.wants(Part::Profile) { profiles::measure(&mut bench) } else { Vec::new() };
    let at_end = resident(&mut bench);
    let memory = filled.into_iter().map(|(contender, filled)| {
        // Who has died meanwhile has none.
        let at_end = at_end.iter().find(|(name, _)| *name == contender).map(|(_, bytes)| *bytes);
        Memory { contender, filled, at_end }
    });
    let contenders = Instance::ALL.into_iter().filter_map(|instance| Some(bench.contenders.get(&instance)?.describe()));
    let floor = options.wants(Part::LearnDurable).then(tables::described_floor);
    let pythons = if options.wants(Part::Python) { python::describe() } else { Vec::new() };
    let mut record = Record {
        sutra: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        minutes: 0.0,
        quick: options.quick,
        host: host::Host::read(),
        settings: Settings {
            rounds,
            seconds,
            server_cpu: options.server_cpu,
            load_cpu: options.load_cpu,
            concepts: contender::CONCEPTS,
            query_bytes: setup.query_bytes,
            learn_bytes: setup.archived.1,
        },
        contenders: contenders.chain(floor).chain(pythons).collect(),
        sections,
        memory: memory.collect(),
        profiles,
        idle: Vec::new(),
        search: Vec::new(),
        scaling: None,
        serialized: Vec::new(),
        round_trips: Vec::new(),
        problems: std::mem::take(&mut bench.problems),
    };
    drop(bench);
    if options.wants(Part::Search) {
        match search::measure(&vectors, &setup, timing, rounds, !options.quick) {
            Ok(search::Found { searched, contenders, problems }) => {
                record.search = searched;
                record.contenders.extend(contenders);
                record.problems.extend(problems);
            }
            Err(error) => record.problems.push(format!("Vector search FAILED, so it has no figures: {error}")),
        }
    }
    if options.wants(Part::Scaling) {
        let extent = scaling::Extent::new(rounds, timing, quick);
        match scaling::measure(&vectors, &setup, &extent) {
            Ok((scaling, problems)) => {
                record.scaling = Some(scaling);
                record.problems.extend(problems);
            }
            Err(error) => record.problems.push(format!("More than one core FAILED, so it has no figures: {error}")),
        }
    }
    if options.wants(Part::Serialize) {
        record.serialized = serialize::measure(&mut record.problems);
    }
    if options.wants(Part::RoundTrips) {
        record.round_trips = round_trips::measure(&setup);
    }
    if options.wants(Part::Idle) {
        record.idle = idle::measure(&setup, if quick { 1_000 } else { 10_000 });
    }
    record.minutes = began.elapsed().as_secs_f64() / 60.0;
    Ok(record)
}

/// Resident memory of all that are there, in the order of [`Instance::ALL`].
fn resident(bench: &mut Bench) -> Vec<(String, u64)> {
    let of = |instance: &Instance| {
        let resident = bench.contenders.get_mut(instance)?.take_turn(Running::resident).ok()?;
        Some((instance.name().to_owned(), resident))
    };
    Instance::ALL.iter().filter_map(of).collect()
}

/// The sizes of the exchange that the echoes copy, measured on a server that is gone again when the
/// contenders start.
fn setup(options: &Options) -> Outcome<Setup> {
    if options.server_cpu == options.load_cpu {
        return Err("the server and the load each need a CPU of their own; say --server-cpu and --load-cpu".into());
    }
    let archived = (contender::filling().archived_bytes(), contender::learning().archived_bytes());
    let server = Running::sutra(options.server_cpu, &[])?;
    let plan = Plan {
        warm_up: Duration::ZERO,
        length: sutra_load::Length::Requests(contender::CONCEPTS),
        depth: 64,
        ..Plan::new(server.address)
    };
    sutra_load::run(&plan, vec![contender::filling()], None)?;
    let keys = Keys::new("bench", KeySpace::Once(contender::CONCEPTS));
    let queried = sutra_load::run(&plan, vec![Query::new("", keys, Some(archived.0))], None)?;
    let query_bytes = (queried.bytes_sent.round() as usize, queried.bytes_received.round() as usize);
    Ok(Setup { server_cpu: options.server_cpu, load_cpu: options.load_cpu, query_bytes, archived })
}

fn write(record: &Record, folder: &Path) -> Outcome {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("report.json"), serde_json::to_vec(record)?)?;
    let plots = plots::write(record, folder)?;
    fs::write(folder.join("report.md"), markdown::report(record, &plots))?;
    Ok(())
}

fn read(path: &Path) -> Outcome<Record> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| format!("{} is no report of this version: {error}", path.display()).into())
}

/// Compares the ratios of two runs. They agree where the median of each lies within the spread of
/// the other, half where only one does.
fn agree(one: &Record, other: &Record) -> Outcome {
    println!("{} beside {}", one.started, other.started);
    let others = goals::ratios(other);
    let mut counts = [0; 4];
    for ratio in goals::ratios(one) {
        let same = others.iter().find(|other| other.name() == ratio.name());
        let (Some(here), Some(there)) = (ratio.spread, same.and_then(|same| same.spread)) else { continue };
        let agreement = here.agreement(&there);
        counts[agreement as usize] += 1;
        if agreement != Agreement::Both {
            let verdict = format!("{agreement:?}").to_uppercase();
            println!("{verdict}: {}: {} and {}", ratio.name(), markdown::show(here, 2), markdown::show(there, 2));
        }
    }
    let [both, half, ranges, apart] = counts;
    println!(
        "{} ratios compared: of {both} each median lies within the other's spread, of {half} one does, of {ranges} none does and the spreads \
         overlap, {apart} are apart",
        both + half + ranges + apart
    );
    Ok(())
}
