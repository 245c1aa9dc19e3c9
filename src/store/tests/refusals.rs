//! Starts that are refused change nothing: what stood in the folder can be put right and opened.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions as FileOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::support::{World, concept, folder, id, options, segment};
use sutra_store::{OpenOptions, Store, StoreError};
use sutra_wire::{ConceptId, CoreLayout, Durability, IdRule};
use tempfile::TempDir;

const CORES: usize = 3;

fn three() -> OpenOptions {
    options(CORES, Durability::Always)
}

/// Every file of the store but the lock, by path.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let shards = (0..CORES).map(|shard| folder.join(format!("shard-{shard:03}")));
    let all = shards.chain([folder.to_owned()]).flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = all
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("lock"));
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The number of the first concept that belongs to each shard.
fn owned() -> [u32; CORES] {
    let layout = CoreLayout::new(CORES as u16);
    std::array::from_fn(|shard| {
        (0..).find(|number| usize::from(layout.owner(&ConceptId(id(*number)))) == shard).unwrap()
    })
}

/// A store of three shards, of which only the given ones hold something: two commits each, in the
/// order given.
fn store(shards: &[usize]) -> TempDir {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &three()).unwrap();
    for shard in shards {
        for round in 0..2 {
            world.learn(&concept(owned()[*shard], &format!("round {round}")));
            assert_eq!(world.commit().len(), 1);
        }
    }
    folder
}

fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    FileOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at as u64).unwrap();
}

/// Expects a refusal that changes nothing.
fn refused(folder: &Path, options: &OpenOptions) -> StoreError {
    let before = files(folder);
    let error = World::open_with(folder, options).err().expect("refused");
    assert!(files(folder) == before, "nothing was changed: {error}");
    error
}

#[test]
fn a_lost_manifest_is_refused_with_any_number_of_cores_and_put_back_finds_every_shard_as_it_was() {
    for shards in [&[0][..], &[1], &[2], &[0, 2]] {
        let folder = store(shards);
        let path = folder.path().join("manifest.json");
        let manifest = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        for cores in 1..=CORES + 1 {
            let error = refused(folder.path(), &options(cores, Durability::Always)).to_string();
            assert!(error.contains("manifest is missing"), "{cores} cores: {error}");
            assert!(error.contains(&format!("shard-00{}", shards[0])), "{cores} cores: {error}");
        }
        fs::write(&path, manifest).unwrap();
        let mut world = World::open_with(folder.path(), &three()).unwrap();
        for shard in shards {
            assert_eq!(world.concept("", id(owned()[*shard])).unwrap().content, "round 1");
        }
    }
}

#[test]
fn another_number_of_cores_is_refused_read_only_and_one_that_can_not_be_anywhere() {
    let folder = store(&[0, 1, 2]);
    for cores in [1, 2, 4, 64] {
        let options = options(cores, Durability::Always);
        let error = sutra_store::open_read_only::<u64>(folder.path(), &options).err().unwrap();
        assert!(
            matches!(error, StoreError::Cores { stored: 3, asked, .. } if asked == cores),
            "{error}"
        );
    }
    for cores in [0, 1001, usize::MAX] {
        assert!(matches!(
            refused(folder.path(), &OpenOptions { cores, ..three() }),
            StoreError::Option(_)
        ));
    }
    for segment_bytes in [0, (64 << 10) - 1, (2 << 30) + 1, u64::MAX] {
        assert!(matches!(
            refused(folder.path(), &OpenOptions { segment_bytes, ..three() }),
            StoreError::Option(_)
        ));
    }
}

#[test]
fn a_store_keeps_its_id_rule_and_a_start_with_another_one_is_refused() {
    let folder = folder();
    let legacy = OpenOptions { id_rule: Some(IdRule::Legacy), ..three() };
    assert_eq!(Store::open::<()>(folder.path(), legacy.clone()).unwrap().id_rule, IdRule::Legacy);
    assert_eq!(Store::open::<()>(folder.path(), three()).unwrap().id_rule, IdRule::Legacy);
    let error = refused(folder.path(), &OpenOptions { id_rule: Some(IdRule::Md5OrHex), ..three() });
    assert!(matches!(error, StoreError::IdRule { stored: IdRule::Legacy, .. }), "{error}");
}

#[test]
fn another_version_of_a_segment_is_refused_by_name() {
    let folder = store(&[0, 1, 2]);
    let path = segment(folder.path(), 1, 0);
    let mut header = fs::read(&path).unwrap();
    header[8] = 3;
    let crc = crc32c::crc32c(&header[..60]);
    header[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, header).unwrap();
    let error = refused(folder.path(), &three());
    assert!(matches!(&error, StoreError::Version { file, .. } if *file == path), "{error}");
}

#[test]
fn any_changed_byte_of_the_manifest_is_refused() {
    let folder = store(&[0, 1, 2]);
    let path = folder.path().join("manifest.json");
    let manifest = fs::read(&path).unwrap();
    for at in 0..manifest.len() {
        overwrite(&path, at, &[manifest[at] ^ 1]);
        if !manifest[at].is_ascii_whitespace() {
            let error = refused(folder.path(), &three());
            assert!(
                matches!(&error, StoreError::Manifest { file, .. } if *file == path),
                "byte {at}: {error}"
            );
        }
        overwrite(&path, at, &manifest[at..=at]);
    }
    for length in 0..manifest.len() - 1 {
        fs::write(&path, &manifest[..length]).unwrap();
        assert!(
            matches!(refused(folder.path(), &three()), StoreError::Manifest { .. }),
            "{length} bytes"
        );
    }
}

#[test]
fn a_first_segment_without_its_header_is_damage_as_it_was_made_before_the_manifest() {
    let folder = store(&[0]);
    let path = segment(folder.path(), 0, 0);
    for length in [0, 777, 4096, 65_536] {
        fs::write(&path, vec![0; length]).unwrap();
        let error = refused(folder.path(), &three());
        assert!(
            matches!(&error, StoreError::Damage { file, offset: 0, .. } if *file == path),
            "{error}"
        );
    }
}

#[test]
fn a_torn_tail_is_not_cut_while_another_shard_is_damaged() {
    for (torn, damaged) in [(0, 2), (2, 0)] {
        let folder = store(&[torn, damaged]);
        // Each shard's two commits take a block each, behind the header.
        overwrite(&segment(folder.path(), torn, 0), 2 * 4096 + 70, b"torn");
        overwrite(&segment(folder.path(), damaged, 0), 4096 + 70, b"damage");
        let error = refused(folder.path(), &three());
        let path = segment(folder.path(), damaged, 0);
        assert!(matches!(&error, StoreError::Damage { file, .. } if *file == path), "{error}");
    }
}
