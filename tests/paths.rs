//! Paths on the real server: against petgraph and brute force, on one core and over several, while
//! others write.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Server, wordnet};
use petgraph::graph::{NodeIndex, UnGraph};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rkyv::rancor::Error;
use sutra_client::blocking::Client;
use sutra_client::{
    Association, AssociationKind, ClientError, Concept, ConceptId, Direction, Path, PathQuery,
    Status,
};
use sutra_testing::raw::{Raw, frame};
use sutra_wire::{Header, Opcode, PathRequest, limits};

type Id = [u8; 16];

fn id(name: &str) -> Id {
    ConceptId::from_name(name).unwrap().0
}

fn ask(client: &Client, query: PathQuery) -> Vec<Path> {
    let paths = client.path(query).unwrap();
    let path = |path: &sutra_wire::ArchivedPath| Path {
        concepts: path.concepts.to_vec(),
        edges: path
            .edges
            .iter()
            .map(|edge| sutra_client::PathEdge {
                kind: edge.kind.to_native(),
                confidence: edge.confidence.to_native(),
                forward: edge.forward,
            })
            .collect(),
    };
    paths.paths.iter().map(path).collect()
}

/// The text of an error that says the request can't be done as it is.
fn refused(client: &Client, query: PathQuery) -> String {
    match client.path(query) {
        Err(ClientError::Refused { status: Status::InvalidArgument, message, .. }) => message,
        other => panic!("refused: {other:?}"),
    }
}

/// The associations of the repository's slice of WordNet, by their ends' names.
fn wordnet_associations() -> Vec<(String, String)> {
    let lines = std::fs::read_to_string(wordnet().join("associations.jsonl")).unwrap();
    let name = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    lines
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            (name(&line["source"]), name(&line["target"]))
        })
        .collect()
}

/// A flag that is raised when the test is done, or fails.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn paths_are_as_short_as_petgraphs_on_any_number_of_cores_while_others_write() {
    let associations = wordnet_associations();
    let mut graph = UnGraph::<Id, ()>::default();
    let mut nodes: HashMap<Id, NodeIndex> = HashMap::new();
    let mut edges = HashSet::new();
    for (source, target) in &associations {
        let ends = [id(source), id(target)];
        let [source, target] =
            ends.map(|id| *nodes.entry(id).or_insert_with(|| graph.add_node(id)));
        graph.add_edge(source, target, ());
        edges.insert(ends);
    }
    let mut random = SmallRng::seed_from_u64(4);
    let mut pick = || NodeIndex::new(random.random_range(0..graph.node_count()));
    let pairs: Vec<_> = (0..2000).map(|_| (pick(), pick())).collect();
    let lengths: Vec<Option<usize>> = pairs
        .iter()
        .map(|(start, end)| {
            petgraph::algo::dijkstra(&graph, *start, Some(*end), |_| 1usize).get(end).copied()
        })
        .collect();
    assert!(
        lengths.iter().filter(|length| length.is_some_and(|length| length > 4)).count() > 500,
        "{lengths:?}"
    );

    for cores in ["1", "2", "4"] {
        let server = Server::start(&["--cores", cores]);
        let imported = server.run(&["import", wordnet().to_str().unwrap()]);
        assert!(imported.status.success(), "{imported:?}");
        let (client, writing) = (server.client(), server.client());
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let is_over = Raised(&is_over);
            let (is_over, _ends_the_other) = (is_over.0, is_over);
            scope.spawn(move || {
                let mut round = 0;
                while !is_over.load(Ordering::Relaxed) {
                    round += 1;
                    let name = |number: u32| format!("elsewhere-{round}-{number}");
                    let mut learned =
                        writing.learn_many((0..20).map(|number| Concept::new(name(number))));
                    assert!(learned.all(|answer| answer.is_ok()));
                    let chain =
                        (0..20).map(|number| Association::between(name(number), name(number + 1)));
                    assert!(writing.associate_many(chain).all(|answer| answer.is_ok()));
                }
            });
            for ((start, end), length) in pairs.iter().zip(&lengths) {
                let (start, end) = (graph[*start], graph[*end]);
                let query =
                    PathQuery::between(ConceptId(start), ConceptId(end)).max_depth(u32::MAX);
                let paths = ask(&client, query);
                assert_eq!(paths.first().map(|path| path.edges.len()), *length, "on {cores} cores");
                for path in paths {
                    assert_eq!(
                        (path.concepts.first(), path.concepts.last()),
                        (Some(&start), Some(&end))
                    );
                    for (ends, edge) in path.concepts.windows(2).zip(&path.edges) {
                        let ends =
                            if edge.forward { [ends[0], ends[1]] } else { [ends[1], ends[0]] };
                        assert!(edges.contains(&ends), "every edge is real");
                    }
                }
            }
        });
    }
}

