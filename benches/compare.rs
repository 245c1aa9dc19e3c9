//! `sutra-bench compare`: Sutra beside everything that a user could pick instead, and beside what
//! an echo and the disk reach by themselves, in one run and one report.
//!
//! Every contender is started as its users would run it. In its turn it has a CPU to itself, and
//! the load has another. The order is shuffled, and every answer is checked. A contender that was
//! starved of CPU, answered wrongly or died has no figures. One that is not installed is named and
//! left out. The run writes `report.json`, `report.md` and plots. It exits with an error if a
//! contender failed or was starved.

mod ask;
mod cell;
mod contenders;
mod costs;
mod fairness;
mod floor;
mod goals;
mod host;
mod idle;
mod library;
mod markdown;
mod plots;
mod profiles;
mod python;
mod record;
mod round_trips;
mod rounds;
mod scaling;
mod search;
mod serialize;
mod server;
mod setup;
mod system_calls;
mod tables;
mod template;
pub(crate) mod vector_data;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::Outcome;
use crate::options::Cpus;
use crate::process::{Running, target_folder};
use crate::spread::Agreement;
use contenders::ALL;
use record::{Memory, Record, Settings};
use rounds::Bench;
use setup::{Operation, Setup, Timing};
use vector_data::Vectors;

#[derive(Args)]
pub(crate) struct Options {
    /// Measure less: few rounds, few loads, in under three minutes
    #[arg(long)]
    quick: bool,
    /// Rounds over all contenders [default: 7, quick: 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds measured for each figure [default: 0.5, quick: 0.15]
    #[arg(long)]
    seconds: Option<f64>,
    #[command(flatten)]
    cpus: Cpus,
    /// Measure only these parts
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Do not build the server and the gRPC contender first: use those beside this program
    #[arg(long)]
    no_build: bool,
    /// The folder with the vectors to search: embeddings.npy, and queries.npy and neighbours.npy if
    /// there are any [default: the slice of WordNet that tests use]
    #[arg(long)]
    wordnet: Option<PathBuf>,
    /// Where to write the report [default: a folder `compare` beside this program]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Measure nothing: say where the ratios of two reports disagree
    #[arg(long, num_args = 2, value_names = ["REPORT", "REPORT"])]
    agree: Option<Vec<PathBuf>>,
    /// Measure nothing: write the tables and plots of an earlier run anew
    #[arg(long, value_name = "REPORT")]
    render: Option<PathBuf>,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// The parts that can be measured by themselves.
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
        println!(
            "left out: {}: {}",
            contender.name,
            contender.missing.as_deref().unwrap_or_default()
        );
    }
    for problem in &record.problems {
        println!("{problem}");
    }
    match record.problems.len() {
        0 => Ok(()),
        count => Err(format!(
            "{count} things went wrong; the report names them and leaves out their figures"
        )
        .into()),
    }
}

