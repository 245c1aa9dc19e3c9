//! The fingerprint of the published layouts: names, sizes and offsets of every archived type,
//! hashed at compile time.
//!
//! Two builds with the same fingerprint read each other's bytes. New types under new opcodes don't
//! enter it: a server that has more still speaks to a client that knows less.

use std::mem::{align_of, offset_of, size_of};

use crate::hello::{ArchivedClientHello, ArchivedServerHello, ClientHello};
use crate::record::{ArchivedAssociationRecord, ArchivedConceptRecord};
use crate::reply::{
    ArchivedCounter, ArchivedErrorMessage, ArchivedHealth, ArchivedNeighbor, ArchivedNeighbors,
    ArchivedPath, ArchivedPathEdge, ArchivedPaths, ArchivedSearchHit, ArchivedSearchHits,
    ArchivedStats,
};
use crate::request::{
    ArchivedConceptKey, ArchivedNear, ArchivedNeighborsRequest, ArchivedPathRequest,
    ArchivedSearchRequest,
};
use crate::version::VERSION;

/// FNV-1a, 64 bits (draft-eastlake-fnv): small enough to run at compile time, and nobody gains by a
/// collision.
const fn text(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

const fn number(hash: u64, number: usize) -> u64 {
    (hash ^ number as u64).wrapping_mul(0x0100_0000_01b3)
}

macro_rules! fingerprint {
    ($($archived:ident { $($field:ident),* $(,)? })*) => {{
        let mut hash = 0xcbf2_9ce4_8422_2325;
        $(
            hash = text(hash, stringify!($archived));
            hash = number(hash, size_of::<$archived>());
            hash = number(hash, align_of::<$archived>());
            $(
                hash = text(hash, stringify!($field));
                hash = number(hash, offset_of!($archived, $field));
            )*
        )*
        hash
    }};
}

/// The schema of version 1.
pub const FINGERPRINT: u64 = fingerprint! {
    ArchivedClientHello { fingerprint, token, wanted_core, lowest_version, highest_version }
    ArchivedServerHello {
        fingerprint, store, started, max_payload, max_in_flight, sync_interval, cores, core,
        owner_function, durability, version,
    }
    ArchivedConceptRecord {
        id, namespace, name, content, embedding, strength, confidence, created, updated,
    }
    ArchivedAssociationRecord { source, target, namespace, kind, confidence, created, updated }
    ArchivedConceptKey { id, namespace }
    ArchivedNeighborsRequest { id, namespace, kinds, minimum_confidence, limit, cursor, direction }
    ArchivedPathRequest {
        start, end, namespace, kinds, max_depth, alternatives, max_visited, direction, mode,
    }
    ArchivedNear { id, edges }
    ArchivedSearchRequest {
        namespace, vector, k, ef_search, minimum_strength, minimum_confidence, near, exact,
    }
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
        concepts, associations, vectors, written, pending, uptime, cores, durability, write_path,
        data, version, counters,
    }
    ArchivedHealth { healthy, status, uptime }
};

impl ClientHello {
    /// What a client of this schema says, with no token, to be served by `wanted_core` (or
    /// [`crate::NO_CORE`]).
    pub fn new(wanted_core: u16) -> Self {
        Self {
            fingerprint: FINGERPRINT,
            token: [0; 32],
            wanted_core,
            lowest_version: VERSION,
            highest_version: VERSION,
        }
    }
}
