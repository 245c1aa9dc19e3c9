//! What is done to an index on a worker thread: insertions, checks, its checkpoint, and giving back
//! its memory.
//!
//! An insertion takes about 0.2 ms, so none is made on a data core. The index is lent: it moves
//! into the job and comes back in its end, so there is no lock. A job that inserts or checks stops
//! after a while, or soon when a search waits for the index.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::checkpoint::{self, Origin};
use super::coarse::{Coarse, Member, copy_len};
use crate::disk::Disk;
use crate::{NamespaceId, StoreError};

/// How long a job inserts where no search waits: short, so that one which begins to wait is not far
/// from its end.
const BUDGET: Duration = Duration::from_millis(5);
/// What a job inserts whoever waits, so that the index grows under any load.
const AT_LEAST: usize = 4;

/// Work on a vector index. Takes milliseconds, a checkpoint seconds: for a worker thread.
#[must_use = "the shard waits for its end"]
pub struct IndexJob {
    pub(super) namespace: NamespaceId,
    /// Of the namespace's vectors when it was given out: see [`super::space::Space::life`].
    pub(super) life: u32,
    pub(super) work: Work,
}

/// The end of an [`IndexJob`], for [`crate::Shard::indexed`].
#[must_use = "the shard waits for it"]
pub struct Indexed {
    pub(super) namespace: NamespaceId,
    pub(super) life: u32,
    pub(super) done: Done,
}

pub(super) enum Work {
    Insert(Insertion),
    Check { coarse: Coarse, wanted: Arc<AtomicBool> },
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

impl Done {
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
    /// Does it.
    pub fn run(self) -> Indexed {
        let Self { namespace, life, work } = self;
        let done = match work {
            Work::Insert(insertion) => insertion.run(),
            Work::Check { coarse, wanted } => Done::Checked(check(coarse, &wanted)),
            Work::Save { coarse, disk, origin, sequence } => {
                Done::Saved(checkpoint::write(&*disk, &origin, sequence, &coarse))
            }
            Work::Discard(coarse) => {
                drop(coarse);
                Done::Discarded
            }
        };
        Indexed { namespace, life, done }
    }
}

impl Insertion {
    fn run(self) -> Done {
        let Self { mut coarse, batch: Batch { members, copies }, wanted, rebuild } = self;
        let mut share = Share::new(&wanted);
        let mut heads = Vec::with_capacity(members.len());
        for (member, copy) in members.iter().zip(copies.chunks_exact(copy_len(coarse.dimension()))) {
            match coarse.insert(*member, copy) {
                Ok(head) => heads.push(head),
                Err(error) => return Done::Inserted { coarse: Err(error), members, heads: Vec::new(), rebuild },
            }
            if share.is_over() {
                break;
            }
        }
        Done::Inserted { coarse: Ok(coarse), members, heads, rebuild }
    }
}

fn check(mut coarse: Coarse, wanted: &AtomicBool) -> Result<(Coarse, u64), StoreError> {
    let mut share = Share::new(wanted);
    let known = coarse.check(|| share.is_over())?;
    Ok((coarse, known))
}

/// How much of its work a job does with an index that is lent to it.
struct Share<'a> {
    wanted: &'a AtomicBool,
    started: Instant,
    done: usize,
}

impl<'a> Share<'a> {
    fn new(wanted: &'a AtomicBool) -> Self {
        Self { wanted, started: Instant::now(), done: 0 }
    }

    /// A piece was done: whether it was the last.
    fn is_over(&mut self) -> bool {
        self.done += 1;
        self.done >= AT_LEAST && (self.wanted.load(Ordering::Relaxed) || self.started.elapsed() >= BUDGET)
    }
}
