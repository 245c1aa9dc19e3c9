//! A concept's neighbours, page by page.

use rkyv::rend::u32_le;
use sutra_wire::{ConceptId, Direction, Neighbor, limits};

use super::Graph;
use crate::adjacency::At;
use crate::namespaces::NamespaceId;

/// Asks for a concept's neighbours.
#[derive(Clone, Copy, Debug)]
pub struct NeighborQuery<'a> {
    /// The concept's namespace.
    pub namespace: NamespaceId,
    /// The concept, which need not be learned.
    pub id: ConceptId,
    /// Which associations.
    pub direction: Direction,
    /// Only these kinds; empty for all.
    pub kinds: &'a [u32_le],
    /// Only associations of at least this confidence.
    pub minimum_confidence: f32,
    /// At most so many.
    pub limit: u32,
    /// Where to go on: 0 at first, then what the last call returned.
    pub cursor: u64,
}

impl NeighborQuery<'_> {
    fn wants(&self, kind: u32, confidence: f32) -> bool {
        confidence >= self.minimum_confidence
            && (self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted.to_native() == kind))
    }
}

/// The most edges that one call looks at, wanted or not: about 0.2 ms. So a hub's edges that are
/// filtered out hold a core no longer than a page of wanted ones.
pub(super) const MAX_VISITED: u32 = limits::MAX_NEIGHBORS;

/// One of a node's edges, for a call to go on with: the out-edges come first. As a number it is
/// never 0.
#[derive(Clone, Copy)]
struct EdgeCursor {
    incoming: bool,
    edge: u32,
}

impl EdgeCursor {
    fn from_number(number: u64) -> Option<Self> {
        let bits = number.checked_sub(1)?;
        (bits >> 33 == 0).then_some(Self { incoming: bits >> 32 == 1, edge: bits as u32 })
    }

    fn number(self) -> u64 {
        (u64::from(self.incoming) << 32 | u64::from(self.edge)) + 1
    }
}

impl Graph {
    /// Appends a concept's neighbours to `out`; returns the cursor to go on with, 0 at the end.
    /// Edges that are there throughout come exactly once; ones that are added meanwhile may be
    /// missed. A call may return fewer than asked for, even none, and a cursor. A cursor that makes
    /// no sense ends the walk. An association of the concept with itself is one edge: of both
    /// directions it comes as one that leads out.
    pub(crate) fn neighbors(&self, query: &NeighborQuery<'_>, out: &mut Vec<Neighbor>) -> u64 {
        let Some(node) = self.table.find(query.namespace, &query.id) else { return 0 };
        let at = |incoming: bool, edge: Option<u32>| edge.map(|edge| EdgeCursor { incoming, edge });
        let first_incoming = || match query.direction {
            Direction::Out => None,
            Direction::Both | Direction::In => at(true, self.incoming.first(node)),
        };
        let mut next = match (query.cursor, query.direction) {
            (0, Direction::In) => first_incoming(),
            (0, _) => at(false, self.outgoing.first(node)).or_else(first_incoming),
            (cursor, _) => EdgeCursor::from_number(cursor),
        };
        let mut found = 0;
        let mut visited = 0;
        while let Some(cursor) = next {
            if found == query.limit.min(limits::MAX_NEIGHBORS) || visited == MAX_VISITED {
                return cursor.number();
            }
            let Some(edge) = self.edge_at(node, cursor) else { return 0 };
            let (peer, kind, incoming) = (edge.peer, edge.kind, cursor.incoming);
            visited += 1;
            let is_seen = incoming && peer == node && query.direction == Direction::Both;
            if let Some(confidence) =
                edge.confidence.filter(|confidence| !is_seen && query.wants(kind, *confidence))
            {
                found += 1;
                out.push(Neighbor {
                    id: self.table.id_of(peer).0,
                    kind,
                    confidence,
                    direction: if incoming { Direction::In } else { Direction::Out } as u8,
                });
            }
            next = match at(incoming, edge.next) {
                None if !incoming => first_incoming(),
                next => next,
            };
        }
        0
    }

    /// The edge of a node that a cursor names; `None` where there is none.
    fn edge_at(&self, node: u32, cursor: EdgeCursor) -> Option<At> {
        match cursor.incoming {
            true => self.incoming.walk(node, cursor.edge),
            false => self.outgoing.walk(node, cursor.edge),
        }
    }
}
