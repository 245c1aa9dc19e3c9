//! Starts on logs that a crash, a disk or a person has changed: a torn tail is cut, damage is
//! refused with file and offset.

use std::fs::{self, OpenOptions as FileOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::support;
use crate::support::{World, association, concept, folder, id, options, segment, write};
use sutra_store::{OpenOptions, StoreError};
use sutra_wire::{ConceptRecord, Direction, Durability};
use tempfile::TempDir;

/// A store of five commits, the last of several entries; and where in its first segment each commit
/// lies.
fn five_commits(options: &OpenOptions) -> (TempDir, Vec<Range<usize>>) {
    let folder = folder();
    let mut world = World::open_with(folder.path(), options).unwrap();
    let mut ranges = Vec::new();
    for commit in 0..5 {
        world.learn(&concept(commit, &format!("commit {commit}")));
        if commit == 4 {
            world.learn(&concept(40, "the last commit's second"));
            world.associate(&association(4, 40, 0.5));
            world.learn(&concept(1, "changed by the last commit"));
        }
        let write = world.shards[0].next_commit().unwrap();
        support::write(&write).unwrap();
        world.finish(0, Ok(()));
        ranges.push(write.offset as usize..write.offset as usize + write.bytes.len());
    }
    (folder, ranges)
}

fn always() -> OpenOptions {
    options(1, Durability::Always)
}

/// Bytes of a commit without its block padding.
fn unpadded(bytes: &[u8], commit: &Range<usize>) -> Range<usize> {
    let length = u32::from_le_bytes(bytes[commit.start + 32..][..4].try_into().unwrap());
    commit.start..commit.start + length as usize
}

/// Which of the last commit's writes there are: all or none, and everything before.
fn last_commit_is_there(world: &mut World) -> bool {
    for commit in [0, 2, 3] {
        assert_eq!(world.concept("", id(commit)).unwrap().content, format!("commit {commit}"));
    }
    let there = world.concept("", id(4)).is_some();
    let changed = world.concept("", id(1)).unwrap().content;
    assert_eq!(changed, if there { "changed by the last commit" } else { "commit 1" });
    assert_eq!(world.concept("", id(40)).is_some(), there);
    assert_eq!(world.neighbors("", id(4), Direction::Out).len(), usize::from(there));
    assert_eq!(world.neighbors("", id(40), Direction::In).len(), usize::from(there));
    there
}

/// After a cut the store takes writes, and they are there after another restart.
fn check_goes_on(folder: &Path, mut world: World, there: bool) {
    world.learn(&concept(77, "after the cut"));
    assert_eq!(world.commit().len(), 1);
    drop(world);
    let mut world = World::open(folder).unwrap();
    assert_eq!(world.concept("", id(77)).unwrap().content, "after the cut");
    assert_eq!(last_commit_is_there(&mut world), there);
    assert_eq!(world.opened.report.cut(), 0, "it was cut once and for all");
}

fn cut_everywhere(damage: impl Fn(&Path, usize)) {
    let (original, commits) = five_commits(&always());
    let path = segment(original.path(), 0, 0);
    let bytes = fs::read(&path).unwrap();
    let last = unpadded(&bytes, &commits[4]);
    let folder = folder();
    for at in commits[4].start..=commits[4].end {
        if at > last.end + 64 && at < commits[4].end - 64 {
            continue;
        }
        copy(original.path(), folder.path());
        damage(&segment(folder.path(), 0, 0), at);
        let intact = fs::read(segment(folder.path(), 0, 0)).unwrap().get(commits[4].clone())
            == bytes.get(commits[4].clone());
        let mut world =
            World::open(folder.path()).unwrap_or_else(|error| panic!("at byte {at}: {error}"));
        assert_eq!(last_commit_is_there(&mut world), intact, "at byte {at}");
        if at % 16 == 0 {
            check_goes_on(folder.path(), world, intact);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("shard-000")).unwrap();
    for file in fs::read_dir(to.join("shard-000")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    fs::copy(from.join("manifest.json"), to.join("manifest.json")).unwrap();
    for file in fs::read_dir(from.join("shard-000")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join("shard-000").join(file.file_name())).unwrap();
    }
}

fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    FileOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at as u64).unwrap();
}

fn flip(path: &Path, at: usize, bit: u32) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_log_that_ends_at_any_byte_of_its_last_commit_starts_without_it() {
    cut_everywhere(|path, at| {
        FileOptions::new().write(true).open(path).unwrap().set_len(at as u64).unwrap();
    });
}

#[test]
fn a_last_commit_with_zeros_from_any_byte_on_is_cut() {
    cut_everywhere(|path, at| {
        let rest = fs::metadata(path).unwrap().len() as usize - at;
        overwrite(path, at, &vec![0; rest]);
    });
}

#[test]
fn a_last_commit_with_garbage_from_any_byte_on_is_cut() {
    cut_everywhere(|path, at| {
        let rest = fs::metadata(path).unwrap().len() as usize - at;
        let garbage: Vec<u8> = (0..rest).map(|byte| (byte * 131 + at) as u8 | 1).collect();
        overwrite(path, at, &garbage);
    });
}

