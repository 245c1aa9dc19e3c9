//! What cores tell each other.

use std::sync::Arc;

use sutra_net::ReplyTo;
use sutra_runtime::RegionSlice;
use sutra_store::{EdgeKey, InEdge, Indexed, Marked, NamespaceId, Prepared};
use sutra_wire::{
    AssociationRecord, ConceptId, ConceptKey, ConceptRecord, FrameBuffer, NeighborsRequest, Parcel, SearchHit, Status,
};

use crate::expansion::{Batch, Part};
use crate::fan_out::{self, Question};
use crate::search::Asked;

/// A message and the highest sequence that its sender had seen (Lamport 1978): so that causes come before effects in any merged
/// order of the shards' logs.
pub(crate) struct Message {
    pub(crate) clock: u64,
    pub(crate) body: Body,
}

/// A request that waits for something on this core: where its answer goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ticket {
    /// It came from a connection of this core.
    Here(ReplyTo),
    /// It came from another core.
    There { core: usize, to: ReplyTo },
    /// It is one removal of a deletion that a core works on; whether it was this one that removed
    /// the association, as far as is known.
    Removal { core: usize, deletion: usize, has_removed: bool },
    /// It is the last step of a deletion of this core's.
    Burial(usize),
}

pub(crate) enum Body {
    /// A request for a concept that the receiver owns.
    Request { to: ReplyTo, request: Forwarded },
    /// The answer to one. Every request gets exactly one.
    Answer { to: ReplyTo, status: Status, sequence: u64, payload: Payload },
    /// An association whose target the receiver owns, or its removal, is durable at its source.
    InEdge { ticket: Ticket, sequence: u64, edge: InEdge },
    /// The receiver's association, or its removal, is known at its target: it may be acknowledged.
    InEdgeApplied { ticket: Ticket, sequence: u64 },
    /// An association whose source the receiver owns is to be removed for a deletion of the sender's.
    Remove { deletion: usize, key: EdgeKey },
    /// It is gone at both ends, and whether by this removal; or why it is not.
    Removed { deletion: usize, outcome: Result<bool, (Status, String)> },
    /// Concepts whose associations the receiver reads for a traversal of the sender's, which the place names.
    Expand { place: usize, batch: Batch },
    /// The next part of them is wanted.
    ExpandOn { place: usize },
    /// No more of them is wanted. The receiver says that it has let go, unless it has sent the last part before.
    Abandon { place: usize },
    /// A part of what a traversal of the receiver's asked for.
    Expanded { place: usize, part: Part },
    /// A search of which the receiver does its shard's part.
    Search(Box<Asked>),
    /// The sender's part of a search of the receiver's, which the place names: its best hits, or nothing where it gave up.
    Searched { place: usize, hits: Option<Vec<SearchHit>> },
    /// One part of a question to all cores.
    Ask { job: usize, question: Question },
    /// Its answer.
    Tell { job: usize, part: fan_out::Part },
    /// The background thread made log space ready, or could not.
    Prepared(Box<Prepared>),
    /// The background thread marked the end of a full segment, or could not make it durable.
    Marked(Marked),
    /// The background thread looked at the data folder: what has become of it, if it is not what it was.
    Looked(Option<Arc<str>>),
    /// What has become of it, for a core that does not look itself.
    Folder(Option<Arc<str>>),
    /// The core's worker is done with a job of its shard's index.
    Indexed(Box<Indexed>),
    /// The background thread numbered the namespaces that it was given, but for these, and why.
    Registered { refused: Vec<(String, String)> },
}

/// A request that was validated by the core that received it, or a step of one.
pub(crate) enum Forwarded {
    Learn {
        namespace: NamespaceId,
        record: Parcel<ConceptRecord>,
    },
    Associate {
        namespace: NamespaceId,
        record: Parcel<AssociationRecord>,
    },
    Delete {
        namespace: NamespaceId,
        key: Parcel<ConceptKey>,
        /// Whether the answer is to say what was deleted.
        is_counted: bool,
    },
    /// A step of a deletion: one association.
    Remove(EdgeKey),
    /// The last step of a deletion: the concept itself.
    Bury {
        namespace: NamespaceId,
        key: Parcel<ConceptKey>,
    },
    Query {
        namespace: NamespaceId,
        id: ConceptId,
    },
    Association {
        namespace: NamespaceId,
        source: ConceptId,
        target: ConceptId,
        kind: Option<u32>,
    },
    Neighbors {
        namespace: NamespaceId,
        request: Parcel<NeighborsRequest>,
    },
    Concepts {
        namespace: NamespaceId,
        from: u32,
        limit: u32,
    },
    /// The path from a concept to itself.
    Itself {
        namespace: NamespaceId,
        id: ConceptId,
    },
}

/// What an answer carries between cores.
pub(crate) enum Payload {
    Empty,
    /// Bytes of the owner's log; the segment is held until they are sent.
    Stored(RegionSlice),
    /// An archive built by the owner.
    Built(FrameBuffer),
}
