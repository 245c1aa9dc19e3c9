//! Vector search over the socket, one server core, beside the index library in this process on the
//! same CPU; and a query's latency on a core that serves nothing else, and on one that is full of
//! searches and paths.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use sutra_client::blocking::Client;
use sutra_client::{ConceptId, SearchQuery};
use sutra_load::{KeySpace, Keys, Learn, Length, Path as PathLoad, Plan, Query, Report, Search, ServerCpu, Workload};

use crate::Outcome;
use crate::options;
use crate::process::{Running, sutra_binary};
use crate::table::{Figures, Rounds};
use crate::vectors::{Data, K, library, measure};

#[derive(Args)]
pub(crate) struct Options {
    /// A folder with concepts.jsonl, associations.jsonl, embeddings.npy, queries.npy and
    /// neighbours.npy
    #[arg(long)]
    wordnet: PathBuf,
    #[command(flatten)]
    rounds: options::Rounds,
}

/// Connections that search while a query's latency is measured, and as many that ask for paths.
const CROWD: usize = 8;
/// Concepts that are queried, in a namespace of their own.
const CONCEPTS: u64 = 10_000;

pub(crate) fn run(options: &Options) -> Outcome {
    let data = Data::read(&options.wordnet)?;
    let names = names(&options.wordnet)?;
    let server = Running::sutra(options.rounds.server_cpu, &["--durability", "os"])?;
    let mut import = Command::new(sutra_binary()?);
    import.arg("import").arg(&options.wordnet).arg("--json").arg("--server").arg(server.address.to_string());
    let imported = import.output()?;
    if !imported.status.success() {
        return Err(String::from_utf8_lossy(&imported.stderr).into());
    }
    let client = Client::connect(server.address.to_string())?;
    let elapsed = wait_until_indexed(&client, 0)?;
    let stats = client.stats()?;
    let vectors = stats.vectors.to_native();
    println!("{vectors} vectors; the last was indexed {elapsed:.1?} after the import ended");
    let memory = stats.counters.iter().find(|counter| counter.name == "memory_vectors_bytes");
    if let Some(memory) = memory {
        println!("  bytes a vector beyond its record   {}", memory.value.to_native() / vectors.max(1));
    }
    tell_recall(&client, &data, &names)?;
    beside_library(options, &data, &server)?;
    crowded(options, &data, &names, &server)
}

/// The concepts' names, in the order of the vectors.
fn names(folder: &Path) -> Outcome<Vec<String>> {
    let file = BufReader::new(std::fs::File::open(folder.join("concepts.jsonl"))?);
    let name = |line: std::io::Result<String>| -> Outcome<String> {
        let line: Value = serde_json::from_str(&line?)?;
        Ok(line["id"].as_str().ok_or("a concept has an id")?.to_owned())
    };
    file.lines().map(name).collect()
}

