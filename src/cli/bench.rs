//! `sutra bench`: closed-loop load on a running server, and what it answered: throughput,
//! latencies, CPU a request.
//!
//! Promises: its records lie in a namespace of its own and have names that no other bench's have;
//! at the end, however it comes, they are deleted again, or it is said that they are not. The first
//! signal ends it in order: what was measured until then is shown.

pub(crate) mod args;

use std::hash::{BuildHasher, RandomState};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use serde_json::json;
use sutra_client::{Client, Endpoint};
use sutra_load::{
    Associate, Health, KeySpace, Keys, Learn, Length, Neighbors, Plan, ProfileSoFar, Query, Report,
    ServerCpu, Workload, key_name,
};
use tokio::task::JoinSet;

use crate::connect;
use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::signals;
use crate::words::counted;
use args::Operation;

/// Associations from each concept: to the next so many, in a ring.
const EACH: u64 = 4;
/// Files that are open beside the connections of the load: the standard streams, epoll, the
/// resolver's and some to spare.
const OTHER_FILES: u64 = 32;
/// What a record takes beside content and embedding at most.
const RECORD_BYTES: usize = 1024;
/// Connections and depth with which records are prepared: enough to fill group commits.
const PREPARING: (usize, usize) = (8, 64);
/// Deletions under way at a time.
const DELETING: usize = 512;

pub(crate) fn run(bench: &args::Bench, output: Output) -> Result<Answer, Failure> {
    let address = resolve(&bench.server.address)?;
    check(bench)?;
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI32::new(0)));
    let (stopping, signalled, left) =
        (Arc::clone(&stop), Arc::clone(&asked), namespace(bench.dimension));
    signals::heed(move |signal| {
        signalled.store(signal, Ordering::Relaxed);
        let is_first = !stopping.swap(true, Ordering::Relaxed);
        output.note(&match is_first {
            true => "interrupted: what was measured follows, and the records go; \
                     a second signal ends at once"
                .into(),
            false => {
                format!("ended at once: records of the bench may be left in the namespace {left}")
            }
        });
        is_first
    })?;
    let prefix = format!("bench-{:016x}", RandomState::new().hash_one(std::process::id()));
    let bench = Bench {
        asked: bench,
        address,
        namespace: namespace(bench.dimension),
        prefix,
        stop,
        output,
    };
    let measured = bench.measure();
    let cleaned = bench.clean_up();
    match &measured {
        Ok(Some(report)) => output.answer(report, || report.to_string())?,
        Ok(None) => {
            let value = json!({ "interrupted": true, "requests": 0 });
            output.answer(&value, || "interrupted before anything was measured".into())?;
        }
        Err(_) => {}
    }
    if let Err(failure) = cleaned {
        let problem = format!(
            "the records of the bench stay in the namespace {}: {failure}",
            bench.namespace
        );
        output.note(&problem);
        if measured.is_ok() {
            return Err(Failure::Host(problem));
        }
    }
    let report = measured?;
    match asked.load(Ordering::Relaxed) {
        0 => Ok(if report.is_some_and(|report| report.requests > 0) {
            Answer::Yes
        } else {
            Answer::No
        }),
        signal => Ok(Answer::Interrupted(signal)),
    }
}

/// Where the records of a bench lie, out of the way of others: a namespace has vectors of one
/// length, so each length has one.
fn namespace(dimension: u64) -> String {
    if dimension == 0 { "sutra-bench".into() } else { format!("sutra-bench-{dimension}") }
}

/// A bench under way.
struct Bench<'a> {
    asked: &'a args::Bench,
    address: SocketAddr,
    namespace: String,
    /// What the names of its records begin with.
    prefix: String,
    stop: Arc<AtomicBool>,
    output: Output,
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Refuses, before any record is written, what this host or the server would refuse after that.
fn check(bench: &args::Bench) -> Result<(), Failure> {
    let files = sutra_server::allow_all_files().unwrap_or(u64::MAX);
    if bench.connections + OTHER_FILES > files {
        return Err(Failure::Host(format!(
            "--connections {}: this process may open {files} files; \
             use fewer connections, or raise the limit (`ulimit -n`)",
            bench.connections
        )));
    }
    let info = connect::runtime()?
        .block_on(async { Ok::<_, Failure>(connect::to(&bench.server).await?.server()) })?;
    if bench.depth > u64::from(info.max_in_flight) {
        return Err(Failure::Host(format!(
            "--depth {}: the server takes {} at a time on a connection; use that many at most",
            bench.depth,
            counted(info.max_in_flight.into(), "request")
        )));
    }
    let record =
        size(bench.content_bytes) + size(bench.dimension) * size_of::<f32>() + RECORD_BYTES;
    if record > info.max_payload as usize {
        return Err(Failure::Host(format!(
            "--content-bytes {} and --dimension {}: the server takes records of {} bytes at most",
            bench.content_bytes, bench.dimension, info.max_payload
        )));
    }
    Ok(())
}

/// The first address that the name stands for.
fn resolve(server: &str) -> Result<SocketAddr, Failure> {
    let endpoint: Endpoint = server.parse()?;
    let mut found = endpoint.to_string().to_socket_addrs().map_err(|error| {
        Failure::Host(format!("cannot find {endpoint}: {error}; is its name right?"))
    })?;
    found.next().ok_or_else(|| Failure::Host(format!("{endpoint} has no address")))
}

