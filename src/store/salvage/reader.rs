//! The segments of one shard, read one at a time.

use std::collections::BTreeMap;

use sutra_wire::CoreLayout;

use super::facts::Facts;
use super::files::Found;
use super::finding::{Finding, Severity, damage};
use super::image::{Image, is_of_file};
use super::judge::{Kind, PUT_BACK, REPAIR, Segment, State};
use super::scan::{Frame, Piece, scan};
use super::seed;
use super::watch::{Advance, Watch, ended};
use crate::StoreError;
use crate::disk::{Disk, SegmentName};
use crate::format::{HeaderFault, SEGMENT_HEADER, SegmentHeader, is_zero};
use crate::marks::Position;

/// Of segments that are missing in a row so many are named.
const MOST_MISSING: usize = 100;

/// Reads the segments of one shard.
pub(super) struct Reader<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) shard: u16,
    pub(super) mark: Position,
    /// Whether what stands behind the mark is none of its business.
    pub(super) is_to_mark: bool,
    pub(super) layout: Option<CoreLayout>,
}

impl Reader<'_> {
    pub(super) fn read(
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
        let blocks = blocks_of(&segments);
        let (mut all, mut next) = (Vec::new(), facts.segments().start);
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
                return Err(ended());
            }
            let state = match image {
                Ok(mut image) => {
                    if self.is_to_mark && number == self.mark.segment {
                        image.bytes = image.bytes.min(self.mark.offset as usize);
                    }
                    self.state(&found, &mut image, is_last, &blocks, facts, findings)
                }
                Err(error) if is_of_file(&error) => {
                    findings.push(damage(&name.to_string(), error.to_string(), PUT_BACK));
                    State::Closed
                }
                Err(error) => return Err(error.into()),
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
        let covered = SegmentHeader::covered(bytes);
        let frame = Frame {
            seed: header.seed(),
            block: header.block as usize,
            first: header.first_commit(),
            shard: self.shard,
            layout: self.layout,
            is_unordered: covered.is_some(),
        };
        let pieces = scan(bytes, &frame, &mut |entry, place| facts.meet(self.shard, entry, place));
        let end = usize::try_from(header.capacity).unwrap_or(usize::MAX);
        let start = header.first_commit();
        let kind = covered.map_or(Kind::Log, |covered| Kind::State { covered, start, end });
        State::Read { pieces, kind }
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
        let found = blocks.iter().find_map(|block| {
            let (block, first) = (*block as usize, SEGMENT_HEADER.max(*block as usize));
            let seed = seed::find(bytes, first, block, self.shard)?;
            let (shard, layout) = (self.shard, self.layout);
            let frame = Frame { seed, block, first, shard, layout, is_unordered: true };
            let pieces = scan(bytes, &frame, &mut |_, _| {});
            let is_right = pieces.iter().any(|piece| matches!(piece, Piece::Run(_)));
            is_right.then_some(frame)
        });
        let Some(frame) = found else {
            findings.push(damage(&file, what.to_owned(), REPAIR));
            return State::Closed;
        };
        let what = format!("{what}; its commits can be read all the same");
        findings.push(damage(&file, what, REPAIR));
        let pieces = scan(bytes, &frame, &mut |entry, place| facts.meet(self.shard, entry, place));
        State::Read { pieces, kind: Kind::Unknown }
    }
}

/// The blocks that a segment without header may have: those of the others first, each once.
fn blocks_of(segments: &BTreeMap<u32, Found>) -> Vec<u32> {
    let known = segments.values().filter_map(|found| Some(found.header.as_ref().ok()?.block));
    let mut blocks = Vec::new();
    for block in known.chain([4096, 512]) {
        if !blocks.contains(&block) {
            blocks.push(block);
        }
    }
    blocks
}
