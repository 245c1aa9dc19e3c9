//! What cores tell each other, and where answers go. Knows no feature: each has a part of its own
//! here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_driver::Ended;
use sutra_net::{Histogram, ReplyTo, ServiceMessage, SlowRequests};
use sutra_runtime::RegionSlice;
use sutra_store::{
    EdgeKey, InEdge, Indexed, LastBackup, NamespaceId, ShardCut, ShardStats, StoreFacts,
    VectorQuery,
};
use sutra_wire::{
    AssociationRecord, ConceptId, ConceptKey, ConceptRecord, Counter, Direction, FrameBuffer,
    LogRange, NeighborsRequest, Opcode, Parcel, SearchHit, Status,
};
use tokio::sync::oneshot;

use super::names::{
    BurialNumber, CutNumber, DeletionNumber, QuestionNumber, SearchNumber, Timer, Token,
    TraversalNumber,
};

/// A message and the highest sequence that its sender had seen (Lamport 1978): so that causes come
/// before effects in any merged order of the shards' logs.
pub(crate) struct Message {
    pub(crate) clock: u64,
    pub(crate) body: Body,
}

impl ServiceMessage for Message {
    type Token = Token;
    type Timer = Timer;
}

/// What is told, by the feature that it is for.
pub(crate) enum Body {
    /// A request for a concept that the receiver owns.
    Request {
        to: ReplyTo,
        request: Forwarded,
    },
    /// The answer to one. Every request gets exactly one.
    Answer {
        to: ReplyTo,
        status: Status,
        sequence: u64,
        payload: Payload,
        /// Since when its write has been in the sender's log, where it was one.
        logged: Option<Instant>,
    },
    Write(WriteMessage),
    Path(PathMessage),
    Vector(VectorMessage),
    Question(QuestionMessage),
    Backup(BackupMessage),
    /// The admin port's thread wants to see what this core has and has done.
    Look(oneshot::Sender<CoreView>),
    /// The same for the requests that took long.
    LookAtSlow(oneshot::Sender<SlowRequests>),
    /// The background thread has done something for the receiver's shard.
    Driver(Ended),
    /// What has become of the data folder, for a core that does not look itself.
    Folder(Option<Arc<str>>),
}

/// A request that waits for something on this core: where its answer goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) asked: AskedFrom,
    /// Since when its write has been in this core's log, where it has one there.
    pub(crate) logged: Option<Instant>,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AskedFrom {
    /// A connection of this core sent it.
    Here(ReplyTo),
    /// Another core sent it on.
    There { core: usize, to: ReplyTo },
}

impl Ticket {
    /// Of a connection of this core.
    pub(crate) fn here(to: ReplyTo) -> Self {
        Self { asked: AskedFrom::Here(to), logged: None }
    }

    /// Of another core.
    pub(crate) fn there(core: usize, to: ReplyTo) -> Self {
        Self { asked: AskedFrom::There { core, to }, logged: None }
    }

    /// Its write goes into the log now.
    pub(crate) fn logged_at(self, now: Instant) -> Self {
        Self { logged: Some(now), ..self }
    }
}

/// Who waits for a write of this core's log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WriteTicket {
    Request(Ticket),
    /// A request to remove one association; whether it was this one that removed it, as far as is
    /// known.
    Dissociation {
        ticket: Ticket,
        has_removed: bool,
    },
    /// It is one removal of a deletion that a core works on; whether it was this one that removed
    /// the association, as far as is known.
    Removal {
        core: usize,
        deletion: DeletionNumber,
        has_removed: bool,
    },
    /// The write is the last step of a deletion that this core began.
    Burial(BurialNumber),
}

impl WriteTicket {
    /// The write goes into the log now.
    pub(crate) fn logged_at(self, now: Instant) -> Self {
        match self {
            Self::Request(ticket) => Self::Request(ticket.logged_at(now)),
            Self::Dissociation { ticket, has_removed } => {
                Self::Dissociation { ticket: ticket.logged_at(now), has_removed }
            }
            Self::Removal { .. } | Self::Burial(_) => self,
        }
    }
}

/// A request that was validated by the core that received it.
pub(crate) enum Forwarded {
    Write(Write),
    /// One association is to be removed.
    Dissociate(EdgeKey),
    Read(Read),
    /// The path from a concept to itself.
    Itself {
        namespace: NamespaceId,
        id: ConceptId,
    },
    Backup(BackupRequest),
}

/// How a concept is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeleteManner {
    /// With its associations; the answer says whether there was anything.
    Answered,
    /// With its associations; the answer says what was deleted.
    Counted,
    /// Only where it has no associations; the answer as of [`DeleteManner::Counted`].
    Unassociated,
}

/// Something for the log of its owner.
pub(crate) enum Write {
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
        manner: DeleteManner,
    },
    /// One association, by itself or as a step of a deletion.
    Remove(EdgeKey),
    /// The last step of a deletion: the concept itself.
    Bury {
        namespace: NamespaceId,
        key: Parcel<ConceptKey>,
    },
}

/// Something that its owner's shard tells at once.
pub(crate) enum Read {
    Concept { namespace: NamespaceId, id: ConceptId },
    Association { namespace: NamespaceId, source: ConceptId, target: ConceptId, kind: Option<u32> },
    Neighbors { namespace: NamespaceId, request: Parcel<NeighborsRequest> },
    Concepts { listed: Listed, namespace: NamespaceId, from: u32, limit: u32 },
    Log(LogRange),
}

/// Which of a namespace's concepts a listing has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    Learned,
    /// Those that are not learned and that associations start from.
    UnlearnedSources,
}

