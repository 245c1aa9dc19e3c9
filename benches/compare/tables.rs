//! What is measured: the tables, who stands in each, and under which loads.

use sutra_load::Spelling;

use super::contender::{DIMENSION, Instance, LEARNED_CONTENT, Operation, Protocol, QUERIED_CONTENT};
use super::python::{self, Client};
use super::record::{Cell, Described, Figure, Section, Shape};
use super::rounds::{Asked, Bench, Entrant, Table};

/// The tables' names in `report.json`.
pub(crate) const QUERY: &str = "query";
pub(crate) const DURABLE: &str = "learn-durable";
pub(crate) const RELAXED: &str = "learn-relaxed";
pub(crate) const HEARTBEAT: &str = "heartbeat";
pub(crate) const PYTHON_QUERY: &str = "python-query";
pub(crate) const PYTHON_LEARN: &str = "python-learn";
pub(crate) const OPEN: &str = "query-open";

/// Names of rows that are no server's own.
pub(crate) const MSGPACK: &str = "sutra, compat port, msgpack";
pub(crate) const BINCODE: &str = "sutra, compat port, bincode";
pub(crate) const VECTORS: &str = "sutra, vectors indexed";
pub(crate) const DISK: &str = "the disk alone";

/// Connections of the open loop, and how many requests each may have in flight.
const OPEN_LOOP: (usize, usize) = (64, 16);
/// Rates of the open loop, in requests a second; a contender that can't keep up with one is not
/// asked for more.
const RATES: [f64; 9] = [2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 4e5, 8e5];
/// The fixed rate whose CPU a query is priced: the highest that leaves Sutra's core a third of its
/// time or so, as whoever pays for instances leaves it.
pub(crate) const PRICED_RATE: f64 = 5e4;
const QUICK_RATES: [f64; 4] = [2e3, 1e4, 5e4, 2e5];
/// Answered over due: below it a contender has not kept up.
const KEPT_UP: f64 = 0.97;

fn shapes(loads: &[(usize, usize)]) -> Vec<Shape> {
    loads.iter().copied().map(Shape::closed).collect()
}

pub(crate) fn query(rounds: usize, quick: bool) -> Table {
    let all = [(1, 1), (16, 1), (64, 1), (256, 1), (1, 16), (16, 16), (64, 16), (256, 16)];
    let few = [(1, 1), (64, 1), (64, 16)];
    Table {
        id: QUERY,
        title: "Query".into(),
        note: format!(
            "One record of {QUERIED_CONTENT} bytes of content by its key, of 10,000, chosen at random; GET of the same bytes as our archive of it. \
             The echoes exchange messages of the same sizes and look nothing up."
        ),
        operation: Operation::Query,
        entrants: vec![
            Entrant::server(Instance::Bare, Protocol::Echo),
            Entrant::server(Instance::Runtime, Protocol::Echo),
            Entrant::server(Instance::Sutra, Protocol::Native),
            Entrant::named(MSGPACK, Instance::Sutra, Protocol::Compat(Spelling::Msgpack)),
            Entrant::named(BINCODE, Instance::Sutra, Protocol::Compat(Spelling::Bincode)),
            Entrant::named("old server (tokio, msgpack)", Instance::OldUnsynced, Protocol::Old),
            Entrant::server(Instance::Grpc, Protocol::Grpc),
            Entrant::server(Instance::Redis, Protocol::Redis),
            Entrant::server(Instance::Memcached, Protocol::Memcached),
            Entrant::server(Instance::BarePolling, Protocol::Echo),
            Entrant::server(Instance::SutraPolling, Protocol::Native),
        ],
        shapes: shapes(if quick { &few } else { &all }),
        rounds,
        counted: shapes(&few),
    }
}

pub(crate) fn durable(rounds: usize, quick: bool) -> Table {
    let all = [(1, 1), (16, 1), (32, 1), (64, 1), (128, 1), (256, 1), (64, 16)];
    let few = [(1, 1), (32, 1), (128, 1)];
    Table {
        id: DURABLE,
        title: "Durable learn".into(),
        note: format!(
            "One record on disk before the answer: {LEARNED_CONTENT} bytes of content and a vector of {DIMENSION} numbers. Redis and the row \u{201c}sutra\u{201d} are given the \
             same number of bytes as one text; Redis and the old server index no vector, so \u{201c}{VECTORS}\u{201d} does more than they, and its CPU column counts it. \
             Every round starts with fresh servers, for what each has written would weigh on the next. \
             \u{201c}{DISK}\u{201d} is a loop of O_DIRECT|O_DSYNC writes, each with one record of every connection: no clients, no network, no table. \
             gRPC's store and memcached keep nothing on disk, so they are not here."
        ),
        operation: Operation::Learn,
        entrants: vec![
            Entrant { name: DISK, asked: Asked::Disk },
            Entrant::server(Instance::Sutra, Protocol::Native),
            Entrant::named(VECTORS, Instance::SutraVectors, Protocol::NativeVectors),
            Entrant::named(MSGPACK, Instance::SutraVectors, Protocol::Compat(Spelling::Msgpack)),
            Entrant::server(Instance::Old, Protocol::Old),
            Entrant::server(Instance::RedisAlways, Protocol::Redis),
        ],
        shapes: shapes(if quick { &few } else { &all }),
        rounds,
        counted: shapes(&few),
    }
}

