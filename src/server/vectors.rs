//! Vector search: every core searches its own shard, in slices, and the core that was asked merges.
//!
//! A search goes to all cores with one message each, which shares the query; each answers with its
//! best k once. A core that can't search yet, as its index is away with the worker that builds it,
//! goes on when it is back. At its deadline, or when nobody waits for the answer any more, a search
//! ends where it is. What is left of it on other cores ends with its deadline.

mod searches;
mod shares;

use std::sync::Arc;
use std::time::Duration;

use sutra_net::{BackgroundJob, Context, Flow, Request, background_job};
use sutra_store::{Indexed, NamespaceId, SearchProgress, VectorQuery};
use sutra_wire::{
    ArchivedSearchRequest, Checked, ConceptId, SearchHit, SearchHits, SearchRequest, Status,
};

use crate::core::message::{Body, Message, ShareAsked, VectorMessage};
use crate::core::names::{SearchNumber, ShareNumber};
use crate::core::neighborhood::{Neighborhood, NeighborhoodAsked};
use crate::core::run_queue::LongWork;
use crate::core::{Core, validated};
use searches::{Search, Searches};
use shares::Shares;

/// This core's searches, its shares of all cores' searches, and the building of its index.
#[derive(Default)]
pub(crate) struct Vectors {
    searches: Searches,
    shares: Shares,
    /// A job for this core's worker that it could not take yet.
    index_job: Option<BackgroundJob<Message>>,
}

/// What became of a request to search.
pub(crate) enum SearchBegun {
    Flow(Flow),
    /// It is among the concepts around one, which are to be found first.
    Near(NeighborhoodAsked),
}

impl Vectors {
    pub(crate) fn is_idle(&self) -> bool {
        self.searches.is_empty() && self.shares.is_empty()
    }

    /// A client asks. `can_traverse`: whether the concepts around one can be looked for now.
    pub(crate) fn search(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
        can_traverse: bool,
    ) -> SearchBegun {
        let Some(wanted) = validated::<SearchRequest>(cx, request) else {
            return SearchBegun::Flow(Flow::Taken);
        };
        let to = request.reply_to;
        let namespace = core.namespaces().lookup(&wanted.namespace);
        let dimension = namespace.and_then(|namespace| core.namespaces().dimension(namespace));
        if let Err(message) = check(&wanted, dimension) {
            cx.refuse(to, Status::InvalidArgument, message);
            return SearchBegun::Flow(Flow::Taken);
        }
        let (Some(namespace), Some(_)) = (namespace, dimension) else {
            // No vector was ever learned there.
            cx.reply_archive(to, Status::Ok, core.shard().last_sequence(), &SearchHits::default());
            return SearchBegun::Flow(Flow::Taken);
        };
        if !self.searches.has_room() || wanted.near.is_some() && !can_traverse {
            return SearchBegun::Flow(Flow::Wait);
        }
        let deadline =
            Some(request.header.extra).filter(|left| *left != 0).map(Duration::from_micros);
        let deadline = deadline.and_then(|left| cx.now().checked_add(left));
        let search =
            self.searches.add(Search::new(to, query(namespace, &wanted), deadline, cx.cores()));
        match wanted.near.as_ref() {
            Some(near) => {
                let (around, edges) = (ConceptId(near.id), near.edges.to_native());
                cx.about(to, around.0);
                SearchBegun::Near(NeighborhoodAsked { search, to, namespace, around, edges })
            }
            None => {
                self.ask_cores(core, cx, search, None);
                SearchBegun::Flow(Flow::Taken)
            }
        }
    }

    /// The concepts among which a search is to look are found, or can't be.
    pub(crate) fn neighborhood_found(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        neighborhood: Neighborhood,
    ) {
        let Neighborhood { search, found } = neighborhood;
        match found {
            Ok(ids) => self.ask_cores(core, cx, search, Some(ids)),
            Err((status, message)) => {
                if let Some(search) = self.searches.remove(search) {
                    cx.refuse(search.to(), status, message);
                    cx.resume();
                }
            }
        }
    }

    /// Another core asks for a share, or has done its own; or this core's index is back.
    pub(crate) fn message(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        from: usize,
        message: VectorMessage,
    ) {
        match message {
            VectorMessage::Search(asked) => self.begin_share(core, from, *asked),
            VectorMessage::Searched { search, hits } => self.searched(core, cx, search, hits),
            VectorMessage::Indexed(indexed) => self.index_is_back(core, *indexed),
        }
    }

