//! Any bytes as every payload that a client sends: refused, or read in full.

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
use sutra_wire::grid::{
    AgentHeartbeat, AgentKey, AgentRegistration, AgentReport, AgentsRequest, NodeKey, NodesRequest, SpawnNode,
    WatchRequest,
};
use sutra_wire::{
    AssociationKey, AssociationRecord, ClientHello, ConceptKey, ConceptRecord, ConceptsRequest, NeighborsRequest,
    PathRequest, SearchRequest,
};

fuzz_target!(|data: &[u8]| {
    probe::<ClientHello>(data);
    probe::<ConceptRecord>(data);
    probe::<AssociationRecord>(data);
    probe::<ConceptKey>(data);
    probe::<AssociationKey>(data);
    probe::<ConceptsRequest>(data);
    probe::<NeighborsRequest>(data);
    probe::<PathRequest>(data);
    probe::<SearchRequest>(data);
    probe::<AgentRegistration>(data);
    probe::<AgentHeartbeat>(data);
    probe::<AgentReport>(data);
    probe::<AgentKey>(data);
    probe::<SpawnNode>(data);
    probe::<NodeKey>(data);
    probe::<NodesRequest>(data);
    probe::<AgentsRequest>(data);
    probe::<WatchRequest>(data);
});

const TITLES: [&str; 17] = [
    "ClientHello, ",
    "AssociationRecord, ",
    "ConceptKey, ",
    "AssociationKey, ",
    "ConceptsRequest, ",
    "NeighborsRequest, ",
    "PathRequest, ",
    "SearchRequest, ",
    "AgentRegistration, ",
    "AgentHeartbeat, ",
    "AgentReport, ",
    "AgentKey, ",
    "SpawnNode, ",
    "NodeKey, ",
    "NodesRequest, ",
    "AgentsRequest, ",
    "WatchRequest, ",
];

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    seeds::mutate(data, size, max_size, seed, &TITLES)
});
