//! `sutra simulate`: runs of a simulated server that is killed, cut from its power and let down by
//! its disk, each from a seed; what they found, and the first failure as small as it gets.
//!
//! Promises: nothing is read or written but what it prints, and the folder that it is told to make.
//! The same seed is the same run.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use sutra_simulator::{Coverage, LeftDisk, LeftOut, Outcome, Shrunk, run as run_seed, shrink};

use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::signals;
use crate::values::{count, some_duration};
use crate::words::{counted, grouped};

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sutra simulate --seed 1 --runs 5\n  \
    sutra simulate --for 2s --cores 4 --json\n\n\
    A run is a store with its server and clients, all in this process and by a clock of their \
    own. It is killed and started again several times, and what is answered and what is there \
    after each start is compared with a simple model. Its seed says everything: how many cores, \
    which durability, what is asked for, what fails and when. Runs take the seeds from --seed on.\
    \n\n\
    It exits with 1 where a run failed. Then it says what is wrong, leaves out of that run what \
    the failure does not need, and prints what remains. With --keep the disk that the last run has \
    left becomes a folder; a failed run's shows what its server was to start from. Nothing else is \
    written, and nothing is sent.")]
pub(crate) struct Simulate {
    /// The first run's seed
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = count::<0, { u64::MAX / 2 }>,
        allow_hyphen_values = true
    )]
    seed: u64,
    /// How many runs; one by default
    #[arg(
        long,
        value_name = "N",
        value_parser = count::<1, 1_000_000_000>,
        allow_hyphen_values = true
    )]
    runs: Option<u64>,
    /// Run after run for so long (60s, 10m, 8h), and at least one
    #[arg(
        long = "for",
        value_name = "TIME",
        conflicts_with = "runs",
        value_parser = some_duration,
        allow_hyphen_values = true
    )]
    time: Option<Duration>,
    /// Cores of the simulated servers; as each seed likes by default
    #[arg(
        long,
        value_name = "N",
        value_parser = count::<1, 16>,
        allow_hyphen_values = true
    )]
    cores: Option<u64>,
    /// How long a failure is made smaller, at most
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60",
        value_parser = some_duration,
        allow_hyphen_values = true
    )]
    shrink_for: Duration,
    /// Write the disk as the last run has left it into this folder, which must not exist
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

thread_local! {
    /// The seed of the run that this thread is at, for whoever reads of a panic.
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// What all runs have come to.
struct Report {
    first: u64,
    runs: u64,
    /// How many the servers had, where they were told.
    cores: Option<u64>,
    crashes: u64,
    operations: u64,
    steps: u64,
    /// By their own clocks.
    simulated: Duration,
    took: Duration,
    coverage: Coverage,
    failed: Option<(u64, Shrunk)>,
    /// What the last run has left.
    disk: Option<LeftDisk>,
}

pub(crate) fn run(simulate: &Simulate, output: Output) -> Result<Answer, Failure> {
    if let Some(folder) = &simulate.keep {
        fs::create_dir(folder).map_err(|error| cannot_keep(folder, &error))?;
    }
    let asked = Arc::new(AtomicI32::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let (signalled, stopping) = (Arc::clone(&asked), Arc::clone(&stop));
    signals::heed(move |signal| {
        signalled.store(signal, Ordering::Relaxed);
        !stopping.swap(true, Ordering::Relaxed)
    })?;
    if cfg!(panic = "abort") {
        tell_seeds_of_panics(output);
    }
    let report = all(simulate, &stop, output);
    if let (Some(folder), Some(disk)) = (&simulate.keep, &report.disk) {
        keep(disk, folder).map_err(|error| cannot_keep(folder, &error))?;
    }
    output.answer(&report.as_json(), || report.in_words())?;
    Ok(match (asked.load(Ordering::Relaxed), &report.failed) {
        (0, None) => Answer::Yes,
        (0, Some(_)) => Answer::No,
        (signal, _) => Answer::Interrupted(signal),
    })
}

fn cannot_keep(folder: &Path, error: &io::Error) -> Failure {
    Failure::Host(format!("the disk of a run can't be kept in {}: {error}", folder.display()))
}

fn keep(disk: &LeftDisk, folder: &Path) -> io::Result<()> {
    for (name, bytes) in disk.files() {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)?;
    }
    Ok(())
}

/// A panic of the product ends this process. It is seen again by its seed.
fn tell_seeds_of_panics(output: Output) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if let Some(seed) = SEED.get() {
            let problem = format!("seed {seed}: the simulated server has panicked");
            output.fail(&Failure::Host(problem));
        }
        before(info);
    }));
}