    /// Asks every core, this one included.
    fn ask_cores(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        search: SearchNumber,
        mut allowed: Option<Vec<Vec<[u8; 16]>>>,
    ) {
        let Some((query, deadline)) = self.searches.get(search).map(Search::question) else {
            return;
        };
        for other in 0..cx.cores() {
            let allowed = allowed.as_mut().map(|by_core| std::mem::take(&mut by_core[other]));
            let asked = ShareAsked { search, query: Arc::clone(&query), deadline, allowed };
            if other == cx.index() {
                self.begin_share(core, other, asked);
            } else {
                core.post(cx, other, Body::Vector(VectorMessage::Search(Box::new(asked))));
            }
        }
    }

    fn begin_share(&mut self, core: &mut Core, asked_by: usize, asked: ShareAsked) {
        let share = self.shares.begin(core.shard(), asked_by, asked);
        core.run_queue().push(LongWork::Share(share));
    }

    /// Does the next slice of a share.
    pub(crate) fn advance(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        number: ShareNumber,
    ) {
        let Some(share) = self.shares.take_up(number) else { return };
        let (asked_by, search) = share.asked_by();
        let is_unwanted = asked_by == cx.index()
            && self.searches.get(search).is_none_or(|search| !cx.is_waiting(search.to()));
        if share.is_late(cx.now()) || is_unwanted {
            return self.end_share(core, cx, number, false);
        }
        match core.shard_mut().advance_search(share.state()) {
            SearchProgress::More => core.run_queue().push(LongWork::Share(number)),
            SearchProgress::Waits => self.shares.wait(number),
            SearchProgress::Done => self.end_share(core, cx, number, true),
        }
    }

    fn end_share(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        number: ShareNumber,
        is_whole: bool,
    ) {
        let Some(share) = self.shares.remove(number) else { return };
        let (asked_by, search) = share.asked_by();
        let hits = is_whole.then(|| share.into_hits());
        if asked_by == cx.index() {
            self.searched(core, cx, search, hits);
        } else {
            core.post(cx, asked_by, Body::Vector(VectorMessage::Searched { search, hits }));
        }
    }

    /// A core has done its share of a search, or gave up on it: replies when it was the last.
    fn searched(
        &mut self,
        core: &Core,
        cx: &mut Context<'_, Message>,
        search: SearchNumber,
        hits: Option<Vec<SearchHit>>,
    ) {
        let Some(search) = self.searches.merge(search, hits) else { return };
        cx.resume();
        let to = search.to();
        match search.into_best() {
            Some(hits) => {
                cx.reply_archive(
                    to,
                    Status::Ok,
                    core.shard().last_sequence(),
                    &SearchHits { hits },
                );
            }
            None => {
                let message = "the deadline passed during the search; give it more time";
                cx.refuse(to, Status::DeadlineExceeded, message);
            }
        }
    }

    /// Has this core's worker insert what waits to be indexed, if it has nothing else to do.
    pub(crate) fn build_index(&mut self, core: &mut Core, cx: &mut Context<'_, Message>) {
        if self.index_job.is_none() {
            // Clients wait while their connections are passed on, and would for its end.
            if cx.is_holding() || self.shares.owe() {
                return;
            }
            let Some(job) = core.shard_mut().next_index_job(cx.is_draining()) else { return };
            let clock = core.shard().last_sequence();
            let job = move || Message {
                clock,
                body: Body::Vector(VectorMessage::Indexed(Box::new(job.run()))),
            };
            self.index_job = Some(background_job(job));
        }
        // Its queue holds more than the one job that a shard has at a time.
        self.index_job = self.index_job.take().and_then(|job| cx.compute(job).err());
    }

    /// The worker is done for now: the index is back.
    fn index_is_back(&mut self, core: &mut Core, indexed: Indexed) {
        core.shard_mut().indexed(indexed);
        for share in self.shares.wake() {
            core.run_queue().push(LongWork::Share(share));
        }
    }
}

/// What a request that could be validated may still have wrong.
fn check(wanted: &ArchivedSearchRequest, dimension: Option<u32>) -> Result<(), String> {
    let length = wanted.vector.len();
    match dimension {
        _ if length == 0 => {
            Err("vector is empty; give as many numbers as the namespace's embeddings have"
                .to_owned())
        }
        Some(dimension) if dimension as usize != length => {
            let plural = if length == 1 { "" } else { "s" };
            Err(format!(
                "vector has {length} number{plural}, \
                 the embeddings of its namespace have {dimension}"
            ))
        }
        _ => Ok(()),
    }
}

fn query(namespace: NamespaceId, wanted: &Checked<'_, SearchRequest>) -> VectorQuery {
    VectorQuery {
        namespace,
        vector: wanted.vector.iter().map(|number| number.to_native()).collect(),
        k: wanted.k.to_native(),
        ef: wanted.ef_search.to_native(),
        minimum_strength: wanted.minimum_strength.to_native(),
        minimum_confidence: wanted.minimum_confidence.to_native(),
        exact: wanted.exact,
    }
}
