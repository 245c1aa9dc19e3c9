//! A store read whatever is left of it: what is damaged, where, and what that may have taken.
//!
//! Nothing is changed on the disk. Each segment is read once, one at a time. A start refuses what
//! is damaged; this reader goes on behind it, by the same checks. It is what `sutra verify` tells
//! of, what `sutra repair` writes anew, and what a damaged store is served from read-only.
//!
//! Promises: no bytes of a file make it panic. What it takes for an entry passed its checksum and
//! its validation. Memory: one segment, and a few hundred bytes for each damaged place.

mod facts;
mod finding;
mod image;
mod judge;
mod scan;
mod seed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use sutra_wire::CoreLayout;

pub(crate) use self::facts::Facts;
pub use self::finding::{Finding, Loss, LostRecord, Severity, Standing};
pub(crate) use self::image::Image;
use self::judge::{PUT_BACK, REPAIR, Segment, State, judge};
pub(crate) use self::judge::{Taken, Verdict};
pub(crate) use self::scan::Place;
use self::scan::{Frame, scan};
use crate::StoreError;
use crate::disk::{CheckpointName, Disk, SegmentName, shard_folder};
use crate::format::{Entry, HeaderFault, SEGMENT_HEADER, SegmentHeader, is_zero};
use crate::marks::Position;
use crate::vectors::inspect_checkpoint;

/// Of segments that are missing in a row so many are named.
const MOST_MISSING: usize = 100;

/// How far a long reading has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advance {
    /// What is done: `reading`, `writing`.
    pub phase: &'static str,
    /// Bytes that were read.
    pub done: u64,
    /// Bytes that there are.
    pub total: u64,
}

/// Told of every step; says whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(Advance) -> bool;

/// What is left of a store.
pub(crate) struct Survey {
    pub(crate) facts: Facts,
    /// By shard.
    pub(crate) shards: Vec<Verdict>,
    /// What is wrong with all but the logs.
    pub(crate) findings: Vec<Finding>,
    /// Bytes that were read.
    pub(crate) bytes: u64,
    pub(crate) checkpoints: u64,
}

/// A segment's file, and what its header says.
struct Found {
    name: SegmentName,
    header: Result<SegmentHeader, HeaderFault>,
    bytes: u64,
}

/// Reads all of a store.
///
/// # Errors
/// There is none in this folder, its folder can't be read, or the reading was ended.
pub(crate) fn survey(disk: &dyn Disk, watch: Watch<'_>) -> Result<Survey, StoreError> {
    survey_as(disk, false, watch)
}

/// The same of a store that is written meanwhile: up to its marks, where nothing changes any more.
pub(crate) fn survey_marked(disk: &dyn Disk, watch: Watch<'_>) -> Result<Survey, StoreError> {
    survey_as(disk, true, watch)
}

fn survey_as(disk: &dyn Disk, is_to_mark: bool, watch: Watch<'_>) -> Result<Survey, StoreError> {
    let mut findings = Vec::new();
    let mut facts = Facts::read(disk, &mut findings)?;
    let (found, checkpoints) = list(disk, &facts, &mut findings)?;
    if found.is_empty() && !facts.has_manifest() {
        let what = "there is no store in this folder: neither a manifest nor a segment".to_owned();
        return Err(StoreError::Manifest { file: disk.folder().join("manifest.json"), what });
    }
    facts.learn_from_headers(found.iter().filter_map(|found| found.header.as_ref().ok()));
    let total = found.iter().map(|found| found.bytes).sum();
    let mut advance = Advance { phase: "reading", done: 0, total };
    facts.note_bytes(total);
    let shards = by_shard(&facts, found, &mut findings);
    let mut verdicts = Vec::new();
    for (shard, segments) in shards {
        let (mark, layout) = (facts.mark(shard), facts.layout());
        let reader = Reader { disk, shard, mark, is_to_mark, layout };
        let segments =
            reader.read(segments, &mut facts, &mut findings, &mut advance, &mut *watch)?;
        verdicts.push(judge(segments, reader.mark));
    }
    facts.settle(&mut findings);
    verdicts.resize_with(usize::from(facts.cores()), Verdict::default);
    for name in &checkpoints {
        findings.extend(check_checkpoint(disk, facts.store(), *name));
    }
    Ok(Survey {
        facts,
        shards: verdicts,
        findings,
        bytes: advance.done,
        checkpoints: checkpoints.len() as u64,
    })
}

impl Taken {
    /// Reads the segment.
    pub(crate) fn read(
        &self,
        disk: &dyn Disk,
        pace: &mut dyn FnMut(u64),
    ) -> Result<Image, StoreError> {
        Ok(Image::read(disk, self.name, pace)?)
    }

    /// The entries that are taken of it, in order, each with its offset.
    pub(crate) fn entries<'a>(
        &'a self,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = (usize, Entry<'a>)> {
        self.pieces.iter().flat_map(|piece| piece.entries(bytes))
    }
}

impl Survey {
    /// All that is wrong, by file and place.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        let mut all = self.findings;
        all.extend(self.shards.into_iter().flat_map(|verdict| verdict.findings));
        all.sort_by(|one, other| (&one.file, one.offset).cmp(&(&other.file, other.offset)));
        all
    }
}

