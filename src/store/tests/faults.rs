//! Disks that refuse: no space and failed writes while log space is made ready, at a start, and for
//! the manifest.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::{World, archive, concept, folder, id, options, segment, write};
use sutra_runtime::DataFile;
use sutra_store::{
    Acknowledged, Change, CheckpointName, Disk, FileDisk, NamespaceId, NoCut, Refusal, SegmentName,
    StoreError,
};
use sutra_wire::{Checked, ConceptRecord, Durability};

/// A disk that has no space, or fails, while it is told so.
#[derive(Debug)]
struct FullDisk {
    disk: FileDisk,
    full: AtomicBool,
    fails: AtomicBool,
    /// Where it was written to, past the commits.
    written: Mutex<Vec<Range<u64>>>,
}

impl FullDisk {
    fn open(folder: &Path) -> Arc<Self> {
        Self::open_with(folder, Durability::Always)
    }

    fn open_with(folder: &Path, durability: Durability) -> Arc<Self> {
        let disk = FileDisk::open(folder, durability, "").unwrap();
        let (full, fails, written) = Default::default();
        Arc::new(Self { disk, full, fails, written })
    }

    /// Where it was written to since this was asked last.
    fn take_written(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.written.lock().unwrap())
    }

    fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) {
            Err(io::ErrorKind::StorageFull.into())
        } else if self.fails.load(Ordering::Relaxed) {
            Err(io::Error::other("Input/output error"))
        } else {
            Ok(())
        }
    }
}

