//! Measures paths between random pairs over the socket, beside a bidirectional breadth-first search
//! over adjacency vectors in this process's memory.
//!
//! Both are asked for the same pairs in turn, so that drift of the host hits both alike. A path
//! whose length differs fails the run. The plain search marks what it visits in vectors as long as
//! the graph. A server that bounds the memory of each search can't do that.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use sutra_client::blocking::Client;
use sutra_client::{ConceptId, PathQuery};
use sutra_load::{Length, Path as PathLoad, Plan};

use crate::Outcome;
use crate::options::{Cpus, load};
use crate::process::{Running, import, on_cpu};
use crate::spread::{ratios, show};

#[derive(Args)]
pub(crate) struct Options {
    /// A folder with concepts.jsonl and associations.jsonl
    #[arg(long)]
    wordnet: PathBuf,
    /// Sizes of the graphs, in concepts: each graph has the first concepts of the folder, and the
    /// associations between them
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 200_000])]
    concepts: Vec<usize>,
    /// How many random pairs
    #[arg(long, default_value_t = 2_000)]
    pairs: usize,
    /// Rounds over all pairs
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    cpus: Cpus,
}

/// A pair counts as long if the plain search visits more concepts than this.
const LONG: usize = 1_000;

/// A pair to ask about: the numbers of its concepts in the graph, and how many concepts the plain
/// search visits for it.
struct Pair {
    ends: (u32, u32),
    visited: usize,
}

pub(crate) fn run(options: &Options) -> Outcome {
    for concepts in &options.concepts {
        let folder = tempfile::tempdir()?;
        let mut graph = Graph::cut(&options.wordnet, *concepts, folder.path())?;
        let server =
            Running::sutra(&format!("{},", options.cpus.server_cpu), &["--durability", "os"])?;
        import(folder.path(), &server)?;
        let mut pairs = pairs(options.pairs, &mut graph, &server)?;
        println!(
            "{} concepts, {} associations, {} random pairs",
            graph.ids.len(),
            graph.associations,
            pairs.len()
        );
        compare("all", options, &pairs, &mut graph, &server)?;
        pairs.retain(|pair| pair.visited > LONG);
        compare("over 1,000 visited", options, &pairs, &mut graph, &server)?;
    }
    Ok(())
}

/// Random pairs. Fails if the server finds a path of another length than the plain search.
fn pairs(count: usize, graph: &mut Graph, server: &Running) -> Outcome<Vec<Pair>> {
    let client = Client::connect(server.address.to_string())?;
    let mut random = SmallRng::seed_from_u64(7);
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let mut pick = || random.random_range(0..graph.ids.len()) as u32;
        let ends = (pick(), pick());
        let (length, visited) = graph.search(ends.0, ends.1);
        let (start, end) = graph.ids_of(ends);
        let answered = client.path(PathQuery::between(start, end).max_depth(u32::MAX))?;
        let answered = answered.paths.first().map(|path| path.edges.len());
        if answered != length {
            return Err(format!(
                "{answered:?} associations instead of {length:?} from {start:?} to {end:?}"
            )
            .into());
        }
        pairs.push(Pair { ends, visited });
    }
    Ok(pairs)
}

/// Prints the median and the 99th percentile of the plain search and of the server, and their
/// ratios.
fn compare(
    title: &str,
    options: &Options,
    pairs: &[Pair],
    graph: &mut Graph,
    server: &Running,
) -> Outcome {
    if pairs.is_empty() {
        println!("  {title}: none");
        return Ok(());
    }
    let mut visits: Vec<usize> = pairs.iter().map(|pair| pair.visited).collect();
    visits.sort_unstable();
    println!(
        "  {title}: {} pairs, {} visited at the median",
        pairs.len(),
        visits[visits.len() / 2]
    );
    let ids: Vec<_> = pairs.iter().map(|pair| graph.ids_of(pair.ends)).collect();
    let length = Length::Requests(pairs.len() as u64);
    let plan =
        Plan { warm_up: Duration::ZERO, length, ..load(server, 1, 1, 0.0, options.cpus.load_cpu) };
    let mut figures: [[Vec<f64>; 2]; 2] = Default::default();
    for _ in 0..options.rounds {
        let plain = on_cpu(options.cpus.load_cpu, || Ok(graph.times(pairs)))?;
        let report = sutra_load::run(&plan, vec![PathLoad::new("", ids.clone(), u32::MAX)], None)?;
        let latency = report.latency.ok_or("no path was answered")?;
        for (at, (share, ns)) in
            [(0.5, latency.p50_ns), (0.99, latency.p99_ns)].into_iter().enumerate()
        {
            figures[at][0].push(plain[((plain.len() - 1) as f64 * share) as usize]);
            figures[at][1].push(ns as f64 / 1000.0);
        }
    }
    for (name, [plain, served]) in ["p50", "p99"].into_iter().zip(figures) {
        let ratio = show(ratios(&served, &plain), 2);
        println!(
            "    {name}   in memory {} µs   served {} µs   ratio {ratio}",
            show(plain, 1),
            show(served, 1)
        );
    }
    Ok(())
}

