//! Vector search by everybody who has it: ours over the socket, servers that scan, and in this
//! process the index library that ours uses and an exact scan as fast as one thread makes it.
//!
//! Who scans over a socket runs on the server's CPU, and so does what runs in this process. Recall
//! is counted over the answers that are measured. A folder of vectors that can't be read ends the
//! run before anything is measured.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use sutra_client::blocking::Client;
use sutra_load::{
    CpuTime, Learn, LegacyLearn, LegacySearch, Length, Measured as Run, Plan, Recall, Report, Search, ServerCpu,
    Workload,
};
use sutra_wire::{ConceptId, CoreLayout};
use usearch::Index;

use super::contender::{Contender, Instance, Setup, Timing, printed, said};
use super::fairness::{Used, Watched};
use super::peers;
use super::record::{Cell, Described, Searched, Shape};
use super::rounds::{self, Measured, fair_round};
use super::vector_data::{Scan, Vectors, id};
use crate::Outcome;
use crate::process::{Running, target_folder};
use crate::search::wait_until_indexed;
use crate::vectors::{K, library};

/// Names of rows that are no server's own.
pub(crate) const LIBRARY: &str = "index library, in-process";
const SCAN: &str = "exact scan, in-process";
const TITLE: &str = "Vector search";
/// Loads over the socket.
const SHAPES: [(usize, usize); 2] = [(1, 1), (16, 1)];
/// Beyond so many vectors a scan takes so long that a figure needs more time.
const MANY: usize = 20_000;
/// Queries by which a server that scans is judged.
const JUDGED: usize = 50;
/// Shards with fewer vectors build no index, and are scanned (the store's own constant).
pub(crate) const MIN_INDEXED: u64 = 1024;
const SERVERS: [Instance; 3] = [Instance::Sutra, Instance::OldUnsynced, Instance::Grpc];

/// What was measured, and who stood there.
pub(crate) struct Found {
    pub(crate) searched: Vec<Searched>,
    pub(crate) contenders: Vec<Described>,
    pub(crate) problems: Vec<String>,
}

/// Who searches.
enum Searcher {
    Server(Instance),
    Library(Index),
    Scan(Scan),
}

/// A row of the table.
struct Entrant {
    at: usize,
    cell: Cell,
    recall: Arc<Recall>,
}

