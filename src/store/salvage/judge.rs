//! What of a shard's segments belongs to its log, and what is missing in it.
//!
//! The rules are those of a start. A commit that is not whole was promised where a later one calls
//! it durable, or where it stands before the mark. Then it is damage, and what stands behind it
//! belongs to the log. Otherwise the log ends there, and what follows is a torn tail.

mod state;

use super::finding::{Finding, Loss, Severity};
use super::scan::{Broken, Hole, Piece, Run};
use crate::disk::SegmentName;
use crate::format::Covered;
use crate::marks::Position;

/// What to do about damage to the log.
pub(super) const REPAIR: &str = "`sutra restore` brings back a backup; without one `sutra repair` \
                                 salvages what is whole";
/// What to do about a file whose place is another one.
pub(super) const PUT_BACK: &str =
    "put the file back; or restore a backup, or salvage what is whole with `sutra repair`";
const NOTHING: &str = "nothing is to be done: the next start cuts it off";

/// A segment as it was read.
pub(crate) struct Segment {
    pub(crate) name: SegmentName,
    /// Its place in the log: by its header, where that is whole.
    pub(crate) number: u32,
    pub(crate) state: State,
}

/// What was made of it.
pub(crate) enum State {
    /// There is no such file.
    Missing,
    /// It can't be read as a segment; the finding is there already.
    Closed,
    /// It was made, and never written to.
    HalfMade,
    Read {
        pieces: Vec<Piece>,
        kind: Kind,
    },
}

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Log,
    /// What was visible up to there; its commits stand in this stretch.
    State {
        covered: Covered,
        start: usize,
        end: usize,
    },
    /// Its header is lost.
    Unknown,
}

/// What belongs to a shard's log, by segment, and what is wrong.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) segments: Vec<Taken>,
    pub(crate) findings: Vec<Finding>,
    /// Commits and entries that are whole.
    pub(crate) entries: u64,
    /// Bytes behind the end of the log.
    pub(crate) torn: u64,
    /// The highest sequence.
    pub(crate) sequence: u64,
    /// What the segments of state cover, where there are any.
    pub(crate) covered: Option<Covered>,
}

/// The pieces of a segment from which entries are taken.
pub(crate) struct Taken {
    pub(crate) name: SegmentName,
    pub(crate) pieces: Vec<Piece>,
    /// Whether it is one of state.
    pub(crate) is_state: bool,
}

/// How far the log has been followed.
struct Judge {
    mark: Position,
    /// The number of the next commit, and the crc of the Commit entry before it.
    number: u64,
    previous: u32,
    /// Whether commits may be missing here, which was said.
    has_gap: bool,
    /// The sequence and the time of the last entry.
    last: (u64, u64),
    /// Where the log goes on.
    end: Position,
    /// Losses whose next whole entry is yet to come: of which finding, and which of its.
    open: Vec<(usize, usize)>,
    /// Whether the log has ended, so that what follows is a torn tail.
    is_torn: bool,
    verdict: Verdict,
}

/// Follows the log of a shard, which must be whole up to its mark.
pub(crate) fn judge(mut segments: Vec<Segment>, mark: Position) -> Verdict {
    let mut judge = Judge {
        mark,
        number: 1,
        previous: 0,
        has_gap: false,
        last: (0, 0),
        end: Position::default(),
        open: Vec::new(),
        is_torn: false,
        verdict: Verdict::default(),
    };
    let log = where_log_begins(&segments);
    let (mut proofs, openings) = look_ahead(&segments[log..]);
    let rest = segments.split_off(log);
    judge.state(segments);
    for (place, segment) in rest.into_iter().enumerate() {
        let Segment { name, number, state } = segment;
        match state {
            State::Read { pieces, .. } => {
                let mut taken = Vec::new();
                for piece in pieces {
                    let durable = proofs.pop().unwrap_or_default();
                    let goes_on = |(at, number, previous): &(usize, u64, u32)| {
                        *at > place && (*number, *previous) == (judge.number, judge.previous)
                    };
                    let behind = Behind { durable, goes_on: openings.iter().any(goes_on) };
                    if judge.take(name, number, &piece, behind) {
                        taken.push(piece);
                    }
                }
                judge.verdict.segments.push(Taken { name, pieces: taken, is_state: false });
            }
            State::Missing => judge.missing(name, "is missing, and the log can't be read without"),
            State::Closed => judge.missing(name, "none of its commits can be read"),
            State::HalfMade => {}
        }
    }
    judge.finish()
}

