//! A store read whatever is left of it: what is damaged, where, and what that may have taken.
//!
//! Nothing is changed on the disk. Each segment is read once, one at a time. A start refuses what
//! is damaged; this reader goes on behind it, by the same checks. It is what `sutra verify` tells
//! of, what `sutra repair` writes anew, and what a damaged store is served from read-only.
//!
//! Promises: no bytes of a file make it panic. What it takes for an entry passed its checksum and
//! its validation. Memory: one segment, and a few hundred bytes for each damaged place.
//! What the system lacks meanwhile (descriptors, memory, a permission) is never told as damage: the
//! reading fails.

mod checkpoints;
mod facts;
mod files;
mod finding;
mod image;
mod judge;
mod reader;
mod scan;
mod seed;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use self::facts::Facts;
use self::files::{by_shard, leave_out_others, list};
pub use self::finding::{Finding, Loss, LostRecord, Remains, Severity};
pub(crate) use self::image::{Image, is_of_file};
use self::judge::judge;
pub(crate) use self::judge::{Taken, Verdict};
use self::reader::Reader;
pub(crate) use self::scan::Place;
pub use self::watch::{Advance, Watch};
use crate::StoreError;
use crate::disk::Disk;
use crate::format::Entry;
use crate::read_only_disk::ReadOnlyDisk;

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

/// Reads all of a store.
///
/// # Errors
/// There is none in this folder, its folder can't be read, or the reading was ended.
pub(crate) fn survey(disk: &ReadOnlyDisk, watch: Watch<'_>) -> Result<Survey, StoreError> {
    survey_as(disk, false, watch)
}

/// The same of a store that is written meanwhile: up to its marks, where nothing changes any more.
pub(crate) fn survey_marked(disk: &ReadOnlyDisk, watch: Watch<'_>) -> Result<Survey, StoreError> {
    survey_as(disk, true, watch)
}

fn survey_as(
    disk: &ReadOnlyDisk,
    is_to_mark: bool,
    watch: Watch<'_>,
) -> Result<Survey, StoreError> {
    let mut findings = Vec::new();
    let mut facts = Facts::read(disk, &mut findings)?;
    let (mut found, checkpoints) = list(disk, &facts, &mut findings)?;
    leave_out_others(&mut facts, &mut found, &mut findings);
    if found.is_empty() && !facts.has_manifest() {
        let what = "there is no store in this folder: neither a manifest nor a segment".to_owned();
        return Err(StoreError::Manifest { file: disk.folder().join("manifest.json"), what });
    }
    facts.learn_from_headers(found.iter().filter_map(|found| found.header.as_ref().ok()));
    let segments = found.iter().map(|found| found.bytes).sum();
    facts.note_bytes(segments);
    let lengths = checkpoints.iter().map(|name| checkpoints::length(disk, *name));
    let total = lengths.sum::<Result<u64, _>>()?.saturating_add(segments);
    let mut advance = Advance { phase: "reading", done: 0, total };
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
    let mut pace = |bytes| {
        advance.done += bytes;
        watch(advance)
    };
    for name in &checkpoints {
        findings.extend(checkpoints::check(disk, facts.store(), *name, &mut pace)?);
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
