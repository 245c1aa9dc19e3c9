//! Logs of several segments: what stands at a segment's start and end, and segments that were made and never written.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions as FileOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use support::{World, concept, folder, id, options, segment, write};
use sutra_store::{OpenOptions, StoreError};
use sutra_wire::Durability;
use tempfile::TempDir;

/// Where a commit lies.
#[derive(Clone, Debug)]
struct Written {
    segment: usize,
    range: Range<usize>,
}

/// Commit `n` learns concept `n`; most are long, so that a segment of 64 KiB takes three.
fn content(commit: u32) -> String {
    format!("{commit} {}", "x".repeat(if commit % 4 == 3 { 40 } else { 18_000 }))
}

/// Learns and commits, one concept a commit, with background work in between.
fn run(world: &mut World, commits: Range<u32>) -> Vec<Written> {
    let mut written = Vec::new();
    for commit in commits {
        world.work();
        world.learn(&concept(commit, &content(commit)));
        let bytes = world.shards[0].next_commit().unwrap();
        write(&bytes).unwrap();
        assert_eq!(world.finish(0, Ok(())).len(), 1);
        let name = bytes.file.path().file_stem().unwrap().to_str().unwrap();
        let start = bytes.offset as usize;
        let segment = name.strip_prefix("segment-").unwrap().parse().unwrap();
        written.push(Written { segment, range: start..start + bytes.bytes.len() });
    }
    written
}

/// A store of `commits` commits over several segments.
fn rolled(commits: u32) -> (TempDir, Vec<Written>) {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    let written = run(&mut world, 0..commits);
    assert_eq!(written.len(), commits as usize, "no commit was written behind the test's back");
    (folder, written)
}

/// A store whose last commit is a short one, and the first of its segment.
fn just_rolled() -> (TempDir, Vec<Written>) {
    let (folder, mut written) = rolled(11);
    let mut world = World::open(folder.path()).unwrap();
    world.work();
    // Fills the segment, however much room there is, with what is not counted as a commit of its own.
    let last = written.last().unwrap().segment;
    let mut filler = 1000;
    loop {
        let at = run_one(&mut world, filler, "x".repeat(3000));
        filler += 1;
        if at.segment != last {
            break;
        }
    }
    written.push(run_one(&mut world, 11, content(11)));
    (folder, written)
}

fn run_one(world: &mut World, number: u32, content: String) -> Written {
    world.work();
    world.learn(&concept(number, &content));
    let bytes = world.shards[0].next_commit().unwrap();
    write(&bytes).unwrap();
    world.finish(0, Ok(()));
    let name = bytes.file.path().file_stem().unwrap().to_str().unwrap();
    let start = bytes.offset as usize;
    Written {
        segment: name.strip_prefix("segment-").unwrap().parse().unwrap(),
        range: start..start + bytes.bytes.len(),
    }
}
