//! Vector search by all contenders that have it: ours over the socket, servers that scan, and two
//! that run in this process. Those are the index library that ours uses, and an exact scan as fast
//! as one thread makes it.
//!
//! All of them run on the server's CPU, also those in this process. Recall is counted over the
//! answers that are measured; for gRPC it is counted over further queries. A folder of vectors that
//! can't be read ends the run before anything is measured.

use std::sync::Arc;
use std::time::Instant;

use sutra_load::{
    CpuTime, LegacyLearn, LegacySearch, Measured as Run, Recall, Report, Search, ServerCpu,
    Workload,
};
use sutra_wire::ConceptId;
use tempfile::TempDir;
use usearch::Index;

use super::ask::{ask_grpc, grpc, write_all};
use super::cell::{Cell, Shape};
use super::contenders::{Contender, GRPC, OLD_UNSYNCED, Protocol, SUTRA};
use super::fairness::{Fair, Measured, Used, Watched, check};
use super::library::library;
use super::record::{Described, Searched};
use super::rounds::{go_round, problem, watched};
use super::server::Server;
use super::setup::{Setup, Timing};
use super::vector_data::{K, Scan, Vectors, id, learn_and_index};
use crate::Outcome;
use crate::process::{Running, folder, on_cpu, printed, said};

/// Names of rows that differ from a server's own.
const LIBRARY: &str = "index library, in-process";
const SCAN: &str = "exact scan, in-process";
const WIDER: &str = "sutra, `ef_search` 400";
const TITLE: &str = "Vector search";
/// Why pgvector is not measured, even where it is installed.
const UNSPOKEN: &str = "this program does not speak PostgreSQL's protocol; \
                        the library and the scan in this process stand in";
/// Loads over the socket.
const SHAPES: [(usize, usize); 2] = [(1, 1), (16, 1)];
/// With more vectors than this, a scan takes so long that a figure needs more time.
const MANY: usize = 20_000;
/// How many queries the gRPC server's recall is counted over.
const JUDGED: usize = 50;

/// What was measured, and the contenders that only this table has.
pub(crate) struct Found {
    pub(crate) searched: Vec<Searched>,
    pub(crate) contenders: Vec<Described>,
    pub(crate) problems: Vec<String>,
}

/// Who searches.
enum Searcher {
    /// The server with this place in the field, and the index width that ours is asked for (0 for
    /// its own).
    Server(usize, u32),
    Library(Index),
    Scan(Scan),
}

/// A row of the table.
struct Entrant {
    /// The place of its searcher in the field.
    at: usize,
    recall: Arc<Recall>,
}

/// All that search, and what they search.
struct Field<'a> {
    vectors: &'a Vectors,
    files: Files,
    setup: &'a Setup,
    timing: Timing,
    servers: Vec<Server>,
    searchers: Vec<(&'static str, Searcher)>,
}

pub(crate) fn measure(
    vectors: &Vectors,
    setup: &Setup,
    timing: Timing,
    rounds: usize,
    anew: bool,
) -> Outcome<Found> {
    let timing = if vectors.count() > MANY {
        Timing { measured: timing.measured * 3, ..timing }
    } else {
        timing
    };
    let mut field = Field::start(vectors, setup, timing)?;
    let ids = vectors.true_ids()?;
    let mut cells = Vec::new();
    for (at, (name, searcher)) in field.searchers.iter().enumerate() {
        let shapes =
            if matches!(searcher, Searcher::Server(..)) { &SHAPES[..] } else { &SHAPES[..1] };
        let cell = |shape: &(usize, usize)| {
            (
                Entrant { at, recall: Arc::new(Recall::new(&ids)) },
                Cell::new(name, Shape::closed(*shape)),
            )
        };
        cells.extend(shapes.iter().map(cell));
    }
    let renew = |field: &mut Field<'_>| {
        if anew {
            field.renew();
        }
    };
    go_round(TITLE, rounds, &mut field, &mut cells, renew, |field, entrant, shape| {
        field.search(entrant.at, shape, &entrant.recall)
    });
    field.judge_grpc(&cells)?;
    let problems = cells.iter().filter_map(|(_, cell)| problem(TITLE, cell)).collect();
    let searched = |(Entrant { recall, .. }, cell): (Entrant, Cell)| Searched {
        vectors: vectors.count(),
        recall: recall.share(),
        cell,
    };
    Ok(Found {
        searched: cells.into_iter().map(searched).collect(),
        contenders: described(vectors),
        problems,
    })
}

