//! Tests of recovery on logs that pass every checksum and hold anything: no bytes of a file make it
//! panic.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use sutra_wire::{ConceptRecord, Durability};
use tempfile::TempDir;

use crate::format::{
    COMMIT_ENTRY, CommitBody, ENTRY_HEADER, EntryHeader, KIND_ASSOCIATION, KIND_COMMIT,
    KIND_CONCEPT, KIND_REMOVAL, KIND_TOMBSTONE, SEGMENT_HEADER, SegmentHeader, entry_bytes,
};
use crate::{OpenOptions, Opened, Store, StoreError};

fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn open(folder: &Path) -> Result<Opened<()>, StoreError> {
    let options = OpenOptions {
        cores: 1,
        durability: Durability::Always,
        segment_bytes: 64 << 10,
        id_rule: None,
        listening: String::new(),
    };
    Store::open(folder, options)
}

/// An entry to be forged: its kind, its body, and what is wrong with its header.
#[derive(Clone, Debug)]
struct Forged {
    kind: u8,
    body: Vec<u8>,
    sequence: u64,
}

/// Writes a commit of these entries, with checksums that hold, into a new store's first segment.
fn forge(folder: &Path, entries: &[Forged], body: impl FnOnce(CommitBody) -> CommitBody) {
    drop(open(folder).unwrap());
    let path = folder.join("shard-000/segment-00000000.log");
    let mut file = fs::read(&path).unwrap();
    let header = SegmentHeader::decode(&file).unwrap();
    let mut bytes = vec![0; COMMIT_ENTRY];
    let plain = EntryHeader { length: 0, kind: 0, owner: 0, commit: 1, sequence: 0, time: 0 };
    for forged in entries {
        let mut entry = vec![0; entry_bytes(forged.body.len())];
        entry[ENTRY_HEADER..][..forged.body.len()].copy_from_slice(&forged.body);
        let length = forged.body.len() as u32;
        EntryHeader { length, kind: forged.kind, sequence: forged.sequence, ..plain }
            .write(header.seed(), &mut entry);
        bytes.extend(entry);
    }
    let commit = body(CommitBody {
        bytes: bytes.len() as u32,
        entries: entries.len() as u32,
        number: 1,
        durable: 0,
        previous: 0,
    });
    bytes[ENTRY_HEADER..COMMIT_ENTRY].copy_from_slice(&commit.encode());
    EntryHeader { length: 32, kind: KIND_COMMIT, commit: commit.number as u32, ..plain }
        .write(header.seed(), &mut bytes[..COMMIT_ENTRY]);
    let start = header.first_commit();
    file[start..start + bytes.len()].copy_from_slice(&bytes);
    fs::write(&path, file).unwrap();
}

/// Whatever is in the folder, it is told what is damaged, and what is salvaged is a store.
fn salvage(folder: &Path) {
    let place = self::folder();
    let new = place.path().join("new");
    crate::verify(folder, &mut |_| true).unwrap();
    crate::repair(folder, &new, &mut |_| true).unwrap();
    assert_eq!(crate::verify(&new, &mut |_| true).unwrap().findings, []);
    open(&new).unwrap();
}

fn record() -> Vec<u8> {
    let record = ConceptRecord {
        id: [1; 16],
        content: "content".into(),
        embedding: vec![1.0; 4],
        ..ConceptRecord::default()
    };
    rkyv::to_bytes::<rkyv::rancor::Error>(&record).unwrap().to_vec()
}

#[test]
fn a_forged_commit_that_is_right_is_taken() {
    let folder = folder();
    forge(folder.path(), &[Forged { kind: KIND_CONCEPT, body: record(), sequence: 1 }], |body| {
        body
    });
    assert_eq!(open(folder.path()).unwrap().shards[0].stats().concepts, 1);
}

#[test]
fn an_entry_of_an_unknown_kind_is_of_another_version() {
    for kind in [0, 6, 255] {
        let folder = folder();
        forge(folder.path(), &[Forged { kind, body: record(), sequence: 1 }], |body| body);
        assert!(matches!(open(folder.path()), Err(StoreError::Version { .. })), "kind {kind}");
    }
}

#[test]
fn a_record_that_is_not_valid_is_damage_even_in_the_last_commit() {
    let folder = folder();
    let mut body = record();
    body.truncate(body.len() - 16);
    forge(folder.path(), &[Forged { kind: KIND_CONCEPT, body, sequence: 1 }], |body| body);
    let error = open(folder.path()).err().unwrap();
    let StoreError::Damage { offset, .. } = error else { panic!("{error}") };
    assert_eq!(offset as usize, SEGMENT_HEADER + COMMIT_ENTRY + ENTRY_HEADER);
}

#[test]
fn a_sequence_that_leaves_no_room_is_damage() {
    let folder = folder();
    forge(
        folder.path(),
        &[Forged { kind: KIND_CONCEPT, body: record(), sequence: u64::MAX }],
        |body| body,
    );
    assert!(matches!(open(folder.path()), Err(StoreError::Damage { .. })));
}

fn any_entry() -> impl Strategy<Value = Forged> {
    let noise = proptest::collection::vec(any::<u8>(), 0..300);
    let changed = (proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4))
        .prop_map(|changes| {
            let mut body = record();
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            body
        });
    let kinds = prop_oneof![
        Just(KIND_CONCEPT),
        Just(KIND_ASSOCIATION),
        Just(KIND_TOMBSTONE),
        Just(KIND_REMOVAL),
        Just(KIND_COMMIT),
        any::<u8>()
    ];
    (kinds, prop_oneof![noise, changed], prop_oneof![1..4u64, any::<u64>()])
        .prop_map(|(kind, body, sequence)| Forged { kind, body, sequence })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_forged_commit_makes_recovery_panic(
        entries in proptest::collection::vec(any_entry(), 0..4),
        fields in proptest::option::of(
            (any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>(), any::<u32>())
        ),
    ) {
        let folder = folder();
        forge(folder.path(), &entries, |body| match fields {
            Some((bytes, entries, number, durable, previous)) => {
                CommitBody { bytes, entries, number, durable, previous }
            }
            None => body,
        });
        salvage(folder.path());
        // Either is fine; a panic of a recovering thread would be passed on.
        let _ = open(folder.path());
    }

    #[test]
    fn no_bytes_in_place_of_a_segment_make_recovery_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..9000),
        keep in prop_oneof![Just(0), Just(SEGMENT_HEADER), Just(SEGMENT_HEADER + 100)],
    ) {
        let folder = folder();
        let entry = Forged { kind: KIND_CONCEPT, body: record(), sequence: 1 };
        forge(folder.path(), &[entry], |body| body);
        let path = folder.path().join("shard-000/segment-00000000.log");
        let mut file = fs::read(&path).unwrap();
        file.truncate(keep);
        file.extend(bytes);
        fs::write(&path, file).unwrap();
        salvage(folder.path());
        let _ = open(folder.path());
    }
}