impl Disk for FullDisk {
    fn folder(&self) -> &Path {
        self.disk.folder()
    }
    fn read_manifest(&self) -> io::Result<Option<Vec<u8>>> {
        self.disk.read_manifest()
    }
    fn replace_manifest(&self, bytes: &[u8]) -> io::Result<()> {
        self.check().and_then(|()| self.disk.replace_manifest(bytes))
    }
    fn sync_folder(&self) -> io::Result<()> {
        self.disk.sync_folder()
    }
    fn create_shard(&self, shard: u16) -> io::Result<()> {
        self.check().and_then(|()| self.disk.create_shard(shard))
    }
    fn list(&self, shard: u16) -> io::Result<Option<Vec<String>>> {
        self.disk.list(shard)
    }
    fn create(&self, name: SegmentName) -> io::Result<Arc<DataFile>> {
        self.disk.create(name)
    }
    fn open(&self, name: SegmentName) -> io::Result<Arc<DataFile>> {
        self.disk.open(name)
    }
    fn remove(&self, name: SegmentName) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn remove_shard(&self, shard: u16) -> io::Result<()> {
        self.disk.remove_shard(shard)
    }
    fn sync_shard(&self, shard: u16) -> io::Result<()> {
        self.disk.sync_shard(shard)
    }
    fn len(&self, file: &DataFile) -> io::Result<u64> {
        self.disk.len(file)
    }
    fn read(&self, file: &DataFile, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.disk.read(file, offset, buffer)
    }
    fn zero_fill(&self, file: &DataFile, range: Range<u64>) -> io::Result<()> {
        self.check().and_then(|()| self.disk.zero_fill(file, range))
    }
    fn write(&self, file: &DataFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.written.lock().unwrap().push(offset..offset + bytes.len() as u64);
        self.disk.write(file, offset, bytes)
    }
    fn sync(&self, file: &DataFile) -> io::Result<()> {
        self.disk.sync(file)
    }
    fn read_checkpoint(&self, name: CheckpointName, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.disk.read_checkpoint(name, limit)
    }
    fn replace_checkpoint(&self, name: CheckpointName, parts: &[&[u8]]) -> io::Result<()> {
        self.check().and_then(|()| self.disk.replace_checkpoint(name, parts))
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

#[test]
fn a_full_disk_refuses_writes_until_there_is_space_again() {
    let folder = folder();
    let disk = FullDisk::open(folder.path());
    let mut world = World::open_on(disk.clone(), &options(1, Durability::Always)).unwrap();
    disk.set_full(true);
    let mut accepted = 0;
    let refusal = loop {
        match world.try_learn(&concept(accepted, &"x".repeat(2000))) {
            Ok(_) => accepted += 1,
            Err(refusal) => break refusal,
        }
        assert!(accepted < 1000);
    };
    assert!(matches!(refusal, Refusal::Full { .. }), "{refusal}");
    assert!(accepted > 10, "what was ready was used up first");
    world.commit();
    assert!(world.shards[0].health().is_err());
    assert!(
        (0..accepted).all(|number| world.concept("", id(number)).is_some()),
        "all that was accepted is there"
    );
    assert!(!segment_exists(folder.path(), 1), "nothing half made is left");

    disk.set_full(false);
    world.work();
    assert!(world.shards[0].health().is_err(), "not at once");
    world.clock.pass(1_000_000);
    world.work();
    world.shards[0].health().unwrap();
    world.learn(&concept(accepted, "after"));
    world.commit();
    drop(world);
    let mut world = World::open_on(disk, &options(1, Durability::Always)).unwrap();
    assert!((0..=accepted).all(|number| world.concept("", id(number)).is_some()));
}

#[test]
fn a_clock_that_is_set_back_on_a_full_disk_holds_up_no_write_once_there_is_space() {
    let folder = folder();
    let disk = FullDisk::open(folder.path());
    let mut world = World::open_on(disk.clone(), &options(1, Durability::Always)).unwrap();
    world.clock.set_wall(7_200_000_000);
    disk.set_full(true);
    while world.try_learn(&concept(1, &"x".repeat(2000))).is_ok() {}
    world.commit();
    disk.set_full(false);
    world.clock.set_wall(3_600_000_000);
    world.clock.pass(1_000_000);
    world.work();
    world.shards[0].health().unwrap();
    world.learn(&concept(2, "after"));
}

fn segment_exists(folder: &Path, number: usize) -> bool {
    segment(folder, 0, number).exists()
}

#[test]
fn a_store_can_not_be_made_on_a_full_disk_and_can_be_later() {
    let folder = folder();
    let disk = FullDisk::open(folder.path());
    disk.set_full(true);
    let error =
        World::open_on(disk.clone(), &options(2, Durability::Always)).err().unwrap().to_string();
    assert!(error.contains("free space"), "{error}");
    disk.set_full(false);
    World::open_on(disk, &options(2, Durability::Always)).unwrap();
}

#[test]
fn a_namespace_is_not_registered_on_a_full_disk() {
    let folder = folder();
    let disk = FullDisk::open(folder.path());
    let world = World::open_on(disk.clone(), &options(1, Durability::Always)).unwrap();
    disk.set_full(true);
    assert!(matches!(
        world.opened.namespaces.register(&["a"])[0].as_ref().unwrap_err().as_ref(),
        StoreError::Io { .. }
    ));
    assert_eq!(world.opened.namespaces.lookup("a"), None);
    disk.set_full(false);
    assert!(world.opened.namespaces.register(&["a"])[0].is_ok());
}

#[test]
fn a_full_disk_does_not_stop_a_start_or_a_clean_stop() {
    let folder = folder();
    let disk = FullDisk::open(folder.path());
    let mut world = World::open_on(disk.clone(), &options(1, Durability::Always)).unwrap();
    world.learn(&concept(1, "one"));
    world.commit();
    disk.set_full(true);
    world.stop();
    let mut world = World::open_on(disk, &options(1, Durability::Always)).unwrap();
    assert!(world.concept("", id(1)).is_some());
}

/// What a disk refuses a write with.
const REFUSALS: [io::ErrorKind; 4] = [
    io::ErrorKind::StorageFull,
    io::ErrorKind::QuotaExceeded,
    io::ErrorKind::ReadOnlyFilesystem,
    // What an I/O error is, among others.
    io::ErrorKind::Other,
];

/// Commits what has gathered, half of it on the disk, which refuses the rest.
fn commit_refused(world: &mut World, kind: io::ErrorKind) -> Vec<Acknowledged<u64>> {
    let commit = world.shards[0].next_commit().unwrap();
    let half = commit.bytes.len() / 2;
    let file = fs::OpenOptions::new().write(true).open(commit.file.path()).unwrap();
    file.write_all_at(&commit.bytes[..half], commit.offset).unwrap();
    world.finish(0, Err(kind.into()))
}

#[test]
fn a_commit_that_the_disk_refuses_is_refused_and_the_log_goes_on_when_it_writes_again() {
    // From the first commit of a segment to the one that closes it, and with others that gather
    // behind it or not.
    let places = (0..12).flat_map(|before| [0, 1, 5].map(|behind| (before, behind)));
    for ((before, behind), kind) in places.zip(REFUSALS.into_iter().cycle()) {
        let is_told = |entry: &Acknowledged<u64>| {
            entry.effect.as_ref().is_err_and(|refusal| told_as(refusal, kind))
        };
        let folder = folder();
        let mut world = World::open(folder.path()).unwrap();
        let text = "x".repeat(9000);
        for number in 0..before {
            world.learn(&concept(number, &text));
            world.commit();
        }
        world.learn(&concept(1000, &text));
        // What comes while it is on its way gathers behind it, in this segment or the next.
        let commit = world.shards[0].next_commit().unwrap();
        write(&commit).unwrap();
        let gathered =
            (0..behind).filter(|number| learn_once(&mut world, 2000 + number, &text)).count();
        world.finish(0, Ok(()));
        if gathered == 0 {
            world.learn(&concept(1001, &text));
        }
        let refused = commit_refused(&mut world, kind);
        assert_eq!(refused.len(), gathered.max(1), "{before} {behind}: {refused:?}");
        assert!(refused.iter().all(is_told), "{before} {behind}: {refused:?}");
        let refusal = world.try_learn(&concept(3000, "no")).unwrap_err();
        assert!(told_as(&refusal, kind), "{before} {behind}: {refusal}");
        assert!(world.shards[0].health().is_err());
        assert!(world.concept("", id(1000)).is_some(), "reads go on");
        world.clock.pass(1_000_000);
        world.work();
        for number in 0..10 {
            world.learn(&concept(4000 + number, &text));
            assert_eq!(world.commit().len(), 1);
        }
        world.shards[0].health().unwrap();
        drop(world);
        let mut world = World::open(folder.path()).unwrap();
        assert_eq!(world.opened.report.cut(), 0);
        let there = |world: &mut World, number| world.concept("", id(number)).is_some();
        assert!(
            (0..before).chain([1000]).chain(4000..4010).all(|number| there(&mut world, number))
        );
        assert!(!(2000..2000 + behind).chain([1001, 3000]).any(|number| there(&mut world, number)));
    }
}

/// Whether a refusal says whose fault it is.
fn told_as(refusal: &Refusal, kind: io::ErrorKind) -> bool {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            matches!(refusal, Refusal::Full { .. })
        }
        _ => matches!(refusal, Refusal::Failed { .. }),
    }
}