impl<'a> Field<'a> {
    fn start(vectors: &'a Vectors, setup: &'a Setup, timing: Timing) -> Outcome<Self> {
        let files = Files::write(vectors)?;
        eprintln!("{TITLE}: filling {} vectors", vectors.count());
        let start = |contender: &'static Contender| {
            Server::start(contender, setup, |running| fill(contender, running, vectors, &files))
        };
        let servers: Vec<_> = [&SUTRA, &OLD_UNSYNCED, &GRPC].into_iter().map(start).collect();
        let mut searchers = vec![
            (SCAN, Searcher::Scan(Scan::new(&vectors.rows))),
            (LIBRARY, Searcher::Library(library(&vectors.rows)?)),
        ];
        let there = servers.iter().enumerate().filter(|(_, server)| server.is_there());
        searchers
            .extend(there.map(|(at, server)| (server.contender().name, Searcher::Server(at, 0))));
        if servers[0].is_there() {
            searchers.push((WIDER, Searcher::Server(0, 400)));
        }
        Ok(Self { vectors, files, setup, timing, servers, searchers })
    }

    fn renew(&mut self) {
        for server in &mut self.servers {
            let contender = server.contender();
            server.renew(self.setup, |running| fill(contender, running, self.vectors, &self.files));
        }
    }

    fn search(&mut self, at: usize, shape: Shape, recall: &Arc<Recall>) -> Outcome<Fair<Measured>> {
        let Self { vectors, files, setup, timing, servers, searchers } = self;
        match &searchers[at].1 {
            Searcher::Scan(scan) => here(setup, *timing, &vectors.queries, recall, |query| {
                scan.nearest(query).into_iter().map(id).collect()
            }),
            Searcher::Library(index) => here(setup, *timing, &vectors.queries, recall, |query| {
                index
                    .search(query, K)?
                    .keys
                    .into_iter()
                    .map(|key| id(u32::try_from(key)?))
                    .collect()
            }),
            Searcher::Server(at, width) => {
                let contender = servers[*at].contender();
                servers[*at].take_turn(|running| {
                    watched(running, setup, || {
                        let workload: Box<dyn Workload> = match contender.protocol {
                            Protocol::Grpc => {
                                let more = files.named("queries");
                                let more: Vec<_> = more.iter().map(String::as_str).collect();
                                return ask_grpc(running, "search", shape, *timing, setup, &more);
                            }
                            Protocol::Old => Box::new(LegacySearch::new(
                                &vectors.queries,
                                K as u8,
                                Arc::clone(recall),
                            )),
                            _ => Box::new(
                                Search::new("", &vectors.queries, K as u32, *width)
                                    .judged_by(Arc::clone(recall)),
                            ),
                        };
                        let cpu = ServerCpu::of_process(running.pid());
                        Ok(sutra_load::run(
                            &setup.plan(running.address, shape, *timing),
                            vec![workload],
                            Some(cpu),
                        )?)
                    })
                })
            }
        }
    }

    /// Has the gRPC server answer some of the queries once more, to count its recall: its load only
    /// counts how many hits an answer has.
    fn judge_grpc(&mut self, cells: &[(Entrant, Cell)]) -> Outcome {
        let is_grpc =
            |(_, cell): &&(Entrant, Cell)| cell.contender == GRPC.name && cell.failed.is_none();
        let Some((entrant, _)) = cells.iter().find(is_grpc) else { return Ok(()) };
        let files = &self.files;
        let server = self.servers.iter_mut().find(|server| server.contender().name == GRPC.name);
        server.ok_or("gRPC has no server")?.take_turn(|running| {
            let mut command = grpc("search", running.address)?;
            command.args(files.named("judged"));
            for (query, found) in printed::<Vec<Vec<String>>>(command)?.into_iter().enumerate() {
                entrant
                    .recall
                    .count(query, found.iter().filter_map(|id| ConceptId::from_digits(id)));
            }
            Ok(())
        })
    }
}

