//! What is measured: the tables, the rows of each, and their loads.

use sutra_load::Spelling;

use super::cell::{Cell, Figure, Shape};
use super::contenders::{
    BARE, BARE_POLLING, GRID_MASTER, GRPC, MEMCACHED, OLD, OLD_GRID, OLD_UNSYNCED, Protocol, REDIS,
    REDIS_ALWAYS, REDIS_EVERY_SECOND, RUNTIME, SUTRA, SUTRA_OS, SUTRA_OS_VECTORS, SUTRA_POLLING,
    SUTRA_VECTORS,
};
use super::python::{self, CLIENTS};
use super::record::{Described, Section};
use super::rounds::{Bench, Entrant, Table};
use super::setup::Operation;

/// The tables' names in `report.json`.
pub(crate) const QUERY: &str = "query";
pub(crate) const DURABLE: &str = "learn-durable";
pub(crate) const RELAXED: &str = "learn-relaxed";
pub(crate) const HEARTBEAT: &str = "heartbeat";
pub(crate) const PYTHON_QUERY: &str = "python-query";
pub(crate) const PYTHON_LEARN: &str = "python-learn";
pub(crate) const OPEN: &str = "query-open";

/// Names of rows that differ from a server's own.
const MSGPACK: &str = "sutra, compat port, msgpack";
const BINCODE: &str = "sutra, compat port, bincode";
const GRID_BINCODE: &str = "sutra grid master, bincode";
pub(crate) const DISK: &str = "the disk alone";

/// Connections of the open loop, and how many requests each may have in flight.
pub(crate) const OPEN_LOOP: (usize, usize) = (64, 16);
/// Rates of the open loop, in requests a second; a contender that can't keep up with one is not
/// asked for more.
const RATES: [f64; 9] = [2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 4e5, 8e5];
/// The rate at which a query's CPU time is priced: the highest that leaves Sutra's core some of its
/// time, a fifth to a quarter. Those who pay for instances don't fill them either.
pub(crate) const PRICED_RATE: f64 = 5e4;
const QUICK_RATES: [f64; 4] = [2e3, 1e4, 5e4, 2e5];
/// A contender has not kept up if it answers less than this share of what is due.
pub(crate) const KEPT_UP: f64 = 0.97;

/// Loads, as connections and depth.
pub(crate) type Loads = [(usize, usize)];

/// The loads that tell most. The goals and the profiles have only these, a quick run has these and
/// a few others, and system calls are counted under them.
pub(crate) const FEW_QUERIES: [(usize, usize); 3] = [(1, 1), (64, 1), (64, 16)];
pub(crate) const FEW_WRITES: [(usize, usize); 3] = [(1, 1), (32, 1), (128, 1)];

fn shapes(loads: &Loads) -> Vec<Shape> {
    loads.iter().copied().map(Shape::closed).collect()
}

/// A table under `all` loads, or in a quick run under `few`. System calls are counted under `few`.
fn table(
    id: &'static str,
    title: &str,
    operation: Operation,
    entrants: Vec<Entrant>,
    (quick, all, few): (bool, &Loads, &Loads),
) -> Table {
    let (shapes, counted) = (shapes(if quick { few } else { all }), shapes(few));
    Table { id, title: title.into(), operation, entrants, shapes, counted }
}

pub(crate) fn query(quick: bool) -> Table {
    let entrants = vec![
        Entrant::new(&BARE),
        Entrant::new(&RUNTIME),
        Entrant::new(&SUTRA),
        Entrant::named(MSGPACK, &SUTRA, Protocol::Compat(Spelling::Msgpack)),
        Entrant::named(BINCODE, &SUTRA, Protocol::Compat(Spelling::Bincode)),
        Entrant::named(OLD.name, &OLD_UNSYNCED, Protocol::Old),
        Entrant::new(&GRPC),
        Entrant::new(&REDIS),
        Entrant::new(&MEMCACHED),
        Entrant::new(&BARE_POLLING),
        Entrant::new(&SUTRA_POLLING),
    ];
    let all = [(1, 1), (16, 1), (64, 1), (256, 1), (1, 16), (16, 16), (64, 16), (256, 16)];
    table(QUERY, "Query", Operation::Query, entrants, (quick, &all, &FEW_QUERIES))
}