/// The place of the first segment of the log: what stands in front of it is state.
fn where_log_begins(segments: &[Segment]) -> usize {
    let kind = |segment: &Segment| match &segment.state {
        State::Read { kind, .. } => Some(*kind),
        _ => None,
    };
    let is_state = |segment: &Segment| matches!(kind(segment), Some(Kind::State { .. }));
    let behind = segments.iter().rposition(is_state).map_or(0, |last| last + 1);
    // A log's first commit follows none. In front of it may be state whose headers are lost.
    let begins = |segment: &Segment| match &segment.state {
        State::Read { pieces, kind: Kind::Log } => match pieces.first() {
            Some(Piece::Run(run)) => run.previous == 0,
            _ => false,
        },
        _ => false,
    };
    let of_log = segments[behind..].iter().position(|segment| kind(segment) == Some(Kind::Log));
    of_log.map(|at| behind + at).filter(|at| begins(&segments[*at])).unwrap_or(behind)
}

/// What stands behind a piece.
#[derive(Clone, Copy)]
struct Behind {
    /// The highest commit that it calls durable.
    durable: u64,
    /// Whether a later segment opens with the commit that comes next.
    goes_on: bool,
}

/// For each piece, the last one first, the highest commit that what follows calls durable. And of
/// each segment's first commit, in which segment it is, its number and what it follows.
fn look_ahead(segments: &[Segment]) -> (Vec<u64>, Vec<(usize, u64, u32)>) {
    let (mut proofs, mut openings, mut durable) = (Vec::new(), Vec::new(), 0);
    for (place, segment) in segments.iter().enumerate().rev() {
        let State::Read { pieces, .. } = &segment.state else { continue };
        for piece in pieces.iter().rev() {
            proofs.push(durable);
            durable = durable.max(piece.durable());
        }
        if let Some(Piece::Run(run)) = pieces.first() {
            openings.push((place, run.numbers.0, run.previous));
        }
    }
    (proofs, openings)
}

impl Judge {
    /// Whether a piece is part of what is left of the log.
    fn take(&mut self, name: SegmentName, number: u32, piece: &Piece, behind: Behind) -> bool {
        match piece {
            Piece::Run(run) => self.run(name, number, run, behind),
            Piece::Broken(broken) => self.broken(name, number, broken, behind),
        }
    }

    fn run(&mut self, name: SegmentName, number: u32, run: &Run, behind: Behind) -> bool {
        let at = Position::new(number, run.range.start);
        let follows = self.previous == run.previous;
        let rises = run.sequences.0 > self.last.0;
        if !rises || run.numbers.0 < self.number {
            let what = "a commit stands here that was written before those in front of it";
            self.find(name, run.range.start, run.range.len(), what.to_owned());
            return false;
        }
        if run.numbers.0 == self.number && !follows {
            let what = "this commit does not follow the one before it";
            self.find(name, run.range.start, 0, what.to_owned());
        } else if run.numbers.0 > self.number && !self.has_gap {
            let missing = run.numbers.0 - self.number;
            let is_promised = self.mark > at || run.durable.max(behind.durable) >= self.number;
            if !is_promised && !self.is_torn {
                self.tear(name, run.range.start);
            }
            let what = format!("{missing} commits are missing before this one");
            self.lose(name, run.range.start, 0, what);
        }
        if self.has_gap && run.numbers.0 == self.number && follows {
            // No commit is missing in the gap in front of it.
            self.passed(self.last.0 + 1, run.times.0);
        }
        self.passed(run.sequences.0, run.times.0);
        self.number = run.numbers.1 + 1;
        self.previous = run.crc;
        self.has_gap = false;
        self.last = (run.sequences.1, run.times.1);
        self.end = Position::new(number, run.range.end);
        self.verdict.entries += run.entries;
        self.count_torn(run.range.len());
        true
    }

    fn broken(&mut self, name: SegmentName, number: u32, broken: &Broken, behind: Behind) -> bool {
        let at = Position::new(number, broken.range.start);
        let is_promised = self.mark > at
            || broken.fault.is_certain
            || behind.goes_on
            || behind.durable.max(broken.head.map_or(0, |head| head.body.durable)) >= self.number;
        if !is_promised && !self.is_torn {
            self.tear(name, broken.range.start);
        }
        let losses = self.losses(broken);
        let finding = self.verdict.findings.len();
        if let Some(first) = broken.entries.first() {
            self.passed(first.sequence, first.time);
        }
        if !self.is_torn {
            let what = match broken.entries.len() {
                0 => broken.fault.what.clone(),
                count => format!("{}; {count} entries around it are whole", broken.fault.what),
            };
            self.find(name, broken.fault.at, broken.range.len(), what);
            for (mut loss, next) in losses {
                match next {
                    Some(next) => close(&mut loss, next),
                    None => {
                        let number = self.verdict.findings[finding].lost.len();
                        self.open.push((finding, number));
                    }
                }
                self.verdict.findings[finding].lost.push(loss);
            }
        }
        if let Some(last) = broken.entries.last() {
            self.last = self.last.max((last.sequence, last.time));
        }
        self.has_gap = broken.head.is_none();
        if let Some(head) = broken.head {
            (self.number, self.previous) = (head.body.number + 1, head.crc);
        }
        self.end = Position::new(number, broken.range.end);
        self.verdict.entries += broken.entries.len() as u64;
        self.count_torn(broken.range.len());
        true
    }

