//! Starts and background work that end at any disk operation, before it, after it or half way: the
//! next start finds everything.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, OpenOptions as FileOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::{World, concept, folder, id, options, segment, write};
use sutra_runtime::DataFile;
use sutra_store::{Change, CheckpointName, Disk, FileDisk, OpenOptions, SegmentName, StoreError};
use sutra_wire::Durability;

/// What is left of the operation at which the power goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    Nothing,
    Half,
    All,
}

/// A disk whose power goes at its operation of this number: it and all later ones fail.
#[derive(Debug)]
struct CutDisk {
    disk: FileDisk,
    left: Left,
    operations: AtomicUsize,
    cut_at: usize,
    /// Whether operations that only read count too.
    reads: bool,
    /// Whether nothing but the manifest's replacements counts, and fails.
    manifests_alone: bool,
    synced: Mutex<HashSet<PathBuf>>,
}

fn gone() -> io::Error {
    io::Error::other("the power is gone")
}

impl CutDisk {
    fn open(
        folder: &Path,
        durability: Durability,
        cut_at: usize,
        left: Left,
        reads: bool,
    ) -> Arc<Self> {
        let disk = FileDisk::open(folder, durability, "").unwrap();
        Arc::new(Self {
            disk,
            left,
            operations: AtomicUsize::new(0),
            cut_at,
            reads,
            manifests_alone: false,
            synced: Mutex::default(),
        })
    }

    /// A disk on which the manifest's replacement of this number is done and told as failed, and
    /// later ones are not done; all else is.
    fn without_manifests(folder: &Path, cut_at: usize) -> Arc<Self> {
        let disk = Self::open(folder, Durability::Always, cut_at, Left::All, false);
        let mut disk = Arc::into_inner(disk).expect("nobody else has it yet");
        disk.manifests_alone = true;
        Arc::new(disk)
    }

    /// What becomes of the next operation: all of it, or what is left of it.
    fn next(&self) -> (Left, io::Result<()>) {
        if self.manifests_alone { (Left::All, Ok(())) } else { self.next_counted() }
    }

    fn next_counted(&self) -> (Left, io::Result<()>) {
        match self.operations.fetch_add(1, Ordering::Relaxed) {
            number if number < self.cut_at => (Left::All, Ok(())),
            number if number == self.cut_at => (self.left, Err(gone())),
            _ => (Left::Nothing, Err(gone())),
        }
    }

    /// An operation that is done or not.
    fn whole<R>(&self, operation: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        let (left, result) = self.next();
        if left != Left::All {
            return Err(gone());
        }
        let done = operation()?;
        result.map(|()| done)
    }

    fn read<R>(&self, operation: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        if self.reads { self.whole(operation) } else { operation() }
    }

    /// Whether the power has gone.
    fn is_cut(&self) -> bool {
        self.operations.load(Ordering::Relaxed) > self.cut_at
    }
}

