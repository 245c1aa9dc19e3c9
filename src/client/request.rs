//! A request as it is sent: its opcode, the concept whose core it goes to, and its frame.

use sutra_wire::{
    AssociationKey, AssociationRecord, BackupDone, ConceptId, ConceptKey, ConceptRecord,
    ConceptsRequest, FrameBuffer, Header, LogRange, NeighborsRequest, Opcode, PathRequest,
    ScrubRequest, SearchRequest, encode_archive, encode_empty,
};

use crate::grid::GridCall;

/// A request, ready to be archived into a connection's send buffer, once for each attempt.
#[derive(Debug)]
pub(crate) enum Request {
    Learn(ConceptRecord),
    Associate(AssociationRecord),
    Query(ConceptKey),
    Delete(ConceptKey),
    DeleteUnassociated(ConceptKey),
    Dissociate(AssociationKey),
    Association(AssociationKey),
    Concepts(ConceptsRequest),
    UnlearnedSources(ConceptsRequest),
    StoreInfo,
    Neighbors(NeighborsRequest),
    Path(PathRequest),
    Search(SearchRequest),
    Stats,
    Flush,
    Health,
    Scrub(ScrubRequest),
    BackupCut,
    ReadLog(LogRange),
    BackupDone(BackupDone),
    /// Of the grid's master.
    Grid(GridCall),
}

impl Request {
    pub(crate) fn opcode(&self) -> Opcode {
        match self {
            Request::Learn(_) => Opcode::Learn,
            Request::Associate(_) => Opcode::Associate,
            Request::Query(_) => Opcode::Query,
            Request::Delete(_) => Opcode::DeleteCounted,
            Request::DeleteUnassociated(_) => Opcode::DeleteUnassociated,
            Request::Dissociate(_) => Opcode::Dissociate,
            Request::Association(_) => Opcode::Association,
            Request::Concepts(_) => Opcode::Concepts,
            Request::UnlearnedSources(_) => Opcode::UnlearnedSources,
            Request::StoreInfo => Opcode::StoreInfo,
            Request::Neighbors(_) => Opcode::Neighbors,
            Request::Path(_) => Opcode::Path,
            Request::Search(_) => Opcode::Search,
            Request::Stats => Opcode::Stats,
            Request::Flush => Opcode::Flush,
            Request::Health => Opcode::Health,
            Request::Scrub(_) => Opcode::Scrub,
            Request::BackupCut => Opcode::BackupCut,
            Request::ReadLog(_) => Opcode::ReadLog,
            Request::BackupDone(_) => Opcode::BackupDone,
            Request::Grid(call) => call.opcode(),
        }
    }

    /// The concept whose core is to be asked, if there is one.
    pub(crate) fn concept(&self) -> Option<ConceptId> {
        match self {
            Request::Learn(record) => Some(record.id.into()),
            Request::Associate(record) => Some(record.source.into()),
            Request::Query(key) | Request::Delete(key) | Request::DeleteUnassociated(key) => {
                Some(key.id.into())
            }
            Request::Dissociate(key) | Request::Association(key) => Some(key.source.into()),
            Request::Neighbors(request) => Some(request.id.into()),
            Request::Path(request) => Some(request.start.into()),
            // A listing's cursor names the core, which is the server's to read; a search asks all
            // of them.
            Request::Concepts(_)
            | Request::UnlearnedSources(_)
            | Request::StoreInfo
            | Request::Search(_)
            | Request::Stats
            | Request::Flush
            | Request::Health
            | Request::Scrub(_)
            // A log's core is the server's to find.
            | Request::BackupCut
            | Request::ReadLog(_)
            | Request::BackupDone(_) => None,
            Request::Grid(_) => None,
        }
    }

    /// Appends the request's frame.
    pub(crate) fn encode(&self, out: &mut FrameBuffer, header: Header) {
        match self {
            Request::Learn(record) => encode_archive(out, header, record),
            Request::Associate(record) => encode_archive(out, header, record),
            Request::Query(key) | Request::Delete(key) | Request::DeleteUnassociated(key) => {
                encode_archive(out, header, key);
            }
            Request::Dissociate(key) | Request::Association(key) => {
                encode_archive(out, header, key);
            }
            Request::Concepts(request) | Request::UnlearnedSources(request) => {
                encode_archive(out, header, request);
            }
            Request::Neighbors(request) => encode_archive(out, header, request),
            Request::Path(request) => encode_archive(out, header, request),
            Request::Search(request) => encode_archive(out, header, request),
            Request::Scrub(request) => encode_archive(out, header, request),
            Request::ReadLog(range) => encode_archive(out, header, range),
            Request::BackupDone(done) => encode_archive(out, header, done),
            Request::StoreInfo
            | Request::Stats
            | Request::Flush
            | Request::Health
            | Request::BackupCut => encode_empty(out, header),
            Request::Grid(call) => call.encode(out, header),
        }
    }
}

/// The namespace of a request: its own, else the client's. Allocates only where the client has one.
pub(crate) fn namespace(own: Option<String>, clients: &str) -> String {
    own.unwrap_or_else(|| clients.to_owned())
}
