//! Reads every field of an archive in place, as a server or a client does, and holds each byte read
//! to the slice that the archive was validated in.
//!
//! The structs are taken apart without `..`: a field that is added and not walked does not compile.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use rkyv::option::ArchivedOption;
use rkyv::rend::{f32_le, u16_le, u32_le, u64_le};
use rkyv::string::ArchivedString;
use rkyv::vec::ArchivedVec;
use sutra_wire::grid::{
    ArchivedAgentHeartbeat, ArchivedAgentInfo, ArchivedAgentKey, ArchivedAgentRegistered, ArchivedAgentRegistration,
    ArchivedAgentReport, ArchivedAgents, ArchivedAgentsRequest, ArchivedCluster, ArchivedGridEvent,
    ArchivedHeartbeatAck, ArchivedNodeInfo, ArchivedNodeKey, ArchivedNodeReport, ArchivedNodes, ArchivedNodesRequest,
    ArchivedSpawnNode, ArchivedWatchRequest,
};
use sutra_wire::{
    ArchivedAssociationKey, ArchivedAssociationRecord, ArchivedClientHello, ArchivedConceptKey, ArchivedConceptRecord,
    ArchivedConcepts, ArchivedConceptsRequest, ArchivedCounter, ArchivedDeleted, ArchivedErrorMessage, ArchivedHealth,
    ArchivedNear, ArchivedNeighbor, ArchivedNeighbors, ArchivedNeighborsRequest, ArchivedPath, ArchivedPathEdge,
    ArchivedPathRequest, ArchivedPaths, ArchivedSearchHit, ArchivedSearchHits, ArchivedSearchRequest,
    ArchivedServerHello, ArchivedStats, Checked, Payload,
};

/// Where reading is allowed, and a digest of what was read.
pub(crate) struct Reach {
    slice: Range<*const u8>,
    digest: DefaultHasher,
}

impl Reach {
    fn read<T: ?Sized>(&mut self, part: &T, value: impl Hash) {
        let start = std::ptr::from_ref(part).cast::<u8>();
        let end = start.wrapping_add(size_of_val(part));
        assert!(self.slice.start <= start && end <= self.slice.end, "a field reaches outside the validated slice");
        value.hash(&mut self.digest);
    }
}

/// Reads the whole archive; the digest is equal for equal values.
pub(crate) fn walk<T: Payload<Archived: Walk>>(checked: Checked<'_, T>) -> u64 {
    let mut reach = Reach { slice: checked.bytes().as_ptr_range(), digest: DefaultHasher::new() };
    checked.get().walk(&mut reach);
    reach.digest.finish()
}

/// An archived type whose every field can be read.
pub(crate) trait Walk {
    /// Reads all of it.
    fn walk(&self, reach: &mut Reach);
}

macro_rules! walk_numbers {
    ($($number:ty: $value:expr;)*) => {$(
        impl Walk for $number {
            fn walk(&self, reach: &mut Reach) {
                let value: fn(&$number) -> u64 = $value;
                reach.read(self, value(self));
            }
        }
    )*};
}

walk_numbers! {
    u8: |number| (*number).into();
    bool: |flag| (*flag).into();
    u16_le: |number| number.to_native().into();
    u32_le: |number| number.to_native().into();
    u64_le: |number| number.to_native();
    f32_le: |number| number.to_native().to_bits().into();
}

impl<const N: usize> Walk for [u8; N] {
    fn walk(&self, reach: &mut Reach) {
        reach.read(self, self);
    }
}

impl Walk for ArchivedString {
    fn walk(&self, reach: &mut Reach) {
        let text = self.as_str();
        reach.read(text, text);
        // Text is UTF-8: decoding it goes over every character.
        text.chars().count().hash(&mut reach.digest);
    }
}

impl<T: Walk> Walk for ArchivedVec<T> {
    fn walk(&self, reach: &mut Reach) {
        reach.read(self.as_slice(), self.len());
        self.iter().for_each(|element| element.walk(reach));
    }
}

