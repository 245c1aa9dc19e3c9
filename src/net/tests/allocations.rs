//! A request in steady state allocates nothing: an allocator that counts, around every way of
//! answering that needs no new memory.
#![allow(clippy::unwrap_used)]

mod support;

use support::{
    Client, ECHO, ELSEWHERE, GATED, HOLD, OPEN, PROBE, RELEASE, STORED, Server, frame, pattern,
    run, urgent,
};
use sutra_net::Limits;
use sutra_testing::allocations::{Counting, on_this_thread};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn requests_in_steady_state_allocate_nothing() {
    let server = Server::with_probe(1, Limits { max_in_flight: 8, ..Limits::default() }, || {
        on_this_thread().times
    });
    let mut clients = [Client::connect(&server), Client::connect(&server)];
    let stored = |len: u32| frame(STORED, 2, &len.to_le_bytes());
    let mixed = run([
        frame(ECHO, 1, &pattern(64)),
        stored(200),
        stored(8_000),
        urgent(HOLD, 3, 60_000_000, b""),
        frame(ELSEWHERE, 4, b""),
        frame(OPEN, 5, &2u32.to_le_bytes()),
        frame(GATED, 6, b""),
        frame(GATED, 7, b""),
        frame(RELEASE, 8, b""),
        frame(ECHO, 9, b""),
        frame(ECHO, 10, b"more than may be in flight"),
    ]);
    let mut rounds = |count: usize| {
        for round in 0..count {
            let client = &mut clients[round % 2];
            // In two pieces, so that half frames are among them.
            let cut = round % mixed.len();
            client.send(&mixed[..cut]);
            client.send(&mixed[cut..]);
            for _ in 0..11 {
                assert!(client.reply().is_ok());
            }
        }
        clients[0].ask(PROBE, 0, b"").header.extra
    };
    let before = rounds(2_000); // pools and queues reach their sizes
    let after = rounds(2_000);
    assert!(before > 0, "the count counts");
    assert_eq!(after - before, 0, "allocations in 22,000 requests");
    server.stop();
}
