//! What travels between a client and a server, and what a server keeps: the frame header, the
//! archived requests and replies, ids and limits. Bytes from outside become a typed view only by
//! its checks.
//!
//! Promises: every published layout is the same on every host (little-endian, 32-bit relative
//! pointers, aligned primitives). It never changes: a new field is a new type under a new opcode,
//! and golden bytes in `tests/golden` guard the old ones. No function here allocates more than the
//! bytes it was given, and none panics on them.
//!
//! Relies on nothing of ours. A concept record is archived once, by the client; the same bytes are
//! the request's payload, the log entry's body and the reply to a query.

mod backup;
mod borrowed;
mod checked;
mod durability;
mod error;
mod frame;
pub mod grid;
mod header;
mod hello;
mod id;
mod layout;
pub mod limits;
mod opcode;
mod record;
mod reply;
mod request;
mod schema;
mod scrub;
mod shared;
mod status;
mod version;

pub use backup::{
    ArchivedBackupCut, ArchivedBackupDone, ArchivedCutSegment, ArchivedCutShard, ArchivedLogRange,
    BackupCut, BackupDone, CutSegment, CutShard, LogRange,
};
pub use borrowed::{
    AssociationKeyRef, AssociationRecordRef, ConceptKeyRef, ConceptRecordRef, ConceptsRequestRef,
    NeighborsRequestRef, Numbers, PathRequestRef, SearchRequestRef,
};
pub use checked::{Checked, Parcel, Payload};
pub use durability::Durability;
pub use error::{FrameError, PayloadError};
pub use frame::{
    Frame, Parsed, archive, begin_frame, encode_archive, encode_bytes, encode_empty, finish_frame,
    padded, parse,
};
pub use header::{CHECKSUM, HEADER_BYTES, Header, MORE};
pub use hello::{
    ArchivedClientHello, ArchivedServerHello, CLIENT_HELLO_BYTES, ClientHello, NO_CORE,
    SERVER_HELLO_BYTES, ServerHello,
};
pub use id::{ConceptId, IdRule, InvalidId};
pub use layout::CoreLayout;
pub use opcode::Opcode;
pub use record::{
    ArchivedAssociationRecord, ArchivedConceptRecord, AssociationKind, AssociationRecord,
    ConceptRecord,
};
pub use reply::{
    ArchivedConcepts, ArchivedCounter, ArchivedDeleted, ArchivedErrorMessage, ArchivedHealth,
    ArchivedNeighbor, ArchivedNeighbors, ArchivedPath, ArchivedPathEdge, ArchivedPaths,
    ArchivedSearchHit, ArchivedSearchHits, ArchivedStats, ArchivedStoreInfo, Concepts, Counter,
    Deleted, ErrorMessage, Health, Neighbor, Neighbors, Path, PathEdge, Paths, SearchHit,
    SearchHits, Stats, StoreInfo,
};
pub use request::{
    ArchivedAssociationKey, ArchivedConceptKey, ArchivedConceptsRequest, ArchivedNear,
    ArchivedNeighborsRequest, ArchivedPathRequest, ArchivedSearchRequest, AssociationKey,
    ConceptKey, ConceptsRequest, Direction, Near, NeighborsRequest, PathMode, PathRequest,
    SearchRequest,
};
pub use schema::FINGERPRINT;
pub use scrub::{ArchivedScrubReport, ArchivedScrubRequest, ScrubReport, ScrubRequest};
pub use shared::{SharedBytes, View};
pub use status::Status;
pub use version::{MAGIC, VERSION};

/// The growable 16-byte aligned buffer that frames are built in and read from.
pub type FrameBuffer = rkyv::util::AlignedVec<16>;
