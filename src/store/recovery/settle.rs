//! Making the end of a log fit to be written on, once every shard's log has been read and none is
//! refused.
//!
//! A torn tail is overwritten with zeros on disk before anything new is written, so that it can't
//! become half valid later. Interrupted anywhere, the next start reads the same log and does this
//! again.
//!
//! What was read from the page cache behind the mark is written again. A sync before this start may
//! have failed. Then the cache may still have what the disk has not, and takes it for written: a
//! sync succeeds and does nothing. Cost: one write of what came since the mark was raised, at most
//! what two seconds of writing brought; nothing after a clean stop.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use sutra_runtime::is_out_of_space;

use super::load::is_read_from_disk;
use super::{Loaded, Replayed, ShardReport};
use crate::StoreError;
use crate::disk::SegmentName;
use crate::format::{SEGMENT_HEADER, SegmentHeader, is_zero};
use crate::graph::Graph;
use crate::log::{LogEnd, Reached};
use crate::marks::Position;
use crate::prepare::{FIRST_STEP, Over, Overdue};

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
    /// Up to where it is on stable storage.
    pub(crate) durable: Reached,
    /// What stands behind the mark, where there was no space to write it again.
    pub(crate) unwritten: Option<Unwritten>,
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

/// Stretches of the log that may be in the page cache alone: they are written before anything is
/// written behind them.
pub(crate) struct Unwritten {
    pub(crate) overdue: Vec<Overdue>,
    pub(crate) error: io::Error,
}

impl Replayed {
    /// Clears away what stands behind the log's end. Blocks on the disk.
    pub(crate) fn settle(mut self) -> Result<Recovered, StoreError> {
        let spare = self.clear()?;
        let uncut = self.cut()?;
        let again = self.to_write_again()?;
        let is_proven = again.is_empty();
        let unwritten = self.write_again(again)?;
        let Self { source, graph, memory, vectors, expected, report, tail, header, .. } = self;
        let position = match expected.number {
            1 => Position::default(),
            _ => Position::new(tail.name.number, tail.writer.frozen()),
        };
        let reached = Reached { number: expected.number - 1, position };
        let end = LogEnd { shard: expected.shard, reached, crc: expected.previous };
        // What is not written again yet is not known to be there.
        let durable = match &unwritten {
            Some(_) => Reached { number: 0, position: source.mark },
            None => reached,
        };
        let active = active(tail, &header, is_proven);
        Ok(Recovered {
            graph,
            memory,
            vectors,
            end,
            sequence: expected.sequence,
            active,
            spare,
            durable,
            unwritten,
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

    /// What stands behind the mark, where it was read from the page cache.
    fn to_write_again(&self) -> Result<Vec<Overdue>, StoreError> {
        let mark = self.source.mark;
        let mut again = Vec::new();
        if self.expected.number == 1 {
            // A store's first segments were durable before its manifest.
            return Ok(again);
        }
        for number in mark.segment..=self.tail.name.number {
            let from = if number == mark.segment { mark.offset as usize } else { 0 };
            let range = from..self.memory.end(number);
            let Some(bytes) = self.memory.sealed(number, range).filter(|bytes| !bytes.is_empty())
            else {
                continue;
            };
            let file = match number == self.tail.name.number {
                true => Arc::clone(&self.tail.file),
                false => self.source.disk.open(SegmentName { number, ..self.tail.name })?,
            };
            let length = self.source.disk.len(&file)?;
            if !is_read_from_disk(&file, usize::try_from(length).unwrap_or(usize::MAX)) {
                again.push(Overdue { file, what: Over::Bytes(from as u64, bytes) });
            }
        }
        Ok(again)
    }

    /// Writes that again. A full disk may have no space even for that: then it is read all the
    /// same.
    fn write_again(&self, mut again: Vec<Overdue>) -> Result<Option<Unwritten>, StoreError> {
        while let Some(next) = again.last() {
            match next.write(&*self.source.disk) {
                Err(error) if is_out_of_space(&error) => {
                    return Ok(Some(Unwritten { overdue: again, error }));
                }
                written => written?,
            }
            again.pop();
        }
        Ok(None)
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
        if !is_read_from_disk(&loaded.file, loaded.bytes) {
            // Its header may be in the page cache alone.
            let bytes = loaded.writer.region().bytes(0..SEGMENT_HEADER);
            let bytes = bytes.expect("the watermark is behind the header");
            match self.source.disk.write(&loaded.file, 0, bytes) {
                Err(error) if is_out_of_space(&error) => return Ok(None),
                written => written?,
            }
        }
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

/// The segment that the log ends in, to be written on. Where it is not proven that the disk has
/// what was read, the zeros behind it are not either: they are made ready anew.
fn active(tail: Loaded, header: &SegmentHeader, is_proven: bool) -> Segment {
    let block = header.block as usize;
    let end = tail.writer.frozen();
    let capacity =
        usize::try_from(header.capacity).expect("loading checked it").min(tail.writer.len());
    // Where the file now asks for larger blocks than it did, nothing more can be put into this
    // segment.
    let capacity =
        if tail.file.alignment() > header.block { end } else { capacity - capacity % block };
    let zeros = if is_proven { tail.bytes - tail.bytes % block } else { end };
    let prepared = zeros.clamp(end, capacity.max(end));
    Segment::new(tail.name.number, tail.file, tail.writer, header, prepared, capacity)
}
