//! A graph that is learned, read in pages and changed.
#![allow(clippy::unwrap_used)]

use rkyv::rend::u32_le;
use sutra_wire::{Direction, Neighbor};

use super::neighbors::MAX_VISITED;
use super::*;

const HUB: ConceptId = ConceptId([1; 16]);

fn id(number: u32) -> ConceptId {
    let mut id = [9; 16];
    id[..4].copy_from_slice(&number.to_le_bytes());
    ConceptId(id)
}

fn associate(
    graph: &mut Graph,
    source: ConceptId,
    target: ConceptId,
    kind: u32,
    confidence: f32,
    sequence: u64,
) -> InEdge {
    let record = AssociationRecord {
        source: source.0,
        target: target.0,
        kind,
        confidence,
        ..AssociationRecord::default()
    };
    let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(&record).unwrap();
    // SAFETY: these tests never read what lies there.
    let location = unsafe { Location::new(0, 0, 0) };
    graph.associate(NamespaceId::DEFAULT, &Checked::new(&bytes).unwrap(), location, sequence)
}

fn query(id: ConceptId, direction: Direction, limit: u32) -> NeighborQuery<'static> {
    NeighborQuery {
        namespace: NamespaceId::DEFAULT,
        id,
        direction,
        kinds: &[],
        minimum_confidence: 0.0,
        limit,
        cursor: 0,
    }
}

/// All pages, and how many there were.
fn pages(graph: &Graph, mut query: NeighborQuery<'_>) -> (Vec<Neighbor>, usize) {
    let (mut all, mut pages) = (Vec::new(), 0);
    loop {
        query.cursor = graph.neighbors(&query, &mut all);
        pages += 1;
        if query.cursor == 0 {
            return (all, pages);
        }
    }
}

#[test]
fn a_hub_is_read_in_pages_each_edge_once_while_others_are_added() {
    let mut graph = Graph::default();
    for number in 0..1000 {
        let edge = associate(&mut graph, HUB, id(number), 0, 0.5, u64::from(number) + 1);
        let key = EdgeKey { source: edge.key.target, target: edge.key.source, ..edge.key };
        let back = InEdge { key, ..edge };
        graph.apply_in_edge(&back);
    }
    let mut query = query(HUB, Direction::Both, 64);
    let mut seen = Vec::new();
    loop {
        let before = seen.len();
        query.cursor = graph.neighbors(&query, &mut seen);
        assert!(seen.len() - before <= 64);
        if query.cursor == 0 {
            break;
        }
        associate(
            &mut graph,
            HUB,
            id(1_000_000 + seen.len() as u32),
            0,
            0.5,
            1_000_000 + seen.len() as u64,
        );
    }
    for direction in [Direction::Out, Direction::In] {
        let mut ids: Vec<_> = seen
            .iter()
            .filter(|neighbor| neighbor.direction == direction as u8)
            .map(|n| n.id)
            .collect();
        ids.sort_unstable();
        let mut expected: Vec<_> = (0..1000).map(|number| id(number).0).collect();
        expected.sort_unstable();
        assert_eq!(ids, expected, "{direction:?}");
    }
}

#[test]
fn a_page_that_ends_with_the_last_edge_may_be_followed_by_an_empty_one() {
    let mut graph = Graph::default();
    for number in 0..4 {
        associate(&mut graph, HUB, id(number), 0, 0.5, u64::from(number) + 1);
    }
    let (all, pages) = pages(&graph, query(HUB, Direction::Both, 2));
    assert_eq!((all.len(), pages), (4, 2));
}

#[test]
fn edges_are_filtered_by_kind_and_confidence() {
    let mut graph = Graph::default();
    for (number, (kind, confidence)) in (0..).zip([(0, 0.1), (0, 0.9), (3, 0.9), (7, 1.0)]) {
        associate(&mut graph, HUB, id(number), kind, confidence, u64::from(number) + 1);
    }
    let kinds = [u32_le::from_native(0), u32_le::from_native(7)];
    let query =
        NeighborQuery { kinds: &kinds, minimum_confidence: 0.5, ..query(HUB, Direction::Out, 100) };
    let mut found: Vec<_> = pages(&graph, query)
        .0
        .iter()
        .map(|neighbor| (neighbor.kind, neighbor.confidence))
        .collect();
    found.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(found, [(0, 0.9), (7, 1.0)]);
}