fn all(simulate: &Simulate, stop: &AtomicBool, output: Output) -> Report {
    let began = Instant::now();
    let cores = simulate.cores.and_then(|cores| usize::try_from(cores).ok());
    let mut report = Report {
        cores: simulate.cores,
        first: simulate.seed,
        runs: 0,
        crashes: 0,
        operations: 0,
        steps: 0,
        simulated: Duration::ZERO,
        took: Duration::ZERO,
        coverage: Coverage::default(),
        failed: None,
        disk: None,
    };
    loop {
        let seed = simulate.seed + report.runs;
        SEED.set(Some(seed));
        let outcome = run_seed(seed, cores, &LeftOut::default());
        report.add(&outcome);
        if let Some(failure) = &outcome.failure {
            output.note(&format!("seed {seed}: {failure}; it is made smaller now"));
            let shrunk = shrink(seed, cores, outcome, simulate.shrink_for);
            report.disk = Some(shrunk.outcome.disk.clone());
            report.failed = Some((seed, shrunk));
        }
        SEED.set(None);
        let is_over = match (simulate.runs, simulate.time) {
            (Some(runs), _) => report.runs >= runs,
            (None, Some(time)) => began.elapsed() >= time,
            (None, None) => true,
        };
        if is_over || report.failed.is_some() || stop.load(Ordering::Relaxed) {
            report.took = began.elapsed();
            return report;
        }
    }
}

impl Report {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.crashes += outcome.crashes;
        self.operations += outcome.operations;
        self.steps += outcome.steps;
        self.simulated += outcome.elapsed;
        self.coverage.add(&outcome.coverage);
        self.disk = Some(outcome.disk.clone());
    }

    fn rate(&self, count: u64) -> f64 {
        count as f64 / self.took.as_secs_f64().max(0.001)
    }

    fn as_json(&self) -> Value {
        let failed = self.failed.as_ref().map(|(seed, shrunk)| {
            let failure = shrunk.outcome.failure.as_ref();
            let history: Vec<String> =
                shrunk.outcome.history.iter().map(ToString::to_string).collect();
            let [operations, faults, ends] = shrunk.left;
            json!({
                "seed": seed,
                "kind": failure.map(|failure| failure.kind.name()),
                "what": failure.map(|failure| &failure.what),
                "step": shrunk.outcome.steps,
                "operations": operations,
                "faults": faults,
                "ends": ends,
                "history": history,
            })
        });
        json!({
            "seed": self.first,
            "cores": self.cores,
            "runs": self.runs,
            "crashes": self.crashes,
            "operations": self.operations,
            "steps": self.steps,
            "simulated_s": self.simulated.as_secs_f64(),
            "took_s": self.took.as_secs_f64(),
            "coverage": self.coverage,
            "failed": failed,
        })
    }

    fn in_words(&self) -> String {
        let mut words = self.coverage.to_string();
        words += &format!(
            "{} from seed {} on, {} crashes and {} in {:.1?} ({:.0?} by their own clocks): \
             {:.0} runs/s, {:.0} crashes/s, {:.0} operations/s\n",
            counted(self.runs, "run"),
            self.first,
            grouped(self.crashes),
            counted(self.operations, "operation"),
            self.took,
            self.simulated,
            self.rate(self.runs),
            self.rate(self.crashes),
            self.rate(self.operations),
        );
        match &self.failed {
            None => words += "nothing was lost, and nothing came back",
            Some((seed, shrunk)) => words += &in_words(*seed, self.cores, shrunk),
        }
        words
    }
}

/// A failure, with the run that is left of it.
fn in_words(seed: u64, cores: Option<u64>, shrunk: &Shrunk) -> String {
    let cores = cores.map(|cores| format!(" --cores {cores}")).unwrap_or_default();
    let mut words = String::new();
    let [operations, faults, ends] = shrunk.left;
    let failure = shrunk.outcome.failure.as_ref().map(ToString::to_string).unwrap_or_default();
    words += &format!(
        "\nseed {seed} failed; with {}, {} and {} of it left, at step {}:\n",
        counted(operations, "operation"),
        counted(faults, "fault"),
        counted(ends, "end"),
        grouped(shrunk.outcome.steps),
    );
    for entry in &shrunk.outcome.history {
        words += &format!("{entry}\n");
    }
    words += &format!("\nseed {seed}: {failure}\nagain: sutra simulate --seed {seed}{cores}");
    words
}
