//! An index by itself: what it holds, finds and reads back.
#![allow(clippy::unwrap_used)]
use super::*;

fn copy(numbers: &[f32]) -> Vec<i8> {
    let stored: Vec<_> = numbers.iter().map(|number| f32_le::from_native(*number)).collect();
    let mut copy = Vec::new();
    assert!(copy_of(&stored, &mut copy));
    copy
}

fn circle(number: u32) -> Vec<i8> {
    let angle = number as f32 / 100.0;
    copy(&[angle.cos(), angle.sin()])
}

fn member(ordinal: u32) -> Member {
    Member { id: [1; 16], crc: 7, ordinal }
}

fn of_circle(count: u32) -> Coarse {
    let mut coarse = Coarse::new(2).unwrap();
    for ordinal in 0..count {
        assert_eq!(coarse.insert(member(ordinal), &circle(ordinal)).unwrap(), ordinal);
    }
    coarse
}

fn read(coarse: &Coarse, members: Vec<Member>, bytes: &[u8]) -> Result<Coarse, StoreError> {
    Coarse::deserialize(2, members, coarse.joined.clone(), coarse.checks.clone(), bytes)
}

#[test]
fn a_copys_distance_is_nearly_its_vectors() {
    for (a, b, cosine) in [
        ([3.0, 0.0], [0.0, 1e30], 0.0),
        ([1e-45, 0.0], [-5.0, 0.0], -1.0),
        ([2.0, 2.0], [1.0, 1.0], 1.0),
    ] {
        assert!((distance(&copy(&a), &copy(&b)) - (1.0 - cosine)).abs() < 0.01, "{a:?} {b:?}");
    }
}

#[test]
fn the_nearest_that_are_wanted_are_found_also_after_serializing() {
    let coarse = of_circle(300);
    let read = read(&coarse, coarse.members().to_vec(), &coarse.serialize().unwrap()).unwrap();
    for coarse in [coarse, read] {
        let found =
            coarse.search_among(&circle(100), 5, 1000, |ordinal| ordinal % 10 == 3).unwrap();
        let mut found: Vec<_> = found.hits.iter().map(|hit| hit.head).collect();
        found.sort_unstable();
        assert_eq!(found, [83, 93, 103, 113, 123]);
        assert!(coarse.memory() > 300 * 8);
    }
}

#[test]
fn a_search_that_finds_nothing_wanted_gives_up() {
    let coarse = of_circle(300);
    assert!(coarse.search_among(&circle(5), 5, 100, |_| false).unwrap().gave_up);
    assert!(!coarse.search_among(&circle(5), 5, 300, |_| false).unwrap().gave_up);
}

#[test]
fn vectors_whose_copies_are_equal_share_an_entry_and_all_entries_are_found() {
    let mut coarse = of_circle(300);
    for ordinal in 300..1300 {
        // A power of two, so that no product is rounded.
        let size = 2.0_f32.powi((ordinal / 300) as i32);
        let angle = (ordinal % 300) as f32 / 100.0;
        let head = coarse
            .insert(member(ordinal), &copy(&[angle.cos() * size, angle.sin() * size]))
            .unwrap();
        assert_eq!(head, ordinal % 300);
    }
    assert_eq!(
        (coarse.entries(), coarse.joined().len(), coarse.members().len()),
        (300, 1000, 1300)
    );
    assert_eq!(coarse.checks().unchecked(300), 300);
    let mut looked_at = 0;
    coarse
        .check(|| {
            looked_at += 1;
            looked_at == 100
        })
        .unwrap();
    assert_eq!(coarse.checks().unchecked(300), 200, "it stops when it is told to");
    assert_eq!(coarse.check(|| false).unwrap(), 300);
    assert_eq!((coarse.checks().unchecked(300), coarse.checks().strays()), (0, &[][..]));
    let read = read(&coarse, coarse.members().to_vec(), &coarse.serialize().unwrap()).unwrap();
    assert_eq!((read.joined(), read.checks()), (coarse.joined(), coarse.checks()));
}

#[test]
fn an_index_that_is_not_what_its_header_says_is_an_error() {
    let coarse = of_circle(300);
    let (members, bytes) = (coarse.members().to_vec(), coarse.serialize().unwrap());
    assert!(
        Coarse::deserialize(3, members.clone(), Vec::new(), Checks::default(), &bytes).is_err()
    );
    assert!(read(&coarse, members[1..].to_vec(), &bytes).is_err());
    let mut other = members.clone();
    other[0].ordinal = 300;
    assert!(read(&coarse, other.clone(), &bytes).is_err());
    for (ordinal, head) in [(300, 301), (0, 1), (301, 0)] {
        let joined = vec![Joined { ordinal, head }];
        assert!(Coarse::deserialize(2, other.clone(), joined, Checks::default(), &bytes).is_err());
    }
    let strays = Checks::restored(Vec::new(), vec![301]);
    assert!(Coarse::deserialize(2, members.clone(), Vec::new(), strays, &bytes).is_err());
    assert!(read(&coarse, members, &[]).is_err());
}
