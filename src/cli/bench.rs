//! `sutra bench`: closed-loop load on a running server, and what it answered: throughput, latencies, CPU a request.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use sutra_client::Endpoint;
use sutra_load::{
    Associate, Health, KeySpace, Keys, Learn, Length, Neighbors, Plan, ProfileSoFar, Query, Report, ServerCpu, Workload,
};

use crate::args::{Bench, Operation};
use crate::connect;
use crate::exit::{Answer, Failure};
use crate::output::{Output, grouped};

/// Where the records of a bench lie, out of the way of others.
const NAMESPACE: &str = "bench";
/// Associations from each concept: to the next so many, in a ring.
const EACH: u64 = 4;
/// Files that are open beside the connections of the load: the standard streams, epoll, the resolver's and some to spare.
const OTHER_FILES: u64 = 32;
/// What a record takes beside content and embedding at most.
const RECORD_BYTES: usize = 1024;
/// Connections and depth with which records are prepared: enough to fill group commits.
const PREPARING: (usize, usize) = (8, 64);

pub(crate) fn run(bench: &Bench, output: Output) -> Result<Answer, Failure> {
    let address = resolve(&bench.server.address)?;
    check(bench)?;
    prepare(bench, address, output)?;
    let cpu = ServerCpu::of_server(address, bench.server.timeout)?;
    let read = || bench.profile.then(|| ProfileSoFar::read(address, bench.server.timeout)).transpose();
    let before = read()?;
    let mut report = sutra_load::run(&plan(bench, address), vec![workload(bench)], Some(cpu))?;
    report.profile = before.zip(read()?).map(|(before, after)| before.until(&after));
    output.answer(&report, || report.to_string())?;
    Ok(if report.requests > 0 { Answer::Yes } else { Answer::No })
}

fn plan(bench: &Bench, address: SocketAddr) -> Plan {
    Plan {
        connections: size(bench.connections),
        depth: size(bench.depth),
        warm_up: bench.warmup,
        length: Length::Duration(bench.duration),
        timeout: bench.server.timeout,
        spin: bench.spin,
        ..Plan::new(address)
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Refuses, before any record is written, what this host or the server would refuse after that.
fn check(bench: &Bench) -> Result<(), Failure> {
    let files = sutra_server::allow_all_files().unwrap_or(u64::MAX);
    if bench.connections + OTHER_FILES > files {
        return Err(Failure::Host(format!(
            "--connections {}: this process may open {files} files; use fewer connections, or raise the limit (`ulimit -n`)",
            bench.connections
        )));
    }
    let info = connect::runtime()?.block_on(async { Ok::<_, Failure>(connect::to(&bench.server).await?.server()) })?;
    if bench.depth > u64::from(info.max_in_flight) {
        return Err(Failure::Usage(format!(
            "--depth {}: the server takes {} requests at a time on a connection; use that many at most",
            bench.depth, info.max_in_flight
        )));
    }
    let record = size(bench.content_bytes) + size(bench.dimension) * size_of::<f32>() + RECORD_BYTES;
    if record > info.max_payload as usize {
        return Err(Failure::Usage(format!(
            "--content-bytes {} and --dimension {}: the server takes records of {} bytes at most",
            bench.content_bytes, bench.dimension, info.max_payload
        )));
    }
    Ok(())
}

/// The first address that the name stands for.
fn resolve(server: &str) -> Result<SocketAddr, Failure> {
    let endpoint: Endpoint = server.parse()?;
    let mut found = endpoint
        .to_string()
        .to_socket_addrs()
        .map_err(|error| Failure::Host(format!("cannot find {endpoint}: {error}; is its name right?")))?;
    found.next().ok_or_else(|| Failure::Host(format!("{endpoint} has no address")))
}

/// Concepts of the bench. Their names hold how many there are, so that benches of other sizes don't share associations.
fn keys(bench: &Bench, space: KeySpace) -> Keys {
    Keys::new(format!("bench{}", bench.records), space)
}

fn learn(bench: &Bench, space: KeySpace) -> Learn {
    Learn::new(NAMESPACE, keys(bench, space), size(bench.content_bytes), size(bench.dimension))
}

fn associate(bench: &Bench, space: KeySpace) -> Associate {
    Associate::new(NAMESPACE, keys(bench, space), bench.records, EACH)
}

fn workload(bench: &Bench) -> Box<dyn Workload> {
    let records = bench.records;
    match bench.operation {
        Operation::Query => {
            let length = learn(bench, KeySpace::Once(0)).archived_bytes();
            Box::new(Query::new(NAMESPACE, keys(bench, KeySpace::Random(records)), Some(length)))
        }
        Operation::Learn => Box::new(learn(bench, KeySpace::Cycling(records))),
        Operation::Associate => Box::new(associate(bench, KeySpace::Cycling(records))),
        Operation::Neighbors => {
            let both_ways = usize::try_from(2 * EACH).ok();
            Box::new(Neighbors::new(NAMESPACE, keys(bench, KeySpace::Random(records)), both_ways))
        }
        Operation::Health => Box::new(Health),
    }
}

/// Writes what the operation will ask for.
fn prepare(bench: &Bench, address: SocketAddr, output: Output) -> Result<(), Failure> {
    if bench.operation == Operation::Health {
        return Ok(());
    }
    output.note(&format!("preparing {} records …", grouped(bench.records)));
    let once = || KeySpace::Once(bench.records);
    all_written(&write_all(bench, address, learn(bench, once()))?)?;
    if bench.operation == Operation::Neighbors {
        all_written(&write_all(bench, address, associate(bench, once()))?)?;
    }
    Ok(())
}

fn write_all(bench: &Bench, address: SocketAddr, workload: impl Workload) -> Result<Report, Failure> {
    let (connections, depth) = PREPARING;
    let length = Length::Requests(u64::MAX);
    let plan = Plan {
        connections,
        depth,
        warm_up: Duration::ZERO,
        length,
        timeout: bench.server.timeout,
        ..Plan::new(address)
    };
    Ok(sutra_load::run(&plan, vec![workload], None)?)
}

/// A bench on records that are not there would measure the wrong thing.
fn all_written(report: &Report) -> Result<(), Failure> {
    match &report.last_refusal {
        None => Ok(()),
        Some(words) => Err(Failure::Host(format!("the server refused to store the records of the bench: {words}"))),
    }
}
