//! What is left in one segment's bytes: runs of whole commits, and stretches that are none, with
//! the entries in them that are whole by themselves.
//!
//! The same checks as at a start ([`crate::commit::verify`], [`Entry::parse`], validation of the
//! archives). But nothing is expected of what came before, and where a check fails the reader goes
//! on. The next commit begins at a multiple of the block, and entries at multiples of 16. Every
//! checksum is seeded with the segment's generation, so that nothing in a record's own bytes is
//! taken for an entry.
//!
//! Pure functions over bytes that nobody vouches for: they never panic, and look at each byte a
//! bounded number of times.

use std::ops::Range;

use sutra_wire::{AssociationRecord, Checked, ConceptId, ConceptKey, ConceptRecord, CoreLayout};

use super::finding::LostRecord;
use crate::commit::{self, Expected};
use crate::format::{
    COMMIT_ENTRY, CommitBody, ENTRY_HEADER, Entry, KIND_ASSOCIATION, KIND_COMMIT, KIND_CONCEPT,
    KIND_REMOVAL, KIND_TOMBSTONE, Seed,
};
use crate::recovery::MAX_SEQUENCE;

/// How many bytes may be gone through in search of what is whole in so many. Bytes that are made to
/// look like many long entries cost no more than this.
pub(super) fn patience(bytes: usize) -> usize {
    16 * bytes + (1 << 20)
}

/// How a segment is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) seed: Seed,
    pub(crate) block: usize,
    /// Where the first commit stands.
    pub(crate) first: usize,
    pub(crate) shard: u16,
    /// Where concepts belong, where that is known.
    pub(crate) layout: Option<CoreLayout>,
    /// Whether its sequences are in no order, as state's are.
    pub(crate) is_unordered: bool,
}

/// A stretch of a segment.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Run(Run),
    Broken(Broken),
}

/// Commits that follow each other, each of them whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) range: Range<usize>,
    /// Its commits begin at multiples of this.
    pub(crate) block: usize,
    /// The numbers of the first and the last commit.
    pub(crate) numbers: (u64, u64),
    /// What the first says of the one before it.
    pub(crate) previous: u32,
    /// The crc of the last one's Commit entry.
    pub(crate) crc: u32,
    /// The lowest and the highest sequence, and the times of the first and the last entry.
    pub(crate) sequences: (u64, u64),
    pub(crate) times: (u64, u64),
    pub(crate) entries: u64,
    /// The highest commit that one of them calls durable.
    pub(crate) durable: u64,
}

/// A stretch that is no whole commit, or is one with a record that can't be.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) range: Range<usize>,
    pub(crate) fault: Flaw,
    /// The Commit entry at its beginning, where that is whole.
    pub(crate) head: Option<Head>,
    /// The entries in it that are whole, in order.
    pub(crate) entries: Vec<Found>,
    /// What is left of it: where entries may have stood.
    pub(crate) holes: Vec<Hole>,
}

/// Why no whole commit stands at a place.
#[derive(Clone, Debug)]
pub(crate) struct Flaw {
    /// Where in the segment that shows.
    pub(crate) at: usize,
    pub(crate) what: String,
    /// Whether no interrupted write leaves this behind.
    pub(crate) is_certain: bool,
}

impl Flaw {
    fn torn(at: usize, what: &str) -> Self {
        Self { at, what: what.to_owned(), is_certain: false }
    }

    fn certain(at: usize, what: String) -> Self {
        Self { at, what, is_certain: true }
    }
}

/// A stretch in which entries may have stood.
#[derive(Clone, Debug)]
pub(crate) struct Hole {
    pub(crate) range: Range<usize>,
    /// What stood at its beginning, where that can still be told.
    pub(crate) probably: Option<LostRecord>,
}

/// A Commit entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) body: CommitBody,
    pub(crate) crc: u32,
}

/// An entry that is whole, in a commit that is not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) at: usize,
    pub(crate) bytes: usize,
    pub(crate) sequence: u64,
    pub(crate) time: u64,
}