impl Disk for CutDisk {
    fn folder(&self) -> &Path {
        self.disk.folder()
    }
    fn read_manifest(&self) -> io::Result<Option<Vec<u8>>> {
        self.read(|| self.disk.read_manifest())
    }
    fn replace_manifest(&self, bytes: &[u8]) -> io::Result<()> {
        let (left, result) = self.next_counted();
        match left {
            Left::Nothing => {}
            Left::Half => {
                fs::write(self.folder().join("manifest.json.new"), &bytes[..bytes.len() / 2])?;
            }
            Left::All => self.disk.replace_manifest(bytes)?,
        }
        result
    }
    fn create_shard(&self, shard: u16) -> io::Result<()> {
        self.whole(|| self.disk.create_shard(shard))
    }
    fn list(&self, shard: u16) -> io::Result<Option<Vec<String>>> {
        self.read(|| self.disk.list(shard))
    }
    fn create(&self, name: SegmentName) -> io::Result<Arc<DataFile>> {
        self.whole(|| self.disk.create(name))
    }
    fn open(&self, name: SegmentName) -> io::Result<Arc<DataFile>> {
        self.read(|| self.disk.open(name))
    }
    fn remove(&self, name: SegmentName) -> io::Result<()> {
        self.whole(|| self.disk.remove(name))
    }
    fn remove_shard(&self, shard: u16) -> io::Result<()> {
        self.whole(|| self.disk.remove_shard(shard))
    }
    fn sync_folder(&self) -> io::Result<()> {
        self.synced.lock().unwrap().insert(self.folder().to_owned());
        self.read(|| self.disk.sync_folder())
    }
    fn sync_shard(&self, shard: u16) -> io::Result<()> {
        let folder = self.folder().join(format!("shard-{shard:03}"));
        self.synced.lock().unwrap().insert(folder);
        self.read(|| self.disk.sync_shard(shard))
    }
    fn len(&self, file: &DataFile) -> io::Result<u64> {
        self.read(|| self.disk.len(file))
    }
    fn read(&self, file: &DataFile, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        // What a killed server wrote may be in the page cache only: it counts when it is on the
        // disk, with its name, and the name of its folder.
        let synced = self.synced.lock().unwrap();
        let is_synced = |path: &Path| !self.reads || synced.contains(path);
        let on_the_way = file.path().ancestors().take_while(|path| path.starts_with(self.folder()));
        assert!(on_the_way.into_iter().all(is_synced), "read before it was synced");
        drop(synced);
        CutDisk::read(self, || self.disk.read(file, offset, buffer))
    }
    fn zero_fill(&self, file: &DataFile, range: Range<u64>) -> io::Result<()> {
        let (left, result) = self.next();
        let half = range.start + (range.end - range.start) / 2;
        match left {
            Left::Nothing => {}
            Left::Half => self.disk.zero_fill(file, range.start..half)?,
            Left::All => self.disk.zero_fill(file, range)?,
        }
        result
    }
    fn write(&self, file: &DataFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (left, result) = self.next();
        match left {
            Left::Nothing => {}
            Left::Half => self.disk.write(file, offset, &bytes[..bytes.len() / 100])?,
            Left::All => self.disk.write(file, offset, bytes)?,
        }
        result
    }
    fn sync(&self, file: &DataFile) -> io::Result<()> {
        self.synced.lock().unwrap().insert(file.path().to_owned());
        self.read(|| self.disk.sync(file))
    }
    fn read_checkpoint(&self, name: CheckpointName, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.disk.read_checkpoint(name, limit)
    }
    fn replace_checkpoint(&self, name: CheckpointName, parts: &[&[u8]]) -> io::Result<()> {
        self.disk.replace_checkpoint(name, parts)
    }
    fn is_manifest_touched(&self) -> io::Result<bool> {
        self.disk.is_manifest_touched()
    }
    fn look(&self) -> io::Result<Option<Change>> {
        self.disk.look()
    }
    fn note_use(&self, in_use: bool) -> io::Result<()> {
        self.disk.note_use(in_use)
    }

    fn release(&self) -> io::Result<()> {
        self.disk.release()
    }
}

const LEFT: [Left; 3] = [Left::Nothing, Left::Half, Left::All];

/// Files of a folder and its shards, by path; empty folders are not seen.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => files.extend(self::files(&entry)),
            // The lock's text changes with every start.
            false if entry.ends_with("lock") => {}
            false => drop(files.insert(entry.clone(), fs::read(entry).unwrap())),
        }
    }
    files
}

