//! Random damage to every kind of file: it is found, what was not hit is salvaged, and what is said
//! to be lost is what was hit.
#![allow(clippy::unwrap_used)]

mod bounded;
mod damages;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::damages::{Kind, damage};
use self::source::{Source, opened};
use super::Remains;
use crate::verify::verify;
use crate::{CheckpointName, StoreError, open_read_only, repair};

/// Damages of each kind in the suite, and in the long run.
const SHORT: u64 = 8;
const LONG: u64 = 1_000;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Damages a store in so many ways, each on a copy of it.
fn damaged_in_every_way(kind: Kind, count: u64) {
    for (cores, is_made_over) in [(1, false), (2, false), (1, true), (2, true)] {
        let original = folder();
        let source = match is_made_over {
            true if kind == Kind::Lock => continue,
            true => Source::make_over(original.path(), cores),
            false => Source::make(original.path(), cores, kind == Kind::Lock),
        };
        for seed in 0..count.div_ceil(2) {
            let place = folder();
            let data = place.path().join("data");
            copy(original.path(), &data);
            let random = &mut StdRng::seed_from_u64(seed * 2 + cores as u64);
            let Some(hit) = damage(&source, &data, kind, random) else { continue };
            let over = if is_made_over { ", made over" } else { "" };
            let what = format!("{kind:?}, seed {seed}, {cores} cores{over}: {hit}");
            check(&source, place.path(), &hit, &what);
        }
    }
}

fn check(source: &Source, place: &Path, hit: &damages::Hit, what: &str) {
    let (data, new) = (place.join("data"), place.join("new"));
    let report = verify(&data, &mut |_| true).unwrap_or_else(|error| panic!("{what}: {error}"));
    let damaged = report.damaged() > 0;
    if hit.kind != Kind::Lock {
        assert!(!report.findings.is_empty(), "{what}: nothing was found");
    }
    let lost: BTreeSet<(String, u64)> = source.entries_in(&hit.file, &hit.bytes).collect();
    let repaired = repair(&data, &new, &mut |_| true);
    if let (Kind::Lock, Err(StoreError::Copy { .. })) = (hit.kind, &repaired) {
        // It still says that its server was killed, and where.
        let starts = opened(&data, source.cores);
        assert!(source.cores > 1 && damaged, "{what}");
        assert!(matches!(starts, Err(StoreError::Copy { .. })), "{what}");
        return;
    }
    let repaired = repaired.unwrap_or_else(|error| panic!("{what}: {error}"));
    for (shard, sequence) in &lost {
        let of_shard = repaired.findings.iter().filter(|one| one.file.starts_with(shard));
        let mut losses = of_shard.flat_map(|finding| &finding.lost);
        let is_listed = losses.any(|loss| {
            loss.after_sequence < *sequence
                && loss.before_sequence.is_none_or(|before| *sequence < before)
        });
        assert!(is_listed, "{what}: {sequence} is not listed: {:#?}", repaired.findings);
    }
    if lost.is_empty() && source.cores == 1 && !source.ends_with(&hit.file, &hit.bytes) {
        assert_eq!(repaired.losses(), 0, "{what}: {:#?}", repaired.findings);
    }
    source.check(&new, &lost, what);
    // A start refuses what verify calls damage of the log or the manifest, and nothing else.
    let starts = opened(&data, source.cores);
    match starts {
        Ok(store) => {
            assert!(!damaged, "{what}: {:#?}", report.findings);
            drop(store);
        }
        Err(StoreError::Io { source }) => panic!("{what}: {source}"),
        Err(error) => assert!(damaged, "{what}: {error}"),
    }
}

macro_rules! kinds {
    ($($name:ident, $long:ident: $kind:ident;)*) => {$(
        #[test]
        fn $name() {
            damaged_in_every_way(Kind::$kind, SHORT);
        }

        #[test]
        #[ignore = "a thousand damages take a minute"]
        fn $long() {
            damaged_in_every_way(Kind::$kind, LONG);
        }
    )*};
}

kinds! {
    a_damaged_manifest_is_found_and_what_it_said_found_again, many_damaged_manifests: Manifest;
    a_damaged_segment_header_takes_no_entry_with_it, many_damaged_headers: Header;
    a_damaged_commit_entry_takes_no_other_entry_with_it, many_damaged_commits: Commit;
    a_damaged_entry_header_takes_its_entry_alone, many_damaged_entry_headers: Entry;
    a_damaged_body_takes_its_entry_alone, many_damaged_bodies: Body;
    damaged_padding_takes_nothing, many_damaged_paddings: Padding;
    a_damaged_checkpoint_takes_nothing, many_damaged_checkpoints: Checkpoint;
    a_damaged_lock_takes_nothing, many_damaged_locks: Lock;
    blocks_of_zeros_take_what_they_hit, many_zeroed_blocks: Zeros;
    a_cut_file_loses_its_end_alone, many_cut_files: Cut;
    a_missing_file_loses_itself_alone, many_missing_files: Missing;
}

#[test]
fn a_whole_store_has_no_findings_and_is_repaired_into_an_equal_one() {
    for (cores, is_made_over) in [(1, false), (2, false), (3, false), (1, true), (2, true)] {
        let place = folder();
        let (data, new) = (place.path().join("data"), place.path().join("new"));
        let source = match is_made_over {
            true => Source::make_over(&data, cores),
            false => Source::make(&data, cores, false),
        };
        let report = verify(&data, &mut |_| true).unwrap();
        assert_eq!((report.findings.len(), report.damaged()), (0, 0), "{:#?}", report.findings);
        assert_eq!(report.entries, source.entries.len() as u64);
        let repaired = repair(&data, &new, &mut |_| true).unwrap();
        assert_eq!((repaired.losses(), repaired.entries), (0, report.entries));
        source.check(&new, &BTreeSet::new(), "a whole store");
    }
}

