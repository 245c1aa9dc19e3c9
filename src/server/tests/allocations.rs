//! In steady state the server allocates nothing for a query hit, a learn or an association: a counting allocator around a real
//! server in this process, driven over a real socket.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

use rkyv::rancor::Error;
use sutra_server::{Cores, ServerConfig};
use sutra_wire::{
    AssociationRecord, ClientHello, ConceptKey, ConceptRecord, FINGERPRINT, FrameBuffer, HEADER_BYTES, Header, NO_CORE,
    Opcode, SERVER_HELLO_BYTES, Status, VERSION, encode_archive, encode_bytes, padded,
};

/// Counts what every thread but the test's own allocates.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static EXEMPT: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if !EXEMPT.get() {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator with its arguments as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

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
    let mut frame = FrameBuffer::new();
    encode_bytes(&mut frame, Header { opcode: opcode as u8, request: 1, ..Header::default() }, archive);
    frame
}

/// Sends a frame and reads its reply; the reply's status.
fn exchange(stream: &mut TcpStream, frame: &[u8], reply: &mut Vec<u8>) -> Status {
    stream.write_all(frame).unwrap();
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).unwrap();
    let header = Header::decode(&header).unwrap();
    reply.resize(padded(header.length as usize), 0);
    stream.read_exact(reply).unwrap();
    Status::from_number(header.status).unwrap()
}

#[test]
fn requests_in_steady_state_allocate_nothing_on_the_server() {
    EXEMPT.set(true);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = sutra_server::start(ServerConfig {
        data: folder.path().join("data"),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        compat: Vec::new(),
        cores: Cores::Count(1),
        pin: false,
        ..ServerConfig::default()
    })
    .unwrap();
    let mut stream = TcpStream::connect(server.listening()[0]).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut hello = FrameBuffer::new();
    let greeting = ClientHello {
        fingerprint: FINGERPRINT,
        token: [0; 32],
        wanted_core: NO_CORE,
        lowest_version: VERSION,
        highest_version: VERSION,
    };
    encode_archive(&mut hello, Header { opcode: Opcode::Hello as u8, ..Header::default() }, &greeting);
    stream.write_all(&hello).unwrap();
    stream.read_exact(&mut [0; SERVER_HELLO_BYTES]).unwrap();

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
        .map(|association| request(Opcode::Associate, &rkyv::to_bytes::<Error>(&association).unwrap()))
        .collect();

    let mut reply = Vec::new();
    for (name, frames) in [("learn", learns), ("query", queries), ("associate", associations)] {
        let mut round = || {
            for frame in &frames {
                assert_eq!(exchange(&mut stream, frame, &mut reply), Status::Ok);
            }
        };
        // Tables, pools and queues take their size.
        (0..10).for_each(|_| round());
        let mut allocated = Vec::new();
        for _ in 0..ROUNDS {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            round();
            allocated.push(ALLOCATIONS.load(Ordering::Relaxed) - before);
        }
        // Every 4 MiB of log (a thousand commits of one record) the background thread makes new space ready, which takes some allocations: its
        // beginning, its work and its end may fall into three of these rounds.
        let disturbed = allocated.iter().filter(|count| **count > 0).count();
        assert!(disturbed <= 3, "{name}: rounds of {CONCEPTS} requests allocated {allocated:?} times");
    }
    server.shutdown();
    server.wait().unwrap();
}
