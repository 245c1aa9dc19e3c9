//! One run: a store and its server through several lives, each with clients, faults and an end,
//! checked against the model all the time. All of it follows from the seed.

mod cuts;
mod ends;
mod excuses;
mod faults;
mod flips;
mod interview;
mod mood;
mod schedule;
mod starts;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use sutra_runtime::VirtualClock;
use sutra_server::SimulatedServer;

use self::excuses::Excuses;
use self::mood::Mood;
use crate::client::Client;
use crate::clock::WallClock;
use crate::coverage::{Coverage, Lines};
use crate::disk::{Crash, SimulatedDisk};
use crate::failure::{Failure, Kind};
use crate::history::{Entry, Journal};
use crate::model::{Before, Model};
use crate::plan::Plan;
use crate::random::{Random, Stream};

/// By how much the clock goes on whenever it is read.
const TICK: Duration = Duration::from_nanos(500);

/// What is left out of a run, to see whether it fails without it: by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Operations of clients.
    pub operations: BTreeSet<u64>,
    /// Faults.
    pub faults: BTreeSet<u64>,
    /// Ends of the server.
    pub ends: BTreeSet<u64>,
}

/// The disk as a run has left it: a server's next start would find that.
#[derive(Clone, Debug)]
pub struct LeftDisk(Arc<SimulatedDisk>);

impl LeftDisk {
    /// Its files, by their names in the store's folder.
    pub fn files(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let files = self.0.files().into_iter();
        files.filter_map(|(name, _)| {
            let bytes = self.0.content(&name)?;
            Some((name, bytes))
        })
    }
}

/// What a run has come to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it failed with, if it did.
    pub failure: Option<Failure>,
    /// The last that happened.
    pub history: Vec<Entry>,
    /// What it has reached.
    pub coverage: Coverage,
    /// A number that two runs share only where everything was the same.
    pub hash: u64,
    /// Steps of the scheduler.
    pub steps: u64,
    /// Operations, faults and ends, those that were left out among them.
    pub operations: u64,
    /// Faults.
    pub faults: u64,
    /// Ends of the server that were crashes.
    pub crashes: u64,
    /// Ends of the server.
    pub ends: u64,
    /// How long it took by its own clock.
    pub elapsed: Duration,
    /// What it has left.
    pub disk: LeftDisk,
}

/// Runs a seed.
pub fn run(seed: u64, cores: Option<usize>, left_out: &LeftOut) -> Outcome {
    let lines = Lines::default();
    let mut run = Run::new(seed, cores, left_out);
    let dispatch = tracing::Dispatch::new(lines.clone());
    let result = tracing::dispatcher::with_default(&dispatch, || {
        catch_unwind(AssertUnwindSafe(|| run.all()))
    });
    let failure = match result {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Some(Failure::new(Kind::Panic, words.unwrap_or_else(|| "without words".to_owned())))
        }
    };
    run.outcome(failure, &lines)
}

struct Run<'a> {
    seed: u64,
    plan: Plan,
    left_out: &'a LeftOut,
    time: VirtualClock,
    wall: Arc<WallClock>,
    disk: Arc<SimulatedDisk>,
    model: Model,
    clients: Vec<Client>,
    journal: Journal,
    coverage: Coverage,
    hash: DefaultHasher,
    schedule: Random,
    mood: Mood,
    excuses: Excuses,
    /// Of the next operation, fault, and check.
    operation: u64,
    fault: u64,
    check: u64,
    life: u64,
    crashes: u64,
    /// What the server ended by, and what of each shard was not synced then.
    ended: Option<(Option<Crash>, Vec<Option<u64>>)>,
    is_stopping: bool,
}

impl<'a> Run<'a> {
    fn new(seed: u64, cores: Option<usize>, left_out: &'a LeftOut) -> Run<'a> {
        let plan = Plan::of(seed, cores);
        let time = VirtualClock::new(TICK);
        let mut schedule = Random::of(seed, Stream::Schedule, 0);
        Run {
            seed,
            left_out,
            wall: Arc::new(WallClock::new(time.clone())),
            disk: Arc::new(SimulatedDisk::new(seed, plan.manner.clone())),
            model: Model::new(&plan),
            clients: (0..plan.clients).map(|_| Client::default()).collect(),
            journal: Journal::new(time.clone()),
            coverage: Coverage::default(),
            hash: DefaultHasher::new(),
            mood: Mood::draw(&mut schedule),
            schedule,
            excuses: Excuses::default(),
            operation: 0,
            fault: 0,
            check: 0,
            life: 0,
            crashes: 0,
            ended: None,
            is_stopping: false,
            time,
            plan,
        }
    }

    /// Every life, and a last look at what is left.
    fn all(&mut self) -> Result<(), Failure> {
        self.journal.note(format!("{:?}", self.plan_in_short()));
        let share = self.plan.operations.div_ceil(self.plan.lives);
        for life in 0..self.plan.lives {
            self.life = life;
            let mut server = self.start()?;
            self.serve(&mut server, share * (life + 1))?;
            self.end(server)?;
        }
        self.life = self.plan.lives;
        let mut server = self.start()?;
        self.be_quiet(&mut server)?;
        self.stop(server)?;
        let server = self.start()?;
        server.interrupt();
        Ok(())
    }

    fn plan_in_short(&self) -> String {
        let Plan { cores, durability, manner, segment_bytes, clients, depth, ids, spaces, .. } =
            &self.plan;
        format!(
            "{cores} cores, {durability}, {}, segments of {segment_bytes} bytes, {clients} clients \
             {depth} deep, {} ids in {} namespaces",
            manner.mode,
            ids.len(),
            spaces.len()
        )
    }

    /// Serves clients until they have asked for so many operations, and for a while longer.
    fn serve(&mut self, server: &mut SimulatedServer, until: u64) -> Result<(), Failure> {
        let quiet = self.schedule.one_in(3).then(|| {
            let first = self.operation;
            self.schedule.between(first, until.max(first))
        });
        let mut quiet = quiet;
        while self.operation < until {
            self.cause_fault(server);
            self.step(server, Some(until))?;
            if quiet.is_some_and(|quiet| self.operation >= quiet) {
                quiet = None;
                self.be_quiet(server)?;
            }
        }
        for _ in 0..self.schedule.magnitude(1, 400) {
            self.cause_fault(server);
            self.step(server, None)?;
        }
        Ok(())
    }

    /// Lets everything come to an end that is under way, and looks at all that is there.
    fn be_quiet(&mut self, server: &mut SimulatedServer) -> Result<(), Failure> {
        self.settle(server)?;
        self.look_at_all(server, Before::Quiet, &[])
    }

    fn note(&mut self, what: impl Into<String>) {
        self.journal.note(what.into());
    }

    fn feed(&mut self, what: impl Hash) {
        what.hash(&mut self.hash);
    }

    fn outcome(mut self, failure: Option<Failure>, lines: &Lines) -> Outcome {
        self.coverage.branches(&lines.take());
        for (what, times) in self.disk.seen() {
            self.coverage.faults(what, times);
        }
        if let Some(failure) = &failure {
            self.journal.note(format!("FAILED: {failure}"));
        }
        let steps = self.journal.step;
        self.feed((steps, self.operation, self.fault));
        Outcome {
            failure,
            coverage: self.coverage,
            hash: self.hash.finish(),
            steps,
            operations: self.operation,
            faults: self.fault,
            crashes: self.crashes,
            ends: self.plan.lives,
            elapsed: self.time.elapsed(),
            disk: LeftDisk(self.disk),
            history: self.journal.into_entries(),
        }
    }
}
