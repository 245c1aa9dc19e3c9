//! Fixed values of every published type. Their archives are the golden bytes, and the valid
//! archives that the hostile tests damage.
//!
//! Strings of up to eight bytes lie inline in an archive, longer ones out of line: the samples have
//! both, and vectors and options both empty and filled. A sample never changes; a new one gets a
//! new label.

use sutra_wire::grid::{
    AdminPorts, AgentHeartbeat, AgentInfo, AgentKey, AgentRegistered, AgentRegistration,
    AgentReport, Agents, AgentsRequest, Cluster, GridEvent, HeartbeatAck, NodeAdminPort, NodeInfo,
    NodeKey, NodeReport, Nodes, NodesRequest, SpawnNode, WatchRequest,
};
use sutra_wire::{
    AssociationKey, AssociationRecord, BackupCut, BackupDone, ClientHello, ConceptKey,
    ConceptRecord, Concepts, ConceptsRequest, Counter, CutSegment, CutShard, Deleted, ErrorMessage,
    Health, LogRange, NO_CORE, Near, Neighbor, Neighbors, NeighborsRequest, Path, PathEdge,
    PathRequest, Paths, ScrubReport, ScrubRequest, SearchHit, SearchHits, SearchRequest,
    ServerHello, Stats, StoreInfo,
};

/// A segment of a cut.
fn cut_segment(number: u32, end: u32) -> CutSegment {
    CutSegment {
        generation: 0x0807_0605_0403_0201,
        number,
        block: 0x0000_1000,
        capacity: 0x0400_0000,
        end,
    }
}

/// A published type with its fixed values.
pub(crate) trait Samples: Sized {
    /// The type's name in the schema.
    const TYPE: &'static str;

