//! Disks that refuse: no space and failed writes while log space is made ready, at a start, and for the manifest.
#![allow(clippy::unwrap_used)]

mod support;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use support::{World, concept, folder, id, options};
use sutra_runtime::DataFile;
use sutra_store::{CheckpointName, Disk, FileDisk, Refusal, SegmentName, StoreError};
use sutra_wire::Durability;

/// A disk that has no space while it is told so.
#[derive(Debug)]
struct FullDisk {
    disk: FileDisk,
    full: AtomicBool,
}

impl FullDisk {
    fn open(folder: &Path) -> Arc<Self> {
        let disk = FileDisk::open(folder, Durability::Always, "").unwrap();
        Arc::new(Self { disk, full: AtomicBool::new(false) })
    }

    fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
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
        self.check().and_then(|()| self.disk.write(file, offset, bytes))
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
    assert!((0..accepted).all(|number| world.concept("", id(number)).is_some()), "all that was accepted is there");
    assert!(!segment_exists(folder.path(), 1), "nothing half made is left");

    disk.set_full(false);
    // The clock moves on by 1 µs whenever it is asked: in time the next attempt is due.
    let attempts = (0..3_000_000).take_while(|_| {
        world.work();
        world.shards[0].health().is_err()
    });
    assert!(attempts.count() > 0, "not at once");
    world.shards[0].health().unwrap();
    world.learn(&concept(accepted, "after"));
    world.commit();
    drop(world);
    let mut world = World::open_on(disk, &options(1, Durability::Always)).unwrap();
    assert!((0..=accepted).all(|number| world.concept("", id(number)).is_some()));
}

fn segment_exists(folder: &Path, number: usize) -> bool {
    support::segment(folder, 0, number).exists()
}

#[test]
fn a_store_can_not_be_made_on_a_full_disk_and_can_be_later() {
    let folder = folder();
    let disk = FullDisk::open(folder.path());
    disk.set_full(true);
    let error = World::open_on(disk.clone(), &options(2, Durability::Always)).err().unwrap().to_string();
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
