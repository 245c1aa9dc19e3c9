//! A search of one shard, in slices. The tail is scanned, the index is asked, and what it found is
//! ordered by the true vectors.
//!
//! All vectors are scanned instead where that is asked for, where there is no index, where a filter
//! leaves little, and where the search is very wide. They are scanned, too, where the index can't
//! be relied upon: it found too little, the copies can't tell apart what it found (`ordering.rs`),
//! or vectors that it is known to miss (`checks.rs`) are among the best. Vectors come and go
//! between two slices. If any did, what was found is judged again at the end, and so is what came
//! meanwhile. So no concept is found that is gone. None is missed that was there throughout with
//! the same embedding.

mod answer;
mod strays;

use std::sync::Arc;

use sutra_wire::{ConceptId, SearchHit};

use self::strays::Strays;
use super::cosine::Direction;
use super::lookup::Ordinals;
use super::nearest::{Candidate, Nearest};
use super::ordering::Ordering;
use super::query::{LEAST_WIDTH, VectorQuery};
use super::records::Records;
use super::space::{MIN_INDEXED, Moment, Slot, Space, Vector};

use crate::namespaces::NamespaceId;

/// What a slice of scanning costs at most, in numbers of vectors that are looked at: about 0.15 ms.
const SLICE: usize = 512 << 10;
/// What it costs to reach a vector, in numbers that would take as long.
const OVERHEAD: usize = 128;
/// Results that are kept beyond those asked for, in place of concepts that go before the search
/// ends.
const SPARE: usize = 16;
/// A neighbourhood up to this is scanned: it takes about 2 ms.
const SMALL: usize = 16 << 10;
/// Where a filter leaves fewer than one vector in so many, all are scanned: most of what the index
/// finds would be filtered out.
const SELECTIVE: u64 = 10;
/// The widest index search, as it is one piece: 0.4 ms at the default width, 1.2 ms at 400 (100,000
/// vectors), and more where others want the CPU. A wider one takes as long as a scan of some ten
/// thousand vectors, which is cut into slices and misses nothing.
const WIDEST: usize = 400;
/// The same for long vectors, in numbers: width times dimension.
const WIDEST_NUMBERS: usize = WIDEST * 1_536;
/// Vectors that a filter's selectivity is judged by.
const SAMPLE: u32 = 256;
/// How far a search has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchProgress {
    /// Another slice is to follow.
    More,
    /// A job has the index: another slice is to follow after its end ([`crate::Shard::indexed`]).
    Waits,
    /// The search has found what there is.
    Done,
}

/// A search of one shard that is under way.
pub struct VectorSearch {
    query: Arc<VectorQuery>,
    direction: Direction,
    allowed: Option<Allowed>,
    found: Nearest,
    /// What the index found.
    ordering: Option<Ordering>,
    /// What it is known to miss.
    strays: Strays,
    step: Step,
    /// When it began, but for what came since and was looked at.
    since: Moment,
}

/// The concepts that a search is restricted to.
struct Allowed {
    ids: Vec<[u8; 16]>,
    /// A bit for each node of the shard, once the search has looked them up.
    nodes: Vec<u64>,
    /// How many of those that were looked up have a vector.
    vectors: u64,
}

impl Allowed {
    fn add(&mut self, node: u32) {
        let at = node as usize / 64;
        if at >= self.nodes.len() {
            self.nodes.resize(at + 1, 0);
        }
        self.nodes[at] |= 1 << (node % 64);
    }

    fn has(&self, node: u32) -> bool {
        self.nodes.get(node as usize / 64).is_some_and(|bits| bits >> (node % 64) & 1 == 1)
    }
}

/// What is to be done next, from where on.
#[derive(Clone, Copy)]
enum Step {
    /// Looking the allowed ids up.
    Resolve(usize),
    /// Scanning the allowed ones.
    Allowed(usize),
    /// Scanning all ordinals.
    All(u32),
    /// Scanning the tail, from its end.
    Tail(usize),
    Index,
    /// Ordering what the index found by the true vectors.
    Order,
    /// Scanning the vectors that the index is known to miss.
    Strays,
    /// Looking at the zero vectors, from their end.
    Zeros(usize),
    /// Whether what the index found is enough.
    Enough,
    Finish,
    Done,
}

/// How wide an index search of vectors of a dimension may be.
fn widest(dimension: u32) -> usize {
    (WIDEST_NUMBERS / dimension.max(1) as usize).clamp(LEAST_WIDTH, WIDEST)
}

/// What a slice looks at.
pub(super) struct Shelf<'a> {
    pub(super) space: &'a Space,
    pub(super) ordinals: &'a Ordinals,
    pub(super) records: Records<'a>,
}

/// How a slice ended.
pub(super) enum Slice {
    Progress(SearchProgress),
    /// The index is not to be trusted any more; the search goes on without it.
    Failed(crate::StoreError),
}

