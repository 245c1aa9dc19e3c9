//! Vector search: every core searches its own shard, in slices, and the core that was asked merges.
//!
//! A search goes to all cores with one message each, which shares the query; each answers with its best k once. A core that can't search
//! yet, as its index is away with the worker that builds it, goes on when it is back. At its deadline, or when nobody waits for the answer
//! any more, a search ends where it is; what is left of it on other cores ends with its deadline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;
use sutra_net::{Context, Flow, ReplyTo, Request};
use sutra_store::{Indexed, NamespaceId, SearchProgress, VectorQuery, VectorSearch};
use sutra_wire::{Checked, SearchHit, SearchHits, SearchRequest, Status};

use crate::message::{Body, Message};
use crate::run_queue::Work;
use crate::service::{StorageService, validated};

/// Searches that a core coordinates at a time: enough to keep every core busy, few enough that the messages of all of them fit into a
/// mailbox. Others wait with their connections.
const SEARCHES: usize = 64;

/// A search that this core was asked for.
struct Search {
    to: ReplyTo,
    query: Arc<VectorQuery>,
    deadline: Option<Instant>,
    /// Cores that have not answered.
    missing: usize,
    /// Whether a core gave up on it.
    cut: bool,
    hits: Vec<SearchHit>,
}

/// This core's part of a search.
struct Part {
    /// Who asked: a core, and its place for the search there.
    core: usize,
    search: usize,
    deadline: Option<Instant>,
    state: VectorSearch,
    /// Whether it has waited for the index, which stays until it has had it.
    is_owed: bool,
}

/// The searches of a core: those that it was asked for, and its parts of all.
#[derive(Default)]
pub(crate) struct Searches {
    asked: Slab<Search>,
    parts: Slab<Part>,
    /// Parts that can go on when the index is back.
    waiting: Vec<usize>,
    /// How many have waited and not had it yet: the index is not lent again before, or a search could wait for as long as it is built.
    owed: usize,
}

impl Searches {
    pub(crate) fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.parts.is_empty()
    }
}

/// What a core is asked to search for.
pub(crate) struct Asked {
    pub(crate) search: usize,
    pub(crate) query: Arc<VectorQuery>,
    pub(crate) deadline: Option<Instant>,
    /// Only these concepts, all of them the asked core's own; `None` for all that it has.
    pub(crate) allowed: Option<Vec<[u8; 16]>>,
}

impl StorageService {
    pub(crate) fn search(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(wanted) = validated::<SearchRequest>(cx, request) else { return Flow::Taken };
        let to = request.reply_to;
        let namespace = self.namespaces.lookup(&wanted.namespace);
        let dimension = namespace.and_then(|namespace| self.namespaces.dimension(namespace));
        if let Err(message) = check(&wanted, dimension) {
            cx.refuse(to, Status::InvalidArgument, message);
            return Flow::Taken;
        }
        let (Some(namespace), Some(_)) = (namespace, dimension) else {
            // No vector was ever learned there.
            cx.reply_archive(to, Status::Ok, self.shard.last_sequence(), &SearchHits::default());
            return Flow::Taken;
        };
        let traversal = self.traversals.place();
        if self.searches.asked.len() == SEARCHES || wanted.near.is_some() && traversal.is_none() {
            return Flow::Wait;
        }
        let deadline = Some(request.header.extra).filter(|left| *left != 0).map(Duration::from_micros);
        let search = self.searches.asked.insert(Search {
            to,
            query: Arc::new(query(namespace, &wanted)),
            deadline: deadline.and_then(|left| cx.now().checked_add(left)),
            missing: cx.cores(),
            cut: false,
            hits: Vec::new(),
        });
        match (wanted.near.as_ref(), traversal) {
            (Some(near), Some(place)) => self.find_neighbourhood(cx, place, to, search, namespace, near),
            _ => self.ask_to_search(cx, search, None),
        }
        Flow::Taken
    }

    /// The concepts among which a search is to look are found, by the cores that own them; or why
    /// they are not: there are too many, or nobody waits for the search any more.
    pub(crate) fn neighbourhood_found(
        &mut self,
        cx: &mut Context<'_, Message>,
        search: usize,
        found: Result<Vec<Vec<[u8; 16]>>, (Status, String)>,
    ) {
        match found {
            Ok(ids) => self.ask_to_search(cx, search, Some(ids)),
            Err((status, message)) => {
                if let Some(search) = self.searches.asked.try_remove(search) {
                    cx.refuse(search.to, status, message);
                    cx.resume();
                }
            }
        }
    }

