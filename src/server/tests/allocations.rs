//! In steady state the server allocates nothing for a query hit, a learn or an association: a
//! counting allocator around a real server in this process, driven over a real socket.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::time::Instant;

use rkyv::rancor::Error;
use sutra_server::Limits;
use sutra_testing::allocations::{Counting, exempt_this_thread, times_on_all_threads};
use sutra_testing::raw::{Raw, frame};
use sutra_wire::{AssociationRecord, ConceptKey, ConceptRecord, FrameBuffer, Header, Opcode};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: u64 = 10;
const CONCEPTS: u8 = 50;

fn record(number: u8) -> ConceptRecord {
    ConceptRecord {
        id: [number + 1; 16],
        content: "content of two hundred bytes ".repeat(7),
        embedding: vec![0.5; 64],
        strength: 1.0,
        confidence: 1.0,
        ..ConceptRecord::default()
    }
}

fn request(opcode: Opcode, archive: &[u8]) -> FrameBuffer {
    frame(Header { opcode: opcode as u8, request: 1, ..Header::default() }, archive)
}

#[test]
fn requests_in_steady_state_allocate_nothing_on_the_server() {
    exempt_this_thread();
    let (server, _folder) = support::start(Limits::default());
    let mut client = Raw::open(server.listening()[0]);

    let learns: Vec<_> = (0..CONCEPTS)
        .map(|number| request(Opcode::Learn, &rkyv::to_bytes::<Error>(&record(number)).unwrap()))
        .collect();
    let queries: Vec<_> = (0..CONCEPTS)
        .map(|number| ConceptKey { id: record(number).id, namespace: String::new() })
        .map(|key| request(Opcode::Query, &rkyv::to_bytes::<Error>(&key).unwrap()))
        .collect();
    let associations: Vec<_> = (0..CONCEPTS)
        .map(|number| AssociationRecord {
            source: record(number).id,
            target: record((number + 1) % CONCEPTS).id,
            confidence: 1.0,
            ..AssociationRecord::default()
        })
        .map(|association| {
            request(Opcode::Associate, &rkyv::to_bytes::<Error>(&association).unwrap())
        })
        .collect();

    assert!(times_on_all_threads() > 0, "the count counts");
    for (name, frames) in [("learn", learns), ("query", queries), ("associate", associations)] {
        let mut round = || {
            for frame in &frames {
                client.send(frame);
                assert!(client.reply().is_ok());
            }
        };
        // Tables, pools and queues take their size.
        (0..10).for_each(|_| round());
        let mut allocated = Vec::new();
        let began = Instant::now();
        for _ in 0..ROUNDS {
            let before = times_on_all_threads();
            round();
            allocated.push(times_on_all_threads() - before);
        }
        // Every 4 MiB of log (a thousand commits of one record) the background thread makes new
        // space ready, which takes some allocations: its beginning, its work and its end may fall
        // into three of these rounds.
        // And twice a second the data folder is looked at, which takes some: in a round more on a
        // machine that is slow just now.
        let disturbed = allocated.iter().filter(|count| **count > 0).count();
        // One more than whole half seconds: any stretch of time may have one in it.
        let looks = 1 + began.elapsed().as_millis() as usize / 500;
        let allowed = if name == "query" { looks } else { looks + 3 };
        assert!(
            disturbed <= allowed,
            "{name}: rounds of {CONCEPTS} requests allocated {allocated:?} times"
        );
    }
    support::stop(server);
}
