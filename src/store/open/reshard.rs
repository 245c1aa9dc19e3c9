//! A store made over for another number of cores, at a start.
//!
//! What is visible is written anew, as segments of state: each new shard's by a thread of its own.
//! Then the manifest is switched. Only when the new store was read back is what it was made of
//! removed. Ended at any moment, the old store or the new one is there, whole, and the manifest
//! says what else is in the folder: the next start removes it, and goes on.
//!
//! Entries are copied as they are, with their sequences and times. Commits go on with the numbers
//! behind all that there were, and sequences behind the highest. Of what was deleted nothing is
//! kept, as no older entry is left that could come back.
//!
//! All of the old store is in memory while the new one is written, as it is when it is served.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sutra_wire::CoreLayout;

use super::shards::{of_each, read_all};
use crate::StoreError;
use crate::disk::{Clock, Disk, SegmentName};
use crate::format::Covered;
use crate::keeper::Keeper;
use crate::manifest::{Manifest, Resharding};
use crate::marks::Position;
use crate::namespaces::Namespaces;
use crate::prepare::FIRST_STEP;
use crate::recovery::{Replayed, Source, Visible};
use crate::segment::Segment;
use crate::state::StateWriter;

/// How often it is said how far it has come, in µs.
const TELL_EVERY: u64 = 2_000_000;
/// Entries between two looks at the clock.
const BETWEEN: u64 = 4096;

/// Clears away what a change of the number of cores has left that was interrupted before the
/// manifest was switched.
pub(super) fn give_up(disk: &dyn Disk, manifest: Manifest) -> Result<Manifest, StoreError> {
    let begun = manifest.resharding().filter(|begun| begun.segment > manifest.first());
    let Some(begun) = begun else { return Ok(manifest) };
    tracing::info!("removing what an interrupted change of the number of cores has made");
    clear(disk, &manifest, begun.folders)?;
    let manifest = manifest.with_resharding(None);
    manifest.write(disk)?;
    Ok(manifest)
}

/// Removes what the store was made of, now that it was read as it is. What can't be removed is
/// tried again by the next start.
pub(super) fn conclude(disk: &dyn Disk, keeper: &Keeper) {
    let mut manifest = keeper.lock();
    let Some(done) = manifest.resharding() else { return };
    let cleared = clear(disk, &manifest, done.folders).and_then(|()| {
        keeper.replace(&mut manifest, |manifest| *manifest = manifest.with_resharding(None))
    });
    if let Err(error) = cleared {
        tracing::warn!(%error, "what the store was made of is not removed yet");
    }
}

/// Removes the segments that are not the store's by their numbers, and the folders of shards that
/// it has not.
fn clear(disk: &dyn Disk, manifest: &Manifest, folders: u16) -> Result<(), StoreError> {
    let (ours, cores) = (manifest.segments(), manifest.cores());
    for shard in 0..folders {
        let Some(files) = disk.list(shard)? else { continue };
        let names = files.iter().filter_map(|file| SegmentName::parse(shard, file));
        let mut left: Vec<_> = names.filter(|name| !ours.contains(&name.number)).collect();
        left.sort_unstable();
        for name in left {
            disk.remove(name)?;
        }
        disk.sync_shard(shard)?;
        if usize::from(shard) >= cores {
            disk.remove_shard(shard)?;
        }
    }
    Ok(())
}

/// Makes a store over for another number of cores. Returns its manifest, which is on the disk.
pub(super) fn reshard(
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
    manifest: Manifest,
    cores: u16,
    segment_bytes: usize,
) -> Result<Manifest, StoreError> {
    let (stored, asked) = (manifest.cores(), usize::from(cores));
    let old = read(disk, clock, &manifest, segment_bytes)?;
    let total = old.iter().map(Visible::count).sum();
    tracing::info!(from = stored, to = asked, entries = total, "changing the number of cores");
    // What a change before this one was made of may still be there, in more folders.
    let left = manifest.resharding().map_or(0, |left| left.folders);
    let folders = cores.max(left).max(u16::try_from(stored).unwrap_or(u16::MAX));
    let segment = next_number(&**disk, folders)?;
    let begun = manifest.with_resharding(Some(Resharding { folders, segment }));
    let made = begun.write(&**disk).and_then(|()| {
        let (store, layout) = (manifest.store(), CoreLayout::new(cores));
        let covered = covered(&old);
        let progress =
            Progress { clock, total, done: AtomicU64::new(0), told: clock.monotonic().into() };
        let writing =
            Writing { disk, old: &old, store, layout, segment_bytes, segment, covered, progress };
        let shards: Vec<u16> = (0..cores).collect();
        let written = of_each(&**disk, &shards, |shard, _| writing.shard(shard));
        written.into_iter().collect::<Result<Vec<Position>, StoreError>>()
    });
    let switched = made.map(|marks| begun.resharded(marks, Resharding { folders, segment }));
    match switched.and_then(|switched| switched.write(&**disk).map(|()| switched)) {
        Ok(switched) => {
            tracing::info!(from = stored, to = asked, "the number of cores is changed");
            Ok(switched)
        }
        Err(source) => {
            // At once, as it may be in the way of whatever else needs space. What this leaves the
            // next start removes. The new manifest may be there, where only its folder's sync
            // failed: nothing that it names is removed before the old one is back.
            let _ = begun.write(&**disk).and_then(|()| give_up(&**disk, begun));
            let folder = disk.folder().to_owned();
            Err(StoreError::Resharding { folder, stored, asked, source: Box::new(source) })
        }
    }
}