#[test]
fn a_last_commit_with_a_hole_in_it_is_cut() {
    let (original, commits) = five_commits(&always());
    let bytes = fs::read(segment(original.path(), 0, 0)).unwrap();
    let folder = folder();
    for at in unpadded(&bytes, &commits[4]).step_by(7) {
        copy(original.path(), folder.path());
        flip(&segment(folder.path(), 0, 0), at, at as u32 % 8);
        assert!(!last_commit_is_there(&mut World::open(folder.path()).unwrap()), "byte {at}");
    }
}

#[test]
fn a_changed_byte_anywhere_before_the_last_commit_is_refused_with_file_and_offset() {
    let (original, commits) = five_commits(&always());
    let folder = folder();
    let path = segment(folder.path(), 0, 0);
    let header = (0..4096).step_by(61).chain(0..64);
    let sampled = commits[0].clone().chain(commits[2].clone()).step_by(37);
    for at in header.chain(sampled).chain(commits[1].clone().take(512)) {
        copy(original.path(), folder.path());
        flip(&path, at, at as u32 % 8);
        let before = fs::read(&path).unwrap();
        match World::open(folder.path()).err() {
            Some(StoreError::Damage { file, offset, .. }) => {
                assert_eq!(file, path);
                let commit =
                    commits.iter().find(|commit| commit.contains(&at)).cloned().unwrap_or(0..4096);
                assert!(commit.contains(&(offset as usize)), "byte {at}: told {offset}");
            }
            other => panic!("byte {at}: {other:?}"),
        }
        assert!(fs::read(&path).unwrap() == before, "nothing was changed");
    }
}

#[test]
fn a_lost_commit_before_a_later_one_is_refused() {
    let (folder, commits) = five_commits(&always());
    let path = segment(folder.path(), 0, 0);
    overwrite(&path, commits[3].start, &vec![0; commits[3].len()]);
    let error = World::open(folder.path()).err().unwrap().to_string();
    assert!(
        error.contains("segment-00000000.log")
            && error.contains(&format!("byte {}", commits[3].start)),
        "{error}"
    );
}

#[test]
fn a_lost_commit_that_no_sync_had_covered_is_a_torn_tail() {
    let (folder, commits) = five_commits(&options(1, Durability::Os));
    overwrite(&segment(folder.path(), 0, 0), commits[2].start, &vec![0; commits[2].len()]);
    let mut world = World::open(folder.path()).unwrap();
    assert!(world.opened.report.cut() > 0);
    assert!(
        world.concept("", id(1)).is_some()
            && world.concept("", id(2)).is_none()
            && world.concept("", id(4)).is_none()
    );
    world.learn(&concept(2, "again"));
    world.commit();
    drop(world);
    let mut world = World::open(folder.path()).unwrap();
    assert_eq!(
        (world.concept("", id(2)).unwrap().content.as_str(), world.concept("", id(3))),
        ("again", None)
    );
}

#[test]
fn a_lost_commit_that_a_sync_had_covered_is_refused() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &options(1, Durability::Interval(5))).unwrap();
    let mut offsets = Vec::new();
    for number in 0..4 {
        world.learn(&concept(number, "relaxed"));
        let commit = world.shards[0].next_commit().unwrap();
        write(&commit).unwrap();
        offsets.push((commit.offset as usize, commit.bytes.len()));
        world.finish(0, Ok(()));
        // The second call says that the first one's syncs have ended.
        world.shards[0].next_sync();
    }
    drop(world);
    let (start, length) = offsets[1];
    overwrite(&segment(folder.path(), 0, 0), start, &vec![0; length]);
    assert!(matches!(World::open(folder.path()).err(), Some(StoreError::Damage { .. })));
}

/// A store whose log has rolled over several segments.
fn several_segments() -> TempDir {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    // Killed before the background thread came to the last of them.
    world.marks_late = true;
    for number in 0..60 {
        world.learn(&concept(number, &"x".repeat(4000)));
        world.commit();
    }
    assert!(world.shards[0].stats().segments > 3);
    folder
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    for number in [0, 1] {
        let folder = several_segments();
        fs::remove_file(segment(folder.path(), 0, number)).unwrap();
        let error = World::open(folder.path()).err().unwrap().to_string();
        assert!(
            error.contains(&format!("segment-0000000{number}.log")) && error.contains("missing"),
            "{error}"
        );
    }
}

#[test]
fn a_segment_whose_end_is_lost_is_refused_by_what_the_next_one_says() {
    let folder = several_segments();
    let path = segment(folder.path(), 0, 1);
    let length = fs::metadata(&path).unwrap().len() as usize;
    overwrite(&path, length / 2, &vec![0; length - length / 2]);
    let error = World::open(folder.path()).err().unwrap().to_string();
    assert!(
        error.contains("segment-00000001.log") && error.contains("segment-00000002.log"),
        "{error}"
    );
}

