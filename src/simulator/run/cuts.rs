//! Cuts for backups, as a backup would take them: what they cover is on stable storage, checks out
//! as a log, and has nothing behind a gap.

use sutra_store::{LogCheck, LogPlace, SegmentHeader};
use sutra_wire::{BackupCut, CutShard};

use super::Run;
use crate::failure::{Failure, Kind, OfKind};

impl Run<'_> {
    /// A cut that was asked for at this moment is answered.
    pub(super) fn check_cut(&mut self, began: u64, cut: &BackupCut) -> Result<(), Failure> {
        let wrong = |what: String| Failure::new(Kind::Recovery, what);
        if cut.shards.len() != self.plan.cores {
            return Err(wrong(format!("a cut has {} shards", cut.shards.len())));
        }
        if self.excuses.has_failed {
            // The disk has lost what it said that it had.
            return Ok(());
        }
        let mut sequences = Vec::with_capacity(cut.shards.len());
        for (shard, log) in (0..).zip(&cut.shards) {
            let place = self
                .read_cut(cut.store, shard, log)
                .map_err(|what| wrong(format!("a cut of shard {shard}: {what}")))?;
            let (found, told) = ((place.commit, place.crc32c), (log.commit, log.crc32c));
            if found != told {
                return Err(wrong(format!("a cut ends at commit {found:?} and says {told:?}")));
            }
            sequences.push(place.sequence);
        }
        self.coverage.fault("a cut was read from stable storage");
        self.model.check_cut(began, &sequences, &cut.namespaces).of_kind(Kind::Recovery)
    }

    /// Reads what a power cut would leave of it.
    fn read_cut(&self, store: u64, shard: u16, log: &CutShard) -> Result<LogPlace, String> {
        let mut place = LogPlace::default();
        for segment in &log.segments {
            let name = format!("shard-{shard:03}/segment-{:08}.log", segment.number);
            let bytes = self.disk.durable(&name).ok_or_else(|| format!("{name} is not there"))?;
            let bytes = bytes.get(..segment.end as usize);
            let bytes = bytes.ok_or_else(|| format!("{name} is shorter on stable storage"))?;
            let header = SegmentHeader {
                block: segment.block,
                store,
                generation: segment.generation,
                number: segment.number,
                shard,
                capacity: u64::from(segment.capacity),
            };
            let mut check = LogCheck::new(header, 0, place);
            let passed = check.pass(bytes).and_then(|()| check.finish());
            place = passed.map_err(|fault| format!("{name}, {fault}"))?;
        }
        Ok(place)
    }
}
