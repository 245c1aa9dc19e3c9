//! What is done to an index on a worker thread: insertions, checks, its checkpoint, and giving back
//! its memory.
//!
//! An insertion takes about 0.2 ms, so none is made on a data core. The index is lent: it moves
//! into the job and comes back in its end, so there is no lock. A job that inserts or checks stops
//! after a while, or soon when a search waits for the index.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::checkpoint::Checkpoint;
use super::coarse::{Coarse, Member, copy_len, copy_of};
use super::records::checksum;
use sutra_wire::ArchivedConceptRecord;

use crate::{Clock, NamespaceId, StoreError};

/// How long a job inserts where no search waits. It is short, so that a search which begins to wait
/// does not wait long. In µs.
const BUDGET: u64 = 5_000;
/// What a job inserts even where a search waits, so that the index grows under any load.
const AT_LEAST: usize = 4;

/// Work on a vector index. Takes milliseconds, a checkpoint seconds: for a worker thread.
#[must_use = "the shard waits for its end"]
pub struct IndexJob {
    namespace: NamespaceId,
    life: u32,
    task: IndexTask,
    clock: Arc<dyn Clock>,
}

/// The end of an [`IndexJob`], for [`crate::Shard::indexed`].
#[must_use = "the shard waits for it"]
pub struct Indexed {
    namespace: NamespaceId,
    life: u32,
    done: IndexDone,
}

impl Indexed {
    /// The namespace that the job was for, the life of its space then, and what was done.
    pub(super) fn into_parts(self) -> (NamespaceId, u32, IndexDone) {
        (self.namespace, self.life, self.done)
    }
}

/// What a job is to do.
pub(super) enum IndexTask {
    Insert(Insertion),
    Check { coarse: Coarse, wanted: Arc<AtomicBool> },
    Save { coarse: Arc<Coarse>, checkpoint: Checkpoint, sequence: u64 },
    Discard(Arc<Coarse>),
}

/// Vectors that are to be inserted.
#[derive(Default)]
pub(super) struct Batch {
    members: Vec<Member>,
    /// Their coarse copies, one after the other.
    copies: Vec<i8>,
}

impl Batch {
    /// Adds the vector of a record; whether it did, as a zero vector has no copy.
    pub(super) fn add(&mut self, record: &ArchivedConceptRecord, ordinal: u32) -> bool {
        let has_copy = copy_of(&record.embedding, &mut self.copies);
        if has_copy {
            self.members.push(Member { id: record.id, crc: checksum(&record.embedding), ordinal });
        }
        has_copy
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// Vectors, and the index that they are to be inserted into.
pub(super) struct Insertion {
    coarse: Coarse,
    batch: Batch,
    wanted: Arc<AtomicBool>,
    rebuild: bool,
}

/// What a job has done.
pub(super) enum IndexDone {
    Inserted {
        /// What was lent; none where it failed, and can't be trusted any more.
        coarse: Result<Coarse, StoreError>,
        members: Vec<Member>,
        /// The heads of those that the index holds now: the first so many.
        heads: Vec<u32>,
        rebuild: bool,
    },
    /// What was lent, and how many entries are to be saved for it; or why it can't be trusted any
    /// more.
    Checked(Result<(Coarse, u64), StoreError>),
    Saved(Result<(), StoreError>),
    Discarded,
}

impl IndexDone {
    /// The index that was lent.
    pub(super) fn into_index(self) -> Option<Coarse> {
        match self {
            Self::Inserted { coarse, .. } => coarse.ok(),
            Self::Checked(checked) => checked.ok().map(|(coarse, _)| coarse),
            Self::Saved(_) | Self::Discarded => None,
        }
    }
}

impl IndexJob {
    /// A job for the vectors of a namespace, in this life of its space.
    pub(super) fn new(
        namespace: NamespaceId,
        life: u32,
        task: IndexTask,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self { namespace, life, task, clock: Arc::clone(clock) }
    }

    /// Does it.
    pub fn run(self) -> Indexed {
        let Self { namespace, life, task, clock } = self;
        let done = match task {
            IndexTask::Insert(insertion) => insertion.run(&*clock),
            IndexTask::Check { coarse, wanted } => {
                IndexDone::Checked(check(coarse, &wanted, &*clock))
            }
            IndexTask::Save { coarse, checkpoint, sequence } => {
                IndexDone::Saved(checkpoint.write(sequence, &coarse))
            }
            IndexTask::Discard(coarse) => {
                drop(coarse);
                IndexDone::Discarded
            }
        };
        Indexed { namespace, life, done }
    }
}

impl Insertion {
    /// `wanted`: whether a search waits for the index. `rebuild`: whether it is a new one, beside
    /// one that serves.
    pub(super) fn new(
        coarse: Coarse,
        batch: Batch,
        wanted: Arc<AtomicBool>,
        rebuild: bool,
    ) -> Self {
        Self { coarse, batch, wanted, rebuild }
    }

    fn run(self, clock: &dyn Clock) -> IndexDone {
        let Self { mut coarse, batch: Batch { members, copies }, wanted, rebuild } = self;
        let mut share = Share::new(&wanted, clock);
        let mut heads = Vec::with_capacity(members.len());
        for (member, copy) in members.iter().zip(copies.chunks_exact(copy_len(coarse.dimension())))
        {
            match coarse.insert(*member, copy) {
                Ok(head) => heads.push(head),
                Err(error) => {
                    return IndexDone::Inserted {
                        coarse: Err(error),
                        members,
                        heads: Vec::new(),
                        rebuild,
                    };
                }
            }
            if share.is_over() {
                break;
            }
        }
        IndexDone::Inserted { coarse: Ok(coarse), members, heads, rebuild }
    }
}

fn check(
    mut coarse: Coarse,
    wanted: &AtomicBool,
    clock: &dyn Clock,
) -> Result<(Coarse, u64), StoreError> {
    let mut share = Share::new(wanted, clock);
    let known = coarse.check(|| share.is_over())?;
    Ok((coarse, known))
}

/// How much of its work a job does with an index that is lent to it.
struct Share<'a> {
    wanted: &'a AtomicBool,
    clock: &'a dyn Clock,
    /// By the monotonic clock.
    until: u64,
    done: usize,
}

impl<'a> Share<'a> {
    fn new(wanted: &'a AtomicBool, clock: &'a dyn Clock) -> Self {
        Self { wanted, clock, until: clock.monotonic().saturating_add(BUDGET), done: 0 }
    }

    /// A piece was done: whether it was the last.
    fn is_over(&mut self) -> bool {
        self.done += 1;
        self.done >= AT_LEAST
            && (self.wanted.load(Ordering::Relaxed) || self.clock.monotonic() >= self.until)
    }
}