/// Tries a write once; whether there was room for it.
fn learn_once(world: &mut World, number: u32, text: &str) -> bool {
    let bytes = archive(&concept(number, text));
    let record = Checked::<ConceptRecord>::new(&bytes).unwrap();
    world.shards[0].learn(record, NamespaceId::DEFAULT, u64::from(number)).is_ok()
}

#[test]
fn a_full_disk_with_a_torn_tail_is_read_and_written_once_there_is_space() {
    let folder = folder();
    let disk = FullDisk::open(folder.path());
    let mut world = World::open_on(disk.clone(), &options(1, Durability::Always)).unwrap();
    world.learn(&concept(1, "one"));
    world.commit();
    world.learn(&concept(2, &"torn".repeat(3000)));
    let commit = world.shards[0].next_commit().unwrap();
    let file = fs::OpenOptions::new().write(true).open(commit.file.path()).unwrap();
    file.write_all_at(&commit.bytes[..5000], commit.offset).unwrap();
    drop((world, commit));
    disk.set_full(true);
    let mut world = World::open_on(disk.clone(), &options(1, Durability::Always)).unwrap();
    assert!(world.opened.report.cut() > 0);
    assert!(world.concept("", id(1)).is_some());
    assert!(matches!(world.try_learn(&concept(3, "no")), Err(Refusal::Full { .. })));
    disk.set_full(false);
    world.clock.pass(1_000_000);
    world.work();
    world.learn(&concept(4, "yes"));
    world.commit();
    drop(world);
    let mut world = World::open_on(disk, &options(1, Durability::Always)).unwrap();
    assert!(world.concept("", id(1)).is_some() && world.concept("", id(4)).is_some());
    assert!(world.concept("", id(2)).is_none() && world.concept("", id(3)).is_none());
}

#[test]
fn a_segment_that_was_left_half_made_is_made_anew_and_one_with_data_is_not() {
    for (left, is_taken) in [(vec![], true), (vec![0; 20_000], true), (vec![7; 20_000], false)] {
        let folder = folder();
        let mut world = World::open(folder.path()).unwrap();
        fs::write(segment(folder.path(), 0, 1), &left).unwrap();
        let full = (0..20).find_map(|number| {
            let refused = world.try_learn(&concept(number, &"x".repeat(9000))).err();
            world.commit();
            refused
        });
        match full {
            None => assert!(is_taken),
            Some(refusal) => {
                assert!(!is_taken && refusal.to_string().contains("segment-00000001"), "{refusal}");
            }
        }
        let holds = fs::read(segment(folder.path(), 0, 1)).unwrap() != left;
        assert_eq!(holds, is_taken);
    }
}

/// A store that is written through the page cache, with so many commits since its mark.
fn relaxed(folder: &Path) -> (Arc<FullDisk>, World) {
    let disk = FullDisk::open_with(folder, Durability::Os);
    let world = World::open_on(disk.clone(), &options(1, Durability::Os)).unwrap();
    (disk, world)
}

