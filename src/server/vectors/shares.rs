//! This core's shares of searches: its own and other cores'.

use std::time::Instant;

use slab::Slab;
use sutra_store::{Shard, VectorSearch};
use sutra_wire::SearchHit;

use crate::core::message::ShareAsked;
use crate::core::names::{SearchNumber, ShareNumber};

/// This core's share of a search.
pub(super) struct Share {
    /// Who asked: a core, and the number that it gave the search.
    core: usize,
    search: SearchNumber,
    deadline: Option<Instant>,
    state: VectorSearch,
    /// Whether it has waited for the index, which stays until it has had it.
    is_owed: bool,
}

impl Share {
    /// The core that asked, and the number that it gave the search.
    pub(super) fn asked_by(&self) -> (usize, SearchNumber) {
        (self.core, self.search)
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// How far it has come.
    pub(super) fn state(&mut self) -> &mut VectorSearch {
        &mut self.state
    }

    pub(super) fn into_hits(self) -> Vec<SearchHit> {
        self.state.into_hits()
    }
}

#[derive(Default)]
pub(super) struct Shares {
    all: Slab<Share>,
    /// Those that can go on when the index is back.
    waiting: Vec<ShareNumber>,
    /// How many have waited and not had it yet: the index is not lent again before, or a search
    /// could wait for as long as it is built.
    owed: usize,
}

impl Shares {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn begin<T>(
        &mut self,
        shard: &Shard<T>,
        core: usize,
        asked: ShareAsked,
    ) -> ShareNumber {
        let ShareAsked { search, query, deadline, allowed } = asked;
        let state = shard.begin_search(query, allowed);
        ShareNumber(self.all.insert(Share { core, search, deadline, state, is_owed: false }))
    }

    /// A share whose next slice is to be done.
    pub(super) fn take_up(&mut self, number: ShareNumber) -> Option<&mut Share> {
        let share = self.all.get_mut(number.0)?;
        self.owed -= usize::from(std::mem::take(&mut share.is_owed));
        Some(share)
    }

    pub(super) fn remove(&mut self, number: ShareNumber) -> Option<Share> {
        self.all.try_remove(number.0)
    }

    /// A share waits for the index.
    pub(super) fn wait(&mut self, number: ShareNumber) {
        self.waiting.push(number);
    }

    /// Whether some have waited and not had the index yet.
    pub(super) fn owe(&self) -> bool {
        self.owed > 0
    }

    /// The index is back: those that waited for it go on.
    pub(super) fn wake(&mut self) -> Vec<ShareNumber> {
        let mut woken = std::mem::take(&mut self.waiting);
        woken.retain(|number| match self.all.get_mut(number.0) {
            Some(share) => {
                share.is_owed = true;
                self.owed += 1;
                true
            }
            None => false,
        });
        woken
    }
}