impl<T: Walk> Walk for ArchivedOption<T> {
    fn walk(&self, reach: &mut Reach) {
        reach.read(self, self.is_some());
        if let Some(value) = self.as_ref() {
            value.walk(reach);
        }
    }
}

macro_rules! walk_fields {
    ($($archived:ident { $($field:ident),* $(,)? })*) => {$(
        impl Walk for $archived {
            fn walk(&self, reach: &mut Reach) {
                let Self { $($field),* } = self;
                $($field.walk(reach);)*
            }
        }
    )*};
}

walk_fields! {
    ArchivedClientHello { fingerprint, token, wanted_core, lowest_version, highest_version }
    ArchivedServerHello {
        fingerprint, store, started, max_payload, max_in_flight, sync_interval, cores, core, owner_function, durability, version,
    }
    ArchivedConceptRecord { id, namespace, name, content, embedding, strength, confidence, created, updated }
    ArchivedAssociationRecord { source, target, namespace, kind, confidence, created, updated }
    ArchivedConceptKey { id, namespace }
    ArchivedAssociationKey { source, target, namespace, kind }
    ArchivedConceptsRequest { namespace, limit, cursor }
    ArchivedConcepts { ids, cursor }
    ArchivedNeighborsRequest { id, namespace, kinds, minimum_confidence, limit, cursor, direction }
    ArchivedPathRequest { start, end, namespace, kinds, max_depth, alternatives, max_visited, direction, mode }
    ArchivedNear { id, edges }
    ArchivedSearchRequest { namespace, vector, k, ef_search, minimum_strength, minimum_confidence, near, exact }
    ArchivedDeleted { associations, concept }
    ArchivedErrorMessage { message }
    ArchivedNeighbor { id, kind, confidence, direction }
    ArchivedNeighbors { neighbors, cursor }
    ArchivedPathEdge { kind, confidence, forward }
    ArchivedPath { concepts, edges }
    ArchivedPaths { paths }
    ArchivedSearchHit { id, similarity }
    ArchivedSearchHits { hits }
    ArchivedCounter { name, value }
    ArchivedStats {
        concepts, associations, vectors, written, pending, uptime, cores, durability, write_path, data, version, counters,
    }
    ArchivedHealth { healthy, status, uptime }
    ArchivedNodeReport {
        node_id, name, endpoint, compat_endpoint, storage_path, detail, cores, memory_enforcement, memory_limit_mb, started, pid,
        restarts, state,
    }
    ArchivedAgentRegistration {
        agent_id, hostname, platform, version, endpoint, incarnation, revision, memory_mb, max_nodes, cores, nodes,
    }
    ArchivedAgentRegistered { master_version, heartbeat_ms, degraded_after_ms, offline_after_ms }
    ArchivedAgentHeartbeat { agent_id, incarnation, revision, sent }
    ArchivedHeartbeatAck { sent, wants_report }
    ArchivedAgentReport { agent_id, incarnation, revision, nodes }
    ArchivedAgentKey { agent_id, incarnation }
    ArchivedSpawnNode { agent_id, name, storage_path, cores, memory_limit_mb, port, compat_port }
    ArchivedNodeKey { node }
    ArchivedNodeInfo { agent_id, hostname, report, agent_state }
    ArchivedNodesRequest { agent_id, after, limit }
    ArchivedNodes { nodes, more }
    ArchivedAgentsRequest { after, limit }
    ArchivedAgentInfo {
        agent_id, hostname, platform, version, endpoint, registered, last_heartbeat, heartbeat_age_ms, memory_mb, max_nodes, nodes,
        running, cores, state,
    }
    ArchivedAgents { agents, more }
    ArchivedCluster { version, uptime, agents, healthy, degraded, offline, nodes, running, state }
    ArchivedWatchRequest { after }
    ArchivedGridEvent { number, at, agent_id, node_id, name, detail, kind }
}
