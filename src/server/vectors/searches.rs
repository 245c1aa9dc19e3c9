//! The searches that this core was asked for, until every core has answered.

use std::sync::Arc;
use std::time::Instant;

use slab::Slab;
use sutra_net::ReplyTo;
use sutra_store::VectorQuery;
use sutra_wire::SearchHit;

use crate::core::names::SearchNumber;

/// Searches that a core coordinates at a time: enough to keep every core busy, few enough that the
/// messages of all of them fit into a mailbox. Others wait with their connections.
const SEARCHES: usize = 64;

/// A search that this core was asked for.
pub(super) struct Search {
    to: ReplyTo,
    query: Arc<VectorQuery>,
    deadline: Option<Instant>,
    /// Cores that have not answered.
    missing: usize,
    /// Whether a core gave up on it.
    is_cut: bool,
    hits: Vec<SearchHit>,
}

impl Search {
    pub(super) fn new(
        to: ReplyTo,
        query: VectorQuery,
        deadline: Option<Instant>,
        cores: usize,
    ) -> Self {
        Self {
            to,
            query: Arc::new(query),
            deadline,
            missing: cores,
            is_cut: false,
            hits: Vec::new(),
        }
    }

    /// The request that waits for it.
    pub(super) fn to(&self) -> ReplyTo {
        self.to
    }

    /// What every core is to search for, and until when.
    pub(super) fn question(&self) -> (Arc<VectorQuery>, Option<Instant>) {
        (Arc::clone(&self.query), self.deadline)
    }

    /// The best hits of all cores; `None` where one gave up.
    pub(super) fn into_best(mut self) -> Option<Vec<SearchHit>> {
        if self.is_cut {
            return None;
        }
        self.hits
            .sort_unstable_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.id.cmp(&b.id)));
        self.hits.truncate(self.query.k as usize);
        Some(self.hits)
    }
}

#[derive(Default)]
pub(super) struct Searches(Slab<Search>);

impl Searches {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.0.len() < SEARCHES
    }

    pub(super) fn add(&mut self, search: Search) -> SearchNumber {
        SearchNumber(self.0.insert(search))
    }

    pub(super) fn get(&self, number: SearchNumber) -> Option<&Search> {
        self.0.get(number.0)
    }

    pub(super) fn remove(&mut self, number: SearchNumber) -> Option<Search> {
        self.0.try_remove(number.0)
    }

    /// Adds a core's hits, `None` where it gave up. Returns the search when it was the last core.
    pub(super) fn merge(
        &mut self,
        number: SearchNumber,
        hits: Option<Vec<SearchHit>>,
    ) -> Option<Search> {
        let search = self.0.get_mut(number.0)?;
        search.is_cut |= hits.is_none();
        search.hits.extend(hits.into_iter().flatten());
        search.missing -= 1;
        if search.missing > 0 { None } else { self.remove(number) }
    }
}