/// Reads all of the old store. Nothing of it is changed.
fn read(
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
    manifest: &Manifest,
    segment_bytes: usize,
) -> Result<Vec<Visible>, StoreError> {
    let cores = u16::try_from(manifest.cores()).map_err(|_| {
        StoreError::Option(format!("a store can't have {} cores", manifest.cores()))
    })?;
    let keeper = Arc::new(Keeper::read_only(manifest.clone(), Arc::clone(disk)));
    let source = Source::new(
        Arc::clone(disk),
        Arc::clone(clock),
        manifest.store(),
        CoreLayout::new(cores),
        Arc::new(Namespaces::new(keeper)?),
        segment_bytes,
    );
    let replayed = read_all(&**disk, &source.within(manifest.segments()), manifest.marks())?;
    Ok(replayed.into_iter().map(Replayed::into_visible).collect())
}

/// The number of the first segment that is made: above all that there are.
fn next_number(disk: &dyn Disk, folders: u16) -> Result<u32, StoreError> {
    let mut next = 0;
    for shard in 0..folders {
        let files = disk.list(shard)?.unwrap_or_default();
        let names = files.iter().filter_map(|file| SegmentName::parse(shard, file));
        next = names.fold(next, |next, name| next.max(name.number + 1));
    }
    Ok(next)
}

/// What the new shards' state covers: all that any of the old ones has seen.
fn covered(old: &[Visible]) -> Covered {
    let all = old.iter().map(Visible::covered);
    // No state covers nothing: a log that begins behind it goes on.
    all.fold(Covered { commit: 1, sequence: 0 }, |so_far, covered| Covered {
        commit: so_far.commit.max(covered.commit),
        sequence: so_far.sequence.max(covered.sequence),
    })
}

/// What the new shards are written from and with.
struct Writing<'a> {
    disk: &'a Arc<dyn Disk>,
    old: &'a [Visible],
    store: u64,
    layout: CoreLayout,
    segment_bytes: usize,
    segment: u32,
    covered: Covered,
    progress: Progress<'a>,
}

impl Writing<'_> {
    /// Writes a shard's state, and the segment that its log begins with. Returns where that is.
    fn shard(&self, shard: u16) -> Result<Position, StoreError> {
        let disk = &**self.disk;
        disk.create_shard(shard)?;
        let mut entries = Vec::new();
        for (from, old) in self.old.iter().enumerate() {
            let ours = old.entries().filter(|(owner, ..)| self.layout.owner(owner) == shard);
            entries.extend(ours.map(|(_, sequence, at)| (sequence, from, at)));
        }
        // As they were written: what is listed newest first stays so.
        entries.sort_unstable();
        let next = SegmentName { shard, number: self.segment };
        let mut writer = StateWriter::new(disk, self.store, self.segment_bytes, self.covered, next);
        for (number, (_, from, at)) in (1..).zip(entries) {
            let entry = self.old[from].entry(at);
            writer.append(&entry.expect("what is visible was read from there"))?;
            if number % BETWEEN == 0 {
                self.progress.advance(BETWEEN);
            }
        }
        let next = writer.finish()?.next;
        let step = FIRST_STEP.min(self.segment_bytes);
        let log = Segment::create(disk, next, self.store, step, self.segment_bytes)?;
        Ok(Position::new(next.number, log.end()))
    }
}

/// How far it has come, told now and then.
struct Progress<'a> {
    clock: &'a Arc<dyn Clock>,
    total: u64,
    done: AtomicU64,
    /// When it was told last.
    told: AtomicU64,
}

impl Progress<'_> {
    fn advance(&self, entries: u64) {
        let done = self.done.fetch_add(entries, Ordering::Relaxed) + entries;
        let (now, told) = (self.clock.monotonic(), self.told.load(Ordering::Relaxed));
        let is_due = now.saturating_sub(told) >= TELL_EVERY;
        let order = Ordering::Relaxed;
        if is_due && self.told.compare_exchange(told, now, order, order).is_ok() {
            tracing::info!(done, of = self.total, "changing the number of cores");
        }
    }
}