    /// Asks every core, this one included.
    fn ask_to_search(&mut self, cx: &mut Context<'_, Message>, search: usize, mut allowed: Option<Vec<Vec<[u8; 16]>>>) {
        let Some(Search { query, deadline, .. }) = self.searches.asked.get_mut(search) else { return };
        let (query, deadline) = (Arc::clone(query), *deadline);
        for core in 0..cx.cores() {
            let allowed = allowed.as_mut().map(|by_core| std::mem::take(&mut by_core[core]));
            let asked = Asked { search, query: Arc::clone(&query), deadline, allowed };
            if core == cx.index() {
                self.begin_part(core, asked);
            } else {
                self.post(cx, core, Body::Search(Box::new(asked)));
            }
        }
    }

    /// A core asks this one for its part of a search.
    pub(crate) fn begin_part(&mut self, core: usize, asked: Asked) {
        let Asked { search, query, deadline, allowed } = asked;
        let state = self.shard.begin_search(query, allowed);
        let part = self.searches.parts.insert(Part { core, search, deadline, state, is_owed: false });
        self.run_queue.push(Work::Search(part));
    }

    /// Does the next slice of a part.
    pub(crate) fn advance_part(&mut self, cx: &mut Context<'_, Message>, place: usize) {
        let Some(part) = self.searches.parts.get_mut(place) else { return };
        self.searches.owed -= usize::from(std::mem::take(&mut part.is_owed));
        let is_late = part.deadline.is_some_and(|deadline| deadline <= cx.now());
        let is_unwanted = part.core == cx.index()
            && self.searches.asked.get(part.search).is_none_or(|search| !cx.is_waiting(search.to));
        if is_late || is_unwanted {
            return self.end_part(cx, place, false);
        }
        match self.shard.advance_search(&mut part.state) {
            SearchProgress::More => self.run_queue.push(Work::Search(place)),
            SearchProgress::Waits => self.searches.waiting.push(place),
            SearchProgress::Done => self.end_part(cx, place, true),
        }
    }

    fn end_part(&mut self, cx: &mut Context<'_, Message>, place: usize, is_whole: bool) {
        let Some(Part { core, search, state, .. }) = self.searches.parts.try_remove(place) else { return };
        let hits = is_whole.then(|| state.into_hits());
        if core == cx.index() {
            self.searched(cx, search, hits);
        } else {
            self.post(cx, core, Body::Searched { place: search, hits });
        }
    }

    /// A core has done its part of a search, or gave up on it: replies when it was the last.
    pub(crate) fn searched(&mut self, cx: &mut Context<'_, Message>, place: usize, hits: Option<Vec<SearchHit>>) {
        let Some(search) = self.searches.asked.get_mut(place) else { return };
        search.cut |= hits.is_none();
        search.hits.extend(hits.into_iter().flatten());
        search.missing -= 1;
        if search.missing > 0 {
            return;
        }
        let Some(Search { to, query, cut, mut hits, .. }) = self.searches.asked.try_remove(place) else { return };
        cx.resume();
        if cut {
            return cx.refuse(to, Status::DeadlineExceeded, "the deadline passed during the search; give it more time");
        }
        hits.sort_unstable_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.id.cmp(&b.id)));
        hits.truncate(query.k as usize);
        cx.reply_archive(to, Status::Ok, self.shard.last_sequence(), &SearchHits { hits });
    }

    /// Has this core's worker insert what waits to be indexed, if it has nothing else to do.
    pub(crate) fn build_index(&mut self, cx: &mut Context<'_, Message>) {
        if self.index_job.is_none() {
            if self.searches.owed > 0 {
                return;
            }
            let Some(job) = self.shard.index_work(cx.is_draining()) else { return };
            let clock = self.shard.last_sequence();
            let job = move || Message { clock, body: Body::Indexed(Box::new(job.run())) };
            self.index_job = Some(sutra_net::background_job(job));
        }
        // Its queue holds more than the one job that a shard has at a time.
        self.index_job = self.index_job.take().and_then(|job| cx.compute(job).err());
    }

    /// The worker is done for now: the index is back.
    pub(crate) fn index_is_back(&mut self, indexed: Indexed) {
        self.shard.indexed(indexed);
        for place in self.searches.waiting.drain(..) {
            if let Some(part) = self.searches.parts.get_mut(place) {
                part.is_owed = true;
                self.searches.owed += 1;
                self.run_queue.push(Work::Search(place));
            }
        }
    }
}

/// What a request that could be validated may still have wrong.
fn check(wanted: &Checked<'_, SearchRequest>, dimension: Option<u32>) -> Result<(), String> {
    let length = wanted.vector.len();
    match dimension {
        _ if length == 0 => Err("vector is empty; give as many numbers as the namespace's embeddings have".to_owned()),
        Some(dimension) if dimension as usize != length => {
            Err(format!("vector has {length} numbers, the embeddings of its namespace have {dimension}"))
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
