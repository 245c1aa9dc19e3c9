//! Vector search on one shard: cosine similarity of embeddings, found by an index and ordered by
//! the vectors that the log holds.
//!
//! The log is the truth, and all that is here derives from it. The index holds coarse copies, and
//! jobs on a worker thread build it. What it does not hold yet is scanned. A vector is found as
//! soon as its concept is visible, until it is replaced or deleted.
//!
//! Promises: results carry the cosine of the stored vector. Nothing that the index library or a
//! checkpoint does fails a search or a start. A slice of scanning takes about 0.15 ms; an index
//! search is one piece. Relies on being told of every concept that becomes visible or is deleted.
//! Relies on its driver to run [`Vectors::next_job`] on a worker thread and to bring its end to
//! [`Vectors::indexed`].

mod checkpoint;
mod checks;
mod claims;
mod coarse;
mod cosine;
mod dimensions;
mod groups;
mod inspection;
mod job;
mod kernels;
mod lookup;
mod nearest;
mod ordering;
mod query;
mod records;
pub(crate) mod restore;
mod search;
mod space;

use std::collections::VecDeque;
use std::sync::Arc;

use sutra_wire::{Checked, ConceptRecord};

pub(crate) use self::checkpoint::Checkpoints;
#[cfg(test)]
pub(crate) use self::checkpoint::sample as sample_checkpoint;
use self::coarse::Coarse;
use self::cosine::Length;
use self::dimensions::Dimensions;
pub(crate) use self::inspection::{Inspection, Unusable};
use self::job::IndexTask;
pub use self::job::{IndexJob, Indexed};
use self::lookup::{Ordinals, Spaces};
pub use self::query::VectorQuery;
pub(crate) use self::records::Records;
use self::records::is_same;
pub use self::search::{SearchProgress, VectorSearch};
use self::search::{Shelf, Slice};
use self::space::{Space, Vector};
use crate::disk::Clock;
use crate::namespaces::NamespaceId;

/// A shard's vectors.
pub(crate) struct Vectors {
    ordinals: Ordinals,
    spaces: Spaces,
    /// Namespaces that a worker has something to do for.
    due: VecDeque<NamespaceId>,
    /// Whether a job is under way.
    working: bool,
    /// Indexes of namespaces that lost all their vectors.
    discarded: Vec<Arc<Coarse>>,
    dimensions: Dimensions,
    checkpoints: Checkpoints,
}

impl Vectors {
    /// A concept became visible that has an embedding, or had one. `previous` is what it replaced.
    /// Cost: two passes over the embedding.
    pub(crate) fn learned(
        &mut self,
        namespace: NamespaceId,
        node: u32,
        record: &Checked<'_, ConceptRecord>,
        previous: Option<Checked<'_, ConceptRecord>>,
    ) {
        let known = self.ordinals.get(node);
        if known.is_some()
            && previous.is_some_and(|previous| is_same(&previous.embedding, &record.embedding))
        {
            return;
        }
        if let (Some(ordinal), Some(space)) = (known, self.spaces.get_mut(namespace)) {
            space.kill(ordinal);
        }
        let added = self
            .dimensions
            .held(namespace)
            .filter(|dimension| *dimension as usize == record.embedding.len());
        let ordinal = added.map(|dimension| {
            let vector = Vector { node, length: Length::of(&record.embedding) };
            self.spaces.get_or_make(namespace, dimension).add(vector)
        });
        self.ordinals.set(node, ordinal);
        self.settle(namespace);
        self.see_to(namespace);
    }

    /// A concept with an embedding of this length is about to be logged, and [`Vectors::landed`] is
    /// to follow.
    ///
    /// # Errors
    /// The length that the namespace's others have.
    pub(crate) fn accept(&mut self, namespace: NamespaceId, dimension: u32) -> Result<(), u32> {
        self.dimensions.accept(namespace, dimension)
    }

    /// A concept that was accepted is visible, or never will be.
    pub(crate) fn landed(&mut self, namespace: NamespaceId) {
        self.dimensions.landed(namespace);
        self.settle(namespace);
    }

    /// Nothing that was accepted and has not landed ever will.
    pub(crate) fn give_up(&mut self) {
        for namespace in self.dimensions.give_up() {
            self.settle(namespace);
        }
    }

    /// Where a namespace has lost its last vector here, its dimension goes with it.
    fn settle(&mut self, namespace: NamespaceId) {
        if self.spaces.get(namespace).is_some_and(|space| space.live() > 0)
            || !self.dimensions.let_go(namespace)
        {
            return;
        }
        if let Some(space) = self.spaces.take(namespace) {
            self.discarded.extend(space.into_indexes());
        }
    }