/// An association of a small graph, by its ends' numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Edge {
    source: usize,
    target: usize,
    kind: u32,
    confidence: f32,
}

/// What is asked of a small graph.
#[derive(Clone, Debug)]
struct Asked {
    edges: Vec<Edge>,
    start: usize,
    end: usize,
    kinds: Vec<u32>,
    direction: Direction,
    max_depth: u32,
    alternatives: u32,
}

impl Asked {
    /// The best edge that leads from one to the other.
    fn best(&self, from: usize, to: usize) -> Option<(f32, u32, bool)> {
        let wanted = self
            .edges
            .iter()
            .filter(|edge| self.kinds.is_empty() || self.kinds.contains(&edge.kind));
        let leads = wanted.flat_map(|edge| {
            let out = (self.direction != Direction::In && (edge.source, edge.target) == (from, to))
                .then_some(true);
            let back = (self.direction != Direction::Out
                && (edge.target, edge.source) == (from, to))
                .then_some(false);
            out.into_iter().chain(back).map(|forward| (edge.confidence, edge.kind, forward))
        });
        leads.max_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Every path without a circle, as its concepts, of at most this many edges.
    fn all(&self, path: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
        let last = *path.last().unwrap();
        if last == self.end {
            // One that no association names is not known: nothing leads to it, not even from
            // itself.
            if self.edges.iter().any(|edge| [edge.source, edge.target].contains(&last)) {
                found.push(path.clone());
            }
            return;
        }
        if path.len() > self.max_depth as usize {
            return;
        }
        for next in 0..NODES {
            if !path.contains(&next) && self.best(last, next).is_some() {
                path.push(next);
                self.all(path, found);
                path.pop();
            }
        }
    }

    fn confidence(&self, path: &[usize]) -> f64 {
        path.windows(2).map(|ends| f64::from(self.best(ends[0], ends[1]).unwrap().0)).product()
    }
}

const NODES: usize = 8;

fn asked() -> impl Strategy<Value = Asked> {
    let confidence = prop::sample::select(vec![0.0f32, 0.25, 0.5, 0.9, 1.0]);
    let edge = (0..NODES, 0..NODES, 0..3u32, confidence)
        .prop_map(|(source, target, kind, confidence)| Edge { source, target, kind, confidence });
    let direction = prop::sample::select(vec![Direction::Both, Direction::Out, Direction::In]);
    let kinds = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(0..3u32, 1..3)];
    let depth = prop_oneof![0..5u32, Just(u32::MAX)];
    let ends = (0..NODES, 0..NODES);
    (prop::collection::vec(edge, 0..22), ends, kinds, direction, depth, 1..12u32).prop_map(
        |(mut edges, (start, end), kinds, direction, max_depth, alternatives)| {
            // One association for each pair and kind, as the server keeps one.
            let mut seen = HashSet::new();
            edges.retain(|edge| seen.insert((edge.source, edge.target, edge.kind)));
            Asked { edges, start, end, kinds, direction, max_depth, alternatives }
        },
    )
}

#[test]
fn paths_over_random_graphs_are_those_that_trying_every_way_finds() {
    let servers = ["1", "3"].map(|cores| Server::start(&["--cores", cores, "--durability", "os"]));
    let clients: Vec<Client> = servers.iter().map(Server::client).collect();
    let round = std::cell::Cell::new(0);
    let mut runner =
        TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    runner
        .run(&asked(), |asked| {
            round.set(round.get() + 1);
            let name = |node: usize| format!("round-{}-{node}", round.get());
            for client in &clients {
                let associations = asked.edges.iter().map(|edge| {
                    let association = Association::between(name(edge.source), name(edge.target));
                    association.kind(AssociationKind(edge.kind)).confidence(edge.confidence)
                });
                assert!(client.associate_many(associations).all(|answer| answer.is_ok()));
                check(client, &asked, &name);
            }
            Ok(())
        })
        .unwrap();
}