/// Goes through a segment's bytes, up to the last that is not zero. `met` is told of the namespace
/// and the id of each entry that is whole.
pub(crate) fn scan(
    bytes: &[u8],
    frame: &Frame,
    met: &mut dyn FnMut(&Entry<'_>, &Place<'_>),
) -> Vec<Piece> {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let end = used.next_multiple_of(frame.block).min(bytes.len());
    let mut pieces = Vec::new();
    let (mut at, mut patience) = (frame.first, patience(bytes.len()));
    while at < end {
        let piece = match whole(bytes, at, frame, &mut patience) {
            Ok(run) => Piece::Run(run),
            Err(fault) => Piece::Broken(broken(bytes, at..end, frame, fault)),
        };
        piece.entries(bytes).for_each(|(_, entry)| {
            if let Ok(place) = Place::of(&entry) {
                met(&entry, &place);
            }
        });
        at = piece.range().end;
        match (pieces.last_mut(), piece) {
            (Some(Piece::Run(before)), Piece::Run(run)) if before.is_followed_by(&run, frame) => {
                before.take_in(run);
            }
            (_, piece) => pieces.push(piece),
        }
    }
    pieces
}

impl Piece {
    pub(crate) fn range(&self) -> &Range<usize> {
        match self {
            Piece::Run(run) => &run.range,
            Piece::Broken(broken) => &broken.range,
        }
    }

    /// The highest commit that one of its commits calls durable.
    pub(crate) fn durable(&self) -> u64 {
        match self {
            Piece::Run(run) => run.durable,
            Piece::Broken(broken) => broken.head.map_or(0, |head| head.body.durable),
        }
    }

    /// Its entries that are whole, in order, each with its offset in the segment.
    pub(crate) fn entries<'a>(
        &self,
        bytes: &'a [u8],
    ) -> Box<dyn Iterator<Item = (usize, Entry<'a>)> + 'a> {
        let parse = |at: usize| Some((at, Entry::parse_without_crc(bytes.get(at..)?)?));
        match self {
            Piece::Broken(broken) => {
                let entries = broken.entries.clone();
                Box::new(entries.into_iter().filter_map(move |found| parse(found.at)))
            }
            Piece::Run(run) => {
                // The next entry; where its commit ends, and where the next one begins.
                let (mut at, mut limit, mut next) = (run.range.start, 0, run.range.start);
                let (end, block) = (run.range.end, run.block);
                Box::new(std::iter::from_fn(move || {
                    if at >= limit {
                        if next >= end {
                            return None;
                        }
                        let (_, first) = parse(next)?;
                        let length = CommitBody::of(&first)?.bytes as usize;
                        (at, limit) = (next + COMMIT_ENTRY, next + length);
                        next += length.next_multiple_of(block);
                    }
                    let found = parse(at)?;
                    at += found.1.bytes();
                    Some(found)
                }))
            }
        }
    }
}

impl Run {
    fn is_followed_by(&self, next: &Run, frame: &Frame) -> bool {
        self.range.end == next.range.start
            && self.numbers.1 + 1 == next.numbers.0
            && self.crc == next.previous
            && (frame.is_unordered || self.sequences.1 < next.sequences.0)
    }

    fn take_in(&mut self, next: Run) {
        self.range.end = next.range.end;
        self.numbers.1 = next.numbers.1;
        self.crc = next.crc;
        self.sequences.0 = self.sequences.0.min(next.sequences.0);
        self.sequences.1 = self.sequences.1.max(next.sequences.1);
        self.times.1 = next.times.1;
        self.entries += next.entries;
        self.durable = self.durable.max(next.durable);
    }
}

/// Whose entry it is.
pub(crate) struct Place<'a> {
    pub(crate) namespace: &'a str,
    /// The concept's, or the source's, id.
    pub(crate) id: ConceptId,
    /// The name that the concept's caller gave it.
    pub(crate) name: &'a str,
    /// The association's target, and its kind.
    pub(crate) target: Option<(ConceptId, u32)>,
}

