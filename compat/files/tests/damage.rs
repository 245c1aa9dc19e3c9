//! Damage of every kind: refused with its place, or harmless; and bytes of any kind.

use std::cell::RefCell;
use std::io;

use proptest::prelude::*;
use sutra_compat_files::{Damage, ReadAt, ReadError, Section, Snapshot};

use crate::support::{SAMPLE, hold, id};

fn damage(bytes: &[u8]) -> Damage {
    match Snapshot::open(bytes).err().expect("it is damaged") {
        ReadError::Damaged(damage) => damage,
        ReadError::Io(error) => panic!("{error}"),
    }
}

/// The sample with these bytes at this place.
fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut changed = SAMPLE.to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    changed
}

#[test]
fn damage_is_told_with_its_place() {
    let cut = |length: usize| damage(&SAMPLE[..length]);
    let inside = |length, inside, number, count| Damage::CutShort { length, inside, number, count };
    for (found, expected, words) in [
        (damage(b""), Damage::NotASnapshot, "at byte 0"),
        (cut(63), Damage::NotASnapshot, "SUTRADAT"),
        (damage(&with(0, b"X")), Damage::NotASnapshot, "SUTRADAT"),
        (damage(&with(8, &[3])), Damage::Version { found: 3 }, "at byte 8: its version is 3"),
        (damage(&with(40, &[7])), Damage::Reserved { at: 40, found: 7 }, "at byte 40"),
        (cut(64), inside(64, Section::Concepts, 1, 8), "ends at byte 64, inside of concept 1 of 8"),
        (cut(300), inside(300, Section::Concepts, 5, 8), "inside of concept 5 of 8"),
        (cut(600), inside(600, Section::Associations, 4, 5), "inside of association 4 of 5"),
        (cut(775), inside(775, Section::Vectors, 3, 3), "inside of vector 3 of 3"),
        (
            damage(&[SAMPLE, b"more"].concat()),
            Damage::TooLong { at: 776, bytes: 4 },
            "at byte 776: 4 more bytes follow",
        ),
        // A length of the first concept's content that leads beyond the file.
        (
            damage(&with(0x53, &[0xff])),
            inside(776, Section::Concepts, 1, 8),
            "ends at byte 776, inside of concept 1 of 8",
        ),
        (
            damage(&with(0x66, &[0xff])),
            Damage::NotUtf8 { at: 0x66, number: 1 },
            "at byte 102: the content of concept 1 is not UTF-8",
        ),
        (
            damage(&with(0x2a0, &id("882a857729a033e1eb4a306481f48a4f"))),
            Damage::Twice {
                at: 0x2c4,
                section: Section::Vectors,
                id: id("882a857729a033e1eb4a306481f48a4f"),
            },
            "at byte 708: a second vector of the id 882a857729a033e1eb4a306481f48a4f",
        ),
        (
            damage(&with(0x72, &id("842283af5df8327202adcf1d0a9c5bbf"))),
            Damage::Twice {
                at: 0x72,
                section: Section::Concepts,
                id: id("842283af5df8327202adcf1d0a9c5bbf"),
            },
            "at byte 114: a second concept of the id 842283af5df8327202adcf1d0a9c5bbf",
        ),
    ] {
        assert_eq!(found, expected);
        assert!(found.to_string().contains(words), "{found}");
    }
}

/// Bytes, and where they were read.
struct Noting<'a>(&'a [u8], RefCell<Vec<u64>>);

impl ReadAt for &Noting<'_> {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        self.1.borrow_mut().push(at);
        self.0.read_at(at, out)
    }
}

#[test]
fn vectors_are_read_in_the_order_of_the_file_so_that_the_same_one_is_refused_each_time() {
    // Each time another order would be as likely.
    for _ in 0..8 {
        let noting = Noting(SAMPLE, RefCell::default());
        let Ok(snapshot) = Snapshot::open(&noting) else { panic!("it is whole") };
        assert_eq!(snapshot.header().vectors, 3);
        let places = noting.1.borrow();
        let vectors = &places[places.len() - 3..];
        assert!(vectors.is_sorted() && vectors[0] > 600, "{places:?}");
    }
}

#[test]
fn every_shorter_file_is_refused() {
    for length in 0..SAMPLE.len() {
        damage(&SAMPLE[..length]);
    }
}

#[test]
fn numbers_that_no_server_takes_become_some_that_are_and_are_counted() {
    for (bits, strength, confidence) in [
        (f32::NAN, 1.0, 1.0),
        (f32::INFINITY, 1.0, 1.0),
        (-3.0, 0.0, 0.0),
        (7.5, 7.5, 1.0),
        (-0.0, 0.0, 0.0),
    ] {
        let bytes = with(0x54, &[bits.to_le_bytes(), bits.to_le_bytes()].concat());
        let snapshot = Snapshot::open(&bytes[..]).unwrap();
        let first = snapshot.concepts().unwrap().next_concept().unwrap().unwrap();
        assert_eq!((first.strength, first.confidence), (strength, confidence), "{bits}");
        let changed = u64::from(bits.is_nan() || bits != strength)
            + u64::from(bits.is_nan() || bits != confidence);
        assert_eq!(snapshot.findings().adjusted, changed, "{bits}");
    }
    let confidence = with(0x20c, &f32::NAN.to_le_bytes());
    let snapshot = Snapshot::open(&confidence[..]).unwrap();
    // The two ends disagree now: an association each way.
    let confidences: Vec<f32> =
        snapshot.associations().iter().map(|association| association.confidence).collect();
    assert_eq!((confidences, snapshot.findings().adjusted), (vec![0.8, 1.0, 0.6, 0.9], 1));
    // A vector with a number that is none, and one of a concept that is not there.
    let snapshot = with(0x2b4, &f32::INFINITY.to_le_bytes());
    assert_eq!(Snapshot::open(&snapshot[..]).unwrap().findings().unusable_vectors, 1);
    let snapshot = with(0x2a0, &[1; 16]);
    assert_eq!(Snapshot::open(&snapshot[..]).unwrap().findings().stray_vectors, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_damage_is_told_or_harmless(
        changes in prop::collection::vec((0..SAMPLE.len(), any::<u8>()), 0..4),
        cut in prop::option::of(0..SAMPLE.len()),
    ) {
        let mut bytes = SAMPLE.to_vec();
        changes.iter().for_each(|(at, byte)| bytes[*at] = *byte);
        hold::judge(&bytes[..cut.unwrap_or(bytes.len())]);
    }

    #[test]
    fn any_bytes_behind_a_header_are_told_or_read(
        counts in [0u32..4, 0u32..4, 0u32..4],
        rest in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..300),
    ) {
        let mut bytes = SAMPLE[..64].to_vec();
        for (at, count) in [12, 16, 20].into_iter().zip(counts) {
            bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
        }
        hold::judge(&[bytes, rest].concat());
    }
}
