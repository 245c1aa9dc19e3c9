//! The rounds of one table: every load, every contender, in an order that is shuffled anew each
//! time, one at a time.
//!
//! Rounds are the outer loop, so that a host which changes over minutes shows in the spread of
//! every figure and not as a difference between contenders; contenders are the inner one, so that
//! those which are compared are measured within seconds of each other. Every round starts all
//! contenders anew: what sets one process apart from the next of the same program belongs in the
//! spread, too. (A quick look saves that time where rounds leave nothing behind.)

use std::collections::{HashMap, HashSet};

use rand::seq::SliceRandom;
use sutra_load::Report;

use super::contender::{Contender, Instance, Operation, Protocol, Setup, Timing, ask};
use super::fairness::{self, Used, Watched};
use super::record::{Cell, Section, Shape};
use super::system_calls;
use crate::Outcome;
use crate::durable::Floor;
use crate::process::Running;

/// How often a starved measurement is repeated before its round is given up.
const REPEATS: usize = 2;

/// A row of a table: who is asked, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entrant {
    pub(crate) name: &'static str,
    pub(crate) asked: Asked,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    Server {
        instance: Instance,
        protocol: Protocol,
        /// Its client never sleeps.
        spin: bool,
    },
    /// Group-committed writes of the records of all connections, without clients or network.
    Disk,
}

impl Entrant {
    /// A server under its own name.
    pub(crate) fn server(instance: Instance, protocol: Protocol) -> Self {
        Self::named(instance.name(), instance, protocol)
    }

    pub(crate) fn named(name: &'static str, instance: Instance, protocol: Protocol) -> Self {
        let spin = matches!(instance, Instance::BarePolling | Instance::SutraPolling);
        Self { name, asked: Asked::Server { instance, protocol, spin } }
    }
}

impl Entrant {
    fn instance(&self) -> Option<Instance> {
        match self.asked {
            Asked::Server { instance, .. } => Some(instance),
            Asked::Disk => None,
        }
    }
}

/// A table to be measured.
pub(crate) struct Table {
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) operation: Operation,
    pub(crate) entrants: Vec<Entrant>,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) rounds: usize,
    /// Loads under which system calls are counted as well.
    pub(crate) counted: Vec<Shape>,
}

/// Everything that measures.
pub(crate) struct Bench {
    pub(crate) setup: Setup,
    pub(crate) timing: Timing,
    /// Whether every round starts the contenders anew, also where the one before has written
    /// nothing.
    pub(crate) anew: bool,
    pub(crate) contenders: HashMap<Instance, Contender>,
    pub(crate) floor: Floor,
    pub(crate) problems: Vec<String>,
    /// Why system calls are not counted, where they are not.
    pub(crate) uncounted: Option<String>,
}

impl Bench {
    pub(crate) fn is_there(&self, instance: Instance) -> bool {
        self.contenders.get(&instance).is_some_and(Contender::is_there)
    }

    pub(crate) fn run(&mut self, table: &Table) -> Section {
        let mut cells = Vec::new();
        for entrant in &table.entrants {
            if let Asked::Server { instance, .. } = entrant.asked
                && !self.is_there(instance)
            {
                continue;
            }
            cells.extend(table.shapes.iter().map(|shape| (*entrant, Cell::new(entrant.name, *shape))));
        }
        for round in 0..table.rounds {
            eprintln!("{}: round {} of {}", table.title, round + 1, table.rounds);
            if round > 0 && (self.anew || table.operation == Operation::Learn) {
                self.renew(&cells);
            }
            for shape in &table.shapes {
                let mut turns: Vec<_> = cells.iter_mut().filter(|(_, cell)| cell.shape == *shape).collect();
                turns.shuffle(&mut rand::rng());
                for (entrant, cell) in turns {
                    self.turn(table, *entrant, cell);
                }
            }
        }
        self.count_system_calls(table, &mut cells);
        self.problems.extend(cells.iter().filter_map(|(_, cell)| problem(&table.title, cell)));
        Section {
            id: table.id.to_owned(),
            title: table.title.clone(),
            note: table.note.clone(),
            cells: cells.into_iter().map(|(_, cell)| cell).collect(),
        }
    }

    fn renew(&mut self, cells: &[(Entrant, Cell)]) {
        let setup = self.setup;
        let instances: HashSet<_> = cells.iter().filter_map(|(entrant, _)| entrant.instance()).collect();
        for (_, contender) in self.contenders.iter_mut().filter(|(instance, _)| instances.contains(instance)) {
            contender.renew(&setup);
        }
    }

    fn turn(&mut self, table: &Table, entrant: Entrant, cell: &mut Cell) {
        let shape = cell.shape;
        fair_round(cell, || self.measure(table.operation, entrant, shape));
    }

    fn measure(&mut self, operation: Operation, entrant: Entrant, shape: Shape) -> Outcome<Measured> {
        let (setup, timing) = (self.setup, self.timing);
        let Asked::Server { instance, protocol, spin } = entrant.asked else {
            let report = self.floor.report(shape.connections * shape.depth, setup.archived.1, timing.measured)?;
            return Ok(Measured { report, starved: None, bound_by_load: false });
        };
        let contender = self.contenders.get_mut(&instance).ok_or("every instance has its place")?;
        contender.take_turn(|running| {
            watched(running, &setup, || ask(running, protocol, operation, shape, spin, timing, &setup))
        })
    }

