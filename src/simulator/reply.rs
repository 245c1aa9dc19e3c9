//! What a server answers, read as a client reads it.

use std::fmt;

use sutra_wire::{
    AssociationRecord, BackupCut, Checked, ConceptRecord, Concepts, Deleted, ErrorMessage,
    FrameBuffer, Header, Health, Neighbor, Neighbors, Opcode, Path, Paths, Payload, SearchHit,
    SearchHits, Stats, Status,
};

/// What a server answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Done, with this sequence where it tells one.
    Done(Option<u64>),
    NotFound,
    Concept(Box<ConceptRecord>),
    Association(Box<AssociationRecord>),
    Neighbors(Vec<Neighbor>),
    Concepts(Vec<[u8; 16]>),
    Paths(Vec<Path>),
    Hits(Vec<SearchHit>),
    /// What an old client is told of a concept: neither name nor embedding nor times.
    OldConcept(Box<ConceptRecord>),
    /// Likewise, without times.
    OldAssociation(Box<AssociationRecord>),
    /// Both ways, each once.
    OldNeighbors(Vec<[u8; 16]>),
    /// The concepts of a path, without what leads from one to the next.
    OldPath(Vec<[u8; 16]>),
    OldStats {
        concepts: u64,
        associations: u64,
    },
    Deleted(Deleted, u64),
    Stats(Box<Stats>),
    Health(Health),
    Cut(Box<BackupCut>),
    Refused(Status, String),
}

/// A reply, and where the next page begins.
pub(crate) struct Read {
    pub(crate) reply: Reply,
    pub(crate) cursor: u64,
}

/// Reads a reply to this.
pub(crate) fn read(opcode: Opcode, header: &Header, payload: &[u8]) -> Result<Read, String> {
    // Archives are read where they are aligned.
    let mut aligned = FrameBuffer::new();
    aligned.extend_from_slice(payload);
    let Some(status) = Status::from_number(header.status) else {
        return Err(format!("the reply has the status {}, which there is not", header.status));
    };
    if header.opcode != opcode as u8 {
        return Err(format!("the reply has the opcode {}, not {}", header.opcode, opcode as u8));
    }
    if status.is_error() {
        let message = match payload.is_empty() {
            true => String::new(),
            false => archived::<ErrorMessage>(&aligned)?.to_owned().message,
        };
        return Ok(Read { reply: Reply::Refused(status, message), cursor: 0 });
    }
    let mut cursor = 0;
    let reply = match (opcode, status) {
        (_, Status::NotFound) => Reply::NotFound,
        (
            Opcode::Learn | Opcode::Associate | Opcode::Dissociate | Opcode::Delete | Opcode::Flush,
            _,
        ) => Reply::Done(Some(header.extra)),
        (Opcode::DeleteCounted, _) => {
            Reply::Deleted(archived::<Deleted>(&aligned)?.to_owned(), header.extra)
        }
        (Opcode::Query, _) => {
            Reply::Concept(Box::new(archived::<ConceptRecord>(&aligned)?.to_owned()))
        }
        (Opcode::Association, _) => {
            Reply::Association(Box::new(archived::<AssociationRecord>(&aligned)?.to_owned()))
        }
        (Opcode::Neighbors, _) => {
            let page = archived::<Neighbors>(&aligned)?.to_owned();
            cursor = page.cursor;
            Reply::Neighbors(page.neighbors)
        }
        (Opcode::Concepts, _) => {
            let page = archived::<Concepts>(&aligned)?.to_owned();
            cursor = page.cursor;
            Reply::Concepts(page.ids)
        }
        (Opcode::Path, _) => Reply::Paths(archived::<Paths>(&aligned)?.to_owned().paths),
        (Opcode::Search, _) => Reply::Hits(archived::<SearchHits>(&aligned)?.to_owned().hits),
        (Opcode::Stats, _) => Reply::Stats(Box::new(archived::<Stats>(&aligned)?.to_owned())),
        (Opcode::BackupCut, _) => Reply::Cut(Box::new(archived::<BackupCut>(&aligned)?.to_owned())),
        (Opcode::Health, _) => Reply::Health(archived::<Health>(&aligned)?.to_owned()),
        (other, _) => return Err(format!("nothing like {} was asked for", other.name())),
    };
    Ok(Read { reply, cursor })
}

fn archived<T: Payload>(bytes: &[u8]) -> Result<Checked<'_, T>, String> {
    Checked::new(bytes).map_err(|error| format!("the reply is no {}: {error}", T::NAME))
}

impl Reply {
    /// Puts a page behind those before it.
    pub(crate) fn append(&mut self, page: Reply) {
        match (self, page) {
            (Reply::Neighbors(all), Reply::Neighbors(page)) => all.extend(page),
            (Reply::Concepts(all), Reply::Concepts(page)) => all.extend(page),
            (all, page) => *all = page,
        }
    }

    /// Whether it says what an old client is told, where a native one is told more.
    pub(crate) fn is_old(&self) -> bool {
        matches!(
            self,
            Reply::OldConcept(_)
                | Reply::OldAssociation(_)
                | Reply::OldNeighbors(_)
                | Reply::OldPath(_)
                | Reply::OldStats { .. }
        )
    }

    /// How it is counted.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Reply::NotFound => Status::NotFound.name(),
            Reply::Refused(status, _) => status.name(),
            _ => Status::Ok.name(),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Done(Some(sequence)) => write!(f, "done, sequence {sequence}"),
            Reply::Done(None) => f.write_str("done"),
            Reply::NotFound => f.write_str("not found"),
            Reply::Concept(record) | Reply::OldConcept(record) => {
                let words: String = record.content.chars().take(12).collect();
                write!(f, "{words:?}…, {} bytes", record.content.len())
            }
            Reply::Association(record) | Reply::OldAssociation(record) => {
                write!(f, "kind {}, confidence {}", record.kind, record.confidence)
            }
            Reply::Neighbors(all) => write!(f, "{} neighbours", all.len()),
            Reply::OldNeighbors(all) => write!(f, "{} neighbours, each once", all.len()),
            Reply::Concepts(all) => write!(f, "{} concepts", all.len()),
            Reply::OldPath(all) => write!(f, "a path through {} concepts", all.len()),
            Reply::OldStats { concepts, associations } => {
                write!(f, "{concepts} concepts, {associations} associations")
            }
            Reply::Paths(all) => write!(f, "{} paths", all.len()),
            Reply::Hits(all) => write!(f, "{} hits", all.len()),
            Reply::Deleted(deleted, sequence) => write!(
                f,
                "deleted: concept {}, associations {}, sequence {sequence}",
                deleted.concept, deleted.associations
            ),
            Reply::Stats(stats) => write!(
                f,
                "{} concepts, {} associations, {} vectors",
                stats.concepts, stats.associations, stats.vectors
            ),
            Reply::Cut(cut) => {
                let commits: Vec<u64> = cut.shards.iter().map(|shard| shard.commit).collect();
                write!(f, "a cut up to the commits {commits:?}")
            }
            Reply::Health(health) => write!(f, "healthy {}: {}", health.healthy, health.status),
            Reply::Refused(status, message) => write!(f, "refused, {}: {message}", status.name()),
        }
    }
}