fn check(client: &Client, asked: &Asked, name: &dyn Fn(usize) -> String) {
    let query = || {
        PathQuery::between(name(asked.start), name(asked.end))
            .max_depth(asked.max_depth)
            .direction(asked.direction)
            .kinds(asked.kinds.iter().map(|kind| AssociationKind(*kind)))
    };
    let numbers: HashMap<Id, usize> = (0..NODES).map(|node| (id(&name(node)), node)).collect();
    let mut every = Vec::new();
    asked.all(&mut vec![asked.start], &mut every);
    let read = |path: &Path| {
        let concepts: Vec<usize> = path.concepts.iter().map(|id| numbers[id]).collect();
        assert_eq!(path.edges.len() + 1, concepts.len());
        for (ends, edge) in concepts.windows(2).zip(&path.edges) {
            let best = asked.best(ends[0], ends[1]).expect("an edge of the graph");
            assert_eq!(edge.confidence, best.0, "of several the most confident");
            let (source, target) =
                if edge.forward { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
            let reported = Edge { source, target, kind: edge.kind, confidence: edge.confidence };
            assert!(asked.edges.contains(&reported), "{reported:?} of {asked:?}");
        }
        concepts
    };

    let length = every.iter().map(Vec::len).min();
    let shortest: BTreeSet<_> =
        every.iter().filter(|path| Some(path.len()) == length).cloned().collect();
    let one: Vec<_> = ask(client, query()).iter().map(read).collect();
    assert_eq!(one.len(), shortest.len().min(1), "{asked:?}");
    assert!(one.iter().all(|path| shortest.contains(path)), "{one:?} of {asked:?}");
    let several: Vec<_> =
        ask(client, query().alternatives(asked.alternatives)).iter().map(read).collect();
    assert_eq!(
        several.len(),
        shortest.len().min(asked.alternatives as usize),
        "{several:?} of {asked:?}"
    );
    assert_eq!(several.iter().collect::<BTreeSet<_>>().len(), several.len(), "distinct");
    assert!(several.iter().all(|path| shortest.contains(path)), "{several:?} of {asked:?}");

    let greatest = every.iter().map(|path| asked.confidence(path)).reduce(f64::max);
    let confident: Vec<_> = ask(client, query().most_confident()).iter().map(read).collect();
    assert_eq!(confident.len(), every.len().min(1), "{asked:?}");
    for path in confident {
        let (greatest, found) = (greatest.unwrap(), asked.confidence(&path));
        assert!(
            (greatest - found).abs() < 1e-9,
            "{found} instead of {greatest}: {path:?} of {asked:?}"
        );
        let fewest = every
            .iter()
            .filter(|other| (asked.confidence(other) - greatest).abs() < 1e-12)
            .map(Vec::len);
        // Products that differ by rounding alone may be told apart.
        if asked.edges.iter().all(|edge| [0.0, 0.25, 0.5, 1.0].contains(&edge.confidence)) {
            assert_eq!(Some(path.len()), fewest.min(), "{path:?} of {asked:?}");
        }
    }
}

#[test]
fn the_most_confident_path_is_petgraphs_by_dijkstra_on_a_larger_graph() {
    const SIZE: usize = 400;
    let server = Server::start(&["--cores", "3", "--durability", "os"]);
    let client = server.client();
    let mut random = SmallRng::seed_from_u64(5);
    let mut graph = petgraph::graph::DiGraph::<(), f64>::default();
    let nodes: Vec<_> = (0..SIZE).map(|_| graph.add_node(())).collect();
    let name = |node: usize| format!("node-{node}");
    let mut edges = HashMap::new();
    for _ in 0..3 * SIZE {
        let ends = (random.random_range(0..SIZE), random.random_range(0..SIZE));
        edges.insert(ends, random.random_range(0.01..1.0f32));
    }
    for ((source, target), confidence) in &edges {
        graph.add_edge(nodes[*source], nodes[*target], -f64::from(*confidence).ln());
    }
    let associations = edges.iter().map(|((source, target), confidence)| {
        Association::between(name(*source), name(*target)).confidence(*confidence)
    });
    assert!(client.associate_many(associations).all(|answer| answer.is_ok()));
    let mut found = 0;
    for start in (0..SIZE).step_by(40) {
        let costs = petgraph::algo::dijkstra(&graph, nodes[start], None, |edge| *edge.weight());
        for end in (0..SIZE).step_by(7).filter(|end| *end != start) {
            let query = PathQuery::between(name(start), name(end)).direction(Direction::Out);
            let paths = ask(&client, query.max_depth(u32::MAX).most_confident());
            let cost = paths
                .first()
                .map(|path| path.edges.iter().map(|edge| -f64::from(edge.confidence).ln()).sum());
            let expected = costs.get(&nodes[end]).copied();
            assert_eq!(cost.is_some(), expected.is_some());
            let (cost, expected): (f64, f64) = (cost.unwrap_or(0.0), expected.unwrap_or(0.0));
            assert!((cost - expected).abs() < 1e-9, "{cost} instead of {expected}");
            found += paths.len();
        }
    }
    assert!(found > 300);
}

#[test]
fn ends_may_be_dangling_the_same_or_unheard_of_and_depths_zero_or_without_bound() {
    for cores in ["1", "3"] {
        let server = Server::start(&["--cores", cores]);
        let client = server.client();
        client.associate(Association::between("a", "never learned")).unwrap();
        client.associate(Association::between("b", "never learned").confidence(0.5)).unwrap();
        client.associate(Association::between("a", "a")).unwrap();
        let path = |start: &str, end: &str, depth: u32| {
            let paths =
                ask(&client, PathQuery::between(start, end).max_depth(depth).alternatives(9));
            assert!(paths.len() < 2);
            paths.into_iter().next().map(|path| path.concepts)
        };
        let way = ["a", "never learned", "b"].map(id).to_vec();
        assert_eq!(path("a", "b", 2), Some(way.clone()));
        assert_eq!(path("a", "b", u32::MAX), Some(way.clone()));
        assert_eq!(path("a", "b", 1), None);
        assert_eq!(path("a", "b", 0), None);
        assert_eq!(path("a", "never learned", 1), Some(way[..2].to_vec()));
        for depth in [0, 1, u32::MAX] {
            assert_eq!(path("a", "a", depth), Some(vec![id("a")]));
            assert_eq!(
                path("never learned", "never learned", depth),
                Some(vec![id("never learned")])
            );
            assert_eq!(
                path("unheard of", "unheard of", depth),
                None,
                "it is not known, so nothing leads to it"
            );
            assert_eq!(path("a", "unheard of", depth), None);
            assert_eq!(path("unheard of", "a", depth), None);
        }
        client.learn(Concept::new("alone")).unwrap();
        assert_eq!(path("alone", "alone", 0), Some(vec![id("alone")]));
        client.delete("alone").unwrap();
        assert_eq!(path("alone", "alone", 0), None, "it is not known any more");
        for mode in [
            PathQuery::between("a", "a").most_confident(),
            PathQuery::between("a", "a").kinds([AssociationKind(9)]),
        ] {
            assert_eq!(ask(&client, mode).len(), 1);
        }
        for namespace in ["nowhere", "other"] {
            let there = client.namespace(namespace);
            assert!(
                there.path(PathQuery::between("a", "a")).unwrap().paths.is_empty(),
                "{namespace}"
            );
            client.namespace("other").learn(Concept::new("another")).unwrap();
        }
        let elsewhere = client.namespace("nowhere");
        assert!(elsewhere.path(PathQuery::between("a", "b")).unwrap().paths.is_empty());
        client.namespace("other").associate(Association::between("a", "b")).unwrap();
        assert_eq!(path("a", "b", u32::MAX), Some(way), "the other namespace's is another's");
        let deleted = client.delete("a").unwrap();
        assert_eq!(
            (deleted.concept, deleted.associations),
            (false, 2),
            "the one with itself is one"
        );
        assert_eq!((path("a", "b", 9), path("a", "a", 9)), (None, None), "with what led to it");
        let message =
            refused(&client, PathQuery::between("a", "b").most_confident().alternatives(2));
        assert!(
            message.contains("alternatives") && message.contains("most confident"),
            "{message}"
        );
    }
}

/// Associates every concept of a layer with every concept of the next.
fn learn_layers(client: &Client, layers: usize, width: usize) {
    let name = |layer: usize, number: usize| match layer {
        0 => "start".to_owned(),
        _ => format!("layer-{layer}-{number}"),
    };
    for layer in 0..layers {
        let from = if layer == 0 { 1 } else { width };
        let pairs = (0..from).flat_map(|from| (0..width).map(move |to| (from, to)));
        let associations =
            pairs.map(|(from, to)| Association::between(name(layer, from), name(layer + 1, to)));
        assert!(client.associate_many(associations).all(|answer| answer.is_ok()));
    }
}

#[test]
fn a_search_that_visits_too_much_says_how_much_and_what_to_do() {
    for cores in ["1", "3"] {
        let server = Server::start(&["--cores", cores, "--durability", "os"]);
        let client = server.client();
        learn_layers(&client, 3, 30);
        // A star around the end and layers around the start, so that neither side ends early.
        let star = (0..100).map(|number| Association::between("end", format!("leaf-{number}")));
        assert!(client.associate_many(star).all(|answer| answer.is_ok()));
        let query = || PathQuery::between("start", "end").max_depth(100);
        assert!(ask(&client, query()).is_empty(), "within its bound it knows that there is none");
        for query in [query(), query().alternatives(5), query().most_confident()] {
            let message = refused(&client, query.max_visited(50));
            for part in [
                "visited 50 concepts",
                "no path so far",
                "raise max_visited (up to 4194304)",
                "kinds, direction or max_depth",
            ] {
                assert!(message.contains(part), "{message}");
            }
        }
        assert!(
            refused(&client, query().max_visited(limits::MAX_VISITED + 1)).contains("max_visited")
        );
        assert!(ask(&client, query().max_visited(limits::MAX_VISITED)).is_empty());
        assert!(
            ask(&client, query().max_depth(2).max_visited(300)).is_empty(),
            "a lower depth visits fewer"
        );
    }
}

#[test]
fn small_requests_are_answered_before_a_long_search_and_one_that_nobody_waits_for_ends() {
    const WIDTH: usize = 250;
    for cores in ["1", "2"] {
        let server = Server::start(&["--cores", cores, "--durability", "os"]);
        let client = server.client();
        learn_layers(&client, 5, WIDTH);
        client.learn(Concept::new("small")).unwrap();
        let layered = |start: &str, end: &str| PathRequest {
            start: id(start),
            end: id(end),
            max_depth: 1000,
            mode: 1,
            ..PathRequest::default()
        };
        let send = |raw: &mut Raw, number: u64, extra: u64| {
            let header =
                Header { opcode: Opcode::Path as u8, request: number, extra, ..Header::default() };
            let request = layered("start", "layer-5-0");
            raw.send(&frame(header, &rkyv::to_bytes::<Error>(&request).unwrap()));
        };
        let mut raw = Raw::open_on(server.address, 0);
        for number in 0..3 {
            send(&mut raw, number, 0);
        }
        let key = sutra_wire::ConceptKey { id: id("small"), namespace: String::new() };
        let query = Header { opcode: Opcode::Query as u8, request: 99, ..Header::default() };
        raw.send(&frame(query, &rkyv::to_bytes::<Error>(&key).unwrap()));
        let order: Vec<u64> = (0..4).map(|_| raw.reply().header.request).collect();
        assert_eq!(order[0], 99, "on {cores} cores");

        // Twelve requests, more than run at a time, each with a deadline of 1 µs.
        let mut late = Raw::open_on(server.address, 0);
        for number in 0..12 {
            send(&mut late, number, 1);
        }
        let replies: Vec<_> = (0..12).map(|_| late.reply().status()).collect();
        assert!(replies.contains(&Status::DeadlineExceeded), "{replies:?}");
        for number in 0..12 {
            send(&mut late, number, 0);
        }
        drop(late);
        assert_eq!(
            ask(&client, PathQuery::between("start", "layer-5-9"))[0].edges.len(),
            5,
            "places are free again"
        );
        let (status, _) = server.stop();
        assert!(status.success(), "nothing is left under way");
    }
}
