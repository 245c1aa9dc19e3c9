//! How the tables are measured: every contender under every load, one at a time, in an order that
//! is shuffled anew in each round.
//!
//! Rounds are the outer loop: a host that changes over minutes shows in the spread of every figure,
//! and not as a difference between contenders. Contenders are the inner loop: those that are
//! compared are measured within seconds of each other. Every round starts all contenders anew: two
//! processes of the same program can differ, and that belongs in the spread, too. (A quick run
//! saves that time where rounds leave nothing behind.)

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rand::seq::SliceRandom;
use sutra_load::Report;

use super::ask::{Question, fill};
use super::cell::{Cell, Shape, distinct};
use super::contenders::{ALL, Contender, Protocol};
use super::fairness::{self, Fair, Measured, Watched, fairly, used, used_here};
use super::floor::Floor;
use super::record::Section;
use super::server::Server;
use super::setup::{Operation, Setup, Timing};
use super::system_calls;
use crate::Outcome;
use crate::process::Running;

/// A row of a table: a contender, and the protocol in which it is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entrant {
    pub(crate) name: &'static str,
    /// `None` stands for the disk alone: group-committed writes of the records of all connections,
    /// without clients or network.
    asked: Option<(&'static Contender, Protocol)>,
}

impl Entrant {
    /// A contender under its own name and in its own protocol.
    pub(crate) fn new(contender: &'static Contender) -> Self {
        Self::named(contender.name, contender, contender.protocol)
    }

    pub(crate) fn named(
        name: &'static str,
        contender: &'static Contender,
        protocol: Protocol,
    ) -> Self {
        Self { name, asked: Some((contender, protocol)) }
    }

    pub(crate) fn disk(name: &'static str) -> Self {
        Self { name, asked: None }
    }
}

/// A table to be measured.
pub(crate) struct Table {
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) operation: Operation,
    pub(crate) entrants: Vec<Entrant>,
    pub(crate) shapes: Vec<Shape>,
    /// Loads under which system calls are counted as well.
    pub(crate) counted: Vec<Shape>,
}

/// The contenders, and what is needed to measure them.
pub(crate) struct Bench {
    pub(crate) setup: Setup,
    pub(crate) timing: Timing,
    /// Whether every round starts the contenders anew, even if the round before has written
    /// nothing.
    anew: bool,
    servers: HashMap<&'static str, Server>,
    floor: Floor,
    pub(crate) problems: Vec<String>,
    /// Whether system calls can be counted here.
    counts_calls: bool,
}

impl Bench {
    /// Starts all contenders that are installed.
    pub(crate) fn start(setup: Setup, timing: Timing, anew: bool) -> Outcome<Self> {
        let uncounted = system_calls::missing();
        if let Some(why) = &uncounted {
            eprintln!("system calls are not counted: {why}");
        }
        let start = |contender: &&'static Contender| {
            (
                contender.name,
                Server::start(contender, &setup, |running| fill(contender, running, &setup)),
            )
        };
        let servers = ALL.iter().map(start).collect();
        let (floor, counts_calls) = (Floor::create()?, uncounted.is_none());
        Ok(Self { setup, timing, anew, servers, floor, problems: Vec::new(), counts_calls })
    }

    pub(crate) fn server(&mut self, contender: &Contender) -> &mut Server {
        self.servers.get_mut(contender.name).expect("every contender has its server")
    }

    pub(crate) fn run(&mut self, table: &Table, rounds: usize) -> Section {
        let mut cells = Vec::new();
        for entrant in &table.entrants {
            if entrant.asked.is_none_or(|(contender, _)| self.server(contender).is_there()) {
                cells.extend(
                    table.shapes.iter().map(|shape| (*entrant, Cell::new(entrant.name, *shape))),
                );
            }
        }
        let renews = self.anew || table.operation == Operation::Learn;
        let asked = cells
            .iter()
            .filter_map(|(entrant, _)| Some(entrant.asked?.0.name))
            .collect::<HashSet<_>>();
        go_round(
            &table.title,
            rounds,
            self,
            &mut cells,
            |bench| {
                let servers = bench.servers.values_mut();
                for server in
                    servers.filter(|server| renews && asked.contains(server.contender().name))
                {
                    let contender = server.contender();
                    server.renew(&bench.setup, |running| fill(contender, running, &bench.setup));
                }
            },
            |bench, entrant, shape| bench.measure(table.operation, *entrant, shape),
        );
        self.count_system_calls(table, &mut cells);
        self.problems.extend(cells.iter().filter_map(|(_, cell)| problem(&table.title, cell)));
        let cells = cells.into_iter().map(|(_, cell)| cell).collect();
        Section { id: table.id.to_owned(), title: table.title.clone(), cells }
    }

    fn measure(
        &mut self,
        operation: Operation,
        entrant: Entrant,
        shape: Shape,
    ) -> Outcome<Fair<Measured>> {
        let (setup, timing) = (self.setup, self.timing);
        let Some((contender, protocol)) = entrant.asked else {
            let report = self.floor.report(
                shape.connections * shape.depth,
                setup.archived.1,
                timing.measured,
            )?;
            return Ok(Fair::Yes(Measured { report, bound_by_load: false }));
        };
        let question =
            Question { protocol, operation, shape, spin: contender.never_sleeps(), timing };
        self.server(contender)
            .take_turn(|running| watched(running, &setup, || question.ask(running, &setup)))
    }

    fn count_system_calls(&mut self, table: &Table, cells: &mut [(Entrant, Cell)]) {
        let (setup, operation) = (self.setup, table.operation);
        let timing = Timing { warm_up: Duration::ZERO, ..self.timing };
        let is_counted = |cell: &Cell| cell.failed.is_none() && table.counted.contains(&cell.shape);
        let counts_calls = self.counts_calls;
        for (entrant, cell) in cells.iter_mut().filter(|(_, cell)| counts_calls && is_counted(cell))
        {
            let Some((contender, protocol)) = entrant.asked else { continue };
            let question = Question {
                protocol,
                operation,
                shape: cell.shape,
                spin: contender.never_sleeps(),
                timing,
            };
            let counted = self.server(contender).take_turn(|running| {
                system_calls::a_request(running.pid(), || {
                    Ok(question.ask(running, &setup)?.requests)
                })
            });
            match counted {
                Ok(calls) => cell.system_calls = Some(calls),
                Err(error) => {
                    let (title, who, load) = (&table.title, &cell.contender, cell.shape.name());
                    let words = format!(
                        "{title}: system calls of {who} under {load} were not counted: {error}"
                    );
                    self.problems.push(words);
                }
            }
        }
    }
}

