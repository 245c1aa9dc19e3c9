//! What of a shard's state is whole: the segments in front of its log.
//!
//! All of it was durable before a manifest named it, so whatever is not whole is damage. Sequences
//! of state are in no order: nothing bounds what is lost.

use super::{Judge, Kind, PUT_BACK, Segment, State, Taken};
use crate::disk::SegmentName;
use crate::format::{Covered, SEGMENT_HEADER};
use crate::marks::Position;
use crate::salvage::finding::Loss;
use crate::salvage::scan::{Broken, Piece};

impl Judge {
    /// The segments of state, where there are any.
    pub(super) fn state(&mut self, segments: Vec<Segment>) {
        let Some(last) = segments.last() else { return };
        // The log's first segment was durable with it, though nothing may be in there yet.
        self.end = Position::new(last.number + 1, SEGMENT_HEADER);
        for segment in segments {
            self.state_segment(segment);
        }
        // Where no header tells how far the state goes, any commit may be the log's first.
        let Covered { commit, sequence } = self.verdict.covered.unwrap_or_default();
        self.last.0 = self.last.0.max(sequence);
        (self.number, self.previous, self.has_gap) = (commit + 1, 0, commit == 0);
        self.verdict.covered = Some(Covered { commit: commit.max(1), sequence: self.last.0 });
    }

    fn state_segment(&mut self, segment: Segment) {
        let Segment { name, state, .. } = segment;
        let (pieces, kind) = match state {
            State::Read { pieces, kind } => (pieces, kind),
            State::HalfMade => return,
            State::Missing => return self.lose_state(name, "is missing, with all that it holds"),
            State::Closed => return self.lose_state(name, "nothing in it can be read"),
        };
        let (mut number, mut previous, mut at, mut has_gap) = (1, 0, None, false);
        for piece in &pieces {
            at = Some(piece.range().end);
            match piece {
                Piece::Run(run) => {
                    if (run.numbers.0, run.previous) != (number, previous) && !has_gap {
                        let what = "commits are missing before this one".to_owned();
                        self.lose_stretch(name, run.range.start, 0, what);
                    }
                    (number, previous, has_gap) = (run.numbers.1 + 1, run.crc, false);
                    self.verdict.entries += run.entries;
                    self.last = (self.last.0.max(run.sequences.1), run.times.1);
                }
                Piece::Broken(broken) => {
                    self.broken_state(name, broken);
                    has_gap = broken.head.is_none();
                    if let Some(head) = broken.head {
                        (number, previous) = (head.body.number + 1, head.crc);
                    }
                }
            }
        }
        if let Kind::State { covered, start, end } = kind {
            let at = at.unwrap_or(start);
            self.end.offset = self.end.offset.max(start as u32);
            if at < end {
                let what = format!("the state ends here, and its header says byte {end}");
                self.lose_stretch(name, at, end - at, what);
            }
            let known = self.verdict.covered.unwrap_or(covered);
            let commit = known.commit.max(covered.commit);
            let sequence = known.sequence.max(covered.sequence);
            self.verdict.covered = Some(Covered { commit, sequence });
        }
        self.verdict.segments.push(Taken { name, pieces, is_state: true });
    }

    fn broken_state(&mut self, name: SegmentName, broken: &Broken) {
        let losses = self.losses(broken).into_iter();
        let unbounded = |(loss, _)| Loss { after_sequence: 0, after_time: 0, ..loss };
        let losses: Vec<_> = losses.map(unbounded).collect();
        let what = match broken.entries.len() {
            0 => broken.fault.what.clone(),
            count => format!("{}; {count} entries in it are whole", broken.fault.what),
        };
        self.find(name, broken.fault.at, broken.range.len(), what);
        if let Some(finding) = self.verdict.findings.last_mut() {
            finding.lost = losses;
        }
        self.verdict.entries += broken.entries.len() as u64;
        for found in &broken.entries {
            self.last = (self.last.0.max(found.sequence), found.time);
        }
    }

    fn lose_state(&mut self, name: SegmentName, what: &str) {
        self.lose_stretch(name, 0, 0, what.to_owned());
        if let Some(finding) = self.verdict.findings.last_mut() {
            finding.help = PUT_BACK;
        }
    }

    fn lose_stretch(&mut self, name: SegmentName, at: usize, length: usize, what: String) {
        self.find(name, at, length, what);
        let (offset, length) = (at as u64, length as u64);
        if let Some(finding) = self.verdict.findings.last_mut() {
            finding.lost.push(Loss { offset, length, ..Loss::default() });
        }
    }
}