/// The graph as plain vectors.
struct Graph {
    ids: Vec<ConceptId>,
    adjacent: Vec<Vec<u32>>,
    associations: usize,
    /// By side and concept: the number of the search that visited the concept last, and from which
    /// one it came.
    seen: [Vec<(u32, u32)>; 2],
    searches: u32,
}

impl Graph {
    /// Reads the first `concepts` concepts of the folder `from` and the associations between them.
    /// Writes a copy of these to the folder `to`.
    fn cut(from: &Path, concepts: usize, to: &Path) -> Outcome<Self> {
        let lines = |name: &str| {
            Ok::<_, std::io::Error>(BufReader::new(File::open(from.join(name))?).lines())
        };
        let mut numbers = HashMap::new();
        let mut ids = Vec::new();
        let mut copy = File::create(to.join("concepts.jsonl"))?;
        for line in lines("concepts.jsonl")?.take(concepts) {
            let line = line?;
            let concept: Value = serde_json::from_str(&line)?;
            let name = concept["id"].as_str().ok_or("a line of concepts.jsonl has no id")?;
            numbers.insert(name.to_owned(), ids.len() as u32);
            ids.push(ConceptId::from_name(name)?);
            writeln!(copy, "{line}")?;
        }
        let mut adjacent = vec![Vec::new(); ids.len()];
        let mut associations = 0;
        let mut copy = File::create(to.join("associations.jsonl"))?;
        for line in lines("associations.jsonl")? {
            let line = line?;
            let association: Value = serde_json::from_str(&line)?;
            let end =
                |name: &str| numbers.get(association[name].as_str().unwrap_or_default()).copied();
            if let (Some(source), Some(target)) = (end("source"), end("target")) {
                adjacent[source as usize].push(target);
                adjacent[target as usize].push(source);
                associations += 1;
                writeln!(copy, "{line}")?;
            }
        }
        let seen = [vec![(0, 0); ids.len()], vec![(0, 0); ids.len()]];
        Ok(Self { ids, adjacent, associations, seen, searches: 0 })
    }

    fn ids_of(&self, ends: (u32, u32)) -> (ConceptId, ConceptId) {
        (self.ids[ends.0 as usize], self.ids[ends.1 as usize])
    }

    /// The time of the search for each pair in µs, shortest first.
    fn times(&mut self, pairs: &[Pair]) -> Vec<f64> {
        let mut time = |Pair { ends, .. }: &Pair| {
            let began = Instant::now();
            std::hint::black_box(self.search(ends.0, ends.1));
            began.elapsed().as_secs_f64() * 1e6
        };
        let mut times: Vec<_> = pairs.iter().map(&mut time).collect();
        times.sort_by(f64::total_cmp);
        times
    }

    /// The number of associations on a shortest path, if there is one, and of concepts that were
    /// visited for it.
    fn search(&mut self, start: u32, end: u32) -> (Option<usize>, usize) {
        if start == end {
            return (Some(0), 1);
        }
        self.searches += 1;
        let mut frontiers = [vec![start], vec![end]];
        self.seen[0][start as usize] = (self.searches, start);
        self.seen[1][end as usize] = (self.searches, end);
        let mut visited = 2;
        loop {
            let side = usize::from(frontiers[1].len() < frontiers[0].len());
            if frontiers[side].is_empty() {
                return (None, visited);
            }
            let mut next = Vec::new();
            for from in &frontiers[side] {
                for to in &self.adjacent[*from as usize] {
                    let seen = &mut self.seen[side][*to as usize];
                    if seen.0 == self.searches {
                        continue;
                    }
                    *seen = (self.searches, *from);
                    visited += 1;
                    if self.seen[1 - side][*to as usize].0 == self.searches {
                        return (Some(self.length(*to)), visited);
                    }
                    next.push(*to);
                }
            }
            frontiers[side] = next;
        }
    }

    /// The length, in associations, of the path through the concept in which both sides met.
    fn length(&self, meeting: u32) -> usize {
        let side = |seen: &[(u32, u32)]| {
            let (mut at, mut length) = (meeting, 0);
            while seen[at as usize].1 != at {
                (at, length) = (seen[at as usize].1, length + 1);
            }
            length
        };
        side(&self.seen[0]) + side(&self.seen[1])
    }
}
