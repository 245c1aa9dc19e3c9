//! Making the end of a log fit to be written on, once every shard's log has been read and none is
//! refused.
//!
//! A torn tail is overwritten with zeros on disk before anything new is written, so that it can't
//! become half valid later. Interrupted anywhere, the next start reads the same log and does this
//! again.

use std::io;
use std::ops::Range;

use sutra_runtime::is_out_of_space;

use super::{Loaded, Replayed, ShardReport};
use crate::StoreError;
use crate::disk::SegmentName;
use crate::format::{SegmentHeader, is_zero};
use crate::graph::Graph;
use crate::log::{LogEnd, Reached};
use crate::marks::Position;
use crate::prepare::FIRST_STEP;

use crate::log_memory::LogMemory;
use crate::segment::Segment;
use crate::vectors::{Records, Vectors};

/// A recovered shard, before it serves.
pub(crate) struct Recovered {
    pub(crate) graph: Graph,
    pub(crate) memory: LogMemory,
    /// Where they were found while it was read ahead.
    pub(crate) vectors: Option<Vectors>,
    pub(crate) end: LogEnd,
    pub(crate) sequence: u64,
    pub(crate) active: Segment,
    pub(crate) spare: Option<Segment>,
    /// The torn tail, where there was no space to overwrite it.
    pub(crate) uncut: Option<Uncut>,
    pub(crate) report: ShardReport,
}

impl Recovered {
    pub(crate) fn records(&self) -> Records<'_> {
        Records::of(self.graph.table(), &self.memory)
    }
}

/// A torn tail that is still there: nothing is written to its segment before it is overwritten.
pub(crate) struct Uncut {
    pub(crate) range: Range<u64>,
    pub(crate) error: io::Error,
}

impl Replayed {
    /// Clears away what stands behind the log's end. Blocks on the disk.
    pub(crate) fn settle(mut self) -> Result<Recovered, StoreError> {
        let spare = self.clear()?;
        let uncut = self.cut()?;
        let Self { graph, memory, vectors, expected, report, tail, header, .. } = self;
        let position = match expected.number {
            1 => Position::default(),
            _ => Position::new(tail.name.number, tail.writer.frozen()),
        };
        let reached = Reached { number: expected.number - 1, position };
        let end = LogEnd { shard: expected.shard, reached, crc: expected.previous };
        let active = active(tail, &header);
        Ok(Recovered {
            graph,
            memory,
            vectors,
            end,
            sequence: expected.sequence,
            active,
            spare,
            uncut,
            report,
        })
    }

    /// Removes the segments behind the log's end; the first of them stays as the spare if it is fit
    /// for that.
    fn clear(&self) -> Result<Option<Segment>, StoreError> {
        let disk = &*self.source.disk;
        let mut spare = None;
        // From the end, so that after a crash in between none is missing in the middle.
        for name in self.beyond.iter().rev() {
            if self.tail.name.number + 1 == name.number {
                spare = self.spare(*name)?;
            }
            if spare.is_none() {
                let file = self.source.path(*name);
                tracing::warn!(
                    file = %file.display(),
                    "removing a segment that holds nothing acknowledged"
                );
                disk.remove(*name)?;
                disk.sync_shard(name.shard)?;
            }
        }
        Ok(spare)
    }

    /// The segment as the spare, if it is empty and such as would be made now.
    fn spare(&self, name: SegmentName) -> Result<Option<Segment>, StoreError> {
        let mut loaded = self.source.load(name)?;
        let (Ok(header), block) = (loaded.header.clone(), loaded.file.alignment()) else {
            return Ok(None);
        };
        let first = header.first_commit();
        if header.block != block
            || header.capacity < self.source.segment_bytes as u64
            || loaded.bytes < first
        {
            return Ok(None);
        }
        let prepared = loaded.bytes - loaded.bytes % block as usize;
        if !is_zero(&loaded.writer.writable()[first..prepared]) {
            return Ok(None);
        }
        let capacity = usize::try_from(header.capacity).expect("loading checked it");
        loaded.writer.freeze(first);
        Ok(Some(Segment::new(name.number, loaded.file, loaded.writer, &header, prepared, capacity)))
    }

    /// Overwrites what stands behind the last commit. A full disk may have no space even for that:
    /// then it is read all the same.
    fn cut(&mut self) -> Result<Option<Uncut>, StoreError> {
        let end = self.tail.writer.frozen();
        let torn = self.tail.used();
        let bytes = self.tail.bytes;
        if bytes == end
            && (bytes as u64) < self.header.capacity
            && !bytes.is_multiple_of(FIRST_STEP)
        {
            // Space is made ready behind every commit, a step at a time, so a file does not end
            // there by itself.
            let path = self.source.path(self.tail.name);
            tracing::warn!(
                file = %path.display(),
                bytes,
                "the file ends with a commit: what followed may have been cut off"
            );
        }
        if torn > 0 {
            let path = self.source.path(self.tail.name);
            tracing::warn!(
                file = %path.display(),
                offset = end,
                bytes = torn,
                "cutting a torn tail: no whole commit stands there"
            );
            let zeros = torn.next_multiple_of(self.header.block as usize);
            let range = end as u64..(end + zeros) as u64;
            self.report.cut += torn as u64;
            match self.source.disk.zero_fill(&self.tail.file, range.clone()) {
                Err(error) if is_out_of_space(&error) => return Ok(Some(Uncut { range, error })),
                result => result?,
            }
        }
        Ok(None)
    }
}

/// The segment that the log ends in, to be written on.
fn active(tail: Loaded, header: &SegmentHeader) -> Segment {
    let block = header.block as usize;
    let end = tail.writer.frozen();
    let capacity =
        usize::try_from(header.capacity).expect("loading checked it").min(tail.writer.len());
    // Where the file now asks for larger blocks than it did, nothing more can be put into this
    // segment.
    let capacity =
        if tail.file.alignment() > header.block { end } else { capacity - capacity % block };
    let prepared = (tail.bytes - tail.bytes % block).clamp(end, capacity.max(end));
    Segment::new(tail.name.number, tail.file, tail.writer, header, prepared, capacity)
}