fn restore(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for path in self::files(folder).keys().filter(|path| !files.contains_key(*path)) {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in files {
        // A start may have removed a shard's folder.
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Writes one concept a commit.
fn write_commits(world: &mut World, numbers: Range<u32>) {
    for number in numbers {
        world.work();
        world.learn(&concept(number, &"x".repeat(12_000)));
        assert_eq!(world.commit().len(), 1);
    }
}

fn holds(world: &mut World, count: u32) {
    let there: Vec<u32> =
        (0..count + 20).filter(|number| world.concept("", id(*number)).is_some()).collect();
    assert!(there.iter().copied().eq(0..count), "{there:?} are there, not the first {count}");
}

/// Runs `start` on disks that are cut at the first, second … operation, until one is not; `check`
/// looks at what each leaves.
fn cut_at_every_operation(
    folder: &Path,
    options: &OpenOptions,
    reads: bool,
    mut start: impl FnMut(Arc<CutDisk>),
    mut check: impl FnMut(String),
) {
    for left in LEFT {
        let original = files(folder);
        for operation in 0.. {
            restore(folder, &original);
            let disk = CutDisk::open(folder, options.durability, operation, left, reads);
            start(disk.clone());
            let cut = disk.is_cut();
            drop(disk);
            check(format!("cut at operation {operation}, of which is left: {left:?}"));
            if !cut {
                assert!(operation > 2, "there was something to cut");
                break;
            }
        }
        restore(folder, &original);
    }
}

#[test]
fn a_store_in_the_making_can_be_interrupted_anywhere() {
    let folder = folder();
    let options = options(2, Durability::Always);
    let start = |disk: Arc<CutDisk>| {
        let cut = World::open_on(disk.clone(), &options).is_err();
        assert_eq!(cut, disk.is_cut());
    };
    cut_at_every_operation(folder.path(), &options, false, start, |cut| {
        let mut world = World::open_with(folder.path(), &options)
            .unwrap_or_else(|error| panic!("{cut}: {error}"));
        write_commits(&mut world, 0..3);
        drop(world);
        holds(&mut World::open_with(folder.path(), &options).unwrap(), 3);
    });
}

#[test]
fn a_start_that_cuts_a_torn_tail_and_removes_segments_can_be_interrupted_anywhere() {
    let folder = folder();
    let options = options(1, Durability::Os);
    let mut world = World::open_with(folder.path(), &options).unwrap();
    world.marks_late = true;
    write_commits(&mut world, 0..20);
    assert!(world.shards[0].stats().segments >= 4);
    drop(world);
    // Commit 3 is lost, as no sync covered it, and with it all that follow.
    let path = segment(folder.path(), 0, 0);
    let lost =
        fs::read(&path).unwrap().windows(7).position(|bytes| bytes == &concept(3, "xxx").id[..7]);
    let block = lost.unwrap() / 4096 * 4096;
    FileOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .write_all_at(&[0; 4096], block as u64)
        .unwrap();
    let start = |disk: Arc<CutDisk>| drop(World::open_on(disk, &options));
    cut_at_every_operation(folder.path(), &options, false, start, |cut| {
        let mut world = World::open_with(folder.path(), &options)
            .unwrap_or_else(|error| panic!("{cut}: {error}"));
        holds(&mut world, 3);
        write_commits(&mut world, 3..12);
        drop(world);
        holds(&mut World::open_with(folder.path(), &options).unwrap(), 12);
    });
}

#[test]
fn a_disk_that_can_not_be_read_or_synced_stops_a_start_and_nothing_is_changed() {
    let folder = folder();
    let options = options(2, Durability::Always);
    let mut world = World::open_with(folder.path(), &options).unwrap();
    write_commits(&mut world, 0..20);
    // Stopped cleanly, so that a start finds nothing to mark.
    world.stop();
    let original = files(folder.path());
    let start = |disk: Arc<CutDisk>| match World::open_on(disk.clone(), &options) {
        Ok(_) => assert!(!disk.is_cut()),
        Err(error) => assert!(
            matches!(&error, StoreError::Io { source } if source.to_string() == gone().to_string())
        ),
    };
    cut_at_every_operation(folder.path(), &options, true, start, |cut| {
        assert!(files(folder.path()) == original, "{cut}");
        holds(&mut World::open_with(folder.path(), &options).unwrap(), 20);
    });
}

#[test]
fn the_making_of_log_space_can_be_interrupted_anywhere() {
    let folder = folder();
    let options = options(1, Durability::Always);
    drop(World::open_with(folder.path(), &options).unwrap());
    let landed = Cell::new(0);
    let start = |disk: Arc<CutDisk>| {
        landed.set(0);
        let mut world = World::open_on(disk.clone(), &options).unwrap();
        while landed.get() < 20 && !disk.is_cut() {
            // The power goes while the background thread works, between two commits.
            world.work();
            if world.try_learn(&concept(landed.get(), &"x".repeat(12_000))).is_ok() {
                write(&world.shards[0].next_commit().unwrap()).unwrap();
                assert_eq!(world.finish(0, Ok(())).len(), 1);
                landed.set(landed.get() + 1);
            }
        }
    };
    cut_at_every_operation(folder.path(), &options, false, start, |cut| {
        let mut world = World::open_with(folder.path(), &options)
            .unwrap_or_else(|error| panic!("{cut}: {error}"));
        holds(&mut world, landed.get());
        write_commits(&mut world, landed.get()..landed.get() + 6);
        drop(world);
        holds(&mut World::open_with(folder.path(), &options).unwrap(), landed.get() + 6);
    });
}

#[test]
fn a_clean_stop_can_be_interrupted_anywhere() {
    for durability in [Durability::Always, Durability::Os] {
        let folder = folder();
        let options = options(2, durability);
        drop(World::open_with(folder.path(), &options).unwrap());
        let landed = Cell::new(0);
        let start = |disk: Arc<CutDisk>| {
            landed.set(0);
            let Ok(mut world) = World::open_on(disk.clone(), &options) else { return };
            while landed.get() < 20 && !disk.is_cut() {
                world.work();
                if world.try_learn(&concept(landed.get(), &"x".repeat(12_000))).is_ok() {
                    landed.set(landed.get() + world.commit().len() as u32);
                }
            }
            world.shards.clear();
            let closed = world.opened.keeper.close();
            assert!(closed.is_err() || !disk.is_cut());
        };
        cut_at_every_operation(folder.path(), &options, true, start, |cut| {
            let mut world = World::open_with(folder.path(), &options)
                .unwrap_or_else(|error| panic!("{cut}: {error}"));
            holds(&mut world, landed.get());
        });
    }
}

fn is_there(folder: &Path, beginning: &str) -> bool {
    let beginning = folder.join(beginning).to_str().unwrap().to_owned();
    files(folder).keys().any(|path| path.to_str().unwrap().starts_with(&beginning))
}

#[test]
fn a_change_of_the_number_of_cores_can_be_interrupted_anywhere() {
    for (from, to) in [(1, 3), (3, 2), (4, 1)] {
        let folder = folder();
        let (old, new) = (options(from, Durability::Always), options(to, Durability::Always));
        let mut world = World::open_with(folder.path(), &old).unwrap();
        write_commits(&mut world, 0..20);
        world.stop();
        let start = |disk: Arc<CutDisk>| drop(World::open_on(disk, &new));
        let other = options(2, Durability::Always);
        let mut next = [&new, &old, &other].into_iter().cycle();
        cut_at_every_operation(folder.path(), &new, false, start, |cut| {
            // The next start goes on, or goes back to what it was.
            let options = next.next().unwrap();
            let mut world = World::open_with(folder.path(), options)
                .unwrap_or_else(|error| panic!("{cut}: {error}"));
            holds(&mut world, 20);
            write_commits(&mut world, 20..24);
            world.stop();
            let mut world = World::open_with(folder.path(), options).unwrap();
            holds(&mut world, 24);
            drop(world);
            let report = sutra_store::verify(folder.path(), &mut |_| true).unwrap();
            assert!(report.findings.is_empty(), "{cut}: {:?}", report.findings);
            let shards = (options.cores..8).map(|shard| format!("shard-{shard:03}/segment"));
            let left: Vec<_> = shards.filter(|shard| is_there(folder.path(), shard)).collect();
            assert!(left.is_empty(), "{cut}: {left:?} is no shard's");
        });
    }
}

#[test]
fn a_manifest_that_is_there_and_was_told_as_failed_keeps_all_that_it_names() {
    for (from, to) in [(1, 3), (3, 2)] {
        for cut_at in 0..4 {
            let folder = folder();
            let (old, new) = (options(from, Durability::Always), options(to, Durability::Always));
            let mut world = World::open_with(folder.path(), &old).unwrap();
            write_commits(&mut world, 0..20);
            world.stop();
            drop(World::open_on(CutDisk::without_manifests(folder.path(), cut_at), &new));
            let mut world = World::open_with(folder.path(), &new)
                .unwrap_or_else(|error| panic!("{from} to {to}, {cut_at}: {error}"));
            holds(&mut world, 20);
        }
    }
}