    /// A concept was deleted.
    pub(crate) fn deleted(&mut self, namespace: NamespaceId, node: u32) {
        if let (Some(ordinal), Some(space)) =
            (self.ordinals.get(node), self.spaces.get_mut(namespace))
        {
            space.kill(ordinal);
            self.ordinals.set(node, None);
            self.settle(namespace);
            self.see_to(namespace);
        }
    }

    fn see_to(&mut self, namespace: NamespaceId) {
        if self.spaces.get_mut(namespace).is_some_and(Space::enqueue) {
            self.due.push_back(namespace);
        }
    }

    /// The next job for a worker thread, if there is one and none is under way. Where the store is
    /// `stopping`, only checkpoints that are worth it.
    pub(crate) fn next_job(
        &mut self,
        records: &Records<'_>,
        clock: &Arc<dyn Clock>,
        sequence: u64,
        stopping: bool,
    ) -> Option<IndexJob> {
        if self.working {
            return None;
        }
        if stopping {
            let mut all = (0..self.spaces.count()).map(NamespaceId::from_number);
            return all
                .find_map(|namespace| self.job_of(namespace, records, clock, sequence, true));
        }
        if let Some(coarse) = self.discarded.pop() {
            self.working = true;
            return Some(IndexJob::new(NamespaceId::DEFAULT, 0, IndexTask::Discard(coarse), clock));
        }
        for _ in 0..self.due.len() {
            let namespace = self.due.pop_front()?;
            let job = self.job_of(namespace, records, clock, sequence, false);
            if let Some(space) = self.spaces.get_mut(namespace) {
                space.dequeued();
            }
            // The job's end sees to it again; what may only be tried later stays in line.
            if job.is_some() {
                return job;
            }
            self.see_to(namespace);
        }
        None
    }

    fn job_of(
        &mut self,
        namespace: NamespaceId,
        records: &Records<'_>,
        clock: &Arc<dyn Clock>,
        sequence: u64,
        stopping: bool,
    ) -> Option<IndexJob> {
        let space = self.spaces.get_mut(namespace)?;
        let checkpoint = self.checkpoints.of(namespace, space.dimension());
        let save = |coarse| IndexTask::Save { coarse, checkpoint, sequence };
        let task = space.next_task(records, clock.monotonic(), stopping, save)?;
        self.working = true;
        Some(IndexJob::new(namespace, space.life(), task, clock))
    }

    /// The end of a job.
    pub(crate) fn indexed(&mut self, indexed: Indexed, clock: &dyn Clock) {
        self.working = false;
        let (namespace, life, done) = indexed.into_parts();
        match self.spaces.get_mut(namespace).filter(|space| space.life() == life) {
            Some(space) => space.indexed(done, clock.monotonic()),
            None => self.discarded.extend(done.into_index().map(Arc::new)),
        }
        self.see_to(namespace);
    }

    /// Whether a job is under way.
    pub(crate) fn is_working(&self) -> bool {
        self.working
    }

    /// Whether a job is under way that writes a checkpoint. Cost: a look at every namespace.
    pub(crate) fn is_saving(&self) -> bool {
        self.working && self.spaces.iter().any(Space::is_saving)
    }

    /// Begins a search; see [`crate::Shard::begin_search`].
    pub(crate) fn begin(
        &self,
        query: Arc<VectorQuery>,
        allowed: Option<Vec<[u8; 16]>>,
        records: Records<'_>,
    ) -> VectorSearch {
        let space = self.spaces.get(query.namespace);
        let shelf = space.map(|space| Shelf { space, ordinals: &self.ordinals, records });
        VectorSearch::begin(query, allowed, shelf.as_ref())
    }

    /// Does a slice of a search.
    pub(crate) fn advance(
        &mut self,
        search: &mut VectorSearch,
        records: Records<'_>,
        clock: &dyn Clock,
    ) -> SearchProgress {
        let Some(space) = self.spaces.get(search.namespace()) else { return SearchProgress::Done };
        match search.advance(&Shelf { space, ordinals: &self.ordinals, records }) {
            Slice::Progress(progress) => progress,
            Slice::Failed(error) => {
                if let Some(space) = self.spaces.get_mut(search.namespace()) {
                    space.failed(&error, clock.monotonic());
                }
                self.see_to(search.namespace());
                SearchProgress::More
            }
        }
    }

    /// Vectors that an index holds and finds, those that it does not hold yet or was not asked for,
    /// and bytes of memory.
    pub(crate) fn stats(&self) -> (u64, u64, u64) {
        let sum = |of: fn(&Space) -> u64| self.spaces.iter().map(of).sum::<u64>();
        let memory =
            sum(Space::memory) + if self.spaces.count() == 0 { 0 } else { self.ordinals.memory() };
        (sum(|space| space.progress().0), sum(|space| space.progress().1), memory)
    }
}