impl VectorSearch {
    pub(super) fn begin(
        query: Arc<VectorQuery>,
        allowed: Option<Vec<[u8; 16]>>,
        shelf: Option<&Shelf<'_>>,
    ) -> Self {
        let mut search = Self {
            direction: Direction::new(&query.vector),
            found: Nearest::new(query.k() + SPARE),
            allowed: allowed.map(|ids| Allowed { ids, nodes: Vec::new(), vectors: 0 }),
            ordering: None,
            strays: Strays::default(),
            step: Step::Done,
            since: Moment::default(),
            query,
        };
        if let Some(shelf) = shelf
            && search.query.k > 0
            && search.query.vector.len() == shelf.space.dimension() as usize
        {
            search.since = shelf.space.now();
            search.step = search.first_step(shelf);
        }
        search
    }

    pub(super) fn namespace(&self) -> NamespaceId {
        self.query.namespace
    }

    fn first_step(&self, shelf: &Shelf<'_>) -> Step {
        let space = shelf.space;
        let scans = self.query.exact
            || self.query.width() > widest(shelf.space.dimension())
            || self.direction.is_zero()
            || space.slot().is_empty();
        if let Some(allowed) = &self.allowed {
            let few =
                allowed.ids.len() <= SMALL || (allowed.ids.len() as u64) < space.live() / SELECTIVE;
            return if scans || few { Step::Allowed(0) } else { Step::Resolve(0) };
        }
        if scans
            || space.live() < MIN_INDEXED
            || self.query.is_filtered() && self.is_selective(shelf)
        {
            return Step::All(0);
        }
        Step::Tail(space.tail().len())
    }

    /// Whether the filters leave so little that scanning beats the index. Looks at a sample.
    fn is_selective(&self, shelf: &Shelf<'_>) -> bool {
        let ordinals = shelf.space.ordinals();
        let stride = (ordinals / SAMPLE).max(1);
        let (mut seen, mut wanted) = (0, 0);
        for vector in
            (0..ordinals).step_by(stride as usize).filter_map(|ordinal| shelf.space.vector(ordinal))
        {
            seen += 1;
            wanted += u64::from(
                shelf.records.record(vector.node).is_some_and(|record| self.query.wants(&record)),
            );
        }
        wanted * SELECTIVE < seen
    }

    /// Does a slice.
    pub(super) fn advance(&mut self, shelf: &Shelf<'_>) -> Slice {
        if !matches!(self.step, Step::Done) && self.since.is_of_another_tail(shelf.space.now()) {
            // Another index: the tail is not what it was. Or other vectors altogether, after the
            // last of those that there were was gone.
            self.found.clear();
            if shelf.space.dimension() as usize != self.query.vector.len() {
                self.step = Step::Done;
                return Slice::Progress(SearchProgress::Done);
            }
            self.since = shelf.space.now();
            (self.ordering, self.strays) = (None, Strays::default());
            if let Some(allowed) = &mut self.allowed {
                allowed.vectors = 0;
            }
            self.step = self.first_step(shelf);
        }
        let space = shelf.space;
        let most = (SLICE / (space.dimension() as usize + OVERHEAD)).clamp(4, 1024);
        self.step = match self.step {
            Step::Resolve(at) => {
                match self.resolve(shelf, at, most) {
                    Some(at) => Step::Resolve(at),
                    // A hub's leaves may have no vectors: then the index would be searched for what
                    // is not in it.
                    None if self.is_narrow(shelf) => Step::Allowed(0),
                    None => Step::Tail(space.tail().len()),
                }
            }
            Step::Allowed(at) => {
                self.scan_allowed(shelf, at, most).map_or(Step::Finish, Step::Allowed)
            }
            Step::All(at) => {
                let end = at.saturating_add(most as u32).min(space.ordinals());
                self.scan(shelf, at..end);
                if end < space.ordinals() { Step::All(end) } else { Step::Finish }
            }
            Step::Tail(at) => {
                let at = at.min(space.tail().len());
                let rest = at.saturating_sub(most);
                self.scan(shelf, space.tail()[rest..at].iter().copied());
                if rest > 0 { Step::Tail(rest) } else { Step::Index }
            }
            Step::Index => match space.slot() {
                Slot::Lent { .. } if space.indexed_count() > 0 => {
                    space.want();
                    return Slice::Progress(SearchProgress::Waits);
                }
                Slot::Lent { .. } | Slot::Empty => Step::Zeros(space.zeros().len()),
                Slot::Home { coarse, .. } => match self.ask(shelf, coarse) {
                    Ok(step) => step,
                    Err(error) => return Slice::Failed(error),
                },
            },
            Step::Order => self.order(shelf, most),
            Step::Strays => self.scan_strays(shelf, most),
            Step::Zeros(at) => {
                let at = at.min(space.zeros().len());
                let rest = if self.found.is_open_to(0.0) { at.saturating_sub(most) } else { 0 };
                if self.found.is_open_to(0.0) {
                    self.scan(shelf, space.zeros()[rest..at].iter().copied());
                }
                if rest > 0 { Step::Zeros(rest) } else { Step::Enough }
            }
            // Fewer than are asked for, while there are others, which the index may have missed.
            Step::Enough
                if self.found.len() < self.query.k()
                    && (self.found.len() as u64) < space.live() =>
            {
                self.scan_instead()
            }
            Step::Enough => Step::Finish,
            Step::Finish => {
                if self.finish(shelf, most) {
                    Step::Done
                } else {
                    Step::Finish
                }
            }
            Step::Done => Step::Done,
        };
        Slice::Progress(match self.step {
            Step::Done => SearchProgress::Done,
            _ => SearchProgress::More,
        })
    }

