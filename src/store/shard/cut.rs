//! Where a shard's log ends, for a backup, and stretches of it as they are on the disk.
//!
//! Nothing is handed out that a power cut could take. So the log on the disk never says anything
//! else at a place that was handed out once.

use std::ops::Range;

use sutra_runtime::RegionSlice;

use super::Shard;
use crate::Refusal;
use crate::cut::{NotThere, SegmentCut, ShardCut};
use crate::format::{SEGMENT_HEADER, SegmentHeader};

/// Why it can't be told where a log ends.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoCut {
    /// A commit is in flight, or a sync has to cover what has landed: to be asked again when that
    /// has ended.
    #[error("what was written last is not on the disk yet")]
    Yet,
    /// Of a store that is served read-only nobody knows here what is on the disk, or whether it is
    /// all of the store.
    #[error(
        "this server serves its store read-only, which may not be all of it: back up a server \
         that writes, or stop this one and copy its folder"
    )]
    ReadOnly,
    /// The start found no space to write again what it had read from the page cache.
    #[error(
        "what was written before the last start may not be on the disk, and there was no space to \
         write it again: make room on the disk; it is tried every second"
    )]
    Unproven,
    /// The disk has failed.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl<T> Shard<T> {
    /// What the shard's clock says, in µs since 1970.
    pub fn time(&self) -> u64 {
        self.clock.now()
    }

    /// Whether a commit is on its way to the disk.
    pub fn is_committing(&self) -> bool {
        self.log.is_committing()
    }

    /// Whether syncs can prove what was read at the start to be on stable storage. They can't while
    /// there was no space to write it again: the page cache takes it for written.
    pub fn is_proven(&self) -> bool {
        self.log.is_proven()
    }

    /// Where the log ends now. Cost: some ten bytes read of each segment.
    ///
    /// # Errors
    /// A commit is in flight, something that has landed is not on stable storage, or nobody knows.
    pub fn cut(&self) -> Result<ShardCut, NoCut> {
        if self.is_read_only {
            return Err(NoCut::ReadOnly);
        }
        if !self.is_proven() {
            return Err(NoCut::Unproven);
        }
        let finished = self.log.finished();
        if self.is_committing() || self.marking.durable() < finished.position {
            return Err(match self.check_log() {
                Err(refusal @ Refusal::Failed { .. }) => NoCut::Refused(refusal),
                _ => NoCut::Yet,
            });
        }
        let segments = (self.memory.first()..=finished.position.segment)
            .filter_map(|number| {
                let header = self.header(number)?;
                Some(SegmentCut { header, end: self.durable_end(number)? })
            })
            .collect();
        let crc32c = self.log.last_crc();
        Ok(ShardCut { commit: finished.number, crc32c, segments })
    }

    fn header(&self, number: u32) -> Option<SegmentHeader> {
        let (region, _) = self.memory.segment(number)?;
        region.bytes(0..SEGMENT_HEADER).map(SegmentHeader::fields)
    }

    /// Up to where a segment is on stable storage; `None` where the log has not come to it.
    fn durable_end(&self, number: u32) -> Option<usize> {
        let durable = self.marking.durable();
        let (_, landed) = self.memory.segment(number)?;
        if number < durable.segment {
            return Some(landed);
        }
        // A segment is durable with its header before anything is written to it.
        let first = self.header(number)?.first_commit();
        (number == durable.segment).then(|| landed.min(durable.offset as usize).max(first))
    }

    /// A stretch of a segment as it is on the disk. It keeps the segment's memory alive.
    ///
    /// # Errors
    /// There is no such segment, it has another generation, or less of it is on the disk.
    pub fn log_bytes(
        &self,
        segment: u32,
        generation: u64,
        range: Range<usize>,
    ) -> Result<RegionSlice, NotThere> {
        let end = self.durable_end(segment).ok_or(NotThere::Segment { segment })?;
        let header = self.header(segment).ok_or(NotThere::Segment { segment })?;
        if header.generation != generation {
            return Err(NotThere::Generation { segment });
        }
        let beyond = || NotThere::Beyond { segment, end, asked: range.end };
        let (region, _) =
            self.memory.segment(segment).filter(|_| range.end <= end).ok_or_else(beyond)?;
        region.slice(range.clone()).ok_or_else(beyond)
    }
}