#[test]
fn one_call_looks_at_a_bounded_number_of_edges() {
    let mut graph = Graph::default();
    for number in 0..MAX_VISITED + 10 {
        let confidence = if number < 5 { 1.0 } else { 0.0 };
        associate(&mut graph, HUB, id(number), 0, confidence, u64::from(number) + 1);
    }
    let query = NeighborQuery { minimum_confidence: 0.5, ..query(HUB, Direction::Out, 100) };
    let mut none = Vec::new();
    assert_ne!(graph.neighbors(&query, &mut none), 0);
    assert_eq!(none, []);
    let (all, pages) = pages(&graph, query);
    assert_eq!((all.len(), pages), (5, 2));
}

#[test]
fn an_association_with_itself_is_one_whichever_way_it_is_looked_at() {
    let mut graph = Graph::default();
    for kind in [2, 7] {
        let edge = associate(&mut graph, HUB, HUB, kind, 0.5, u64::from(kind));
        graph.apply_in_edge(&edge);
    }
    for (asked, shown) in [
        (Direction::Both, Direction::Out),
        (Direction::Out, Direction::Out),
        (Direction::In, Direction::In),
    ] {
        for limit in [1, 2, 10] {
            let (all, _) = pages(&graph, query(HUB, asked, limit));
            let seen: Vec<_> = all
                .iter()
                .map(|neighbor| (neighbor.id, neighbor.kind, neighbor.direction))
                .collect();
            assert_eq!(seen, [7, 2].map(|kind| (HUB.0, kind, shown as u8)), "{asked:?}, {limit}");
        }
    }
}

#[test]
fn known_is_what_is_learned_or_has_an_association_that_was_not_removed() {
    let mut graph = Graph::default();
    let knows = |graph: &Graph, id: &ConceptId| graph.knows(NamespaceId::DEFAULT, id);
    assert!(!knows(&graph, &HUB));
    let edge = associate(&mut graph, HUB, id(1), 2, 0.5, 1);
    assert!(knows(&graph, &HUB) && !graph.knows(NamespaceId::from_number(1), &HUB));
    assert!(!knows(&graph, &id(1)), "its shard was not told yet");
    graph.apply_in_edge(&edge);
    assert!(knows(&graph, &id(1)));
    graph.apply_in_edge(&InEdge { confidence: None, sequence: 2, ..edge });
    assert!(!knows(&graph, &id(1)), "its only association was removed");
}

#[test]
fn an_in_edge_that_comes_again_or_late_changes_nothing() {
    let mut graph = Graph::default();
    let key = EdgeKey { namespace: NamespaceId::DEFAULT, source: id(1), target: HUB, kind: 0 };
    let edge = InEdge { key, confidence: Some(0.75), sequence: 9 };
    graph.apply_in_edge(&edge);
    graph.apply_in_edge(&edge);
    graph.apply_in_edge(&InEdge { confidence: Some(0.1), sequence: 8, ..edge });
    let (all, _) = pages(&graph, query(HUB, Direction::In, 10));
    assert_eq!(all.iter().map(|neighbor| neighbor.confidence).collect::<Vec<_>>(), [0.75]);
    assert_eq!(graph.associations(), 0, "it belongs to the source's shard");
    graph.apply_in_edge(&InEdge { confidence: None, sequence: 10, ..edge });
    graph.apply_in_edge(&edge);
    assert_eq!(pages(&graph, query(HUB, Direction::In, 10)).0, []);
}

#[test]
fn a_cursor_that_makes_no_sense_ends_the_walk() {
    let mut graph = Graph::default();
    associate(&mut graph, HUB, id(1), 0, 0.5, 1);
    associate(&mut graph, id(2), id(1), 0, 0.5, 2);
    for cursor in [2, 3, 1 << 32, (1 << 32) + 1, 1 << 33, u64::MAX] {
        let mut none = Vec::new();
        assert_eq!(
            graph
                .neighbors(&NeighborQuery { cursor, ..query(HUB, Direction::Both, 10) }, &mut none),
            0
        );
        assert_eq!(none, [], "cursor {cursor}");
    }
}