    fn count_system_calls(&mut self, table: &Table, cells: &mut [(Entrant, Cell)]) {
        if self.uncounted.is_some() {
            return;
        }
        let (setup, timing, operation) = (self.setup, self.timing, table.operation);
        for (entrant, cell) in cells {
            let Asked::Server { instance, protocol, spin } = entrant.asked else { continue };
            if cell.failed.is_some() || !table.counted.contains(&cell.shape) {
                continue;
            }
            let Some(contender) = self.contenders.get_mut(&instance) else { continue };
            let counted = contender.take_turn(|running| {
                system_calls::a_request(running.pid(), || {
                    let timing = Timing { warm_up: std::time::Duration::ZERO, ..timing };
                    Ok(ask(running, protocol, operation, cell.shape, spin, timing, &setup)?.requests)
                })
            });
            match counted {
                Ok(calls) => cell.system_calls = Some(calls),
                Err(error) => self.problems.push(format!(
                    "{}: system calls of {} under {} were not counted: {error}",
                    table.title,
                    cell.contender,
                    cell.shape.name()
                )),
            }
        }
    }
}

/// One measurement; a starved one is repeated. After a failure there are no more: the figures of a
/// contender that answered wrongly or died are nobody's.
pub(crate) fn fair_round(cell: &mut Cell, mut measure: impl FnMut() -> Outcome<Measured>) {
    if cell.failed.is_some() {
        return;
    }
    let mut words = String::new();
    for _ in 0..=REPEATS {
        match measure() {
            Ok(Measured { report, starved: None, bound_by_load }) => {
                cell.bound_by_load += usize::from(bound_by_load);
                cell.rounds.push(Some(report));
                return;
            }
            Ok(Measured { starved: Some(starved), .. }) => words = starved,
            Err(error) => {
                cell.failed = Some(error.to_string());
                return;
            }
        }
    }
    eprintln!("  {}, {}: {words}", cell.contender, cell.shape.name());
    cell.rounds.push(None);
}

/// Puts a load on a server, watches both CPUs meanwhile, and refuses a report of nothing or of
/// refusals.
pub(crate) fn watched(running: &Running, setup: &Setup, load: impl FnOnce() -> Outcome<Report>) -> Outcome<Measured> {
    let watched = (Watched::begin(setup.server_cpu)?, Watched::begin(setup.load_cpu)?);
    let (before, load_before) = (used(running.pid())?, used_here()?);
    let report = load()?;
    let server_used = used(running.pid())?.since(before);
    let (server, load) = (watched.0.end()?, watched.1.end()?);
    check(&report)?;
    let load_used = used_here()?.since(load_before);
    let starved = server.starved("server", server_used).or_else(|| load.starved("load", load_used));
    let bound_by_load = fairness::is_bound_by_load(&report);
    Ok(Measured { report, starved, bound_by_load })
}

/// Whether a report is of requests that were answered.
pub(crate) fn check(report: &Report) -> Outcome {
    if let Some(words) = &report.last_refusal {
        return Err(format!("it refused {} requests: {words}", report.refused.values().sum::<u64>()).into());
    }
    if report.requests == 0 {
        return Err("it answered nothing while it was measured".into());
    }
    Ok(())
}

/// What keeps a cell's figures from being taken at their word.
pub(crate) fn problem(title: &str, cell: &Cell) -> Option<String> {
    let place = format!("{title}: {} under {}", cell.contender, cell.shape.name());
    if let Some(words) = &cell.failed {
        return Some(format!("{place} FAILED, so it has no figures: {words}"));
    }
    (cell.unfair() > 0).then(|| {
        let fate = if cell.unfair() * 2 >= cell.rounds.len() { "so it has no figures" } else { "left out" };
        format!("{place} was STARVED in {} of {} rounds, {fate}", cell.unfair(), cell.rounds.len())
    })
}

/// One measurement.
pub(crate) struct Measured {
    pub(crate) report: Report,
    pub(crate) starved: Option<String>,
    pub(crate) bound_by_load: bool,
}

/// What this process and those which it started and saw end have used.
pub(crate) fn used_here() -> Outcome<Used> {
    let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Fields 14 to 17 (proc_pid_stat(5)), counted from behind the program's name: user and system,
    // own and of those that have ended.
    let fields = stat.rsplit_once(") ").ok_or("/proc/self/stat names the program")?.1.split(' ');
    let second = rustix::param::clock_ticks_per_second().max(1) as f64;
    let times: Vec<f64> =
        fields.skip(11).take(4).filter_map(|field| Some(field.parse::<f64>().ok()? / second)).collect();
    let [user, _, ended_user, ended_system] = times[..] else { return Err("/proc/self/stat has four times".into()) };
    let own = own.tv_sec as f64 + own.tv_nsec as f64 / 1e9;
    Ok(Used { user: user + ended_user, total: own + ended_user + ended_system })
}

/// What a process has used.
pub(crate) fn used(pid: u32) -> Outcome<Used> {
    let used = sutra_load::ServerCpu::of_process(pid).read()?;
    Ok(Used { user: used.user as f64 / 1e6, total: used.total as f64 / 1e9 })
}
