//! The concepts within so many associations of one, which a vector search may be restricted to.

use std::sync::Arc;

use sutra_net::{Context, ReplyTo};
use sutra_store::NamespaceId;
use sutra_wire::{ArchivedNear, ConceptId, Direction, limits};

use crate::message::Message;
use crate::service::StorageService;
use crate::traversal::Goal;
use crate::traversing::Terms;
use crate::within::Within;

impl StorageService {
    /// Looks for a neighbourhood for the vector search of this number, which answers `to`; the result comes to
    /// [`StorageService::neighbourhood_found`]. The traversal's place must be free.
    pub(crate) fn find_neighbourhood(
        &mut self,
        cx: &Context<'_, Message>,
        place: usize,
        to: ReplyTo,
        search: usize,
        namespace: NamespaceId,
        near: &ArchivedNear,
    ) {
        let mut ids = vec![Vec::new(); cx.cores()];
        ids[self.owner(&ConceptId(near.id))].push(near.id);
        let goal = Goal::Within { within: Within::new(near.edges.to_native(), limits::DEFAULT_VISITED), ids, search };
        let terms = Terms {
            to,
            namespace,
            kinds: Arc::default(),
            direction: Direction::Both,
            max_visited: limits::DEFAULT_VISITED as usize,
        };
        self.begin_traversal(cx, place, terms, goal, ConceptId(near.id), None);
    }
}