pub(crate) fn durable(quick: bool) -> Table {
    let entrants = vec![
        Entrant::disk(DISK),
        Entrant::new(&SUTRA),
        Entrant::new(&SUTRA_VECTORS),
        Entrant::named(MSGPACK, &SUTRA_VECTORS, Protocol::Compat(Spelling::Msgpack)),
        Entrant::new(&OLD),
        Entrant::new(&REDIS_ALWAYS),
    ];
    let all = [(1, 1), (16, 1), (32, 1), (64, 1), (128, 1), (256, 1), (64, 16)];
    table(DURABLE, "Durable learn", Operation::Learn, entrants, (quick, &all, &FEW_WRITES))
}

pub(crate) fn relaxed(quick: bool) -> Table {
    let contenders =
        [&SUTRA_OS, &SUTRA_OS_VECTORS, &OLD_UNSYNCED, &GRPC, &REDIS_EVERY_SECOND, &MEMCACHED];
    let entrants = contenders.into_iter().map(Entrant::new).collect();
    let all = [(1, 1), (16, 1), (64, 1), (256, 1), (64, 16)];
    let title = "Learn without waiting for the disk";
    table(RELAXED, title, Operation::Learn, entrants, (quick, &all, &[(1, 1), (64, 1)]))
}

pub(crate) fn heartbeat() -> Table {
    let entrants = vec![
        Entrant::new(&GRID_MASTER),
        Entrant::named(GRID_BINCODE, &GRID_MASTER, Protocol::OldGrid),
        Entrant::new(&SUTRA),
        Entrant::new(&OLD_GRID),
        Entrant::new(&GRPC),
        Entrant::new(&REDIS),
    ];
    table(
        HEARTBEAT,
        "Heartbeat",
        Operation::Heartbeat,
        entrants,
        (false, &[(1, 1), (64, 1)], &[(1, 1)]),
    )
}

/// The calls of Python's clients, one after the other. Without Python there are none.
pub(crate) fn python(operation: Operation) -> Table {
    let (id, title, servers) = match operation {
        Operation::Learn => (
            PYTHON_LEARN,
            "Learn from Python",
            [&SUTRA_VECTORS, &SUTRA_VECTORS, &GRPC, &REDIS_ALWAYS],
        ),
        _ => (PYTHON_QUERY, "Query from Python", [&SUTRA, &SUTRA, &GRPC, &REDIS]),
    };
    let there = CLIENTS.iter().zip(servers).filter(|(client, _)| python::missing(client).is_none());
    let entrants =
        there.map(|(client, server)| Entrant::named(client.name, server, Protocol::Python(client)));
    table(id, title, operation, entrants.collect(), (false, &[(1, 1)], &[]))
}

/// The disk alone, which has no server, described like the contenders.
pub(crate) fn described_floor() -> Described {
    let what =
        "a loop of writes on one file of the same filesystem: no clients, no network, no table";
    let settings = [
        (
            "O_DIRECT|O_DSYNC into a zero-filled file",
            "the quickest way to the disk that is known here, and how our log writes",
        ),
        ("one record of each connection a write", "what a group commit gathers"),
    ];
    Described::new(DISK, what, &settings, None)
}

/// Whether a contender kept up with `rate` requests a second: see [`KEPT_UP`].
pub(crate) fn kept_up(cell: &Cell, rate: f64) -> bool {
    cell.figures(Figure::Rate).is_some_and(|answered| answered.median >= KEPT_UP * rate)
}

/// Measures queries at fixed rates, one rate after the other, until no contender keeps up.
pub(crate) fn open_loop(bench: &mut Bench, quick: bool) -> Section {
    let (connections, depth) = OPEN_LOOP;
    let mut entrants = vec![
        Entrant::new(&BARE),
        Entrant::new(&SUTRA),
        Entrant::named(OLD.name, &OLD_UNSYNCED, Protocol::Old),
        Entrant::new(&GRPC),
        Entrant::new(&REDIS),
        Entrant::new(&MEMCACHED),
    ];
    let mut section =
        Section { id: OPEN.into(), title: "Query at fixed rates".into(), cells: Vec::new() };
    for rate in if quick { &QUICK_RATES[..] } else { &RATES[..] } {
        if entrants.is_empty() {
            break;
        }
        let shapes = vec![Shape { connections, depth, rate: Some(*rate) }];
        let (title, operation) = (format!("Query at {rate:.0}/s"), Operation::Query);
        let table = Table {
            id: OPEN,
            title,
            operation,
            entrants: entrants.clone(),
            shapes,
            counted: Vec::new(),
        };
        let cells = bench.run(&table, if quick { 1 } else { 3 }).cells;
        let kept_up =
            |name| cells.iter().any(|cell| cell.contender == name && kept_up(cell, *rate));
        entrants.retain(|entrant| kept_up(entrant.name));
        section.cells.extend(cells);
    }
    section
}