impl<'a> Place<'a> {
    /// Validates an entry's record; what is wrong with it otherwise.
    pub(crate) fn of(entry: &Entry<'a>) -> Result<Self, String> {
        let invalid =
            |error: sutra_wire::PayloadError| format!("an entry's record is not valid: {error}");
        match entry.header.kind {
            KIND_CONCEPT => {
                let record = Checked::<ConceptRecord>::new(entry.body).map_err(invalid)?.get();
                let (namespace, name) = (record.namespace.as_str(), record.name.as_str());
                Ok(Self { namespace, id: ConceptId(record.id), name, target: None })
            }
            KIND_ASSOCIATION | KIND_REMOVAL => {
                let record = Checked::<AssociationRecord>::new(entry.body).map_err(invalid)?.get();
                let target = Some((ConceptId(record.target), record.kind.to_native()));
                let namespace = record.namespace.as_str();
                Ok(Self { namespace, id: ConceptId(record.source), name: "", target })
            }
            KIND_TOMBSTONE => {
                let key = Checked::<ConceptKey>::new(entry.body).map_err(invalid)?.get();
                let namespace = key.namespace.as_str();
                Ok(Self { namespace, id: ConceptId(key.id), name: "", target: None })
            }
            kind => Err(format!("an entry is of kind {kind}, which this version does not know")),
        }
    }
}

/// What is wrong with an entry whose checksum holds.
fn check(entry: &Entry<'_>, frame: &Frame) -> Result<(), String> {
    if entry.header.sequence >= MAX_SEQUENCE {
        return Err("its sequence can't be that high".to_owned());
    }
    let place = Place::of(entry)?;
    match frame.layout.map(|layout| layout.owner(&place.id)) {
        Some(owner) if owner != frame.shard => {
            Err(format!("an entry's record belongs to shard {owner}"))
        }
        _ => Ok(()),
    }
}

/// The commit that stands whole at a place, or why none does.
fn whole(bytes: &[u8], at: usize, frame: &Frame, patience: &mut usize) -> Result<Run, Flaw> {
    let rest = &bytes[at..];
    // It has its length before its checksum is computed.
    let claimed = Entry::parse_without_crc(rest).and_then(|entry| CommitBody::of(&entry));
    let Some(body) = claimed else {
        return Err(Flaw::torn(at, "this is not the start of a commit"));
    };
    Entry::parse(frame.seed, rest).map_err(|what| Flaw::torn(at, what))?;
    *patience = patience
        .checked_sub((body.bytes as usize).min(rest.len()))
        .ok_or_else(|| Flaw::torn(at, "too many commits in this segment are not whole"))?;
    let expected = Expected {
        shard: frame.shard,
        number: body.number,
        previous: body.previous,
        sequence: 0,
        is_state: frame.is_unordered,
    };
    let commit = commit::verify(rest, frame.seed, frame.block, &expected).map_err(|fault| {
        Flaw { at: at + fault.at, what: fault.what.to_owned(), is_certain: fault.certain }
    })?;
    let (mut lowest, mut first_time, mut last_time) = (u64::MAX, None, 0);
    for (offset, entry) in commit::entries(&rest[..commit.padded], &commit) {
        check(&entry, frame).map_err(|what| Flaw::certain(at + offset, what))?;
        lowest = lowest.min(entry.header.sequence);
        last_time = entry.header.time;
        first_time.get_or_insert(last_time);
    }
    Ok(Run {
        range: at..at + commit.padded,
        block: frame.block,
        numbers: (body.number, body.number),
        previous: body.previous,
        crc: commit.crc,
        sequences: (lowest, commit.sequence),
        times: (first_time.unwrap_or_default(), last_time),
        entries: u64::from(body.entries),
        durable: body.durable,
    })
}

/// The Commit entry that begins here, if one does.
fn head_at(bytes: &[u8], at: usize, frame: &Frame) -> Option<Head> {
    let rest = bytes.get(at..)?;
    if rest.len() < COMMIT_ENTRY || rest[8] != KIND_COMMIT {
        return None;
    }
    // It has its length before its checksum is computed.
    let claimed = Entry::parse_without_crc(rest)?;
    let body = CommitBody::of(&claimed)?;
    let entry = Entry::parse(frame.seed, rest).ok()?;
    (entry.header.owner == frame.shard && body.number > 0).then_some(Head { body, crc: entry.crc })
}