pub(crate) fn measure(vectors: &Vectors, setup: &Setup, timing: Timing, rounds: usize, anew: bool) -> Outcome<Found> {
    let timing = if vectors.count() > MANY { Timing { measured: timing.measured * 3, ..timing } } else { timing };
    let files = Files::write(vectors)?;
    let ids = vectors.true_ids()?;
    eprintln!("{TITLE}: filling {} vectors", vectors.count());
    let mut servers = SERVERS.map(|instance| {
        (instance, Contender::start_with(instance, setup, |running| fill(instance, running, vectors, &files)))
    });
    let mut searchers = vec![(SCAN, Searcher::Scan(Scan::new(&vectors.rows)))];
    searchers.push((LIBRARY, Searcher::Library(library(&vectors.rows)?)));
    searchers.extend(servers.iter().filter(|(_, server)| server.is_there()).map(|(instance, _)| name(*instance)));
    let mut entrants = Vec::new();
    for (at, (name, searcher)) in searchers.iter().enumerate() {
        let shapes = if matches!(searcher, Searcher::Server(_)) { &SHAPES[..] } else { &SHAPES[..1] };
        entrants.extend(shapes.iter().map(|shape| Entrant {
            at,
            cell: Cell::new(name, Shape::closed(*shape)),
            recall: Arc::new(Recall::new(&ids)),
        }));
    }
    for round in 0..rounds {
        eprintln!("{TITLE}: round {} of {rounds}", round + 1);
        if round > 0 && anew {
            for (instance, server) in &mut servers {
                server.renew_with(setup, |running| fill(*instance, running, vectors, &files));
            }
        }
        for shape in SHAPES {
            let mut turns: Vec<_> =
                entrants.iter_mut().filter(|entrant| entrant.cell.shape == Shape::closed(shape)).collect();
            turns.shuffle(&mut rand::rng());
            for Entrant { at, cell, recall } in turns {
                let shape = cell.shape;
                fair_round(cell, || match &searchers[*at].1 {
                    Searcher::Scan(scan) => here(setup, timing, &vectors.queries, recall, |query| {
                        scan.nearest(query).into_iter().map(id).collect()
                    }),
                    Searcher::Library(index) => here(setup, timing, &vectors.queries, recall, |query| {
                        index.search(query, K)?.keys.into_iter().map(|key| id(u32::try_from(key)?)).collect()
                    }),
                    Searcher::Server(instance) => {
                        let place = servers.iter_mut().find(|(server, _)| server == instance);
                        let (_, server) = place.ok_or("every searcher has its server")?;
                        server.take_turn(|running| {
                            let asked = Asked { instance: *instance, shape, recall, vectors, files: &files };
                            rounds::watched(running, setup, || asked.ask(running, setup, timing))
                        })
                    }
                });
            }
        }
    }
    if let Some((_, server)) = servers.iter_mut().find(|(instance, _)| *instance == Instance::Grpc)
        && let Some(entrant) = entrants.iter().find(|entrant| entrant.cell.contender == Instance::Grpc.name())
        && entrant.cell.failed.is_none()
    {
        server.take_turn(|running| judge_grpc(running, &files, &entrant.recall))?;
    }
    let problems = entrants.iter().filter_map(|entrant| rounds::problem(TITLE, &entrant.cell)).collect();
    let searched = entrants.into_iter().map(|Entrant { cell, recall, .. }| Searched {
        vectors: vectors.count(),
        recall: recall.share(),
        cell,
    });
    Ok(Found { searched: searched.collect(), contenders: described(vectors), problems })
}

fn name(instance: Instance) -> (&'static str, Searcher) {
    (instance.name(), Searcher::Server(instance))
}

/// Files through which the gRPC contender's program is given the vectors and the queries, gone when
/// dropped: rows of 32-bit floats.
struct Files {
    folder: tempfile::TempDir,
    columns: usize,
}

impl Files {
    fn write(vectors: &Vectors) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target_folder()?)?;
        let bytes =
            |rows: &[Vec<f32>]| -> Vec<u8> { rows.iter().flatten().flat_map(|number| number.to_le_bytes()).collect() };
        std::fs::write(folder.path().join("rows"), bytes(&vectors.rows))?;
        std::fs::write(folder.path().join("queries"), bytes(&vectors.queries))?;
        std::fs::write(folder.path().join("judged"), bytes(&vectors.queries[..JUDGED.min(vectors.queries.len())]))?;
        Ok(Self { folder, columns: vectors.rows.first().map_or(0, Vec::len) })
    }

    fn name_in(&self, command: &mut Command, file: &str) {
        command.arg("--vectors").arg(self.folder.path().join(file));
        command.args(["--dimension", &self.columns.to_string()]);
    }
}

fn fill(instance: Instance, running: &Running, vectors: &Vectors, files: &Files) -> Outcome {
    let (keys, rows) = (Vectors::keys(vectors.count()), Arc::clone(&vectors.rows));
    match instance {
        Instance::Grpc => {
            let mut command = Command::new(peers::grpc_binary()?);
            command.args(["fill", "--address", &running.address.to_string()]);
            files.name_in(&mut command, "rows");
            said(command).map(drop)
        }
        Instance::OldUnsynced => learn(running, Box::new(LegacyLearn::with_embeddings(keys, rows)), vectors.count()),
        _ => learn_and_index(running, "", &vectors.rows, 1),
    }
}

