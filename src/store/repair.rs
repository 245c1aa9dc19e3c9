//! A new store of what is left of a damaged one.
//!
//! The damaged folder is only read. The new one is made from nothing, by the store's own writer:
//! the entries keep their sequences, their times and their archives' bytes; commits and segments
//! are made anew. State stays state, as its sequences are in no order.

mod lost_records;
mod report;
mod target;
mod writer;

use std::path::Path;
use std::sync::Arc;

use sutra_wire::IdRule;

use self::lost_records::LostRecords;
pub use self::report::RepairReport;
use self::target::Target;
use self::writer::{Behind, Writer};
use crate::StoreError;
use crate::disk::SegmentName;
use crate::format::Entry;
use crate::manifest::Manifest;
use crate::namespaces::MAX_NAMESPACES;
use crate::read_only_disk::ReadOnlyDisk;
use crate::salvage::{Advance, Facts, Place, Survey, Taken, Verdict, Watch, survey};
use crate::state::{StateEnd, StateWriter};
use crate::verify::lock_findings;

/// Salvages what is whole of the store in `from` into a new one in `to`, which is absent or empty,
/// or what an interrupted repair has left.
///
/// # Errors
/// A server has one of the folders, `from` holds no store, or the shards of one at different times.
/// Or `to` holds something, or can't be written.
pub fn repair(from: &Path, to: &Path, watch: Watch<'_>) -> Result<RepairReport, StoreError> {
    let source = ReadOnlyDisk::open(from)?;
    // The manifest may be lost, so the folders are counted.
    let is_shard = |name: &&String| name.starts_with("shard-");
    source.refuse_copy(source.names()?.iter().filter(is_shard).count())?;
    let target = Target::prepare(from, to)?;
    let Survey { facts, shards, findings, .. } = survey(&source, &mut *watch)?;
    let store = target.number();
    let mut lost_records = LostRecords::of(&shards);
    let mut writing = Writing {
        source: &source,
        target: &target,
        store,
        segment_bytes: facts.segment_bytes(),
        lost_records: &mut lost_records,
        advance: Advance { phase: "writing", done: 0, total: facts.bytes() },
        watch,
    };
    let mut manifest = manifest_of(&facts, store)?;
    let (mut marks, mut entries, mut bytes) = (Vec::new(), 0, 0);
    let mut found = findings;
    found.extend(lock_findings(&source, facts.cores()));
    if shards.iter().any(|verdict| verdict.covered.is_some()) {
        manifest.set_has_state();
    }
    for (shard, verdict) in (0..).zip(shards) {
        let written = writing.shard(shard, &verdict)?;
        marks.push(written.end);
        entries += written.entries;
        bytes += written.bytes;
        found.extend(verdict.findings);
    }
    lost_records.note(&mut found);
    found.sort_by(|one, other| (&one.file, one.offset).cmp(&(&other.file, other.offset)));
    let report = RepairReport {
        from: from.to_owned(),
        to: to.to_owned(),
        cores: facts.cores(),
        id_rule: IdRule::name(facts.id_rule()).to_owned(),
        entries,
        bytes,
        list: target.list(),
        findings: found,
    };
    target.write_list(&report)?;
    manifest.set_marks(marks.into_iter());
    target.finish(&manifest)?;
    Ok(report)
}

/// The new store's manifest, with all that is known of the old one's.
pub(crate) fn manifest_of(facts: &Facts, store: u64) -> Result<Manifest, StoreError> {
    let mut manifest = match facts.manifest() {
        Some(manifest) => manifest.of_another_store(store),
        None => Manifest::new(store, usize::from(facts.cores()), facts.id_rule()),
    };
    let known: Vec<String> = manifest.namespaces().map(|(_, name)| name.to_owned()).collect();
    let mut missing: Vec<&str> = facts
        .unnamed_namespaces()
        .filter(|name| !known.iter().any(|known| known == name))
        .collect();
    missing.sort_unstable();
    let free: Vec<u32> =
        (1..MAX_NAMESPACES as u32).filter(|number| manifest.is_free(*number)).collect();
    if missing.len() > free.len() {
        return Err(StoreError::TooManyNamespaces { limit: MAX_NAMESPACES });
    }
    for (number, name) in free.into_iter().zip(missing) {
        manifest.name_namespace(number, name);
    }
    Ok(manifest)
}

/// What the shards of the new store are written from and with.
struct Writing<'a> {
    source: &'a ReadOnlyDisk,
    target: &'a Target,
    store: u64,
    segment_bytes: usize,
    lost_records: &'a mut LostRecords,
    advance: Advance,
    watch: Watch<'a>,
}

impl Writing<'_> {
    fn shard(&mut self, shard: u16, verdict: &Verdict) -> Result<writer::Written, StoreError> {
        let disk = Arc::clone(self.target.disk());
        disk.create_shard(shard)?;
        let (state, log): (Vec<_>, Vec<_>) =
            verdict.segments.iter().partition(|taken| taken.is_state);
        let first = SegmentName { shard, number: 0 };
        let mut behind = Behind { segment: first, covered: None, entries: 0, bytes: 0 };
        if let Some(covered) = verdict.covered {
            let mut writer =
                StateWriter::new(&*disk, self.store, self.segment_bytes, covered, first);
            self.write(&state, &mut |entry| Ok(writer.append(entry)?))?;
            let StateEnd { next, entries, bytes } = writer.finish()?;
            behind = Behind { segment: next, covered: Some(covered), entries, bytes };
        }
        let mut writer = Writer::begin(disk, self.store, self.segment_bytes, behind)?;
        self.write(&log, &mut |entry| writer.append(entry))?;
        writer.finish()
    }

    /// Has the entries of these segments written.
    fn write(
        &mut self,
        segments: &[&Taken],
        append: &mut dyn FnMut(&Entry<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for taken in segments {
            let mut goes_on = true;
            let (advance, watch) = (&mut self.advance, &mut self.watch);
            let mut pace = |bytes| {
                advance.done += bytes;
                goes_on &= watch(*advance);
            };
            let mut image = taken.read(self.source, &mut pace)?;
            if !goes_on {
                return Err(StoreError::Option("the repair was ended".to_owned()));
            }
            for (_, entry) in taken.entries(image.content()) {
                if !self.lost_records.is_empty()
                    && let Ok(place) = Place::of(&entry)
                {
                    self.lost_records.meet(&entry, &place);
                }
                append(&entry)?;
            }
        }
        Ok(())
    }
}