impl Bench<'_> {
    /// Prepares and measures; nothing where it was told to end before it measured.
    fn measure(&self) -> Result<Option<Report>, Failure> {
        self.prepare()?;
        if self.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let timeout = self.asked.server.timeout;
        let cpu = ServerCpu::of_server(self.address, timeout)?;
        let read =
            || self.asked.profile.then(|| ProfileSoFar::read(self.address, timeout)).transpose();
        let before = read()?;
        let mut report = sutra_load::run(&self.plan(), vec![self.workload()], Some(cpu))?;
        if let Some((before, after)) = before.zip(read()?) {
            report.profile = before.until(&after);
            // It may have been while the load warmed up.
            report.server_changed |= report.profile.is_none();
        }
        Ok(Some(report))
    }

    fn plan(&self) -> Plan {
        let bench = self.asked;
        Plan {
            connections: size(bench.connections),
            depth: size(bench.depth),
            warm_up: bench.warmup,
            length: Length::Duration(bench.duration),
            timeout: bench.server.timeout,
            spin: bench.spin,
            stop: Arc::clone(&self.stop),
            ..Plan::new(self.address)
        }
    }

    fn keys(&self, space: KeySpace) -> Keys {
        Keys::new(self.prefix.as_str(), space)
    }

    fn learn(&self, space: KeySpace) -> Learn {
        Learn::new(
            &self.namespace,
            self.keys(space),
            size(self.asked.content_bytes),
            size(self.asked.dimension),
        )
    }

    fn associate(&self, space: KeySpace) -> Associate {
        Associate::new(&self.namespace, self.keys(space), self.asked.records, EACH)
    }

    fn workload(&self) -> Box<dyn Workload> {
        let records = self.asked.records;
        match self.asked.operation {
            Operation::Query => {
                let length = self.learn(KeySpace::Once(0)).archived_bytes();
                Box::new(Query::new(
                    &self.namespace,
                    self.keys(KeySpace::Random(records)),
                    Some(length),
                ))
            }
            Operation::Learn => Box::new(self.learn(KeySpace::Cycling(records))),
            Operation::Associate => Box::new(self.associate(KeySpace::Cycling(records))),
            Operation::Neighbors => {
                let both_ways = usize::try_from(2 * EACH).ok();
                Box::new(Neighbors::new(
                    &self.namespace,
                    self.keys(KeySpace::Random(records)),
                    both_ways,
                ))
            }
            Operation::Health => Box::new(Health),
        }
    }

    fn has_records(&self) -> bool {
        self.asked.operation != Operation::Health
    }

    /// Writes what the operation will ask for.
    fn prepare(&self) -> Result<(), Failure> {
        if !self.has_records() {
            return Ok(());
        }
        self.output.note(&format!("preparing {} …", counted(self.asked.records, "record")));
        let once = || KeySpace::Once(self.asked.records);
        all_written(&self.write_all(self.learn(once()))?)?;
        if self.asked.operation == Operation::Neighbors {
            all_written(&self.write_all(self.associate(once()))?)?;
        }
        Ok(())
    }

    fn write_all(&self, workload: impl Workload) -> Result<Report, Failure> {
        let (connections, depth) = PREPARING;
        let length = Length::Requests(u64::MAX);
        let timeout = self.asked.server.timeout;
        let (warm_up, stop) = (Duration::ZERO, Arc::clone(&self.stop));
        let plan =
            Plan { connections, depth, warm_up, length, timeout, stop, ..Plan::new(self.address) };
        Ok(sutra_load::run(&plan, vec![workload], None)?)
    }

    /// Deletes what it has written, with the associations.
    fn clean_up(&self) -> Result<(), Failure> {
        if !self.has_records() {
            return Ok(());
        }
        self.output.note("removing them …");
        connect::runtime()?.block_on(async {
            let client = connect::to(&self.asked.server).await?.namespace(&self.namespace);
            let mut deleting = JoinSet::new();
            for number in 0..self.asked.records {
                if deleting.len() >= DELETING {
                    finished(&mut deleting).await?;
                }
                let (client, name): (Client, _) = (client.clone(), key_name(&self.prefix, number));
                deleting.spawn(async move { client.delete(name).await.map(drop) });
            }
            while !deleting.is_empty() {
                finished(&mut deleting).await?;
            }
            Ok(())
        })
    }
}

/// Waits for one deletion.
async fn finished(
    deleting: &mut JoinSet<Result<(), sutra_client::ClientError>>,
) -> Result<(), Failure> {
    let ended = deleting.join_next().await;
    ended.map_or(Ok(()), |ended| {
        ended
            .map_err(|error| Failure::Host(format!("a deletion was lost: {error}")))?
            .map_err(Failure::from)
    })
}

/// A bench on records that are not there would measure the wrong thing.
fn all_written(report: &Report) -> Result<(), Failure> {
    match &report.last_refusal {
        None => Ok(()),
        Some(words) => Err(Failure::Host(format!(
            "the server refused to store the records of the bench: {words}"
        ))),
    }
}
