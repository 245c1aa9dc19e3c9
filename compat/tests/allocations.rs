//! In steady state, with buffers that are used again, neither a request nor a reply allocates. One
//! test, as the counter is the thread's.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use serde_json::json;
use support::{archive, golden, id, msgpack};
use sutra_compat::{Decoded, Dialect, decode, encode_reply};
use sutra_testing::allocations::{Counting, counted};
use sutra_wire::{
    ConceptRecord, FrameBuffer, Neighbor, Neighbors, Path, Paths, SearchHit, SearchHits, Status,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn neither_requests_nor_replies_allocate_in_steady_state() {
    let embedding: Vec<f32> = (0..384).map(|number| number as f32).collect();
    let mut raw =
        b"\x81\xacLearnConcept\x83\xaaconcept_id\xa1a\xa7content\xa1b\xa9embedding\xc5\x06\0"
            .to_vec();
    raw.extend(embedding.iter().flat_map(|number| number.to_le_bytes()));
    let namespace = "a namespace that is longer than inline";
    let content = "content ".repeat(50);
    let mut messages: Vec<Vec<u8>> = vec![
        raw,
        msgpack(&json!({"LearnConcept": {
            "concept_id": "a longer name", "content": content, "embedding": embedding
        }})),
        msgpack(&json!({
            "type": "LearnConcept", "concept_id": "a", "content": "b", "namespace": namespace
        })),
        msgpack(&json!({"QueryConcept": {"concept_id": "a longer name", "namespace": namespace}})),
        msgpack(&json!({"VectorSearch": {"query_vector": embedding, "k": 10}})),
    ];
    messages.extend(
        golden()
            .into_iter()
            .filter(|golden| golden.title.starts_with("request "))
            .flat_map(|golden| [golden.array, golden.named, golden.bincode]),
    );
    let record = ConceptRecord { id: id("a"), content, embedding, ..ConceptRecord::default() };
    let many: Vec<_> = (0..1000_u16).map(|number| id(&number.to_string())).collect();
    let neighbors = many.iter().map(|id| Neighbor { id: *id, ..Neighbor::default() }).collect();
    let hits = many.iter().map(|id| SearchHit { id: *id, similarity: 0.5 }).collect();
    let path = Path { concepts: many, edges: Vec::new() };
    let replies = [
        ("request QueryConcept", archive(&record)),
        ("request LearnConcept(no embedding)", FrameBuffer::new()),
        ("request LearnAssociation", FrameBuffer::new()),
        ("request GetNeighbors", archive(&Neighbors { neighbors, cursor: 0 })),
        ("request FindPath", archive(&Paths { paths: vec![path] })),
        ("request VectorSearch", archive(&SearchHits { hits })),
    ];
    let manners: Vec<_> = replies
        .iter()
        .flat_map(|(title, payload)| {
            let golden = golden().into_iter().find(|golden| golden.title == *title).unwrap();
            [golden.named, golden.bincode]
                .map(|message| (support::manner(&message, Dialect::default()), payload))
        })
        .collect();

    let (mut request, mut reply) = (FrameBuffer::new(), Vec::new());
    let mut round = || {
        for message in &messages {
            request.clear();
            let decoded = decode(message, Dialect::default(), &mut request);
            assert!(matches!(decoded, Ok(Decoded::Request { .. })), "{decoded:?}");
        }
        for (manner, payload) in &manners {
            reply.clear();
            encode_reply(*manner, Status::Ok, 7, payload, &mut reply).unwrap();
        }
    };
    round();
    let ((), allocated) = counted(|| (0..10).for_each(|_| round()));
    assert_eq!(allocated.times, 0);
    assert!(counted(|| Vec::<u8>::with_capacity(8)).1.times > 0, "the counter counts");
}