/// Has our server of so many cores learn the vectors, and waits until its indexes have all that
/// they will have.
pub(crate) fn learn_and_index(running: &Running, namespace: &str, rows: &Arc<Vec<Vec<f32>>>, cores: u16) -> Outcome {
    let learned = Learn::with_embeddings(namespace, Vectors::keys(rows.len()), Arc::clone(rows));
    learn(running, Box::new(learned), rows.len())?;
    wait_until_indexed(&Client::connect(running.address.to_string())?, unindexed(rows.len(), cores)?)?;
    Ok(())
}

/// How many of so many vectors lie on cores that have too few for an index.
fn unindexed(vectors: usize, cores: u16) -> Outcome<u64> {
    let layout = CoreLayout::new(cores);
    let mut by_core = vec![0; usize::from(cores)];
    for row in 0..u32::try_from(vectors)? {
        by_core[usize::from(layout.owner(&id(row)?))] += 1;
    }
    Ok(by_core.into_iter().filter(|count| *count < MIN_INDEXED).sum())
}

fn learn(running: &Running, workload: Box<dyn Workload>, count: usize) -> Outcome {
    let length = Length::Requests(count as u64);
    let plan = Plan { depth: 64, warm_up: Duration::ZERO, length, ..Plan::new(running.address) };
    let report = sutra_load::run(&plan, vec![workload], None)?;
    if report.requests != count as u64 {
        return Err(format!("{} of {count} vectors were taken: {report}", report.requests).into());
    }
    Ok(())
}

/// A server's searches under one load.
struct Asked<'a> {
    instance: Instance,
    shape: Shape,
    recall: &'a Arc<Recall>,
    vectors: &'a Vectors,
    files: &'a Files,
}

impl Asked<'_> {
    fn ask(&self, running: &Running, setup: &Setup, timing: Timing) -> Outcome<Report> {
        if self.instance == Instance::Grpc {
            return self.ask_grpc(running, setup, timing);
        }
        let plan = Plan {
            connections: self.shape.connections,
            depth: self.shape.depth,
            warm_up: timing.warm_up,
            length: Length::Duration(timing.measured),
            pin: vec![setup.load_cpu],
            ..Plan::new(running.address)
        };
        let (queries, recall) = (&self.vectors.queries, Arc::clone(self.recall));
        let workload: Box<dyn Workload> = match self.instance {
            Instance::OldUnsynced => Box::new(LegacySearch::new(queries, K as u8, recall)),
            _ => Box::new(Search::new("", queries, K as u32, 0).judged_by(recall)),
        };
        Ok(sutra_load::run(&plan, vec![workload], Some(ServerCpu::of_process(running.pid())))?)
    }

    fn ask_grpc(&self, running: &Running, setup: &Setup, timing: Timing) -> Outcome<Report> {
        let mut command = Command::new(peers::grpc_binary()?);
        command.args(["load", "--operation", "search", "--address", &running.address.to_string()]);
        command.args(["--connections", &self.shape.connections.to_string(), "--depth", &self.shape.depth.to_string()]);
        command.args(["--seconds", &timing.measured.as_secs_f64().to_string()]);
        command.args(["--warm-up", &timing.warm_up.as_secs_f64().to_string()]);
        command.args(["--cpu", &setup.load_cpu.to_string(), "--server-pid", &running.pid().to_string()]);
        self.files.name_in(&mut command, "queries");
        printed(command)
    }
}

/// Has the gRPC server answer some of the queries once more: its load counts hits and no recall.
fn judge_grpc(running: &Running, files: &Files, recall: &Recall) -> Outcome {
    let mut command = Command::new(peers::grpc_binary()?);
    command.args(["search", "--address", &running.address.to_string()]);
    files.name_in(&mut command, "judged");
    for (query, found) in printed::<Vec<Vec<String>>>(command)?.into_iter().enumerate() {
        recall.count(query, found.iter().filter_map(|id| ConceptId::from_digits(id)));
    }
    Ok(())
}