/// What a damaged store's file says of something that is not lost by it.
fn damage(file: &str, what: String, help: &'static str) -> Finding {
    Finding {
        severity: Severity::Damage,
        file: file.to_owned(),
        offset: 0,
        length: 0,
        what,
        lost: Vec::new(),
        help,
    }
}

/// The files of all shards: segments with their headers, and checkpoints.
fn list(
    disk: &dyn Disk,
    facts: &Facts,
    findings: &mut Vec<Finding>,
) -> Result<(Vec<Found>, Vec<CheckpointName>), StoreError> {
    let (mut segments, mut checkpoints) = (Vec::new(), Vec::new());
    for shard in facts.shards_to_look_for() {
        let Some(files) = disk.list(shard)? else {
            if facts.has_manifest() {
                let what = "the folder of this shard is missing, with its log".to_owned();
                findings.push(damage(&shard_folder(shard), what, PUT_BACK));
            }
            continue;
        };
        for file in files {
            if let Some(name) = SegmentName::parse(shard, &file) {
                segments.push(look(disk, name));
            } else if let Some(namespace) = CheckpointName::number(&file) {
                checkpoints.push(CheckpointName { shard, namespace });
            } else {
                findings.push(Finding {
                    severity: Severity::Harmless,
                    ..damage(
                        &format!("{}/{file}", shard_folder(shard)),
                        "this file is not the store's".to_owned(),
                        "nothing is to be done: a start ignores it, or removes what it has left",
                    )
                });
            }
        }
    }
    segments.sort_by_key(|found| found.name);
    Ok((segments, checkpoints))
}

fn look(disk: &dyn Disk, name: SegmentName) -> Found {
    let read = || {
        let file = disk.open(name)?;
        let bytes = disk.len(&file)?;
        let mut header = vec![0; usize::try_from(bytes.min(SEGMENT_HEADER as u64)).unwrap_or(0)];
        disk.read(&file, 0, &mut header)?;
        Ok::<_, std::io::Error>((bytes, SegmentHeader::decode(&header)))
    };
    match read() {
        Ok((bytes, header)) => Found { name, header, bytes },
        Err(_) => {
            Found { name, header: Err(HeaderFault::Invalid("the file can't be read")), bytes: 0 }
        }
    }
}

/// The segments in the order of their shards' logs: by their headers, where these are whole.
fn by_shard(
    facts: &Facts,
    found: Vec<Found>,
    findings: &mut Vec<Finding>,
) -> BTreeMap<u16, BTreeMap<u32, Found>> {
    let mut shards: BTreeMap<u16, BTreeMap<u32, Found>> =
        (0..facts.cores()).map(|shard| (shard, BTreeMap::new())).collect();
    for segment in found {
        let name = segment.name;
        let (mut shard, mut number) = (name.shard, name.number);
        if let Ok(header) = &segment.header {
            if header.store != facts.store() {
                let what = "this segment belongs to another store".to_owned();
                findings.push(damage(&name.to_string(), what, PUT_BACK));
                continue;
            }
            if (header.shard, header.number) != (shard, number) {
                (shard, number) = (header.shard, header.number);
                let what =
                    format!("this is segment {number} of shard {shard}, under another's name");
                findings.push(damage(&name.to_string(), what, PUT_BACK));
            }
        }
        let known = shards.entry(shard).or_default();
        if let Some(other) = known.get(&number) {
            let what = format!("{} is the same segment", other.name);
            findings.push(damage(&name.to_string(), what, PUT_BACK));
            continue;
        }
        known.insert(number, segment);
    }
    shards
}

/// Reads the segments of one shard.
struct Reader<'a> {
    disk: &'a dyn Disk,
    shard: u16,
    mark: Position,
    /// Whether what stands behind the mark is none of its business.
    is_to_mark: bool,
    layout: Option<CoreLayout>,
}

