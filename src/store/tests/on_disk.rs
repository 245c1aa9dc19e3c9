//! The log on the disk that holds the build: direct writes where that filesystem has them, with its
//! own block size.

use std::fs::{self, OpenOptions as FileOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::support::{World, association, concept, id, options, segment};
use sutra_wire::{Direction, Durability};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn write_commits(world: &mut World, numbers: std::ops::Range<u32>) {
    for number in numbers {
        world.work();
        world.learn(&concept(
            number,
            &format!("{number} {}", "x".repeat(number as usize % 7 * 1000)),
        ));
        world.associate(&association(number, number / 2, 0.5));
        assert_eq!(world.commit().len(), 2);
    }
}

fn holds(world: &mut World, count: u32) {
    for number in 0..count + 5 {
        let there = world
            .concept("", id(number))
            .is_some_and(|record| record.content.starts_with(&format!("{number} ")));
        assert_eq!(there, number < count, "concept {number} of {count}");
        assert_eq!(
            world.neighbors("", id(number), Direction::Out).len(),
            usize::from(number < count)
        );
    }
}

#[test]
fn durability_may_change_at_every_start_and_with_it_the_block_size() {
    let folder = folder();
    let mut count = 0;
    for durability in [
        Durability::Always,
        Durability::Os,
        Durability::Always,
        Durability::Interval(10),
        Durability::Always,
    ] {
        for _ in 0..2 {
            let mut world = World::open_with(folder.path(), &options(2, durability)).unwrap();
            assert_eq!(world.opened.report.cut(), 0);
            holds(&mut world, count);
            write_commits(&mut world, count..count + 25);
            count += 25;
        }
    }
    holds(&mut World::open_with(folder.path(), &options(2, Durability::Os)).unwrap(), count);
}

#[test]
fn a_torn_tail_is_cut_whatever_the_block_size_is_now() {
    for durability in [Durability::Always, Durability::Os] {
        let folder = folder();
        let mut world = World::open_with(folder.path(), &options(1, Durability::Always)).unwrap();
        write_commits(&mut world, 0..5);
        world.learn(&concept(5, &"y".repeat(9000)));
        let torn = world.shards[0].next_commit().unwrap();
        let file = FileOptions::new().write(true).open(segment(folder.path(), 0, 0)).unwrap();
        file.write_all_at(&torn.bytes[..torn.bytes.len() / 2], torn.offset).unwrap();
        drop((torn, world));
        let mut world = World::open_with(folder.path(), &options(1, durability)).unwrap();
        assert!(world.opened.report.cut() > 0);
        holds(&mut world, 5);
        write_commits(&mut world, 5..30);
        drop(world);
        let mut world = World::open_with(folder.path(), &options(1, durability)).unwrap();
        assert_eq!(world.opened.report.cut(), 0);
        holds(&mut world, 30);
    }
}

/// Moves the commits of a log of one segment to multiples of `block`, as a disk of such blocks
/// would have them.
fn move_to_blocks(path: &Path, old: usize, block: usize) {
    let bytes = fs::read(path).unwrap();
    let mut moved = vec![0; bytes.len()];
    moved[..4096].copy_from_slice(&bytes[..4096]);
    moved[12..16].copy_from_slice(&(block as u32).to_le_bytes());
    let crc = crc32c::crc32c(&moved[..60]);
    moved[60..64].copy_from_slice(&crc.to_le_bytes());
    let (mut from, mut to) = (4096.max(old), 4096.max(block));
    while bytes[from + 8] == 1 {
        let length = u32::from_le_bytes(bytes[from + 32..][..4].try_into().unwrap()) as usize;
        moved[to..to + length].copy_from_slice(&bytes[from..from + length]);
        from += length.next_multiple_of(old);
        to += length.next_multiple_of(block);
    }
    fs::write(path, moved).unwrap();
}

#[test]
fn a_segment_of_other_blocks_than_the_disk_has_now_is_read_and_the_log_goes_on() {
    for block in [512, 1024, 8192, 16_384] {
        for torn in [false, true] {
            let folder = folder();
            let mut world = World::open_with(folder.path(), &options(1, Durability::Os)).unwrap();
            write_commits(&mut world, 0..2);
            drop(world);
            let path = segment(folder.path(), 0, 0);
            move_to_blocks(&path, 4096, block);
            if torn {
                let end = fs::read(&path).unwrap().iter().rposition(|byte| *byte != 0).unwrap() + 1;
                let file = FileOptions::new().write(true).open(&path).unwrap();
                file.write_all_at(b"torn", end.next_multiple_of(block) as u64 + 70).unwrap();
            }
            for durability in [Durability::Always, Durability::Os] {
                let mut world = World::open_with(folder.path(), &options(1, durability)).unwrap();
                let count = world.shards[0].stats().concepts as u32;
                assert_eq!(
                    world.opened.report.cut() > 0,
                    torn && count == 2,
                    "blocks of {block} bytes"
                );
                holds(&mut world, count);
                write_commits(&mut world, count..count + 20);
                drop(world);
                holds(
                    &mut World::open_with(folder.path(), &options(1, durability)).unwrap(),
                    count + 20,
                );
            }
        }
    }
}
