//! What a reply of the old protocol says, whatever encoding it goes out in.

use sutra_wire::{
    ArchivedAssociationRecord, ArchivedConceptRecord, ArchivedHealth, ArchivedPath,
    ArchivedSearchHit, ArchivedStats,
};

/// What a reply says.
#[derive(Clone, Copy)]
pub(crate) enum Answer<'a> {
    LearnConceptOk { sequence: u64 },
    LearnAssociationOk { sequence: u64 },
    QueryConceptOk(Option<&'a ArchivedConceptRecord>),
    FindPathOk(Option<&'a ArchivedPath>),
    VectorSearchOk(&'a [ArchivedSearchHit]),
    StatsOk(&'a ArchivedStats),
    FlushOk,
    HealthCheckOk(&'a ArchivedHealth),
    DeleteConceptOk { deleted: bool },
    DeleteAssociationOk { deleted: bool },
    GetAssociationOk(Option<&'a ArchivedAssociationRecord>),
    Error { message: &'a str },
}

/// The time in the unit of the old protocol.
pub(crate) fn seconds(microseconds: u64) -> u64 {
    microseconds / 1_000_000
}

/// How often what was written became visible: the old server's reconciliations are commits here.
pub(crate) fn reconciliations(stats: &ArchivedStats) -> u64 {
    stats
        .counters
        .iter()
        .find(|counter| counter.name == "commits")
        .map_or(0, |counter| counter.value.to_native())
}
