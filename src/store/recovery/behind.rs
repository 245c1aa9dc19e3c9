//! What stands behind the end of the log: segments that it has passed over, a torn tail, or the
//! proof that something was lost.

use std::sync::Arc;

use super::{Loaded, Recovery};
use crate::StoreError;
use crate::commit::{self, Commit, Fault};
use crate::disk::SegmentName;
use crate::format::{SegmentHeader, is_zero};

/// What is behind the end of the log, so far.
#[derive(Default)]
pub(super) struct Behind {
    /// Segments that do not continue it.
    pub(super) beyond: Vec<Beyond>,
    pub(super) broken: Option<Broken>,
    /// The error to return if no later segment continues it.
    pub(super) short: Option<StoreError>,
}

/// A segment behind the end of the log.
pub(super) struct Beyond {
    pub(super) name: SegmentName,
    /// What was read of it, where it holds nothing but its header.
    pub(super) empty: Option<Loaded>,
}

/// The first segment behind the end of the log that holds something: where the next commit should
/// stand in it, and why it does not.
pub(super) struct Broken {
    pub(super) name: SegmentName,
    pub(super) commit: usize,
    pub(super) fault: Fault,
}

impl Recovery {
    /// The log has ended, and does not go on in this segment, for the reason `here`.
    pub(super) fn pass_over(
        &mut self,
        (before, fault): (&mut Loaded, &Fault),
        behind: &mut Behind,
        mut loaded: Loaded,
        header: &SegmentHeader,
        here: Fault,
    ) -> Result<(), StoreError> {
        let broken = behind.broken.as_ref();
        let short = self.check_beyond(before, fault, broken, &mut loaded, header, &here)?;
        behind.short = behind.short.take().or(short);
        let (name, used) = (loaded.name, loaded.used());
        self.report.cut += used as u64;
        if used > 0 && behind.broken.is_none() {
            behind.broken = Some(Broken { name, commit: loaded.writer.frozen(), fault: here });
        }
        behind.beyond.push(Beyond { name, empty: (used == 0).then_some(loaded) });
        Ok(())
    }

    /// The log goes on in a segment behind these, which hold nothing then: their first commits
    /// found no space.
    pub(super) fn go_on_after(
        &mut self,
        (before, fault): (&mut Loaded, &Fault),
        behind: &mut Behind,
    ) -> Result<(), StoreError> {
        if !is_zero(before.rest()) {
            return Err(self.damage(before.name, before.writer.frozen(), fault));
        }
        let Behind { beyond, broken, .. } = std::mem::take(behind);
        if let Some(Broken { name, commit, fault }) = broken {
            return Err(self.damage(name, commit, &fault));
        }
        for passed in beyond.into_iter().filter_map(|segment| segment.empty) {
            self.memory.push(passed.name.number, Arc::clone(passed.writer.region()), passed.bytes);
        }
        Ok(())
    }

    /// Whether the commit that comes next stands at the watermark.
    pub(super) fn verify(
        &self,
        loaded: &mut Loaded,
        header: &SegmentHeader,
    ) -> Result<Commit, Fault> {
        commit::verify(loaded.rest(), header.seed(), header.block as usize, &self.expected)
    }

    /// Where behind the watermark a commit proves that the one that comes next was durable once.
    pub(super) fn proof_of_loss(
        &self,
        loaded: &mut Loaded,
        header: &SegmentHeader,
    ) -> Option<usize> {
        let start = loaded.writer.frozen();
        let proof = commit::proof_of_loss(
            loaded.rest(),
            header.seed(),
            header.block as usize,
            self.expected.number,
        );
        proof.map(|proof| start + proof)
    }

    /// The log has ended in the segment `before` with `fault`, and does not go on in this one for
    /// the reason `here`, nor in one that is `broken` in between: then nothing of it may stand
    /// behind that. Returns the error that holds
    /// unless the log goes on later, where a mark says that it was whole here once.
    fn check_beyond(
        &self,
        before: &mut Loaded,
        fault: &Fault,
        broken: Option<&Broken>,
        loaded: &mut Loaded,
        header: &SegmentHeader,
        here: &Fault,
    ) -> Result<Option<StoreError>, StoreError> {
        let start = loaded.writer.frozen();
        if let Some(proof) = self.proof_of_loss(loaded, header) {
            // Something broken closes the segment before, or stands in one in between: the lost one
            // stood there. Where a later commit opens this segment, it closed the one before.
            let (name, commit, fault) = match broken {
                Some(broken) if is_zero(before.rest()) => {
                    (broken.name, broken.commit, &broken.fault)
                }
                _ if proof == start || !is_zero(before.rest()) => {
                    (before.name, before.writer.frozen(), fault)
                }
                _ => (loaded.name, start, here),
            };
            return Err(self.lost(name, commit, fault, loaded.name, proof));
        }
        if here.certain {
            return Err(self.damage(loaded.name, start, here));
        }
        if loaded.name.number > self.source.mark.segment {
            return Ok(None);
        }
        // The missing commit was the last of the segment before, or the first of this one.
        Ok(Some(match is_zero(before.rest()) {
            true => self.short_of_mark(loaded.name, start, here),
            false => self.short_of_mark(before.name, before.writer.frozen(), fault),
        }))
    }
}
