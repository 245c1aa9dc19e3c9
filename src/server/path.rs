//! How two concepts are connected: the request, and the answer of the traversal that looks for it (`traversing.rs`).

use sutra_net::{Context, Flow, Request};
use sutra_store::NamespaceId;
use sutra_wire::{ConceptId, Direction, Path, PathEdge, PathMode, PathRequest, Paths, Status, limits};

use crate::message::{Forwarded, Message, Payload, Ticket};
use crate::most_confident::MostConfident;
use crate::service::{StorageService, validated};
use crate::shortest::{Hop, Shortest};
use crate::traversal::Goal;
use crate::traversing::Terms;

/// Concepts of all paths of one reply: with its association each takes 28 bytes of at most [`limits::MAX_PAYLOAD`].
pub(crate) const MOST_CONCEPTS: usize = 1 << 19;

/// A path as it is answered.
pub(crate) struct Route {
    pub(crate) concepts: Vec<ConceptId>,
    /// One fewer.
    pub(crate) hops: Vec<Hop>,
}

impl StorageService {
    pub(crate) fn path(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(path) = validated::<PathRequest>(cx, request) else { return Flow::Taken };
        let (start, end) = (ConceptId(path.start), ConceptId(path.end));
        let Some(namespace) = self.namespaces.lookup(&path.namespace) else {
            self.path_found(cx, Ticket::Here(request.reply_to), Ok(Vec::new()));
            return Flow::Taken;
        };
        if start == end {
            let owner = self.owner(&start);
            if owner != cx.index() {
                return self.forward(cx, owner, request.reply_to, |_| Forwarded::Itself { namespace, id: start });
            }
            self.itself_here(cx, Ticket::Here(request.reply_to), namespace, start);
            return Flow::Taken;
        }
        let Some(place) = self.traversals.place() else { return Flow::Wait };
        let max_visited = match path.max_visited.to_native() {
            0 => limits::DEFAULT_VISITED,
            visited => visited,
        } as usize;
        let max_depth = path.max_depth.to_native();
        let goal = if path.mode == PathMode::MostConfident as u8 {
            Goal::MostConfident(MostConfident::new(max_depth, max_visited))
        } else {
            let ways = self.traversals.spare_ways.pop().unwrap_or_default();
            Goal::Shortest(Shortest::new(max_depth, path.alternatives.to_native() as usize, max_visited, ways))
        };
        let terms = Terms {
            to: request.reply_to,
            namespace,
            kinds: path.kinds.iter().map(|kind| kind.to_native()).collect(),
            direction: Direction::from_number(path.direction).expect("validated"),
            max_visited,
        };
        self.begin_traversal(cx, place, terms, goal, start, Some(end));
        Flow::Taken
    }

    /// Answers with the path from a concept of this core's to itself: there is one from each that
    /// is learned, or that an association names.
    pub(crate) fn itself_here(
        &mut self,
        cx: &mut Context<'_, Message>,
        ticket: Ticket,
        namespace: NamespaceId,
        id: ConceptId,
    ) {
        let route = Route { concepts: vec![id], hops: Vec::new() };
        let found = if self.shard.knows(namespace, &id) { vec![route] } else { Vec::new() };
        self.path_found(cx, ticket, Ok(found));
    }

    /// Answers with the paths that were found, best first, or says why there are none.
    pub(crate) fn path_found(
        &mut self,
        cx: &mut Context<'_, Message>,
        ticket: Ticket,
        found: Result<Vec<Route>, (Status, String)>,
    ) {
        let found = match found {
            Ok(found) => found,
            Err((status, message)) => return self.refuse(cx, ticket, status, message),
        };
        if let Some(Route { concepts, .. }) = found.first().filter(|route| route.concepts.len() > MOST_CONCEPTS) {
            let message = format!(
                "the path found has {} concepts, and a reply holds at most {MOST_CONCEPTS}; ask for one of less max_depth",
                concepts.len()
            );
            return self.refuse(cx, ticket, Status::InvalidArgument, message);
        }
        let edge = |Hop { kind, confidence, is_forward }| PathEdge { kind, confidence, forward: is_forward };
        let path = |Route { concepts, hops }| Path {
            concepts: concepts.into_iter().map(|id| id.0).collect(),
            edges: hops.into_iter().map(edge).collect(),
        };
        let reply = Paths { paths: found.into_iter().map(path).collect() };
        let buffer = self.archive(cx, &reply);
        self.answer(cx, ticket, Status::Ok, self.shard.last_sequence(), Payload::Built(buffer));
    }
}
