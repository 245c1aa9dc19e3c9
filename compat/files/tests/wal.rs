//! The old server's log: what it names that the snapshot does not have.

use serde::Serialize;
use sutra_compat_files::{LostWrites, Snapshot, lost_writes};

use crate::support::{SAMPLE, id};

/// The log beside the same snapshot, after a kill.
const LOG: &[u8] = include_bytes!("../../../tests/data/old-server/after-kill9/wal.log");

fn lost(log: &[u8]) -> LostWrites {
    lost_writes(log, &Snapshot::open(SAMPLE).unwrap()).unwrap()
}

fn one_each() -> LostWrites {
    LostWrites {
        concepts: 1,
        associations: 1,
        examples: vec![id("658cacac20411b0899089ed6521e17c8")],
        unreadable: 0,
    }
}

#[test]
fn a_log_names_what_was_acknowledged_after_the_snapshot() {
    assert_eq!(lost(LOG), one_each());
    assert!(lost(b"").is_empty());
}

#[test]
fn a_write_that_the_snapshot_has_is_not_lost() {
    let text = std::str::from_utf8(LOG).unwrap();
    let earlier = text.replace("\"timestamp\":1795424135", "\"timestamp\":1795424133");
    assert_eq!(
        lost(earlier.as_bytes()),
        LostWrites { associations: 0, ..one_each() },
        "the concept is in no snapshot, whenever it was written"
    );
    let known = earlier.replace(
        "[101,140,172,172,32,65,27,8,153,8,158,214,82,30,23,200],\"content_len\"",
        "[44,23,67,163,145,48,95,191,54,125,248,228,240,105,249,249],\"content_len\"",
    );
    assert!(lost(known.as_bytes()).is_empty());
}

#[test]
fn entries_that_can_not_be_read_are_counted_and_the_others_are_read() {
    let long = [&b"{"[..], &[b' '; 200_000], b"\n"].concat();
    for bad in [&b"{\"sequence\":3,\"timest"[..], b"nonsense\n", &long] {
        let log = [LOG, bad].concat();
        assert_eq!(lost(&log), LostWrites { unreadable: 1, ..one_each() });
    }
    let before = [&b"{}\n\n"[..], LOG].concat();
    assert_eq!(lost(&before), LostWrites { unreadable: 1, ..one_each() });
}

#[derive(Serialize)]
struct Entry {
    sequence: u64,
    timestamp: u64,
    operation: Operation,
    transaction_id: Option<u64>,
}

#[derive(Serialize)]
enum Operation {
    WriteConcept {
        concept_id: [u8; 16],
        content_len: u32,
        vector_len: u32,
        created: u64,
        modified: u64,
    },
}

#[test]
fn the_later_form_with_lengths_is_read_as_well() {
    let (concept_id, at) = ([7; 16], u64::MAX);
    let operation = Operation::WriteConcept {
        concept_id,
        content_len: 3,
        vector_len: 0,
        created: at,
        modified: at,
    };
    let entry = Entry { sequence: 1, timestamp: at, operation, transaction_id: None };
    let bytes = rmp_serde::to_vec(&entry).unwrap();
    let framed = [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat();
    let expected = LostWrites { concepts: 1, examples: vec![concept_id], ..LostWrites::default() };
    assert_eq!(lost(&framed), expected);
    for torn in [&framed[..1], &framed[..20], &[0xff; 12][..]] {
        let log = [&framed, torn].concat();
        assert_eq!(lost(&log), LostWrites { unreadable: 1, ..expected.clone() });
    }
}
