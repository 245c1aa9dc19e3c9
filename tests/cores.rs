//! A server of several cores: a request reaches its concept's core wherever it arrives.

use crate::support::Server;
use rkyv::rancor::Error;
use rustix::process::Signal;
use sutra_testing::raw::Raw;
use sutra_wire::{
    AssociationRecord, Checked, ConceptId, ConceptKey, ConceptRecord, CoreLayout, Header,
    Neighbors, NeighborsRequest, Opcode, Stats, Status,
};

const CORES: u16 = 4;

fn header(opcode: Opcode) -> Header {
    Header { opcode: opcode as u8, request: 1, ..Header::default() }
}

fn id(number: usize) -> ConceptId {
    ConceptId::from_name(&format!("concept-{number}")).unwrap()
}

#[test]
fn one_connection_reaches_the_concepts_of_all_cores_and_its_sequences_rise() {
    let server = Server::start(&["--cores", &CORES.to_string()]);
    let mut raw = Raw::open_on(server.address, 2);
    let mut owners = std::collections::HashSet::new();
    let mut last = 0;
    for number in 0..100 {
        owners.insert(CoreLayout::new(CORES).owner(&id(number)));
        let record = ConceptRecord {
            id: id(number).0,
            content: format!("content {number}"),
            confidence: 1.0,
            ..ConceptRecord::default()
        };
        let reply = raw.ask(header(Opcode::Learn), &rkyv::to_bytes::<Error>(&record).unwrap());
        assert_eq!(reply.status(), Status::Ok);
        assert!(reply.header.extra > last, "{} after {last}", reply.header.extra);
        last = reply.header.extra;
        let association = AssociationRecord {
            source: id(number).0,
            target: id(number + 1).0,
            confidence: 1.0,
            ..AssociationRecord::default()
        };
        let reply =
            raw.ask(header(Opcode::Associate), &rkyv::to_bytes::<Error>(&association).unwrap());
        assert!(reply.status() == Status::Ok && reply.header.extra > last);
        last = reply.header.extra;
    }
    assert_eq!(owners.len(), usize::from(CORES), "all cores own some of them");

    for core in 0..CORES {
        let mut raw = Raw::open_on(server.address, core);
        for number in 1..100 {
            let key = ConceptKey { id: id(number).0, namespace: String::new() };
            let reply = raw.ask(header(Opcode::Query), &rkyv::to_bytes::<Error>(&key).unwrap());
            let record = Checked::<ConceptRecord>::new(&reply.payload).unwrap();
            assert_eq!(record.content.as_str(), format!("content {number}"));
            let request = NeighborsRequest { id: id(number).0, ..NeighborsRequest::default() };
            let reply =
                raw.ask(header(Opcode::Neighbors), &rkyv::to_bytes::<Error>(&request).unwrap());
            assert_eq!(
                Checked::<Neighbors>::new(&reply.payload).unwrap().neighbors.len(),
                2,
                "one from each side"
            );
        }
        let nobody = ConceptKey { id: [9; 16], namespace: String::new() };
        let reply = raw.ask(header(Opcode::Query), &rkyv::to_bytes::<Error>(&nobody).unwrap());
        assert_eq!((reply.status(), reply.payload.len()), (Status::NotFound, 0));
    }
}

#[test]
fn the_counts_of_all_cores_are_added_up() {
    let server = Server::start(&["--cores", &CORES.to_string()]);
    let client = server.client();
    let names: Vec<String> = (0..200).map(|number| format!("concept-{number}")).collect();
    let concepts =
        names.iter().map(|name| sutra_client::Concept::new(name).content("x").embedding(vec![1.0]));
    assert!(client.learn_many(concepts).all(|answer| answer.is_ok()));
    let mut raw = Raw::open_on(server.address, 3);
    let reply = raw.ask(header(Opcode::Stats), &[]);
    let stats = Checked::<Stats>::new(&reply.payload).unwrap();
    assert_eq!(
        (stats.concepts.to_native(), stats.vectors.to_native(), stats.written.to_native()),
        (200, 200, 200)
    );
    assert_eq!((stats.cores.to_native(), stats.pending.to_native()), (u32::from(CORES), 0));
}

#[test]
fn what_every_durability_acknowledges_is_there_after_a_flush_and_a_kill() {
    for durability in ["always", "interval=5", "os"] {
        let server = Server::start(&["--cores", "3", "--durability", durability]);
        let client = server.client();
        let names: Vec<String> = (0..300).map(|number| format!("concept-{number}")).collect();
        assert!(
            client
                .learn_many(names.iter().map(|name| sutra_client::Concept::new(name).content("x")))
                .all(|answer| answer.is_ok())
        );
        client.flush().unwrap();
        assert_eq!(client.stats().unwrap().durability.as_str(), durability);
        let client = server.kill().start().client_and_server();
        assert_eq!(client.0.stats().unwrap().concepts.to_native(), 300, "{durability}");
    }
}

/// Cores that are held up in the middle of waking each other, as on a host with too few CPUs or
/// under a hypervisor that takes them away. What goes wrong then goes wrong seldom: `--ignored`
/// goes on for longer.
fn stand_still_and_go_on(rounds: usize) {
    let server = Server::start(&["--cores", "8", "--no-pin", "--durability", "os"]);
    for round in 0..rounds {
        server.signal(Signal::STOP);
        server.signal(Signal::CONT);
        // Each connects anew, through every core's listener.
        let load =
            ["bench", "health", "--connections", "64", "--warmup", "50ms", "--duration", "100ms"];
        let output = server.run(&load);
        assert!(
            output.status.success(),
            "round {round}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn more_cores_than_cpus_answer_every_connection_after_every_standstill() {
    stand_still_and_go_on(10);
}

#[test]
#[ignore = "takes ten minutes"]
fn more_cores_than_cpus_answer_every_connection_after_thousands_of_standstills() {
    stand_still_and_go_on(2_500);
}
