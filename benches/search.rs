//! Measures a query's latency on a core that does nothing else, and on one that is full of vector
//! searches and paths. Measures what the vectors cost that core, too: memory, the time until all
//! are indexed, and the time of a start.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use sutra_client::ConceptId;
use sutra_client::blocking::Client;
use sutra_load::{KeySpace, Keys, Learn, Length, Path as PathLoad, Plan, Query, Report, Search};

use crate::Outcome;
use crate::compare::vector_data::{K, Vectors, wait_until_indexed};
use crate::options::{Cpus, Rounds, filling, load};
use crate::process::{Running, import};
use crate::spread::show;

#[derive(Args)]
pub(crate) struct Options {
    /// A folder with concepts.jsonl, associations.jsonl, embeddings.npy, queries.npy and
    /// neighbours.npy
    #[arg(long)]
    wordnet: PathBuf,
    #[command(flatten)]
    rounds: Rounds,
    #[command(flatten)]
    cpus: Cpus,
}

/// Connections that search while a query's latency is measured; as many more ask for paths.
const CROWD: usize = 8;
/// Concepts that are queried, in a namespace of their own.
const CONCEPTS: u64 = 10_000;

pub(crate) fn run(options: &Options) -> Outcome {
    let data = Vectors::read(&options.wordnet)?;
    let names = names(&options.wordnet)?;
    let server = Running::sutra(&format!("{},", options.cpus.server_cpu), &["--durability", "os"])?;
    import(&options.wordnet, &server)?;
    let client = Client::connect(server.address.to_string())?;
    let elapsed = wait_until_indexed(&client, 0)?;
    let stats = client.stats()?;
    let vectors = stats.vectors.to_native();
    println!("{vectors} vectors; the last was indexed {elapsed:.1?} after the import ended");
    let memory = stats.counters.iter().find(|counter| counter.name == "memory_vectors_bytes");
    if let Some(memory) = memory {
        println!(
            "  bytes a vector beyond its record   {}",
            memory.value.to_native() / vectors.max(1)
        );
    }
    crowded(options, &data, &names, &server)?;
    restarts(options, server)
}

/// Prints how long the server takes to start with the checkpoint of its vector index, and without
/// one.
fn restarts(options: &Options, server: Running) -> Outcome {
    let mut folder = server.stop()?;
    for name in ["with", "without"] {
        let start = Instant::now();
        let server = Running::sutra_on(
            folder,
            &format!("{},", options.cpus.server_cpu),
            &["--durability", "os"],
        )?;
        let opened = start.elapsed();
        let indexed = wait_until_indexed(&Client::connect(server.address.to_string())?, 0)?;
        println!(
            "  start {name} a checkpoint of the index   \
             {opened:.1?}, and {indexed:.1?} until all are indexed"
        );
        folder = server.stop()?;
        fs::remove_file(folder.path().join("data/shard-000/vectors-0.index"))?;
    }
    Ok(())
}

/// The concepts' names, in the order of the vectors.
fn names(folder: &Path) -> Outcome<Vec<String>> {
    let file = BufReader::new(fs::File::open(folder.join("concepts.jsonl"))?);
    let name = |line: std::io::Result<String>| -> Outcome<String> {
        let line: Value = serde_json::from_str(&line?)?;
        Ok(line["id"].as_str().ok_or("a line of concepts.jsonl has no id")?.to_owned())
    };
    file.lines().map(name).collect()
}

/// Prints a query's latency alone, and while searches and paths take all the time that the core
/// has.
fn crowded(options: &Options, data: &Vectors, names: &[String], server: &Running) -> Outcome {
    let keys = |space| Keys::new("bench", space);
    let learn = Learn::new("queried", keys(KeySpace::Once(CONCEPTS)), 200, 0);
    sutra_load::run(&filling(server, CONCEPTS), vec![learn], None)?;
    let mut random = SmallRng::seed_from_u64(7);
    let mut pairs = Vec::new();
    for _ in 0..2_000 {
        let mut pick = || ConceptId::from_name(&names[random.random_range(0..names.len())]);
        pairs.push((pick()?, pick()?));
    }
    let query = || Query::new("queried", keys(KeySpace::Random(CONCEPTS)), None);
    let Rounds { rounds, seconds } = options.rounds;
    let plan = |connections| load(server, connections, 1, seconds, options.cpus.load_cpu);
    let mut figures: [[Vec<f64>; 2]; 2] = Default::default();
    let mut crowd: [Vec<f64>; 2] = Default::default();
    for _ in 0..rounds {
        for (is_crowded, figures) in [false, true].into_iter().zip(&mut figures) {
            let report = std::thread::scope(|scope| -> Outcome<Report> {
                let long = Plan {
                    length: Length::Duration(Duration::from_secs_f64(seconds + 1.0)),
                    ..plan(CROWD)
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
                let report = sutra_load::run(&plan(1), vec![query()], None)?;
                for (load, rounds) in loads.into_iter().flatten().zip(&mut crowd) {
                    let report = load.join().map_err(|_| "a load panicked")??;
                    rounds.push(report.requests_per_second);
                }
                Ok(report)
            })?;
            let latency = report.latency.ok_or("no query was answered")?;
            for (rounds, nanoseconds) in figures.iter_mut().zip([latency.p50_ns, latency.p99_ns]) {
                rounds.push(nanoseconds as f64 / 1000.0);
            }
        }
    }
    println!(
        "\nquery, 1 connection, beside {CROWD} connections that search and {CROWD} that ask for \
         paths, on one core"
    );
    for (name, [p50, p99]) in ["alone", "crowded"].into_iter().zip(&figures) {
        println!(
            "  {name:<14} p50 {} µs   p99 {} µs",
            show(p50.iter().copied(), 1),
            show(p99.iter().copied(), 1)
        );
    }
    let [searches, paths] = crowd;
    println!("  meanwhile      {} searches/s   {} paths/s", show(searches, 0), show(paths, 0));
    Ok(())
}
