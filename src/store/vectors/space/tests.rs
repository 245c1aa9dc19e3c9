//! A space's bookkeeping, without an index job.
#![allow(clippy::unwrap_used)]
use std::collections::HashSet;

use super::*;
use crate::StoreError;
use crate::vectors::coarse::Member;
use crate::vectors::cosine::Length;

fn ordinary(node: u32) -> Vector {
    Vector { node, length: Length::of(&[rkyv::rend::f32_le::from_native(1.0)]) }
}

fn copy() -> Vec<i8> {
    let mut copy = vec![127];
    copy.extend((1.0f32 / 127.0).to_le_bytes().map(u8::cast_signed));
    copy
}

/// An index of the even ordinals up to 20, all behind the first.
fn index() -> Coarse {
    let mut coarse = Coarse::new(1).unwrap();
    for ordinal in (0..20).step_by(2) {
        coarse.insert(Member { id: [1; 16], crc: 0, ordinal }, &copy()).unwrap();
    }
    coarse
}

#[test]
fn what_a_checkpoint_held_is_indexed_where_it_lives_and_its_ordinals_are_not_given_again() {
    let mut space = Space::new(1, 1);
    assert!(space.take_in(index()));
    assert!(space.revive(4, 0, ordinary(100)) && space.revive(6, 0, ordinary(101)));
    assert!(!space.revive(4, 0, ordinary(102)), "it has a vector");
    space.kill(6);
    let given: Vec<_> = (0..12).map(|node| space.add(ordinary(node))).collect();
    assert!(given.iter().all(|ordinal| ordinal % 2 == 1 || *ordinal > 18), "{given:?}");
    assert_eq!((space.indexed_count(), space.tail().len(), space.live()), (1, 12, 13));
    assert!(space.vector(4).is_some() && space.vector(6).is_none());
}

#[test]
fn vectors_that_share_an_entry_come_and_go_and_the_entry_goes_with_the_last() {
    let mut space = Space::new(1, 1);
    assert!(space.take_in(index()));
    let behind = |space: &Space| {
        let mut behind: Vec<_> = space.behind(0).collect();
        behind.sort_unstable();
        assert_eq!(space.count_behind(0), behind.len());
        behind
    };
    assert!(behind(&space).is_empty());
    // The head comes after others, and goes before them.
    for ordinal in [4, 6, 0, 8] {
        assert!(space.revive(ordinal, 0, ordinary(ordinal)));
    }
    assert_eq!(behind(&space), [0, 4, 6, 8]);
    space.kill(0);
    space.kill(6);
    assert_eq!(behind(&space), [4, 8]);
    space.kill(8);
    space.kill(4);
    assert_eq!((behind(&space), space.indexed_count()), (vec![], 0));
    assert!(space.revive(0, 0, ordinary(1)) && space.revive(2, 0, ordinary(2)));
    assert_eq!(behind(&space), [0, 2]);
}

#[test]
fn ordinals_that_make_no_sense_are_refused() {
    let mut coarse = Coarse::new(1).unwrap();
    coarse.insert(Member { id: [1; 16], crc: 0, ordinal: u32::MAX }, &copy()).unwrap();
    assert!(!Space::new(1, 1).take_in(coarse));
}

#[test]
fn when_the_index_fails_everything_that_lives_is_scanned_and_everything_dead_is_free() {
    let mut space = Space::new(1, 1);
    assert!(space.take_in(index()));
    for ordinal in [0, 2, 4, 6] {
        assert!(space.revive(ordinal, 0, ordinary(ordinal)));
    }
    space.kill(2);
    let new = space.add(ordinary(50));
    space.add(Vector { node: 51, length: Length::ZERO });
    space.failed(&StoreError::Index { what: "test".into() }, 0);
    let mut tail = space.tail().to_vec();
    tail.sort_unstable();
    let mut expected = vec![0, 4, 6, new];
    expected.sort_unstable();
    assert_eq!((tail, space.zeros().len(), space.indexed_count()), (expected, 1, 0));
    assert!(space.slot().is_empty() && !space.has_dead());
    let before = space.ordinals();
    let given: HashSet<_> = (0..14).map(|node| space.add(ordinary(node))).collect();
    assert_eq!(given.len(), 14);
    assert_eq!(space.ordinals(), before, "free ordinals are given again");
}