    /// Labels, unique within the type, and values.
    fn samples() -> Vec<(&'static str, Self)>;
}

macro_rules! samples {
    ($($of:ident { $($label:literal: $value:expr;)+ })+) => {$(
        impl Samples for $of {
            const TYPE: &'static str = stringify!($of);

            fn samples() -> Vec<(&'static str, Self)> {
                vec![$(($label, $value)),+]
            }
        }
    )+};
}

/// Sixteen bytes that count upwards, so that a moved or reversed field shows.
fn id(first: u8) -> [u8; 16] {
    std::array::from_fn(|at| first + at as u8)
}

fn neighbor(first: u8, direction: u8) -> Neighbor {
    Neighbor { id: id(first), kind: 0x0302_0100, confidence: 0.75, direction }
}

fn edge(kind: u32, forward: bool) -> PathEdge {
    PathEdge { kind, confidence: 0.5, forward }
}

fn path() -> Path {
    Path {
        concepts: vec![id(0x10), id(0x30), id(0x50)],
        edges: vec![edge(3, true), edge(4, false)],
    }
}

fn hit(first: u8, similarity: f32) -> SearchHit {
    SearchHit { id: id(first), similarity }
}

fn counter(name: &str, value: u64) -> Counter {
    Counter { name: name.into(), value }
}

/// A node with a text in every field, inline and out of line.
fn node() -> NodeReport {
    NodeReport {
        node_id: "n-1".into(),
        name: "orders-eu".into(),
        endpoint: "10.0.0.7:50051".into(),
        compat_endpoint: "10.0.0.7:50052".into(),
        storage_path: "/srv/sutra/n-1".into(),
        detail: "its disk is full".into(),
        cores: "2,3".into(),
        memory_enforcement: "cgroup v2".into(),
        memory_limit_mb: 0x0807_0605_0403_0201,
        started: 0x1817_1615_1413_1211,
        pid: 0x2423_2221,
        restarts: 0x3433_3231,
        state: 4,
    }
}

fn agent() -> AgentInfo {
    AgentInfo {
        agent_id: "rack-1".into(),
        hostname: "storage-01".into(),
        platform: "linux x86_64".into(),
        version: "0.1.0".into(),
        endpoint: "10.0.0.7:8001".into(),
        registered: 0x0807_0605_0403_0201,
        last_heartbeat: 0x1817_1615_1413_1211,
        heartbeat_age_ms: 0x2827_2625_2423_2221,
        memory_mb: 0x3837_3635_3433_3231,
        max_nodes: 0x4443_4241,
        nodes: 0x4847_4645,
        running: 0x5453_5251,
        cores: 0x5857_5655,
        state: 2,
    }
}

samples! {
    ClientHello {
        "any core": ClientHello {
            fingerprint: 0x0807_0605_0403_0201,
            token: [0; 32],
            wanted_core: NO_CORE,
            lowest_version: 1,
            highest_version: 1,
        };
        "a token and a wanted core": ClientHello {
            fingerprint: 0x1817_1615_1413_1211,
            token: std::array::from_fn(|at| 0x20 + at as u8),
            wanted_core: 0x0102,
            lowest_version: 1,
            highest_version: 9,
        };
    }
    ServerHello {
        "all fields": ServerHello {
            fingerprint: 0x0807_0605_0403_0201,
            store: 0x1817_1615_1413_1211,
            started: 0x2827_2625_2423_2221,
            max_payload: 0x3433_3231,
            max_in_flight: 0x3837_3635,
            sync_interval: 0x4443_4241,
            cores: 0x5251,
            core: 0x5453,
            owner_function: 0x61,
            durability: 0x62,
            version: 0x63,
        };
    }
    ConceptRecord {
        "only an id": ConceptRecord { id: id(0x01), ..ConceptRecord::default() };
        "strings inline": ConceptRecord {
            id: id(0x01),
            namespace: "w".into(),
            name: "n0208407".into(),
            content: "dog".into(),
            embedding: Vec::new(),
            strength: 1.0,
            confidence: 0.5,
            created: 0x0807_0605_0403_0201,
            updated: 0x1817_1615_1413_1211,
        };
        "strings out of line, an embedding": ConceptRecord {
            id: id(0x01),
            namespace: "wordnet-3".into(),
            name: "n02084071 dog, domestic dog".into(),
            content: "a member of the genus Canis — naïve, 犬".into(),
            embedding: vec![1.0, -0.5, 0.0, f32::MIN_POSITIVE, f32::MAX],
            strength: 2.5,
            confidence: 1.0,
            created: 0x0807_0605_0403_0201,
            updated: 0x1817_1615_1413_1211,
        };
    }
    AssociationRecord {
        "default namespace": AssociationRecord {
            source: id(0x01),
            target: id(0x21),
            ..AssociationRecord::default()
        };
        "all fields": AssociationRecord {
            source: id(0x01),
            target: id(0x21),
            namespace: "wordnet-3.0".into(),
            kind: 0x0403_0201,
            confidence: 0.25,
            created: 0x0807_0605_0403_0201,
            updated: 0x1817_1615_1413_1211,
        };
    }
    ConceptKey {
        "default namespace": ConceptKey { id: id(0x01), namespace: String::new() };
        "namespace out of line": ConceptKey { id: id(0x01), namespace: "wordnet-3.0".into() };
    }
    AssociationKey {
        "any kind": AssociationKey {
            source: id(0x01),
            target: id(0x21),
            ..AssociationKey::default()
        };
        "all fields": AssociationKey {
            source: id(0x01),
            target: id(0x21),
            namespace: "wordnet-3.0".into(),
            kind: Some(0x0403_0201),
        };
    }
    ConceptsRequest {
        "the default namespace": ConceptsRequest::default();
        "all fields": ConceptsRequest {
            namespace: "wordnet-3.0".into(),
            limit: 0x0000_1122,
            cursor: 0x0807_0605_0403_0201,
        };
    }
    NeighborsRequest {
        "every kind": NeighborsRequest { id: id(0x01), ..NeighborsRequest::default() };
        "all fields": NeighborsRequest {
            id: id(0x01),
            namespace: "wordnet-3.0".into(),
            kinds: vec![0, 3, 0x0403_0201],
            minimum_confidence: 0.5,
            limit: 0x0000_0f22,
            cursor: 0x0807_0605_0403_0201,
            direction: 2,
        };
    }
    PathRequest {
        "every kind": PathRequest { start: id(0x01), end: id(0x21), ..PathRequest::default() };
        "all fields": PathRequest {
            start: id(0x01),
            end: id(0x21),
            namespace: "wordnet-3.0".into(),
            kinds: vec![3, 4],
            max_depth: 0x0403_0201,
            alternatives: 1,
            max_visited: 0x0023_2221,
            direction: 1,
            mode: 1,
        };
    }
    Near {
        "all fields": Near { id: id(0x01), edges: 0x0403_0201 };
    }
    SearchRequest {
        "no neighbourhood": SearchRequest { vector: vec![0.5], k: 10, ..SearchRequest::default() };
        "all fields": SearchRequest {
            namespace: "wordnet-3.0".into(),
            vector: vec![1.0, -1.0, 0.5],
            k: 0x0000_0102,
            ef_search: 0x0000_0304,
            minimum_strength: 0.5,
            minimum_confidence: 0.25,
            near: Some(Near { id: id(0x01), edges: 3 }),
            exact: true,
        };
    }
    Deleted {
        "nothing": Deleted::default();
        "a concept and its associations": Deleted {
            associations: 0x0807_0605_0403_0201,
            concept: true,
        };
    }
    ErrorMessage {
        "empty": ErrorMessage::default();
        "eight bytes, the longest inline": ErrorMessage { message: "too long".into() };
        "nine bytes, the shortest out of line": ErrorMessage { message: "too large".into() };
    }
    Neighbor {
        "all fields": neighbor(0x01, 1);
    }
    Neighbors {
        "none": Neighbors::default();
        "two and a cursor": Neighbors {
            neighbors: vec![neighbor(0x01, 1), neighbor(0x21, 2)],
            cursor: 0x0807_0605_0403_0201,
        };
    }
    Concepts {
        "none": Concepts::default();
        "two and a cursor": Concepts {
            ids: vec![id(0x01), id(0x21)],
            cursor: 0x0807_0605_0403_0201,
        };
    }
    PathEdge {
        "forward": edge(0x0403_0201, true);
        "backward": edge(0x0403_0201, false);
    }
    Path {
        "three concepts": path();
    }
    Paths {
        "none": Paths::default();
        "two, one of a single concept": Paths {
            paths: vec![path(), Path { concepts: vec![id(0x10)], edges: Vec::new() }],
        };
    }
    SearchHit {
        "all fields": hit(0x01, 0.875);
    }
    SearchHits {
        "none": SearchHits::default();
        "two": SearchHits { hits: vec![hit(0x01, 0.875), hit(0x21, -1.0)] };
    }
    Counter {
        "name out of line": counter("replies_total", 0x0807_0605_0403_0201);
    }
    Stats {
        "nothing counted": Stats::default();
        "all fields": Stats {
            concepts: 0x0807_0605_0403_0201,
            associations: 0x1817_1615_1413_1211,
            vectors: 0x2827_2625_2423_2221,
            written: 0x3837_3635_3433_3231,
            pending: 0x4847_4645_4443_4241,
            uptime: 0x5857_5655_5453_5251,
            cores: 0x6463_6261,
            durability: "always".into(),
            write_path: "O_DIRECT|O_DSYNC".into(),
            data: "sutra-data".into(),
            version: "0.1.0".into(),
            counters: vec![counter("learned", 7), counter("refused_busy", 8)],
        };
    }
    StoreInfo {
        "the default namespace": StoreInfo {
            id_rule: "legacy".into(),
            namespaces: vec![String::new()],
        };
        "several namespaces": StoreInfo {
            id_rule: "md5-or-hex".into(),
            namespaces: vec![String::new(), "w".into(), "wordnet-3.0".into()],
        };
    }
    Health {
        "well": Health { healthy: true, status: "ok".into(), uptime: 0x0807_0605_0403_0201 };
        "not well": Health { healthy: false, status: "the disk is full".into(), uptime: 1 };
    }
    ScrubRequest {
        "how does it go": ScrubRequest::default();
        "one is to begin": ScrubRequest { bandwidth: 0x0807_0605_0403_0201, begin: true };
    }
    ScrubReport {
        "none yet": ScrubReport::default();
        "all fields": ScrubReport {
            ended: 0x0807_0605_0403_0201,
            done: 0x1817_1615_1413_1211,
            total: 0x2827_2625_2423_2221,
            last_ended: 0x3837_3635_3433_3231,
            last_bytes: 0x4847_4645_4443_4241,
            damaged: 0x5857_5655_5453_5251,
            findings: vec!["manifest.json, byte 0: it is missing".into(), "x".into()],
            failed: "the disk is away".into(),
            is_running: true,
        };
    }
    LogRange {
        "the beginning": LogRange::default();
        "all fields": LogRange {
            generation: 0x0807_0605_0403_0201,
            segment: 0x1413_1211,
            offset: 0x2423_2221,
            length: 0x0000_3231,
            shard: 0x4241,
        };
    }
    BackupDone {
        "all fields": BackupDone {
            taken: 0x0807_0605_0403_0201,
            bytes: 0x1817_1615_1413_1211,
            elapsed: 0x2827_2625_2423_2221,
        };
    }
    CutSegment {
        "all fields": cut_segment(0x1413_1211, 0x0033_2211);
    }
    CutShard {
        "without commits": CutShard {
            commit: 0,
            crc32c: 0,
            segments: vec![cut_segment(0, 4096)],
        };
        "of two segments": CutShard {
            commit: 0x0807_0605_0403_0201,
            crc32c: 0x1413_1211,
            segments: vec![cut_segment(0, 0x03ff_f000), cut_segment(1, 8192)],
        };
    }
    BackupCut {
        "nothing": BackupCut::default();
        "all fields": BackupCut {
            store: 0x0807_0605_0403_0201,
            taken: 0x1817_1615_1413_1211,
            given_back: 0x2827_2625_2423_2221,
            format: 0x3433_3231,
            id_rule: "md5-or-hex".into(),
            data: "/var/lib/sutra".into(),
            namespaces: vec![String::new(), "w".into(), "wordnet-3.0".into()],
            imports: vec!["d41d8cd98f00b204e9800998ecf8427e".into()],
            shards: vec![
                CutShard { commit: 7, crc32c: 0x2423_2221, segments: vec![cut_segment(0, 8192)] },
                CutShard { commit: 0, crc32c: 0, segments: Vec::new() },
            ],
        };
    }
    NodeReport {
        "a new one": NodeReport { node_id: "n".into(), ..NodeReport::default() };
        "all fields": node();
    }
    AgentRegistration {
        "an agent without nodes": AgentRegistration {
            agent_id: "agent-001".into(),
            ..AgentRegistration::default()
        };
        "all fields": AgentRegistration {
            agent_id: "rack-1".into(),
            hostname: "storage-01".into(),
            platform: "linux x86_64".into(),
            version: "0.1.0".into(),
            endpoint: "10.0.0.7:8001".into(),
            incarnation: 0x0807_0605_0403_0201,
            revision: 0x1817_1615_1413_1211,
            memory_mb: 0x2827_2625_2423_2221,
            max_nodes: 8,
            cores: 0x3433_3231,
            nodes: vec![
                node(),
                NodeReport { node_id: "n-2".into(), state: 3, ..NodeReport::default() },
            ],
        };
    }
    AgentRegistered {
        "all fields": AgentRegistered {
            master_version: "0.1.0".into(),
            heartbeat_ms: 0x0403_0201,
            degraded_after_ms: 0x1413_1211,
            offline_after_ms: 0x2423_2221,
        };
    }
    AgentHeartbeat {
        "a name inline": AgentHeartbeat {
            agent_id: "rack-1".into(),
            incarnation: 0x0807_0605_0403_0201,
            revision: 0x1817_1615_1413_1211,
            sent: 0x2827_2625_2423_2221,
        };
        "a name out of line": AgentHeartbeat {
            agent_id: "agent-001".into(),
            ..AgentHeartbeat::default()
        };
    }
    HeartbeatAck {
        "a report is wanted": HeartbeatAck { sent: 0x0807_0605_0403_0201, wants_report: true };
    }
    AgentReport {
        "no nodes": AgentReport { agent_id: "agent-001".into(), ..AgentReport::default() };
        "all fields": AgentReport {
            agent_id: "rack-1".into(),
            incarnation: 0x0807_0605_0403_0201,
            revision: 0x1817_1615_1413_1211,
            nodes: vec![node()],
        };
    }
    AgentKey {
        "whichever has the name": AgentKey { agent_id: "agent-001".into(), incarnation: 0 };
        "one agent": AgentKey { agent_id: "rack-1".into(), incarnation: 0x0807_0605_0403_0201 };
    }
    NodeAdminPort {
        "all fields": NodeAdminPort { node_id: "n-1".into(), admin: "10.0.0.5:20003".into() };
    }
    AdminPorts {
        "none": AdminPorts { agent_id: "agent-001".into(), ..AdminPorts::default() };
        "all fields": AdminPorts {
            agent_id: "rack-1".into(),
            incarnation: 0x0807_0605_0403_0201,
            admin: "10.0.0.5:9003".into(),
            nodes: vec![
                NodeAdminPort { node_id: "n-1".into(), admin: "10.0.0.5:20003".into() },
                NodeAdminPort { node_id: "rack-1-000002".into(), admin: "h:1".into() },
            ],
        };
    }
    SpawnNode {
        "anything": SpawnNode { agent_id: "rack-1".into(), ..SpawnNode::default() };
        "all fields": SpawnNode {
            agent_id: "agent-001".into(),
            name: "orders-eu".into(),
            storage_path: "data/orders".into(),
            cores: "2,3".into(),
            memory_limit_mb: 0x0807_0605_0403_0201,
            port: 0x0000_1211,
            compat_port: 0x0000_2221,
        };
    }
    NodeKey {
        "a name": NodeKey { node: "orders-eu".into() };
    }
    NodeInfo {
        "all fields": NodeInfo {
            agent_id: "rack-1".into(),
            hostname: "storage-01".into(),
            report: node(),
            agent_state: 1,
        };
    }
    NodesRequest {
        "all": NodesRequest::default();
        "all fields": NodesRequest {
            agent_id: "rack-1".into(),
            after: "rack-1-000001".into(),
            limit: 0x0000_0201,
        };
    }
    Nodes {
        "none": Nodes::default();
        "one of more": Nodes {
            nodes: vec![NodeInfo {
                agent_id: "rack-1".into(),
                report: node(),
                ..NodeInfo::default()
            }],
            more: true,
        };
    }
    AgentsRequest {
        "all": AgentsRequest::default();
        "all fields": AgentsRequest { after: "agent-001".into(), limit: 0x0000_0201 };
    }
    AgentInfo {
        "all fields": agent();
    }
    Agents {
        "none": Agents::default();
        "two, and no more": Agents { agents: vec![agent(), AgentInfo::default()], more: false };
    }
    Cluster {
        "all fields": Cluster {
            version: "0.1.0".into(),
            uptime: 0x0807_0605_0403_0201,
            agents: 0x1413_1211,
            healthy: 0x1817_1615,
            degraded: 0x2423_2221,
            offline: 0x2827_2625,
            nodes: 0x3433_3231,
            running: 0x3837_3635,
            state: 1,
        };
    }
    WatchRequest {
        "from an event on": WatchRequest { after: 0x0807_0605_0403_0201 };
    }
    GridEvent {
        "all fields": GridEvent {
            number: 0x0807_0605_0403_0201,
            at: 0x1817_1615_1413_1211,
            agent_id: "rack-1".into(),
            node_id: "n-1".into(),
            name: "orders-eu".into(),
            detail: "it ended with signal: 9 (SIGKILL)".into(),
            kind: 8,
        };
    }
}
