//! The replies that are not stored records themselves.

use rkyv::{Archive, Deserialize, Serialize};

use crate::grid::{
    AgentRegistered, Agents, ArchivedAgentRegistered, ArchivedAgents, ArchivedCluster,
    ArchivedGridEvent, ArchivedHeartbeatAck, ArchivedNodeInfo, ArchivedNodes, Cluster, GridEvent,
    HeartbeatAck, NodeInfo, Nodes,
};
use crate::{Payload, PayloadError};

/// Why a request was refused; the code is the header's status.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct ErrorMessage {
    /// What is wrong and what would be right.
    pub message: String,
}

/// What a delete removed.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[rkyv(derive(Debug))]
pub struct Deleted {
    /// Associations of the concept that are gone, from either end, those with itself counted once.
    pub associations: u64,
    /// Whether the concept was learned.
    pub concept: bool,
}

/// One association of the concept that was asked for, seen from that concept.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct Neighbor {
    /// The other end.
    pub id: [u8; 16],
    /// An [`crate::AssociationKind`].
    pub kind: u32,
    /// The association's confidence, from 0 to 1.
    pub confidence: f32,
    /// [`crate::Direction::Out`] where the concept asked for is the source,
    /// [`crate::Direction::In`] where it is the target.
    pub direction: u8,
}

/// A concept's neighbours. Two concepts with several associations between them appear once for
/// each.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct Neighbors {
    /// In no particular order.
    pub neighbors: Vec<Neighbor>,
    /// Where to go on, 0 when these are the last.
    pub cursor: u64,
}

/// A page of a namespace's concepts.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct Concepts {
    /// The 16 bytes of each one's [`crate::ConceptId`], in no particular order. There may be fewer
    /// than asked for, even none, and a cursor.
    pub ids: Vec<[u8; 16]>,
    /// Where to go on, 0 when these are the last.
    pub cursor: u64,
}

/// One association of a path.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct PathEdge {
    /// An [`crate::AssociationKind`].
    pub kind: u32,
    /// The association's confidence, from 0 to 1.
    pub confidence: f32,
    /// Whether the path follows it from source to target.
    pub forward: bool,
}

/// One way from start to end.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct Path {
    /// The concepts, start and end among them.
    pub concepts: Vec<[u8; 16]>,
    /// The associations between them, one fewer.
    pub edges: Vec<PathEdge>,
}

/// The paths that were found, best first.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct Paths {
    /// Empty where there is none.
    pub paths: Vec<Path>,
}

/// One result of a search.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct SearchHit {
    /// The concept.
    pub id: [u8; 16],
    /// Cosine similarity, -1 to 1, computed from the stored vector in f32.
    pub similarity: f32,
}

/// The results of a search, best first.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct SearchHits {
    /// At most k.
    pub hits: Vec<SearchHit>,
}

/// A named number.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct Counter {
    /// Lower case, words joined by `_`, the unit last.
    pub name: String,
    /// Counts since the server started, unless the name says otherwise.
    pub value: u64,
}

/// What a server has and has done, summed over its cores.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct Stats {
    /// Learned concepts.
    pub concepts: u64,
    /// Associations.
    pub associations: u64,
    /// Concepts with an embedding.
    pub vectors: u64,
    /// Writes acknowledged since the start.
    pub written: u64,
    /// Writes accepted and not yet acknowledged.
    pub pending: u64,
    /// Since the server started, in µs.
    pub uptime: u64,
    /// Data cores.
    pub cores: u32,
    /// The durability in force, as the command line spells it.
    pub durability: String,
    /// How the log reaches the disk, in words.
    pub write_path: String,
    /// Where the data lies.
    pub data: String,
    /// The server's version.
    pub version: String,
    /// Everything else that is counted.
    pub counters: Vec<Counter>,
}

/// What a store is made of.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct StoreInfo {
    /// How callers' strings of the old protocol become ids: an [`crate::IdRule`]'s name.
    pub id_rule: String,
    /// Its namespaces, the empty one first, then in the order of their names. One whose concepts
    /// were all deleted may be among them.
    pub namespaces: Vec<String>,
}

/// Whether a server can do its work.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct Health {
    /// Whether all is well.
    pub healthy: bool,
    /// "ok", or what is wrong and what to do.
    pub status: String,
    /// Since the server started, in µs.
    pub uptime: u64,
}

/// Replies come from the server: their structure is validated, their values are the server's to
/// answer for.
macro_rules! reply_payloads {
    ($($reply:ident: $archived:ident, $name:literal;)*) => {$(
        impl Payload for $reply {
            const NAME: &'static str = $name;

            fn check(_: &$archived) -> Result<(), PayloadError> {
                Ok(())
            }
        }
    )*};
}

reply_payloads! {
    ErrorMessage: ArchivedErrorMessage, "error message";
    Deleted: ArchivedDeleted, "delete reply";
    Neighbors: ArchivedNeighbors, "neighbors reply";
    Concepts: ArchivedConcepts, "concepts reply";
    Paths: ArchivedPaths, "paths reply";
    SearchHits: ArchivedSearchHits, "search reply";
    Stats: ArchivedStats, "stats reply";
    StoreInfo: ArchivedStoreInfo, "store info reply";
    Health: ArchivedHealth, "health reply";
    AgentRegistered: ArchivedAgentRegistered, "agent registered reply";
    HeartbeatAck: ArchivedHeartbeatAck, "heartbeat reply";
    NodeInfo: ArchivedNodeInfo, "node reply";
    Nodes: ArchivedNodes, "nodes reply";
    Agents: ArchivedAgents, "agents reply";
    Cluster: ArchivedCluster, "cluster reply";
    GridEvent: ArchivedGridEvent, "grid event";
}
