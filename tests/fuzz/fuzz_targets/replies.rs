//! Any bytes as every payload that a server sends: a client refuses them, or reads them in full.

#![no_main]

#[path = "../../../src/wire/tests/support/probe.rs"]
mod probe;
#[path = "../../../src/wire/tests/support/sections.rs"]
mod sections;
#[path = "support/seeds.rs"]
mod seeds;
#[path = "../../../src/wire/tests/support/walk.rs"]
mod walk;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use probe::probe;
use sutra_wire::grid::{AgentRegistered, Agents, Cluster, GridEvent, HeartbeatAck, NodeInfo, Nodes};
use sutra_wire::{Concepts, Deleted, ErrorMessage, Health, Neighbors, Paths, SearchHits, ServerHello, Stats};

fuzz_target!(|data: &[u8]| {
    probe::<ServerHello>(data);
    probe::<ErrorMessage>(data);
    probe::<Deleted>(data);
    probe::<Neighbors>(data);
    probe::<Concepts>(data);
    probe::<Paths>(data);
    probe::<SearchHits>(data);
    probe::<Stats>(data);
    probe::<Health>(data);
    probe::<AgentRegistered>(data);
    probe::<HeartbeatAck>(data);
    probe::<NodeInfo>(data);
    probe::<Nodes>(data);
    probe::<Agents>(data);
    probe::<Cluster>(data);
    probe::<GridEvent>(data);
});

const TITLES: [&str; 16] = [
    "ServerHello, ",
    "ErrorMessage, ",
    "Deleted, ",
    "Neighbors, ",
    "Concepts, ",
    "Paths, ",
    "SearchHits, ",
    "Stats, ",
    "Health, ",
    "AgentRegistered, ",
    "HeartbeatAck, ",
    "NodeInfo, ",
    "Nodes, ",
    "Agents, ",
    "Cluster, ",
    "GridEvent, ",
];

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    seeds::mutate(data, size, max_size, seed, &TITLES)
});
