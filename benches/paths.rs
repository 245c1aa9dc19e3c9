//! Paths between random pairs over the socket, beside a bidirectional breadth-first search over
//! adjacency vectors in this process's memory.
//!
//! The same pairs for both, one after the other, so that drift of the host hits both alike; a
//! length that differs fails the run. The plain search stamps what it visits in vectors as long as
//! the graph, which a server with bounded memory for each search can't.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use sutra_wire::{
    Checked, ClientHello, ConceptId, FrameBuffer, HEADER_BYTES, Header, NO_CORE, Opcode, PathRequest, Paths, Status,
    encode_archive, padded,
};

use crate::Outcome;
use crate::options::Cpus;
use crate::process::{Running, import};

#[derive(Args)]
pub(crate) struct Options {
    /// A folder with concepts.jsonl and associations.jsonl
    #[arg(long)]
    wordnet: PathBuf,
    /// Sizes of the graphs: each has the first so many concepts, and their associations
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 200_000])]
    concepts: Vec<usize>,
    /// How many random pairs
    #[arg(long, default_value_t = 2_000)]
    pairs: usize,
    #[command(flatten)]
    cpus: Cpus,
}

/// Visits of the plain search from which on a pair counts as one of the long ones.
const LONG: usize = 1_000;

pub(crate) fn run(options: &Options) -> Outcome {
    // Before this thread is pinned, which those that it starts would be, too.
    let prepared: Vec<_> =
        options.concepts.iter().map(|concepts| prepare(options, *concepts)).collect::<Outcome<_>>()?;
    if !core_affinity::set_for_current(core_affinity::CoreId { id: options.cpus.load_cpu }) {
        return Err(format!("can't run on CPU {}", options.cpus.load_cpu).into());
    }
    prepared.into_iter().try_for_each(|(graph, server)| compare(options, graph, &server))
}

/// A graph, and a server that has it.
fn prepare(options: &Options, concepts: usize) -> Outcome<(Graph, Running)> {
    let folder = tempfile::tempdir()?;
    let graph = Graph::cut(&options.wordnet, concepts, folder.path())?;
    let server = Running::sutra(&format!("{},", options.cpus.server_cpu), &["--durability", "os"])?;
    import(folder.path(), &server)?;
    Ok((graph, server))
}

fn compare(options: &Options, mut graph: Graph, server: &Running) -> Outcome {
    let mut asking = Asking::connect(server.address)?;
    let mut random = SmallRng::seed_from_u64(7);
    let mut measured = Vec::with_capacity(options.pairs);
    for round in 0..options.pairs + 100 {
        let mut pick = || random.random_range(0..graph.ids.len()) as u32;
        let (start, end) = (pick(), pick());
        let began = Instant::now();
        let (length, visited) = graph.search(start, end);
        let plain = began.elapsed();
        let ids = [start, end].map(|concept| graph.ids[concept as usize]);
        let began = Instant::now();
        let answered = asking.path(ids[0], ids[1])?;
        let served = began.elapsed();
        if answered != length {
            return Err(
                format!("{answered:?} associations instead of {length:?} from {:?} to {:?}", ids[0], ids[1]).into()
            );
        }
        // The first ones warm up.
        if round >= 100 {
            measured.push((visited, plain, served));
        }
    }
    println!("{} concepts, {} associations, {} random pairs", graph.ids.len(), graph.associations, measured.len());
    show("all", &measured);
    measured.retain(|(visited, ..)| *visited > LONG);
    show("over 1,000 visited", &measured);
    Ok(())
}

/// Prints both sides' median and 99th percentile, and their ratios.
fn show(title: &str, measured: &[(usize, Duration, Duration)]) {
    if measured.is_empty() {
        return println!("  {title}: none");
    }
    let micros = |durations: Vec<Duration>, share: f64| {
        let mut micros: Vec<f64> = durations.iter().map(|duration| duration.as_secs_f64() * 1e6).collect();
        micros.sort_by(f64::total_cmp);
        micros[((micros.len() - 1) as f64 * share) as usize]
    };
    let mut visits: Vec<usize> = measured.iter().map(|(visited, ..)| *visited).collect();
    visits.sort_unstable();
    println!("  {title}: {} pairs, {} visited at the median", measured.len(), visits[visits.len() / 2]);
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let plain = micros(measured.iter().map(|(_, plain, _)| *plain).collect(), share);
        let served = micros(measured.iter().map(|(.., served)| *served).collect(), share);
        println!("    {name}   in memory {plain:8.1} µs   served {served:8.1} µs   ratio {:.2}", served / plain);
    }
}

/// The graph as plain vectors.
struct Graph {
    ids: Vec<ConceptId>,
    adjacent: Vec<Vec<u32>>,
    associations: usize,
    /// By side and concept: the search that visited it last, and from where.
    seen: [Vec<(u32, u32)>; 2],
    searches: u32,
}

impl Graph {
    /// The first concepts of a folder's file and the associations between them, of which a copy
    /// goes to another folder.
    fn cut(from: &Path, concepts: usize, to: &Path) -> Outcome<Self> {
        let lines = |name: &str| Ok::<_, std::io::Error>(BufReader::new(File::open(from.join(name))?).lines());
        let mut numbers = HashMap::new();
        let mut ids = Vec::new();
        let mut copy = File::create(to.join("concepts.jsonl"))?;
        for line in lines("concepts.jsonl")?.take(concepts) {
            let line = line?;
            let concept: Value = serde_json::from_str(&line)?;
            let name = concept["id"].as_str().ok_or("a concept has an id")?;
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
            let end = |name: &str| numbers.get(association[name].as_str().unwrap_or_default()).copied();
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

    /// The associations on a shortest path, and how many concepts were visited for it.
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

    /// The length of the path through the concept in which both sides met.
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

/// A blocking connection that has one request under way.
struct Asking {
    stream: TcpStream,
    frame: FrameBuffer,
    payload: FrameBuffer,
}

impl Asking {
    fn connect(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut asking = Self { stream, frame: FrameBuffer::new(), payload: FrameBuffer::new() };
        let header = Header { opcode: Opcode::Hello as u8, ..Header::default() };
        encode_archive(&mut asking.frame, header, &ClientHello::new(NO_CORE));
        asking.exchange()?;
        Ok(asking)
    }

    /// Sends the frame and reads the payload of its answer.
    fn exchange(&mut self) -> Outcome {
        self.stream.write_all(&self.frame)?;
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header)?;
        let header = Header::decode(&header)?;
        self.payload.resize(padded(header.length as usize), 0);
        self.stream.read_exact(&mut self.payload)?;
        self.payload.resize(header.length as usize, 0);
        match header.status {
            status if status == Status::Ok as u8 => Ok(()),
            status => Err(format!("the server answered with status {status}").into()),
        }
    }

    /// The associations on the path that the server finds.
    fn path(&mut self, start: ConceptId, end: ConceptId) -> Outcome<Option<usize>> {
        let request = PathRequest { start: start.0, end: end.0, max_depth: u32::MAX, ..PathRequest::default() };
        self.frame.clear();
        encode_archive(&mut self.frame, Header { opcode: Opcode::Path as u8, ..Header::default() }, &request);
        self.exchange()?;
        let paths = Checked::<Paths>::new(&self.payload)?;
        Ok(paths.paths.first().map(|path| path.edges.len()))
    }
}
