//! The concepts within so many associations of one, which a vector search may be restricted to.

use std::sync::Arc;

use sutra_net::{Context, ReplyTo};
use sutra_store::NamespaceId;
use sutra_wire::{ArchivedNear, ConceptId, Direction, Status, limits};

use crate::message::Message;
use crate::service::StorageService;
use crate::traversal::{Goal, Terms};
use crate::within::Within;

impl StorageService {
    /// Looks for a neighbourhood for the vector search of this number, which answers `to`; the result comes to
    /// [`StorageService::neighbourhood_found`]. `false` where there is no place for a traversal: the request is to wait.
    #[expect(dead_code, reason = "vector search calls it as soon as it is served")]
    pub(crate) fn find_neighbourhood(
        &mut self,
        cx: &Context<'_, Message>,
        to: ReplyTo,
        search: usize,
        namespace: NamespaceId,
        near: &ArchivedNear,
    ) -> bool {
        let Some(place) = self.traversals.place() else { return false };
        let goal = Goal::Within {
            within: Within::new(near.edges.to_native(), limits::DEFAULT_VISITED),
            ids: vec![near.id],
            search,
        };
        let terms = Terms {
            to,
            namespace,
            kinds: Arc::default(),
            direction: Direction::Both,
            max_visited: limits::DEFAULT_VISITED as usize,
        };
        self.begin_traversal(cx, place, terms, goal, ConceptId(near.id), None);
        true
    }

    /// The neighbourhood that a vector search asked for, its middle included, or why there is none: too large, or nobody waits for the search
    /// any more.
    pub(crate) fn neighbourhood_found(
        &mut self,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        _search: usize,
        found: Result<Vec<[u8; 16]>, (Status, String)>,
    ) {
        if let Err((status, message)) = found {
            cx.refuse(to, status, message);
        }
    }
}