/// What an answer carries between cores.
pub(crate) enum Payload {
    Empty,
    /// Bytes of the owner's log; the segment is held until they are sent.
    Stored(RegionSlice),
    /// An archive built by the owner.
    Built(FrameBuffer),
}

/// Of writes that concern two cores, and of namespaces.
pub(crate) enum WriteMessage {
    /// An association whose target the receiver owns, or its removal, is durable at its source.
    InEdge { ticket: WriteTicket, sequence: u64, edge: InEdge },
    /// The receiver's association, or its removal, is known at its target: it may be acknowledged.
    InEdgeApplied { ticket: WriteTicket, sequence: u64 },
    /// An association whose source the receiver owns is to be removed for a deletion of the
    /// sender's.
    Remove { deletion: DeletionNumber, key: EdgeKey },
    /// It is gone at both ends, and whether by this removal; or why it is not.
    Removed { deletion: DeletionNumber, outcome: Result<bool, (Status, String)> },
    /// The background thread numbered the namespaces that it was given, but for these, and why.
    Registered { refused: Vec<(String, String)> },
}

/// Of traversals, by the number that they have on the core that asks.
pub(crate) enum PathMessage {
    /// Concepts whose associations the receiver reads for a traversal of the sender's.
    Expand { traversal: TraversalNumber, batch: Batch },
    /// More of them are wanted.
    ExpandOn { traversal: TraversalNumber },
    /// No more of them is wanted. The receiver says that it has let go, unless it has sent the last
    /// of them before.
    Abandon { traversal: TraversalNumber },
    /// Some of what a traversal of the receiver's asked for.
    Expanded { traversal: TraversalNumber, edges: Edges },
}

/// Concepts whose associations a traversal asks another core for.
pub(crate) struct Batch {
    pub(crate) namespace: NamespaceId,
    /// As seen from these concepts.
    pub(crate) direction: Direction,
    /// Only these kinds; all where there is none.
    pub(crate) kinds: Arc<[u32]>,
    pub(crate) ids: Vec<ConceptId>,
}

/// An association of one of them.
pub(crate) struct FarEdge {
    /// Which one, by its place in the batch.
    pub(crate) from: u32,
    pub(crate) peer: ConceptId,
    pub(crate) kind: u32,
    pub(crate) confidence: f32,
    pub(crate) is_outgoing: bool,
}

/// Some of a batch's associations.
#[derive(Default)]
pub(crate) struct Edges {
    pub(crate) edges: Vec<FarEdge>,
    /// Whether each concept of which there has been any association has had all of them.
    pub(crate) is_whole: bool,
    /// Whether these were the batch's last.
    pub(crate) is_last: bool,
}

/// Of vector searches.
pub(crate) enum VectorMessage {
    /// A search of which the receiver does its shard's share.
    Search(Box<ShareAsked>),
    /// The sender's share of a search of the receiver's: its best hits, or nothing where it gave
    /// up.
    Searched { search: SearchNumber, hits: Option<Vec<SearchHit>> },
    /// The core's worker is done with a job of its shard's index.
    Indexed(Box<Indexed>),
}

/// What a core is asked to search for.
pub(crate) struct ShareAsked {
    pub(crate) search: SearchNumber,
    pub(crate) query: Arc<VectorQuery>,
    pub(crate) deadline: Option<Instant>,
    /// Only these concepts, all of them the asked core's own; `None` for all that it has.
    pub(crate) allowed: Option<Vec<[u8; 16]>>,
}

/// Of questions to all cores.
pub(crate) enum QuestionMessage {
    Ask { number: QuestionNumber, question: Question },
    Tell { number: QuestionNumber, reply: CoreReply },
}

/// What a backup asks of the core that takes cuts.
#[derive(Clone, Copy)]
pub(crate) enum BackupRequest {
    /// Where all logs end.
    Cut,
    /// It is complete, which is to be noted.
    Done(LastBackup),
}

/// Of backups. All but the first and the last are between the core that takes a cut and the others.
pub(crate) enum BackupMessage {
    /// The background thread has read the manifest: what it says, and where the data folder is.
    Facts(Box<StoreFacts>, String),
    /// The receiver is to begin no commit, and to tell where its log ends.
    Hold(CutNumber),
    /// The sender's log ends there; or why that can't be told.
    Ends(CutNumber, Result<ShardCut, String>),
    /// The cut is over.
    GoOn(CutNumber),
    /// The background thread has noted a backup, or could not.
    Noted(Result<(), String>),
}

/// What is asked of every core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Stats,
    Flush,
    Health,
}

/// One core's answer.
pub(crate) enum CoreReply {
    Stats(Box<CoreStats>),
    /// What is wrong, if anything is.
    Done(Result<(), String>),
}

/// What one core has and has done.
#[derive(Clone, Default)]
pub(crate) struct CoreStats {
    pub(crate) shard: ShardStats,
    pub(crate) counters: Vec<Counter>,
    /// How long requests took, by operation.
    pub(crate) latencies: Vec<(Opcode, Histogram)>,
    /// How long commits took.
    pub(crate) commits: Histogram,
    /// For how long the oldest of a commit and a sync has been under way; zero where none is.
    pub(crate) disk_under_way: Duration,
    /// The last backup, on the core that keeps the note of it.
    pub(crate) last_backup: Option<LastBackup>,
}

/// The same, and how the core is.
pub(crate) struct CoreView {
    pub(crate) stats: CoreStats,
    /// What is wrong with its shard.
    pub(crate) problem: Option<String>,
    pub(crate) is_draining: bool,
}