#[test]
fn a_segment_under_anothers_name_or_of_another_store_is_refused() {
    let (folder, other) = (several_segments(), several_segments());
    fs::copy(segment(folder.path(), 0, 1), segment(folder.path(), 0, 2)).unwrap();
    let error = World::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("under another's name"), "{error}");
    let folder = several_segments();
    fs::copy(segment(other.path(), 0, 1), segment(folder.path(), 0, 1)).unwrap();
    let error = World::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("belongs to another store"), "{error}");
}

#[test]
fn a_segment_that_was_only_half_made_is_made_anew() {
    let folder = several_segments();
    let spare = (0..).find(|number| !segment(folder.path(), 0, *number).exists()).unwrap();
    for content in [&[][..], &[0; 100], &[0; 8192], b"half a header"] {
        fs::write(segment(folder.path(), 0, spare), content).unwrap();
        let mut world = World::open(folder.path()).unwrap();
        assert!(!segment(folder.path(), 0, spare).exists());
        assert!((0..60).all(|number| world.concept("", id(number)).is_some()));
    }
}

#[test]
fn what_a_crash_leaves_of_a_store_in_the_making_is_made_anew() {
    let folder = folder();
    drop(World::open_with(folder.path(), &options(2, Durability::Always)).unwrap());
    fs::remove_file(folder.path().join("manifest.json")).unwrap();
    let mut world = World::open_with(folder.path(), &options(2, Durability::Always)).unwrap();
    world.learn(&concept(1, "one"));
    assert_eq!(world.commit().len(), 1);
}

#[test]
fn a_store_that_lost_its_manifest_is_refused() {
    let (folder, _) = five_commits(&always());
    fs::remove_file(folder.path().join("manifest.json")).unwrap();
    let error = World::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("manifest is missing"), "{error}");
}

#[test]
fn a_manifest_that_does_not_name_a_namespace_of_the_log_is_refused() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    let old = fs::read(folder.path().join("manifest.json")).unwrap();
    world.learn(&ConceptRecord { namespace: "lost".into(), ..concept(1, "one") });
    world.commit();
    drop(world);
    fs::write(folder.path().join("manifest.json"), old).unwrap();
    let error = World::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("\"lost\"") && error.contains("segment-00000000.log"), "{error}");
}

#[test]
fn a_folder_in_use_is_refused_with_who_has_it() {
    let folder = folder();
    let _world = World::open(folder.path()).unwrap();
    let error = World::open(folder.path()).err().unwrap().to_string();
    assert!(
        error.contains(&format!("process {}", std::process::id()))
            && error.contains("127.0.0.1:50050"),
        "{error}"
    );
}

#[test]
fn stray_files_do_not_stop_a_start() {
    let (folder, _) = five_commits(&always());
    for stray in [
        "shard-000/segment-00000000.log~",
        "shard-000/notes.txt",
        "lost+found",
        "manifest.json.new",
    ] {
        fs::write(folder.path().join(stray), "stray").unwrap();
    }
    fs::create_dir(folder.path().join("shard-000/folder")).unwrap();
    assert!(last_commit_is_there(&mut World::open(folder.path()).unwrap()));
}

#[test]
fn a_valid_commit_of_another_generation_is_not_taken() {
    // The same commit, in another segment's file at the place where the log goes on: as a recycled
    // file holds it.
    let (folder, commits) = five_commits(&always());
    let (other, _) = five_commits(&always());
    let (path, foreign) =
        (segment(folder.path(), 0, 0), fs::read(segment(other.path(), 0, 0)).unwrap());
    overwrite(&path, commits[4].start, &foreign[commits[4].clone()]);
    let mut world = World::open(folder.path()).unwrap();
    assert!(!last_commit_is_there(&mut world));
    assert!(world.opened.report.cut() > 0);
}

#[test]
fn a_last_commit_that_opens_a_segment_is_cut_and_told() {
    let folder = several_segments();
    let last = (0..).find(|number| !segment(folder.path(), 0, number + 1).exists()).unwrap();
    // The spare holds nothing; the one before it is cut back to its first commit, and that is torn.
    let bytes = fs::read(segment(folder.path(), 0, last)).unwrap();
    assert!(bytes[4096..].iter().all(|byte| *byte == 0), "a spare");
    fs::remove_file(segment(folder.path(), 0, last)).unwrap();
    let path = segment(folder.path(), 0, last - 1);
    let length = fs::metadata(&path).unwrap().len() as usize;
    overwrite(&path, 4096 + 100, &vec![0; length - 4096 - 100]);
    let mut world = World::open(folder.path()).unwrap();
    assert!(world.opened.report.cut() > 0 && world.opened.report.cut() <= 100);
    let there = (0..60).filter(|number| world.concept("", id(*number)).is_some()).count() as u32;
    assert!(there < 60);
    world.learn(&concept(there, "again"));
    world.commit();
    drop(world);
    assert_eq!(
        World::open(folder.path()).unwrap().concept("", id(there)).unwrap().content,
        "again"
    );
}