pub(crate) fn relaxed(rounds: usize, quick: bool) -> Table {
    let all = [(1, 1), (16, 1), (64, 1), (256, 1), (64, 16)];
    let few = [(1, 1), (64, 1)];
    Table {
        id: RELAXED,
        title: "Learn without waiting for the disk".into(),
        note: "The same records, acknowledged before they are on disk: lost if the host dies (Sutra, the old server, a second of Redis), or with the process (gRPC's store, memcached).".into(),
        operation: Operation::Learn,
        entrants: vec![
            Entrant::server(Instance::SutraOs, Protocol::Native),
            Entrant::server(Instance::SutraOsVectors, Protocol::NativeVectors),
            Entrant::server(Instance::OldUnsynced, Protocol::Old),
            Entrant::server(Instance::Grpc, Protocol::Grpc),
            Entrant::server(Instance::RedisEverySecond, Protocol::Redis),
            Entrant::server(Instance::Memcached, Protocol::Memcached),
        ],
        shapes: shapes(if quick { &few } else { &all }),
        rounds,
        counted: shapes(&few),
    }
}

pub(crate) fn heartbeat(rounds: usize) -> Table {
    Table {
        id: HEARTBEAT,
        title: "Heartbeat".into(),
        note: "The smallest exchange of each, on a kept connection: an agent's heartbeat to our grid's master, natively and in the old grid's bincode, to the \
               old grid's master, and over gRPC; a storage node's Health (`sutra`); Redis's PING."
            .into(),
        operation: Operation::Heartbeat,
        entrants: vec![
            Entrant::server(Instance::GridMaster, Protocol::Grid),
            Entrant::named("sutra grid master, bincode", Instance::GridMaster, Protocol::OldGrid),
            Entrant::server(Instance::Sutra, Protocol::Native),
            Entrant::server(Instance::OldGrid, Protocol::OldGrid),
            Entrant::server(Instance::Grpc, Protocol::Grpc),
            Entrant::server(Instance::Redis, Protocol::Redis),
        ],
        shapes: shapes(&[(1, 1), (64, 1)]),
        rounds,
        counted: shapes(&[(1, 1)]),
    }
}

/// Calls of Python's clients, one after the other; nothing where there is no Python.
pub(crate) fn python(operation: Operation, rounds: usize) -> Table {
    let (id, title, note, instances) = match operation {
        Operation::Learn => (
            PYTHON_LEARN,
            "Learn from Python",
            "One concept with a vector of 384 numbers, one call after the other, on disk before the answer; redis-py stores as many bytes in Redis `always`, \
             and the gRPC server keeps its store in memory.",
            [Instance::SutraVectors, Instance::SutraVectors, Instance::Grpc, Instance::RedisAlways],
        ),
        _ => (
            PYTHON_QUERY,
            "Query from Python",
            "One record by its key, one call after the other.",
            [Instance::Sutra, Instance::Sutra, Instance::Grpc, Instance::Redis],
        ),
    };
    let clients = [Client::Package, Client::Floor, Client::Grpcio, Client::Redis];
    let entrants = clients.into_iter().zip(instances).filter(|(client, _)| python::missing(*client).is_none());
    Table {
        id,
        title: title.into(),
        note: note.into(),
        operation,
        entrants: entrants
            .map(|(client, instance)| Entrant::named(client.name(), instance, Protocol::Python(client)))
            .collect(),
        shapes: shapes(&[(1, 1)]),
        rounds,
        counted: Vec::new(),
    }
}

/// The loop that no server stands behind, as the contenders are described.
pub(crate) fn described_floor() -> Described {
    let setting = |setting: &str, reason: &str| (setting.to_owned(), reason.to_owned());
    Described {
        name: DISK.into(),
        what: "a loop of writes on one file of the same filesystem: no clients, no network, no table".into(),
        settings: vec![
            setting(
                "O_DIRECT|O_DSYNC into a zero-filled file",
                "the quickest way to the disk that is known here, and how our log writes",
            ),
            setting("one record of each connection a write", "what a group commit gathers"),
        ],
        missing: None,
    }
}

/// Whether a contender answered as many a second as were due.
pub(crate) fn kept_up(cell: &Cell, rate: f64) -> bool {
    cell.figures(Figure::Rate).is_some_and(|answered| answered.median >= KEPT_UP * rate)
}

/// Queries at fixed rates, one rate after the other, until none keeps up.
pub(crate) fn open_loop(bench: &mut Bench, rounds: usize, quick: bool) -> Section {
    let (connections, depth) = OPEN_LOOP;
    let mut entrants = vec![
        Entrant::server(Instance::Bare, Protocol::Echo),
        Entrant::server(Instance::Sutra, Protocol::Native),
        Entrant::named("old server (tokio, msgpack)", Instance::OldUnsynced, Protocol::Old),
        Entrant::server(Instance::Grpc, Protocol::Grpc),
        Entrant::server(Instance::Redis, Protocol::Redis),
        Entrant::server(Instance::Memcached, Protocol::Memcached),
    ];
    let mut section = Section {
        id: OPEN.into(),
        title: "Query at fixed rates".into(),
        note: format!(
            "Open loop: requests are due at fixed times on {connections} connections, at most {depth} in flight on each, whether or not earlier ones were answered; \
             latency counts from the time a request was due. Only what was due while measuring is counted. A rate of which a contender answers less than {:.0} % is its last.",
            KEPT_UP * 100.0
        ),
        cells: Vec::new(),
    };
    for rate in if quick { &QUICK_RATES[..] } else { &RATES[..] } {
        if entrants.is_empty() {
            break;
        }
        let table = Table {
            id: OPEN,
            title: format!("Query at {rate:.0}/s"),
            note: String::new(),
            operation: Operation::Query,
            entrants: entrants.clone(),
            shapes: vec![Shape { connections, depth, rate: Some(*rate) }],
            rounds,
            counted: Vec::new(),
        };
        let cells = bench.run(&table).cells;
        entrants.retain(|entrant| {
            cells.iter().find(|cell| cell.contender == entrant.name).is_some_and(|cell| kept_up(cell, *rate))
        });
        section.cells.extend(cells);
    }
    section
}