#[test]
fn what_stands_behind_the_mark_is_written_again_at_a_start_and_nothing_after_a_clean_stop() {
    let folder = folder();
    let (disk, mut world) = relaxed(folder.path());
    for number in 0..3 {
        world.learn(&concept(number, "text"));
        world.commit();
    }
    drop((world, disk));
    // Killed: a sync before may have failed, and the page cache may have what the disk has not.
    let (disk, mut world) = relaxed(folder.path());
    let bytes = fs::read(segment(folder.path(), 0, 0)).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    let again = disk.take_written();
    assert!(again.iter().any(|range| range.start <= 4096 && range.end > end), "{again:?} {end}");
    assert!((0..3).all(|number| world.concept("", id(number)).is_some()));
    world.stop();
    drop(disk);
    let (disk, mut world) = relaxed(folder.path());
    assert_eq!(disk.take_written(), []);
    // Only what has come since.
    world.learn(&concept(7, "text"));
    world.commit();
    drop((world, disk));
    let (disk, _) = relaxed(folder.path());
    let again = disk.take_written();
    assert!(again.iter().all(|range| range.start > end), "{again:?} {end}");
    assert!(!again.is_empty());
}

#[test]
fn what_can_not_be_written_again_for_lack_of_space_is_read_and_written_once_there_is_some() {
    let folder = folder();
    let (disk, mut world) = relaxed(folder.path());
    world.learn(&concept(1, "one"));
    world.commit();
    drop(world);
    disk.set_full(true);
    let options = options(1, Durability::Os);
    let open = || World::open_on(disk.clone(), &options).unwrap();
    let stopped = open().try_stop();
    assert!(matches!(stopped, Err(StoreError::Unsynced)), "it may not be there: {stopped:?}");
    let mut world = open();
    assert!(world.concept("", id(1)).is_some());
    assert!(matches!(world.try_learn(&concept(2, "no")), Err(Refusal::Full { .. })));
    let mark = || {
        let manifest = fs::read_to_string(folder.path().join("manifest.json")).unwrap();
        manifest.lines().find(|line| line.contains("offset")).unwrap().to_owned()
    };
    // Syncs prove nothing: the page cache takes it for written.
    for _ in 0..3 {
        assert!(world.shards[0].next_sync().is_empty());
        world.shards[0].syncs_ended();
    }
    assert_eq!(world.opened.keeper.look_job(true).run(), None);
    assert!(mark().contains(": 0,"), "nothing is marked that may not be there: {}", mark());
    assert!(!world.shards[0].is_proven());
    assert!(matches!(world.shards[0].cut(), Err(NoCut::Unproven)));
    disk.set_full(false);
    disk.take_written();
    world.clock.pass(1_000_000);
    world.work();
    assert!(!disk.take_written().is_empty());
    assert!(world.shards[0].is_proven());
    // It is on stable storage now, also where nothing is written any more.
    assert_eq!(world.shards[0].cut().unwrap().commit, 1);
    world.learn(&concept(3, "yes"));
    world.commit();
    world.stop();
    assert!(!mark().contains(": 0,"));
    let mut world = open();
    assert!(world.concept("", id(1)).is_some() && world.concept("", id(3)).is_some());
    assert!(world.concept("", id(2)).is_none());
}

#[test]
fn a_sync_that_fails_while_log_space_is_made_ready_may_have_taken_commits_with_it() {
    let folder = folder();
    let (disk, mut world) = relaxed(folder.path());
    let mut commit = |number: u32, outcome: io::Result<()>| {
        world.learn(&concept(number, "text"));
        let commit = world.shards[0].next_commit().unwrap();
        write(&commit).unwrap();
        world.finish(0, outcome);
        commit.offset + commit.bytes.len() as u64
    };
    let end = commit(1, Ok(()));
    // What this has left is to be overwritten with zeros.
    commit(2, Err(io::ErrorKind::StorageFull.into()));
    world.clock.pass(1_000_000);
    let job = world.shards[0].next_preparation().unwrap();
    assert!(!world.shards[0].next_sync().is_empty());
    disk.fails.store(true, Ordering::Relaxed);
    let prepared = job.run();
    disk.fails.store(false, Ordering::Relaxed);
    // The kernel has told the job, and nobody else.
    world.shards[0].syncs_ended();
    assert!(world.shards[0].health().is_err());
    assert!(world.shards[0].prepared(prepared).is_err());
    let refused = world.try_learn(&concept(3, "no"));
    assert!(matches!(refused, Err(Refusal::Failed { .. })), "{refused:?}");
    disk.take_written();
    world.clock.pass(1_000_000);
    world.work();
    let again = disk.take_written();
    assert!(again.iter().any(|range| range.start <= 4096 && range.end == end), "{again:?} {end}");
    world.shards[0].health().unwrap();
    world.learn(&concept(4, "yes"));
    world.commit();
    world.stop();
}