    fn resolve(&mut self, shelf: &Shelf<'_>, at: usize, most: usize) -> Option<usize> {
        let namespace = self.query.namespace;
        let allowed = self.allowed.as_mut().expect("what is resolved is what is allowed");
        let end = allowed.ids.len().min(at + most);
        for at in at..end {
            if let Some(node) = shelf.records.find(namespace, &ConceptId(allowed.ids[at])) {
                allowed.add(node);
                allowed.vectors += u64::from(shelf.ordinals.get(node).is_some());
            }
        }
        (end < allowed.ids.len()).then_some(end)
    }

    /// Whether few of the vectors are among what is allowed.
    fn is_narrow(&self, shelf: &Shelf<'_>) -> bool {
        self.allowed
            .as_ref()
            .is_some_and(|allowed| allowed.vectors < shelf.space.live() / SELECTIVE)
    }

    fn scan_allowed(&mut self, shelf: &Shelf<'_>, at: usize, most: usize) -> Option<usize> {
        let ids = self.allowed.as_ref().map_or(&[][..], |allowed| &allowed.ids);
        let end = ids.len().min(at + most);
        for id in &ids[at..end] {
            let node = shelf.records.find(self.query.namespace, &ConceptId(*id));
            if let Some(candidate) = node.and_then(|node| self.judge_node(shelf, node)) {
                self.found.offer(candidate);
            }
        }
        (end < ids.len()).then_some(end)
    }

    fn scan(&mut self, shelf: &Shelf<'_>, ordinals: impl Iterator<Item = u32>) {
        for vector in ordinals.filter_map(|ordinal| shelf.space.vector(ordinal)) {
            if self.is_allowed(vector.node)
                && let Some(candidate) = self.judge(shelf, vector)
            {
                self.found.offer(candidate);
            }
        }
    }

    fn is_allowed(&self, node: u32) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.has(node))
    }

    fn judge_node(&self, shelf: &Shelf<'_>, node: u32) -> Option<Candidate> {
        self.judge(shelf, shelf.space.vector(shelf.ordinals.get(node)?)?)
    }

    /// A living vector as a candidate, if the filters let it through. Cost: about 0.2 µs for 384
    /// numbers, most of it the way to them.
    fn judge(&self, shelf: &Shelf<'_>, vector: &Vector) -> Option<Candidate> {
        let record = shelf.records.record(vector.node)?;
        if !self.query.wants(&record) {
            return None;
        }
        let similarity = self.direction.similarity(&record.embedding, vector.length);
        Some(Candidate { similarity, id: record.id, node: vector.node })
    }

    /// What came and went since the search began is taken into account, at most so much of it;
    /// whether that is all.
    fn finish(&mut self, shelf: &Shelf<'_>, most: usize) -> bool {
        let space = shelf.space;
        if !space.has_changed_since(self.since) {
            return true;
        }
        // What is allowed and came late was looked at as it was then, and needs no second look.
        let late: Vec<_> = space.came_since(self.since).collect();
        let (now, later) = late.split_at(late.len().min(most));
        self.since.looked_at(space.now(), later.len());
        // What was found is judged last, when nothing can come any more.
        let found = if later.is_empty() { self.found.take_nodes() } else { Vec::new() };
        for node in found
            .into_iter()
            .chain(now.iter().copied().filter(|node| self.is_allowed(*node)).collect::<Vec<_>>())
        {
            if let Some(candidate) = self.judge_node(shelf, node) {
                self.found.offer(candidate);
            }
        }
        later.is_empty()
    }

    /// The best, at most `k`, best first; of equal ones the lower id first.
    pub fn into_hits(self) -> Vec<SearchHit> {
        let k = self.query.k();
        let hit = |Candidate { similarity, id, .. }| SearchHit { id, similarity };
        self.found.into_sorted().take(k).map(hit).collect()
    }
}