/// Builds the server and the gRPC contender in the profile of this program, so that no old binary
/// is measured.
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
    let (began, quick) = (Instant::now(), options.quick);
    let rounds = options.rounds.unwrap_or(if quick { 3 } else { 7 });
    let seconds = options.seconds.unwrap_or(if quick { 0.15 } else { 0.5 });
    let setup = Setup::measure(&options.cpus)?;
    let slice = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/wordnet");
    let vectors = Vectors::read(options.wordnet.as_deref().unwrap_or(&slice))?;
    let warm_up = Duration::from_secs_f64((seconds / 4.0).max(0.1));
    let timing = Timing { warm_up, measured: Duration::from_secs_f64(seconds) };
    let mut record = Record {
        sutra: env!("CARGO_PKG_VERSION").to_owned(),
        started: host::now(),
        quick,
        host: host::Host::read(),
        settings: Settings {
            rounds,
            seconds,
            server_cpu: setup.server_cpu,
            load_cpu: setup.load_cpu,
            concepts: setup::CONCEPTS,
            query_bytes: setup.query_bytes,
            learn_bytes: setup.archived.1,
        },
        ..Record::default()
    };
    measure_tables(options, Bench::start(setup, timing, !quick)?, rounds, &mut record);
    if options.wants(Part::Search) {
        match search::measure(&vectors, &setup, timing, rounds, !quick) {
            Ok(search::Found { searched, contenders, problems }) => {
                record.search = searched;
                record.contenders.extend(contenders);
                record.problems.extend(problems);
            }
            Err(error) => {
                record
                    .problems
                    .push(format!("Vector search FAILED, so it has no figures: {error}"));
            }
        }
    }
    if options.wants(Part::Scaling) {
        let extent = scaling::Extent::new(rounds, timing, quick);
        match scaling::measure(&vectors, &setup, &extent) {
            Ok((scaling, problems)) => {
                record.scaling = Some(scaling);
                record.problems.extend(problems);
            }
            Err(error) => record
                .problems
                .push(format!("More than one core FAILED, so it has no figures: {error}")),
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

/// Measures the tables, which all use the same contenders, and describes the contenders and their
/// memory.
fn measure_tables(options: &Options, mut bench: Bench, rounds: usize, record: &mut Record) {
    let quick = options.quick;
    let filled = resident(&mut bench);
    for (part, table) in [
        (Part::Query, tables::query(quick)),
        (Part::LearnDurable, tables::durable(quick)),
        (Part::LearnRelaxed, tables::relaxed(quick)),
        (Part::Heartbeat, tables::heartbeat()),
    ] {
        if options.wants(part) {
            record.sections.push(bench.run(&table, rounds));
        }
    }
    if options.wants(Part::QueryOpen) {
        record.sections.push(tables::open_loop(&mut bench, quick));
    }
    if options.wants(Part::Python) {
        let tables = [Operation::Query, Operation::Learn].map(tables::python);
        record.sections.extend(tables.iter().map(|table| bench.run(table, rounds)));
    }
    if options.wants(Part::Profile) {
        record.profiles = profiles::measure(&mut bench);
    }
    let at_end = resident(&mut bench);
    record.memory.extend(filled.into_iter().map(|(contender, filled)| {
        // A contender that has died since has no figure.
        let at_end = at_end.iter().find(|(name, _)| *name == contender).map(|(_, bytes)| *bytes);
        Memory { contender: contender.to_owned(), filled, at_end }
    }));
    record.contenders.extend(ALL.iter().map(|contender| bench.server(contender).describe()));
    record.contenders.extend(options.wants(Part::LearnDurable).then(tables::described_floor));
    if options.wants(Part::Python) {
        record.contenders.extend(python::describe());
    }
    record.problems.append(&mut bench.problems);
}

/// Resident memory in bytes of each contender that is running.
fn resident(bench: &mut Bench) -> Vec<(&'static str, u64)> {
    let mut of = |contender: &&'static contenders::Contender| {
        Some((contender.name, bench.server(contender).take_turn(Running::resident).ok()?))
    };
    ALL.iter().filter_map(&mut of).collect()
}

fn write(record: &Record, folder: &Path) -> Outcome {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("report.json"), serde_json::to_vec(record)?)?;
    let plots = plots::write(record, folder)?;
    let report = template::wrapped(&markdown::report(record, &plots));
    fs::write(folder.join("report.md"), report)?;
    Ok(())
}

fn read(path: &Path) -> Outcome<Record> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| format!("{} is no report of this version: {error}", path.display()).into())
}

/// Prints where the ratios of two runs disagree, and how many of them agree how well
/// ([`Agreement`]).
fn agree(one: &Record, other: &Record) -> Outcome {
    println!("{} beside {}", one.started, other.started);
    let others = goals::ratios(other);
    let mut counts = [0; 4];
    for ratio in goals::ratios(one) {
        let same = others.iter().find(|other| other.name() == ratio.name());
        let (Some(here), Some(there)) = (ratio.spread, same.and_then(|same| same.spread)) else {
            continue;
        };
        let agreement = here.agreement(&there);
        counts[agreement as usize] += 1;
        if agreement != Agreement::Both {
            let verdict = format!("{agreement:?}").to_uppercase();
            println!("{verdict}: {}: {} and {}", ratio.name(), here.show(2), there.show(2));
        }
    }
    let [both, half, ranges, apart] = counts;
    println!(
        "{} ratios compared: {both} where each median lies within the other's spread, {half} where \
         one of the two does, {ranges} where neither does but the spreads overlap, {apart} where \
         the spreads are apart",
        both + half + ranges + apart
    );
    Ok(())
}