#[test]
fn a_copy_of_a_folder_in_use_is_refused_where_it_has_several_shards_and_told_of_otherwise() {
    for cores in [1, 2] {
        let place = folder();
        let paths = ["data", "copy", "new"].map(|name| place.path().join(name));
        let [data, copied, new] = &paths;
        Source::make(data, cores, true);
        copy(data, copied);
        let repaired = repair(copied, new, &mut |_| true);
        let served = open_read_only::<()>(copied, &source::options(cores));
        if cores == 1 {
            let is_told = |findings: &[super::Finding]| {
                findings.iter().any(|one| one.file == "lock" && one.what.contains("a copy"))
            };
            assert!(is_told(&repaired.unwrap().findings) && is_told(&served.unwrap().1));
            continue;
        }
        for error in [repaired.err().unwrap(), served.err().unwrap()] {
            assert!(matches!(error, StoreError::Copy { .. }), "{error}");
        }
        assert!(!new.exists(), "nothing is made of it");
        // Whoever says so has it as it was copied.
        fs::remove_file(copied.join("lock")).unwrap();
        repair(copied, new, &mut |_| true).unwrap();
        assert_eq!(open_read_only::<()>(copied, &source::options(cores)).unwrap().1, []);
    }
}

#[test]
fn a_checkpoint_of_any_length_is_read_in_steps_and_takes_no_place_among_the_damages() {
    let place = folder();
    let data = place.path().join("data");
    Source::make(&data, 1, false);
    let name = CheckpointName { shard: 0, namespace: 0 }.to_string();
    let whole = fs::read(data.join(&name)).unwrap();
    // Nobody has so much memory, and no disk is read that long.
    let long = fs::File::create(data.join(&name)).unwrap();
    long.set_len(1 << 42).unwrap();
    let mut told = Vec::new();
    let mut watch = |advance: crate::Advance| {
        told.push(advance);
        true
    };
    let report = verify(&data, &mut watch).unwrap();
    assert_eq!((report.damaged(), report.replaceable()), (0, 1), "{:#?}", report.findings);
    assert_eq!(report.findings[0].file, name);
    assert!(report.bytes < 1 << 30, "{}", report.bytes);
    fs::write(data.join(&name), &whole).unwrap();
    let report = verify(&data, &mut |_| true).unwrap();
    assert_eq!(report.findings, []);
    // Whoever paces or ends a reading hears of the checkpoint's bytes, too.
    let logs: u64 = told.last().unwrap().done;
    assert_eq!(report.bytes, logs + whole.len() as u64);
    let ended = verify(&data, &mut |advance| advance.done <= logs);
    assert!(ended.err().unwrap().to_string().contains("ended"));
}

#[test]
fn what_stands_of_a_lost_association_is_of_its_own_type() {
    let place = folder();
    let (data, new) = (place.path().join("data"), place.path().join("new"));
    let source = Source::make_of_edges(&data, 2);
    let first = &source.entries[0];
    let path = data.join(&first.file);
    let mut bytes = fs::read(&path).unwrap();
    // Its checksum.
    bytes[first.at + 4] ^= 1;
    fs::write(&path, bytes).unwrap();
    let report = repair(&data, &new, &mut |_| true).unwrap();
    let lost: Vec<_> = report.findings.iter().flat_map(|finding| &finding.lost).collect();
    let [loss] = lost[..] else { panic!("{lost:?}") };
    let record = loss.probably.as_ref().unwrap();
    assert_eq!((record.association, record.remains), (Some(0), Some(Remains::None)));
    assert!(record.to_string().contains("of type semantic, of which nothing stands"), "{record}");
}

#[test]
fn a_repair_neither_writes_over_something_nor_into_what_it_reads() {
    let place = folder();
    let (data, new) = (place.path().join("data"), place.path().join("new"));
    Source::make(&data, 1, false);
    fs::create_dir(&new).unwrap();
    fs::write(new.join("mine"), "x").unwrap();
    for (to, why) in [(new.clone(), "not empty"), (data.join("new"), "outside"), (data.clone(), "")]
    {
        let error = repair(&data, &to, &mut |_| true).err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(fs::read_to_string(new.join("mine")).unwrap(), "x");
    assert_eq!(verify(&data, &mut |_| true).unwrap().findings.len(), 0);
}

#[test]
fn what_an_interrupted_repair_leaves_is_refused_by_a_start_and_cleared_by_the_next() {
    let place = folder();
    let (data, new) = (place.path().join("data"), place.path().join("new"));
    let source = Source::make(&data, 2, false);
    let mut steps = 0;
    let interrupted = repair(&data, &new, &mut |advance| {
        steps += u32::from(advance.phase == "writing");
        steps < 2
    });
    assert!(interrupted.is_err() && steps == 2);
    let error = opened(&new, 2).err().unwrap();
    assert!(matches!(error, StoreError::Unfinished { .. }), "{error}");
    let error = verify(&new, &mut |_| true).err().unwrap();
    assert!(matches!(error, StoreError::Unfinished { .. }), "{error}");
    repair(&data, &new, &mut |_| true).unwrap();
    source.check(&new, &BTreeSet::new(), "after an interrupted repair");
}