/// Measures all cells `rounds` times, load by load, the cells of a load in a shuffled order. Before
/// every round but the first, `renew` may start servers anew.
pub(crate) fn go_round<S, E>(
    title: &str,
    rounds: usize,
    state: &mut S,
    cells: &mut [(E, Cell)],
    renew: impl Fn(&mut S),
    measure: impl Fn(&mut S, &E, Shape) -> Outcome<Fair<Measured>>,
) {
    let shapes = distinct(cells.iter().map(|(_, cell)| cell.shape));
    for round in 0..rounds {
        eprintln!("{title}: round {} of {rounds}", round + 1);
        if round > 0 {
            renew(state);
        }
        for shape in &shapes {
            let mut turns: Vec<_> =
                cells.iter_mut().filter(|(_, cell)| cell.shape == *shape).collect();
            turns.shuffle(&mut rand::rng());
            for (entrant, cell) in turns {
                take_round(cell, || measure(state, entrant, *shape));
            }
        }
    }
}

/// Takes one measurement. A cell that has failed is not measured again: the figures of a contender
/// that answered wrongly or died mean nothing.
fn take_round(cell: &mut Cell, measure: impl FnMut() -> Outcome<Fair<Measured>>) {
    if cell.failed.is_some() {
        return;
    }
    match fairly(&format!("{}, {}", cell.contender, cell.shape.name()), measure) {
        Ok(measured) => {
            cell.bound_by_load +=
                usize::from(measured.as_ref().is_some_and(|measured| measured.bound_by_load));
            cell.rounds.push(measured.map(|measured| measured.report));
        }
        Err(error) => cell.failed = Some(error.to_string()),
    }
}

/// Puts a load on a server and watches both CPUs meanwhile. Fails for a report with refusals, or
/// without any answer.
pub(crate) fn watched(
    running: &Running,
    setup: &Setup,
    load: impl FnOnce() -> Outcome<Report>,
) -> Outcome<Fair<Measured>> {
    let watched = (Watched::begin(setup.server_cpu)?, Watched::begin(setup.load_cpu)?);
    let (before, load_before) = (used(running.pid())?, used_here()?);
    let report = load()?;
    let server_used = used(running.pid())?.since(before);
    let (server, load) = (watched.0.end()?, watched.1.end()?);
    fairness::check(&report)?;
    let load_used = used_here()?.since(load_before);
    let starved = server.starved("server", server_used).or_else(|| load.starved("load", load_used));
    let bound_by_load = fairness::is_bound_by_load(&report);
    Ok(Fair::unless(starved, Measured { report, bound_by_load }))
}

/// The problem to report about a cell: it failed, or was starved in some rounds.
pub(crate) fn problem(title: &str, cell: &Cell) -> Option<String> {
    let place = format!("{title}: {} under {}", cell.contender, cell.shape.name());
    fairness::problem(&place, cell.failed.as_deref(), &cell.rounds)
}