/// Searches in this process, on the server's CPU, one after the other for as long as a load would.
fn here(
    setup: &Setup,
    timing: Timing,
    queries: &[Vec<f32>],
    recall: &Recall,
    search: impl FnMut(&[f32]) -> Outcome<Vec<ConceptId>>,
) -> Outcome<Measured> {
    peers::on_cpu(setup.server_cpu, || -> Outcome<Measured> {
        let (watched, before) = (Watched::begin(setup.server_cpu)?, thread_cpu());
        let run = search_for(timing, queries, recall, search)?;
        let watch = watched.end()?;
        let own = (thread_cpu() - before) as f64 / 1e9;
        let own = Used { user: own, total: own };
        let plan = Plan { length: Length::Duration(timing.measured), ..Plan::new(([127, 0, 0, 1], 0).into()) };
        let report = Report::of("search", &plan, &[run]);
        rounds::check(&report)?;
        Ok(Measured { report, starved: watch.starved("search", own), bound_by_load: false })
    })?
}

fn search_for(
    timing: Timing,
    queries: &[Vec<f32>],
    recall: &Recall,
    mut search: impl FnMut(&[f32]) -> Outcome<Vec<ConceptId>>,
) -> Outcome<Run> {
    let mut run = Run::new();
    let mut asked = queries.iter().enumerate().cycle();
    let began = Instant::now();
    while let Some((_, query)) = asked.next().filter(|_| began.elapsed() < timing.warm_up) {
        search(query)?;
    }
    let cpu = || CpuTime { total: thread_cpu(), ..CpuTime::default() };
    let (since, before) = (Instant::now(), cpu());
    while let Some((number, query)) = asked.next().filter(|_| since.elapsed() < timing.measured) {
        let start = Instant::now();
        let found = search(query)?;
        run.latencies.saturating_record(start.elapsed().as_nanos() as u64);
        run.answered += 1;
        if found.len() != K {
            return Err(format!("expected {K} hits, got {}", found.len()).into());
        }
        recall.count(number, found.into_iter());
    }
    run.seconds = since.elapsed().as_secs_f64();
    run.cpu = Some((before, cpu()));
    Ok(run)
}

/// CPU time that this thread has used, in ns.
fn thread_cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Those of this table that are no server of the others.
fn described(vectors: &Vectors) -> Vec<Described> {
    let one = |name: &str, what: &str, settings: &[(&str, &str)], missing| Described {
        name: name.to_owned(),
        what: what.to_owned(),
        settings: settings.iter().map(|(setting, why)| ((*setting).to_owned(), (*why).to_owned())).collect(),
        missing,
    };
    let source = if vectors.is_held_out { "held-out rows as queries" } else { "the folder's own queries" };
    vec![
        one(
            LIBRARY,
            "usearch, which our index stands on, called without a server",
            &[
                ("our parameters, its own rounding to 8 bits", "what is left is what a server adds"),
                (source, "for all"),
            ],
            None,
        ),
        one(
            SCAN,
            "every vector's product with the query in 32-bit floats, one piece of memory, the CPU's widest instructions",
            &[(
                "single precision, one thread",
                "what the best loop over so few vectors does; one CPU, as every contender",
            )],
            None,
        ),
        one("pgvector", "PostgreSQL's vector extension", &[], Some(pgvector())),
    ]
}

/// Why pgvector is not measured. Even where it is installed: its protocol is none that this program
/// speaks.
fn pgvector() -> String {
    let Ok(version) = peers::version("psql") else { return "PostgreSQL is not installed".to_owned() };
    let folder = Command::new("pg_config")
        .arg("--sharedir")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok());
    match folder {
        Some(folder) if Path::new(folder.trim()).join("extension/vector.control").exists() => {
            format!("{version} and its extension are installed, but this program does not speak PostgreSQL's protocol")
        }
        _ => format!(
            "{version} is installed, its extension `vector` is not; the library and the scan in this process stand in"
        ),
    }
}