/// Waits until every vector is in an index, but for so many, which lie on shards that have too few
/// for one.
pub(crate) fn wait_until_indexed(client: &Client, left: u64) -> Outcome<Duration> {
    let start = Instant::now();
    loop {
        let stats = client.stats()?;
        let tail = stats.counters.iter().find(|counter| counter.name == "vectors_tail").ok_or("vectors_tail")?;
        if tail.value.to_native() <= left {
            return Ok(start.elapsed());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn tell_recall(client: &Client, data: &Data, names: &[String]) -> Outcome {
    let mut rows = HashMap::new();
    for (row, name) in (0u32..).zip(names) {
        rows.insert(ConceptId::from_name(name)?.0, row);
    }
    for (title, ef_search) in [("default", 0), ("ef 400", 400)] {
        let recall = data.recall(|query| {
            let hits = client.search(SearchQuery::like(query).k(K as u32).ef_search(ef_search))?;
            Ok(hits.hits.iter().filter_map(|hit| rows.get(&hit.id).copied()).collect())
        })?;
        println!("  recall@{K} {title:<8} {recall:.4}");
    }
    Ok(())
}

fn plan(options: &Options, server: &Running, connections: usize) -> Plan {
    Plan {
        connections,
        warm_up: Duration::from_millis(300),
        length: Length::Duration(Duration::from_secs_f64(options.rounds.seconds)),
        pin: vec![options.rounds.load_cpu],
        ..Plan::new(server.address)
    }
}

fn measured<W: Workload>(plan: &Plan, workload: W, server: &Running) -> Outcome<Report> {
    Ok(sutra_load::run(plan, vec![workload], Some(ServerCpu::of_process(server.pid())))?)
}

fn beside_library(options: &Options, data: &Data, server: &Running) -> Outcome {
    let search = || Search::new("", &data.queries, K as u32, 0);
    // On the server's CPU, which has nothing else to do then.
    let (cpu, rounds) = (options.rounds.server_cpu, options.rounds.rounds);
    std::thread::scope(|scope| -> Outcome {
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        scope.spawn(move || {
            core_affinity::set_for_current(core_affinity::CoreId { id: cpu });
            let outcome = library(&data.rows).map_err(|error| error.to_string());
            for () in asked {
                let figures = outcome.as_ref().map_err(Clone::clone).and_then(|index| {
                    let found = measure(&data.queries, |query| {
                        let found = index.search(query, K)?;
                        found.keys.into_iter().map(|key| Ok(u32::try_from(key)?)).collect()
                    });
                    found.map_err(|error| error.to_string())
                });
                if tell.send(figures).is_err() {
                    return;
                }
            }
        });
        let (mut rates, mut medians) = (Rounds::default(), Rounds::default());
        let (mut alone, mut many) = (Figures::default(), Figures::default());
        for _ in 0..rounds {
            ask.send(())?;
            let (rate, median) = told.recv()??;
            rates.push(rate / 1000.0);
            medians.push(median);
            alone.add(&measured(&plan(options, server, 1), search(), server)?);
            many.add(&measured(&plan(options, server, 16), search(), server)?);
        }
        println!("\n{}", Figures::heading("search, k 10"));
        println!("{:<22} {:<26} {}", "library in-process", medians.show(1), rates.show(2));
        println!("{}", alone.row("1 connection"));
        println!("{}", many.row("16 connections"));
        println!("{:<22} {:<26} {}", "16 / library", "", many.rates().ratio(&rates).show(3));
        Ok(())
    })
}

/// A query's latency beside nothing, and beside searches and paths that take all the time that
/// there is.
fn crowded(options: &Options, data: &Data, names: &[String], server: &Running) -> Outcome {
    let keys = |space| Keys::new("bench", space);
    let fill =
        Plan { depth: 256, warm_up: Duration::ZERO, length: Length::Requests(CONCEPTS), ..Plan::new(server.address) };
    sutra_load::run(&fill, vec![Learn::new("queried", keys(KeySpace::Once(CONCEPTS)), 200, 0)], None)?;
    let mut random = SmallRng::seed_from_u64(7);
    let mut pairs = Vec::new();
    for _ in 0..2_000 {
        let mut pick = || ConceptId::from_name(&names[random.random_range(0..names.len())]);
        pairs.push((pick()?, pick()?));
    }
    let query = || Query::new("queried", keys(KeySpace::Random(CONCEPTS)), None);
    let mut figures: [[Rounds; 2]; 2] = Default::default();
    let mut crowd = [Rounds::default(), Rounds::default()];
    for _ in 0..options.rounds.rounds {
        for (is_crowded, figures) in [false, true].into_iter().zip(&mut figures) {
            let report = std::thread::scope(|scope| -> Outcome<Report> {
                let long = Plan {
                    length: Length::Duration(Duration::from_secs_f64(options.rounds.seconds + 1.0)),
                    ..plan(options, server, CROWD)
                };
                let loads = is_crowded.then(|| {
                    let (searching, asking) = (long.clone(), long);
                    let search = Search::new("", &data.queries, K as u32, 0);
                    let paths = PathLoad::new("", pairs.clone(), 100);
                    [
                        scope.spawn(move || sutra_load::run(&searching, vec![search], None)),
                        scope.spawn(move || sutra_load::run(&asking, vec![paths], None)),
                    ]
                });
                let report = measured(&plan(options, server, 1), query(), server)?;
                for (load, rounds) in loads.into_iter().flatten().zip(&mut crowd) {
                    let report = load.join().map_err(|_| "a load panicked")??;
                    rounds.push(report.requests_per_second);
                }
                Ok(report)
            })?;
            let latency = report.latency.ok_or("queries were answered")?;
            for (rounds, nanoseconds) in figures.iter_mut().zip([latency.p50_ns, latency.p99_ns]) {
                rounds.push(nanoseconds as f64 / 1000.0);
            }
        }
    }
    println!(
        "\nquery, 1 connection, beside {CROWD} connections that search and {CROWD} that ask for paths, on one core"
    );
    for (name, [p50, p99]) in ["nothing else", "crowded"].into_iter().zip(&figures) {
        println!("  {name:<14} p50 {} µs   p99 {} µs", p50.show(1), p99.show(1));
    }
    println!("  meanwhile      {} searches/s   {} paths/s", crowd[0].show(0), crowd[1].show(0));
    Ok(())
}