    /// What may be lost in a stretch, each with the whole entry in the stretch that is next.
    fn losses(&self, broken: &Broken) -> Vec<(Loss, Option<(u64, u64)>)> {
        let missing = broken
            .head
            .map(|head| u64::from(head.body.entries).saturating_sub(broken.entries.len() as u64));
        let loss = |hole: &Hole| {
            let behind = broken.entries.partition_point(|found| found.at < hole.range.start);
            let (front, back) = broken.entries.split_at(behind);
            let after = front.last().map_or(self.last, |found| (found.sequence, found.time));
            let loss = Loss {
                offset: hole.range.start as u64,
                length: hole.range.len() as u64,
                after_sequence: after.0,
                after_time: after.1,
                at_most: missing,
                probably: hole.probably.clone(),
                ..Loss::default()
            };
            (loss, back.first().map(|found| (found.sequence, found.time)))
        };
        broken.holes.iter().filter(|_| missing != Some(0)).map(loss).collect()
    }

    /// The log ends here.
    fn tear(&mut self, name: SegmentName, at: usize) {
        self.is_torn = true;
        self.verdict.findings.push(Finding {
            severity: Severity::Harmless,
            file: name.to_string(),
            offset: at as u64,
            length: 0,
            what: "the log ends here with a torn tail: no whole commit stands there, and nothing \
                   says that it was ever durable"
                .to_owned(),
            lost: Vec::new(),
            help: NOTHING,
        });
    }

    fn count_torn(&mut self, bytes: usize) {
        if self.is_torn {
            self.verdict.torn += bytes as u64;
        }
    }

    fn missing(&mut self, name: SegmentName, what: &str) {
        self.lose(name, 0, 0, what.to_owned());
        if let Some(finding) = self.verdict.findings.last_mut() {
            finding.help = PUT_BACK;
        }
        self.has_gap = true;
    }

    /// Something of the log is lost here.
    fn lose(&mut self, name: SegmentName, at: usize, length: usize, what: String) {
        if self.is_torn {
            return;
        }
        self.open.push((self.verdict.findings.len(), 0));
        self.find(name, at, length, what);
        let loss = Loss {
            offset: at as u64,
            length: length as u64,
            after_sequence: self.last.0,
            after_time: self.last.1,
            ..Loss::default()
        };
        if let Some(finding) = self.verdict.findings.last_mut() {
            finding.lost.push(loss);
        }
    }

    fn find(&mut self, name: SegmentName, at: usize, length: usize, what: String) {
        self.verdict.findings.push(Finding {
            severity: Severity::Damage,
            file: name.to_string(),
            offset: at as u64,
            length: length as u64,
            what,
            lost: Vec::new(),
            help: REPAIR,
        });
    }

    /// An entry that is whole comes next.
    fn passed(&mut self, sequence: u64, time: u64) {
        for (finding, loss) in self.open.drain(..) {
            close(&mut self.verdict.findings[finding].lost[loss], (sequence, time));
        }
    }

    fn finish(mut self) -> Verdict {
        if self.end < self.mark {
            let Position { segment, offset } = self.mark;
            let shard = self.verdict.segments.first().map_or(0, |taken| taken.name.shard);
            let name = SegmentName { shard, number: self.end.segment };
            let what = format!(
                "the log ends here, and the manifest says that it was whole once up to byte \
                 {offset} of segment {segment}"
            );
            self.is_torn = false;
            self.lose(name, self.end.offset as usize, 0, what);
        }
        for finding in &mut self.verdict.findings {
            finding.lost.retain(|loss| loss.at_most != Some(0));
        }
        self.verdict.sequence = self.last.0;
        self.verdict
    }
}

/// The next whole entry behind a loss bounds it.
fn close(loss: &mut Loss, (sequence, time): (u64, u64)) {
    loss.before_sequence = Some(sequence);
    loss.before_time = Some(time);
    let between = sequence.saturating_sub(loss.after_sequence).saturating_sub(1);
    loss.at_most = Some(loss.at_most.map_or(between, |most| most.min(between)));
}
