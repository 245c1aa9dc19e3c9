//! What is done to an index on a worker thread: insertions, its checkpoint, and giving back its memory.
//!
//! An insertion takes about 0.2 ms, so none is made on a data core. The index is lent: it moves into the job and comes back in its
//! end, so there is no lock. A job that inserts stops after a while, or soon when a search waits for the index.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::checkpoint::{self, Origin};
use super::coarse::{Coarse, Member, copy_len};
use crate::disk::Disk;
use crate::{NamespaceId, StoreError};

/// How long a job inserts where no search waits: short, so that one which begins to wait is not far from its end.
const BUDGET: Duration = Duration::from_millis(5);
/// What a job inserts whoever waits, so that the index grows under any load.
const AT_LEAST: usize = 4;

/// Work on a vector index. Takes milliseconds, a checkpoint seconds: for a worker thread.
#[must_use = "the shard waits for its end"]
pub struct IndexJob {
    pub(super) namespace: NamespaceId,
    pub(super) work: Work,
}

/// The end of an [`IndexJob`], for [`crate::Shard::indexed`].
#[must_use = "the shard waits for it"]
pub struct Indexed {
    pub(super) namespace: NamespaceId,
    pub(super) done: Done,
}

pub(super) enum Work {
    Insert(Insertion),
    Save { coarse: Arc<Coarse>, disk: Arc<dyn Disk>, origin: Origin, sequence: u64 },
    Discard(Arc<Coarse>),
}

/// Vectors that are to be inserted.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) members: Vec<Member>,
    /// One after the other.
    pub(super) copies: Vec<i8>,
}

pub(super) struct Insertion {
    pub(super) coarse: Coarse,
    pub(super) batch: Batch,
    /// Whether a search waits for the index.
    pub(super) wanted: Arc<AtomicBool>,
    /// Whether it is a new index, beside one that serves.
    pub(super) rebuild: bool,
}

pub(super) enum Done {
    Inserted {
        /// What was lent; none where it failed, and can't be trusted any more.
        coarse: Result<Coarse, StoreError>,
        members: Vec<Member>,
        /// How many of them the index holds now.
        inserted: usize,
        rebuild: bool,
    },
    Saved(Result<(), StoreError>),
    Discarded,
}

impl IndexJob {
    /// Does it.
    pub fn run(self) -> Indexed {
        let Self { namespace, work } = self;
        let done = match work {
            Work::Insert(insertion) => insertion.run(),
            Work::Save { coarse, disk, origin, sequence } => {
                Done::Saved(checkpoint::write(&*disk, &origin, sequence, &coarse))
            }
            Work::Discard(coarse) => {
                drop(coarse);
                Done::Discarded
            }
        };
        Indexed { namespace, done }
    }
}

impl Insertion {
    fn run(self) -> Done {
        let Self { mut coarse, batch: Batch { members, copies }, wanted, rebuild } = self;
        let started = Instant::now();
        let mut inserted = 0;
        for (member, copy) in members.iter().zip(copies.chunks_exact(copy_len(coarse.dimension()))) {
            if inserted >= AT_LEAST && (wanted.load(Ordering::Relaxed) || started.elapsed() >= BUDGET) {
                break;
            }
            if let Err(error) = coarse.insert(*member, copy) {
                return Done::Inserted { coarse: Err(error), members, inserted: 0, rebuild };
            }
            inserted += 1;
        }
        Done::Inserted { coarse: Ok(coarse), members, inserted, rebuild }
    }
}