impl Reader<'_> {
    fn read(
        &self,
        segments: BTreeMap<u32, Found>,
        facts: &mut Facts,
        findings: &mut Vec<Finding>,
        advance: &mut Advance,
        watch: Watch<'_>,
    ) -> Result<Vec<Segment>, StoreError> {
        if self.is_to_mark && self.mark == Position::default() {
            return Ok(Vec::new());
        }
        let last = segments.keys().next_back().copied();
        let blocks: Vec<_> =
            segments.values().filter_map(|found| Some(found.header.as_ref().ok()?.block)).collect();
        let (mut all, mut next) = (Vec::new(), 0);
        let end = if self.is_to_mark { self.mark.segment } else { u32::MAX };
        for (number, found) in segments.into_iter().filter(|(number, _)| *number <= end) {
            self.note_missing(next..number, &mut all);
            next = number.saturating_add(1);
            let name = found.name;
            let is_last = Some(number) == last;
            let mut goes_on = true;
            let mut pace = |bytes| {
                advance.done += bytes;
                goes_on &= watch(*advance);
            };
            let image = Image::read(self.disk, name, &mut pace);
            if !goes_on {
                return Err(StoreError::Option("it was ended before all was read".to_owned()));
            }
            let state = match image {
                Ok(mut image) => {
                    if self.is_to_mark && number == self.mark.segment {
                        image.bytes = image.bytes.min(self.mark.offset as usize);
                    }
                    self.state(&found, &mut image, is_last, &blocks, facts, findings)
                }
                Err(error) => {
                    findings.push(damage(&name.to_string(), error.to_string(), PUT_BACK));
                    State::Closed
                }
            };
            all.push(Segment { name, number, state });
        }
        self.note_missing(next..self.mark.segment.saturating_add(1), &mut all);
        Ok(all)
    }

    /// Segments that are not there. Many in a row are those of a file with a strange name.
    fn note_missing(&self, numbers: std::ops::Range<u32>, all: &mut Vec<Segment>) {
        all.extend(numbers.take(MOST_MISSING).map(|number| {
            let name = SegmentName { shard: self.shard, number };
            Segment { name, number, state: State::Missing }
        }));
    }

    fn state(
        &self,
        found: &Found,
        image: &mut Image,
        is_last: bool,
        blocks: &[u32],
        facts: &mut Facts,
        findings: &mut Vec<Finding>,
    ) -> State {
        let file = found.name.to_string();
        for range in &image.unreadable {
            findings.push(Finding {
                offset: range.start as u64,
                length: range.len() as u64,
                ..damage(&file, "the disk does not give these bytes".to_owned(), REPAIR)
            });
        }
        let bytes = image.content();
        let header = match SegmentHeader::decode(&bytes[..bytes.len().min(SEGMENT_HEADER)]) {
            Ok(header) => header,
            Err(HeaderFault::Format(version)) => {
                let what = format!("its format is {version}, which this version does not know");
                let help = "start it with the version of sutra that wrote it";
                findings.push(damage(&file, what, help));
                return State::Closed;
            }
            Err(HeaderFault::Invalid(what)) => {
                return self.without_header(found, bytes, is_last, what, blocks, facts, findings);
            }
        };
        if bytes.len() as u64 > header.capacity {
            let what =
                format!("the file has {} bytes, its segment {}", bytes.len(), header.capacity);
            findings.push(damage(&file, what, REPAIR));
        }
        if bytes.len() < header.first_commit() {
            let what = "the file ends before its first commit".to_owned();
            findings.push(damage(&file, what, REPAIR));
        }
        let frame = Frame {
            seed: header.seed(),
            block: header.block as usize,
            first: header.first_commit(),
            shard: self.shard,
            layout: self.layout,
        };
        let pieces = scan(bytes, &frame, &mut |entry, place| facts.meet(self.shard, entry, place));
        State::Read(pieces)
    }

    /// A segment whose header is lost: its entries say which seed they were written with.
    #[expect(clippy::too_many_arguments, reason = "all that is known of such a segment")]
    fn without_header(
        &self,
        found: &Found,
        bytes: &[u8],
        is_last: bool,
        what: &str,
        blocks: &[u32],
        facts: &mut Facts,
        findings: &mut Vec<Finding>,
    ) -> State {
        let file = found.name.to_string();
        let is_unused = is_zero(&bytes[SEGMENT_HEADER.min(bytes.len())..]);
        if is_last && found.name.number > self.mark.segment && is_unused {
            findings.push(Finding {
                severity: Severity::Harmless,
                ..damage(
                    &file,
                    "this segment was being made, and holds nothing".to_owned(),
                    "nothing is to be done: the next start makes it anew",
                )
            });
            return State::HalfMade;
        }
        let found = blocks.iter().copied().chain([4096, 512]).find_map(|block| {
            let (block, first) = (block as usize, SEGMENT_HEADER.max(block as usize));
            let seed = seed::find(bytes, first, block, self.shard)?;
            let frame = Frame { seed, block, first, shard: self.shard, layout: self.layout };
            let pieces = scan(bytes, &frame, &mut |_, _| {});
            let is_right = pieces.iter().any(|piece| matches!(piece, scan::Piece::Run(_)));
            is_right.then_some(frame)
        });
        let Some(frame) = found else {
            findings.push(damage(&file, what.to_owned(), REPAIR));
            return State::Closed;
        };
        let what = format!("{what}; its commits can be read all the same");
        findings.push(damage(&file, what, REPAIR));
        let pieces = scan(bytes, &frame, &mut |entry, place| facts.meet(self.shard, entry, place));
        State::Read(pieces)
    }
}

/// What is wrong with a checkpoint.
fn check_checkpoint(disk: &dyn Disk, store: u64, name: CheckpointName) -> Option<Finding> {
    let (is_damaged, what) = match disk.read_checkpoint(name, u64::MAX) {
        Ok(Some(bytes)) => inspect_checkpoint(&bytes, store, name).err()?,
        Ok(None) => return None,
        Err(error) => (true, error.to_string()),
    };
    Some(Finding {
        severity: if is_damaged { Severity::Damage } else { Severity::Harmless },
        ..damage(
            &name.to_string(),
            format!("{what}; nothing that was stored is lost by that"),
            "remove this checkpoint of a vector index: the next start makes the index again",
        )
    })
}
