//! Where a shard's log ends, for a backup, and stretches of it as they are on the disk.
//!
//! Nothing is handed out that a power cut could take. So the log on the disk never says anything
//! else at a place that was handed out once.

use std::ops::Range;

use sutra_runtime::RegionSlice;

use super::Shard;
use crate::cut::{NotThere, SegmentCut, ShardCut};
use crate::format::{SEGMENT_HEADER, SegmentHeader};

impl<T> Shard<T> {
    /// What the shard's clock says, in µs since 1970.
    pub fn time(&self) -> u64 {
        self.clock.now()
    }

    /// Whether a commit is on its way to the disk.
    pub fn is_committing(&self) -> bool {
        self.log.is_committing()
    }

    /// Where the log ends now. `None` while a commit is in flight, or something that has landed is
    /// not on stable storage yet. Cost: some ten bytes read of each segment.
    pub fn cut(&self) -> Option<ShardCut> {
        let finished = self.log.finished();
        if self.is_committing() || self.marking.durable() < finished.position {
            return None;
        }
        let segments = (self.memory.first()..=finished.position.segment)
            .filter_map(|number| {
                let header = self.header(number)?;
                Some(SegmentCut { header, end: self.durable_end(number)? })
            })
            .collect();
        Some(ShardCut { commit: finished.number, segments })
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