/// The stretch from where no whole commit stands to where one may begin again.
fn broken(bytes: &[u8], within: Range<usize>, frame: &Frame, fault: Flaw) -> Broken {
    let Range { start, end } = within;
    let head = head_at(bytes, start, frame);
    let next = (start + frame.block..end)
        .step_by(frame.block)
        .find(|at| head_at(bytes, *at, frame).is_some())
        .unwrap_or(end);
    let length = head.map(|head| (head.body.bytes as usize).max(COMMIT_ENTRY));
    let claimed = length.map_or(end, |length| start + length.next_multiple_of(frame.block));
    let range = start..next.min(claimed);
    let from = if head.is_some() { start + COMMIT_ENTRY } else { start };
    let entries = find_entries(bytes, from..range.end, frame, head);
    let to = length.map_or(range.end, |length| (start + length).min(range.end));
    let holes = holes(bytes, &entries, from..to, head.is_none());
    Broken { range, fault, head, entries, holes }
}

/// What lies between entries that are whole. A Commit entry alone is no hole, nor is what is
/// missing of one behind its last entry, where `is_headless` and zeros do not tell them apart.
fn holes(bytes: &[u8], entries: &[Found], within: Range<usize>, is_headless: bool) -> Vec<Hole> {
    let mut holes = Vec::new();
    let mut at = within.start;
    let ends = entries.iter().map(|found| (found.at, found.at + found.bytes));
    for (from, to) in ends.chain([(within.end, within.end)]) {
        let is_head = is_headless && at == within.start && from - at == COMMIT_ENTRY;
        if at < from && !is_head {
            holes.push(hole(bytes, at..from, is_headless && at == within.start));
        }
        at = to;
    }
    holes
}

fn hole(bytes: &[u8], range: Range<usize>, begins_with_commit: bool) -> Hole {
    let skipped = if begins_with_commit { COMMIT_ENTRY } else { 0 };
    let entry = bytes.get(range.start + skipped..range.end).and_then(Entry::parse_without_crc);
    let probably = entry.and_then(|entry| {
        let Place { namespace, id, name, target } = Place::of(&entry).ok()?;
        let kind = match entry.header.kind {
            KIND_CONCEPT => "concept",
            KIND_ASSOCIATION => "association",
            KIND_REMOVAL => "removal",
            _ => "deletion",
        };
        Some(LostRecord {
            kind,
            namespace: namespace.to_owned(),
            id: id.to_string(),
            name: name.to_owned(),
            target: target.map(|(target, _)| target.to_string()),
            association: target.map(|(_, association)| association),
            remains: None,
        })
    });
    Hole { range, probably }
}

/// The entries that are whole in a stretch, wherever they begin.
fn find_entries(
    bytes: &[u8],
    within: Range<usize>,
    frame: &Frame,
    head: Option<Head>,
) -> Vec<Found> {
    let mut entries = Vec::new();
    let mut patience = patience(within.len());
    let (mut at, mut sequence) = (within.start, 0);
    while at + ENTRY_HEADER <= within.end {
        let found = entry_at(&bytes[at..within.end], frame, head, &mut patience)
            .filter(|entry| frame.is_unordered || entry.header.sequence > sequence);
        let Some(entry) = found else {
            at += 16;
            continue;
        };
        let header = entry.header;
        let bytes = entry.bytes();
        entries.push(Found { at, bytes, sequence: header.sequence, time: header.time });
        sequence = header.sequence;
        at += bytes;
    }
    entries
}

fn entry_at<'a>(
    bytes: &'a [u8],
    frame: &Frame,
    head: Option<Head>,
    patience: &mut usize,
) -> Option<Entry<'a>> {
    let claimed = Entry::parse_without_crc(bytes)?;
    let header = claimed.header;
    let is_plausible = (KIND_CONCEPT..=KIND_REMOVAL).contains(&header.kind)
        && header.owner == frame.shard
        && head.is_none_or(|head| head.body.number as u32 == header.commit);
    if !is_plausible {
        return None;
    }
    *patience = patience.checked_sub(claimed.bytes())?;
    let entry = Entry::parse(frame.seed, bytes).ok()?;
    check(&entry, frame).ok().map(|()| entry)
}