/// Files with the vectors and the queries for the gRPC contender's program, as rows of 32-bit
/// floats. They are removed when this is dropped.
struct Files {
    folder: TempDir,
    columns: usize,
}

impl Files {
    fn write(vectors: &Vectors) -> Outcome<Self> {
        let folder = folder()?;
        let judged = &vectors.queries[..JUDGED.min(vectors.queries.len())];
        for (name, rows) in
            [("rows", &vectors.rows[..]), ("queries", &vectors.queries), ("judged", judged)]
        {
            let bytes: Vec<u8> =
                rows.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
            std::fs::write(folder.path().join(name), bytes)?;
        }
        Ok(Self { folder, columns: vectors.rows.first().map_or(0, Vec::len) })
    }

    /// The program's arguments that name one of the files.
    fn named(&self, file: &str) -> [String; 4] {
        let path = self.folder.path().join(file).display().to_string();
        ["--vectors".to_owned(), path, "--dimension".to_owned(), self.columns.to_string()]
    }
}

fn fill(contender: &Contender, running: &Running, vectors: &Vectors, files: &Files) -> Outcome {
    let rows = Arc::clone(&vectors.rows);
    match contender.protocol {
        Protocol::Grpc => {
            let mut command = grpc("fill", running.address)?;
            command.args(files.named("rows"));
            said(command).map(drop)
        }
        Protocol::Old => {
            let learned = LegacyLearn::with_embeddings(Vectors::keys(vectors.count()), rows);
            write_all(running, Box::new(learned), vectors.count() as u64)
        }
        _ => learn_and_index(running, "", &rows, 1),
    }
}

/// Searches in this process, on the server's CPU, one search after the other, for as long as a load
/// would.
fn here(
    setup: &Setup,
    timing: Timing,
    queries: &[Vec<f32>],
    recall: &Recall,
    search: impl FnMut(&[f32]) -> Outcome<Vec<ConceptId>>,
) -> Outcome<Fair<Measured>> {
    on_cpu(setup.server_cpu, || {
        let (watched, before) = (Watched::begin(setup.server_cpu)?, thread_cpu());
        let run = search_for(timing, queries, recall, search)?;
        let watch = watched.end()?;
        let own = (thread_cpu() - before) as f64 / 1e9;
        let own = Used { user: own, total: own };
        let plan = setup.plan(([127, 0, 0, 1], 0).into(), Shape::closed((1, 1)), timing);
        let report = Report::of("search", &plan, &[run]);
        check(&report)?;
        Ok(Fair::unless(watch.starved("search", own), Measured { report, bound_by_load: false }))
    })
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

/// The contenders that only this table has.
fn described(vectors: &Vectors) -> Vec<Described> {
    let source =
        if vectors.is_held_out { "held-out rows as queries" } else { "the folder's own queries" };
    let library = [
        (
            "our parameters, its own rounding to 8 bits",
            "the difference to ours is what a server adds",
        ),
        (source, "the same for every contender"),
    ];
    let scan = [(
        "single precision, one thread",
        "what the best loop over so few vectors does; one CPU, as every contender",
    )];
    let products = "every vector's product with the query in 32-bit floats, one piece of memory, \
                    the CPU's widest instructions";
    vec![
        Described::new(
            LIBRARY,
            "usearch, which our index stands on, called without a server",
            &library,
            None,
        ),
        Described::new(SCAN, products, &scan, None),
        Described::new("pgvector", "PostgreSQL's vector extension", &[], Some(UNSPOKEN.to_owned())),
    ]
}
