//! A list of ids that takes several native replies is one legacy reply.

use crate::support::{archive, json_of, msgpack, unprefixed};
use serde_json::json;
use sutra_compat::{CompatError, Decoded, Dialect, Listing, decode, encode_reply};
use sutra_wire::{
    Checked, ConceptId, Concepts, ConceptsRequest, FrameBuffer, Neighbor, Neighbors,
    NeighborsRequest, Status, limits,
};

fn part(ids: std::ops::Range<u32>, cursor: u64) -> FrameBuffer {
    let neighbors = ids
        .map(|id| Neighbor { id: u128::from(id + 1).to_be_bytes(), ..Neighbor::default() })
        .collect();
    archive(&Neighbors { neighbors, cursor })
}

#[test]
fn parts_are_asked_for_one_after_the_other_and_answered_as_one() {
    let mut request = FrameBuffer::new();
    let message =
        msgpack(&json!({"GetNeighbors": {"concept_id": "a", "namespace": "one of its own"}}));
    let Ok(Decoded::Request { manner, .. }) = decode(&message, Dialect::default(), &mut request)
    else {
        panic!()
    };
    let mut out = b"earlier".to_vec();
    let first = part(0..40_000, 77);
    assert_eq!(encode_reply(manner, Status::Ok, 0, &first, &mut out), Err(CompatError::Partial));
    assert_eq!(out, b"earlier");

    let asked = Checked::<NeighborsRequest>::new(&request).unwrap().to_owned();
    let mut listing = Listing::new(manner, request);
    assert_eq!(listing.take(&first), Ok(true));
    for cursor in [78, 79] {
        let next = Checked::<NeighborsRequest>::new(listing.request()).unwrap().to_owned();
        assert_eq!(next, NeighborsRequest { cursor: cursor - 1, ..asked.clone() });
        assert_eq!(listing.take(&part(30_000..70_000, cursor)), Ok(true), "some of them again");
    }
    assert_eq!(listing.take(&part(70_000..70_001, 0)), Ok(false));
    listing.finish(&mut out).unwrap();

    let ids: Vec<_> =
        (0..70_001_u32).map(|id| ConceptId(u128::from(id + 1).to_be_bytes()).to_string()).collect();
    assert_eq!(json_of(&unprefixed(&out[7..])), json!({"GetNeighborsOk": {"neighbor_ids": ids}}));
}

#[test]
fn all_ids_of_a_namespace_are_gathered_the_same_way() {
    let mut request = FrameBuffer::new();
    let message = msgpack(&json!({"GetAllConceptIds": {"namespace": "one of its own"}}));
    let Ok(Decoded::Request { manner, .. }) = decode(&message, Dialect::default(), &mut request)
    else {
        panic!()
    };
    let part = |ids: std::ops::Range<u32>, cursor| {
        archive(&Concepts { ids: ids.map(|id| u128::from(id + 1).to_be_bytes()).collect(), cursor })
    };
    let mut out = Vec::new();
    let first = part(0..3, 77);
    assert_eq!(encode_reply(manner, Status::Ok, 0, &first, &mut out), Err(CompatError::Partial));
    assert!(out.is_empty());

    let mut listing = Listing::new(manner, request);
    assert_eq!(listing.take(&first), Ok(true));
    let next = Checked::<ConceptsRequest>::new(listing.request()).unwrap().to_owned();
    assert_eq!(next, ConceptsRequest { namespace: "one of its own".into(), limit: 0, cursor: 77 });
    assert_eq!(listing.take(&part(0..0, 78)), Ok(true), "a page may be empty");
    assert_eq!(listing.take(&part(3..5, 0)), Ok(false));
    listing.finish(&mut out).unwrap();
    let ids: Vec<_> =
        (0..5_u32).map(|id| ConceptId(u128::from(id + 1).to_be_bytes()).to_string()).collect();
    assert_eq!(json_of(&unprefixed(&out)), json!({"GetAllConceptIdsOk": {"concept_ids": ids}}));
}

/// Pages of as many ids as the server gives at a time, counted on from 0.
fn pages() -> impl Iterator<Item = FrameBuffer> {
    (0..).map(|page| part(page * limits::MAX_NEIGHBORS..(page + 1) * limits::MAX_NEIGHBORS, 1))
}

fn neighbors_of_a() -> Listing {
    let mut request = FrameBuffer::new();
    let message = msgpack(&json!({"GetNeighbors": ["a"]}));
    let Ok(Decoded::Request { manner, .. }) = decode(&message, Dialect::default(), &mut request)
    else {
        panic!()
    };
    Listing::new(manner, request)
}

#[test]
fn a_list_that_fits_into_no_message_is_refused_and_holds_no_more_than_twice_of_one() {
    let mut listing = neighbors_of_a();
    let taken = pages().map_while(|page| listing.take(&page).ok()).count();
    assert_eq!(taken, 240, "twice as many as a message of 16 MiB has room for");
    let mut listing = neighbors_of_a();
    pages().take(121).for_each(|page| assert_eq!(listing.take(&page), Ok(true)));
    let mut out = b"earlier".to_vec();
    assert!(matches!(listing.finish(&mut out), Err(CompatError::ReplyTooLong { .. })));
    assert_eq!(out, b"earlier");
    assert!(matches!(neighbors_of_a().take(b"no archive"), Err(CompatError::Reply(_))));
}

#[test]
fn a_neighbour_takes_the_room_of_one_however_many_associations_lead_to_it() {
    let mut listing = neighbors_of_a();
    // Far more associations than a message has room for ids.
    let pages: Vec<_> = pages().take(3).collect();
    for page in pages.iter().cycle().take(500) {
        assert_eq!(listing.take(page), Ok(true));
    }
    assert_eq!(listing.take(&part(0..1, 0)), Ok(false));
    let mut out = Vec::new();
    listing.finish(&mut out).unwrap();
    let reply = json_of(&unprefixed(&out));
    let ids = reply["GetNeighborsOk"]["neighbor_ids"].as_array().unwrap();
    assert_eq!(ids.len(), 3 * limits::MAX_NEIGHBORS as usize);
    assert!(ids.is_sorted_by(|one, next| one.as_str() < next.as_str()), "each once");
}
