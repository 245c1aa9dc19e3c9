//! From the segment files to a shard: every crc checked, every archive validated, damage refused.
//!
//! A log ends where no whole commit stands. What is there instead is a *torn tail* when it was
//! never acknowledged: no later commit says that it was on stable storage when that later one was
//! sealed. If a later commit does say so, the log is *damaged* and the start is refused: repair is
//! a decision for people. Reading changes nothing on the disk; a torn tail is cut afterwards
//! (`settle`).
//!
//! The manifest's mark says up to where a shard's log was whole once. Whatever is missing before it
//! is damage, too. Behind the mark, damage to the last commit of all can't be told from a write
//! that was interrupted, and it is cut. Any log without a second copy has this limit.
//!
//! In front of the log may stand state (`state.rs`): what was visible when the store was made over
//! for another number of cores. The log goes on behind what it covers.
//!
//! The log may have passed over a segment, as the first commit in it found no space. Such a segment
//! holds nothing, and the commits around it chain.

mod ahead;
mod as_it_is;
mod behind;
mod in_order;
mod load;
mod refusal;
mod replay;
mod settle;
mod source;
mod state;

use std::time::Duration;

pub(crate) use self::as_it_is::recover_salvaged;
use self::load::Loaded;
pub(crate) use self::replay::MAX_SEQUENCE;
pub(crate) use self::settle::{Recovered, Uncut, Unwritten};
pub(crate) use self::source::Source;
pub(crate) use self::state::Visible;
use crate::StoreError;
use crate::commit::Expected;
use crate::disk::SegmentName;
use crate::exchange::{Exchange, Rest};
use crate::format::SegmentHeader;
use crate::graph::Graph;
use crate::log_memory::LogMemory;
use crate::vectors::Vectors;

/// A shard whose log was read, and not changed yet.
pub(crate) struct Replayed {
    source: Source,
    /// In-edges that other shards have found.
    rest: Option<Rest>,
    graph: Graph,
    memory: LogMemory,
    /// Its vectors, where they were found while it was read ahead.
    vectors: Option<Vectors>,
    /// What the next commit will look like.
    expected: Expected,
    report: ShardReport,
    /// The segment that the log ends in.
    tail: Loaded,
    header: SegmentHeader,
    /// Segments behind it, in order: none belongs to the log.
    beyond: Vec<SegmentName>,
}

/// A shard that was read while another process still writes it: what it had by then.
pub(crate) struct ReadAhead {
    recovery: Recovery,
    /// The segment that the log ended in.
    tail: (Loaded, SegmentHeader),
}

/// What recovery found in one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardReport {
    /// Entries of the log: concepts, associations and their removals, old versions among them.
    pub entries: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// Bytes of a torn tail that were cut.
    pub cut: u64,
    /// How long it took.
    pub elapsed: Duration,
}

struct Recovery {
    source: Source,
    exchange: Exchange,
    graph: Graph,
    memory: LogMemory,
    /// Those of what was read before, where that was ahead of the lock: what follows is made
    /// visible among them, too.
    vectors: Option<Vectors>,
    /// Whether these may not be what a start would find.
    is_doubtful: bool,
    expected: Expected,
    report: ShardReport,
}

/// Reads one shard back. What others find for it meanwhile is left to [`Replayed::complete`].
/// Changes nothing on the disk: that is for [`Replayed::settle`], when all of them are known to be
/// whole.
pub(crate) fn recover(source: Source, exchange: Exchange) -> Result<Replayed, StoreError> {
    Recovery::new(source, exchange).run(None)
}

impl Replayed {
    /// Takes in what other shards have found for this one. Blocks until all of them were read.
    pub(crate) fn complete(mut self) -> Self {
        if let Some(rest) = self.rest.take() {
            rest.take_in(&mut self.graph);
        }
        self
    }
}

impl Recovery {
    fn new(source: Source, exchange: Exchange) -> Self {
        let expected = Expected::first(source.shard);
        Recovery {
            source,
            exchange,
            graph: Graph::default(),
            memory: LogMemory::default(),
            vectors: None,
            is_doubtful: false,
            expected,
            report: ShardReport::default(),
        }
    }
}
