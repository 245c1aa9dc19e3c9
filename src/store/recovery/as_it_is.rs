//! A shard that is served as it lies on the disk, with nothing cleared away: whole, or what was
//! salvaged of it.

use std::sync::Arc;

use sutra_runtime::{DataFile, RegionWriter};

use super::{Loaded, Recovered, Recovery, Replayed, Source};
use crate::StoreError;
use crate::disk::SegmentName;
use crate::exchange::Exchange;
use crate::format::{SEGMENT_HEADER, SegmentHeader};
use crate::log::{LogEnd, Reached};
use crate::salvage::Verdict;
use crate::segment::Segment;

/// Makes visible what is left of a shard.
pub(crate) fn recover_salvaged(
    source: Source,
    exchange: Exchange,
    verdict: &Verdict,
) -> Result<Replayed, StoreError> {
    let started = source.clock.monotonic();
    let mut recovery = Recovery::new(source, exchange);
    // By the order in which they are taken: segments in between may be missing.
    for (number, taken) in (0..).zip(&verdict.segments) {
        let image = taken.read(&*recovery.source.disk, &mut |_| {})?;
        let mut writer = image.writer;
        writer.freeze(writer.len());
        let region = Arc::clone(writer.region());
        let bytes = region.bytes(0..writer.len()).expect("all of it was just frozen");
        recovery.memory.push(number, Arc::clone(&region), writer.len());
        let name = SegmentName { number, ..taken.name };
        for (at, entry) in taken.entries(bytes) {
            recovery.apply(name, at, &entry)?;
        }
        recovery.exchange.take_in(&mut recovery.graph);
    }
    recovery.expected.sequence = verdict.sequence;
    recovery.report.entries = verdict.entries;
    recovery.report.bytes = recovery.memory.bytes();
    let elapsed = recovery.source.clock.monotonic().saturating_sub(started);
    recovery.report.elapsed = std::time::Duration::from_micros(elapsed);
    recovery.into_replayed_alone()
}

impl Recovery {
    /// The shard, with a segment in place of the one that its log ends in.
    fn into_replayed_alone(self) -> Result<Replayed, StoreError> {
        let name = SegmentName { shard: self.source.shard, number: 0 };
        let mut writer = RegionWriter::new(SEGMENT_HEADER)?;
        writer.freeze(SEGMENT_HEADER);
        let header = no_header(self.source.store, name);
        let tail =
            Loaded { name, file: no_file()?, writer, bytes: SEGMENT_HEADER, header: Ok(header) };
        let Self { source, exchange, graph, memory, expected, report, .. } = self;
        Ok(Replayed {
            source,
            rest: Some(exchange.tell_rest()),
            graph,
            memory,
            vectors: None,
            expected,
            report,
            tail,
            header,
            beyond: Vec::new(),
        })
    }
}

impl Replayed {
    /// The shard as it is: to be read, and never written to.
    pub(crate) fn left_as_it_is(self) -> Result<Recovered, StoreError> {
        let Self { graph, memory, vectors, expected, report, tail, source, .. } = self;
        let header = no_header(source.store, tail.name);
        let mut writer = RegionWriter::new(SEGMENT_HEADER)?;
        writer.freeze(SEGMENT_HEADER);
        let active = Segment::new(tail.name.number, no_file()?, writer, &header, 0, SEGMENT_HEADER);
        let end = LogEnd { shard: expected.shard, reached: Reached::default(), crc: 0 };
        Ok(Recovered {
            graph,
            memory,
            vectors,
            end,
            sequence: expected.sequence,
            active,
            spare: None,
            durable: Reached::default(),
            unwritten: None,
            uncut: None,
            report,
        })
    }
}

/// The header of a segment that stands in for one.
fn no_header(store: u64, name: SegmentName) -> SegmentHeader {
    SegmentHeader {
        block: SEGMENT_HEADER as u32,
        store,
        generation: 0,
        number: name.number,
        shard: name.shard,
        capacity: SEGMENT_HEADER as u64,
    }
}

/// The file of a log that is never written.
fn no_file() -> Result<Arc<DataFile>, StoreError> {
    Ok(Arc::new(DataFile::in_memory("read-only")?))
}
