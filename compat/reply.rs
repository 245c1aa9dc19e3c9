//! A native reply as a legacy message: which reply it is here, how it is spelled in `msgpack_reply`
//! and `bincode_reply`.

use sutra_wire::{AssociationRecord, Checked, ConceptRecord, ErrorMessage, Health, Paths, SearchHits, Stats, Status};

use crate::answer::Reply;
use crate::dialect::{Encoding, Manner};
use crate::error::CompatError;
use crate::message::message;
use crate::operation::Operation;
use crate::{bincode_reply, listing, msgpack_reply};

/// Appends the message, with its prefix, that answers a request: `status`, `sequence` and `payload`
/// are those of the native reply, the payload 16-byte aligned as in a frame. What does not fit into
/// a message or does not read as a reply is an error, and leaves `out` as it was: [`encode_error`]
/// tells the client. So is [`CompatError::Partial`], where a [`crate::Listing`] can go on.
pub fn encode_reply(
    manner: Manner,
    status: Status,
    sequence: u64,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CompatError> {
    if status.is_error() {
        match Checked::<ErrorMessage>::new(payload) {
            Ok(error) => encode_error(manner, &error.message, out),
            Err(_) => encode_error(manner, status.name(), out),
        }
        return Ok(());
    }
    let found = status != Status::NotFound;
    let Some(operation) = manner.operation else { unreachable!("only a request that named its operation is answered") };
    let write = |reply, out: &mut Vec<u8>| {
        write(manner, reply, out);
        Ok(())
    };
    message(out, |out| match operation {
        Operation::LearnConcept => write(Reply::LearnConceptOk { sequence }, out),
        Operation::LearnAssociation => write(Reply::LearnAssociationOk { sequence }, out),
        Operation::QueryConcept if found => {
            write(Reply::QueryConceptOk(Some(Checked::<ConceptRecord>::new(payload)?.get())), out)
        }
        Operation::QueryConcept => write(Reply::QueryConceptOk(None), out),
        Operation::GetNeighbors | Operation::GetAllConceptIds => {
            let start = out.len();
            if found && listing::part(operation, payload, |id| out.extend_from_slice(id))? != 0 {
                return Err(CompatError::Partial);
            }
            listing::write(manner, start, out);
            Ok(())
        }
        Operation::GetAssociation if found => {
            write(Reply::GetAssociationOk(Some(Checked::<AssociationRecord>::new(payload)?.get())), out)
        }
        Operation::GetAssociation => write(Reply::GetAssociationOk(None), out),
        Operation::FindPath if found => {
            let paths = Checked::<Paths>::new(payload)?;
            write(Reply::FindPathOk(paths.get().paths.first()), out)
        }
        Operation::FindPath => write(Reply::FindPathOk(None), out),
        Operation::VectorSearch if found => {
            write(Reply::VectorSearchOk(&Checked::<SearchHits>::new(payload)?.get().hits), out)
        }
        Operation::VectorSearch => write(Reply::VectorSearchOk(&[]), out),
        Operation::GetStats => write(Reply::StatsOk(Checked::<Stats>::new(payload)?.get()), out),
        Operation::Flush => write(Reply::FlushOk, out),
        Operation::HealthCheck => write(Reply::HealthCheckOk(Checked::<Health>::new(payload)?.get()), out),
        Operation::DeleteConcept => write(Reply::DeleteConceptOk { deleted: found }, out),
        other => unreachable!("{} is refused, so it has no reply", other.name()),
    })
}

/// Appends the message, with its prefix, that tells a client of an error. A text that does not fit
/// is cut.
pub fn encode_error(manner: Manner, text: &str, out: &mut Vec<u8>) {
    // Far below a message's limit, and more than any error of ours has.
    const LONGEST: usize = 1 << 16;
    let text = &text[..text.floor_char_boundary(LONGEST)];
    message(out, |out| {
        write(manner, Reply::Error { message: text }, out);
        Ok(())
    })
    .expect("an error of bounded length can be said in every encoding");
}

fn write(manner: Manner, reply: Reply<'_>, out: &mut Vec<u8>) {
    match manner.encoding {
        Encoding::Msgpack => msgpack_reply::write(reply, false, out),
        Encoding::TaggedMsgpack => msgpack_reply::write(reply, true, out),
        Encoding::Bincode(numbering) => bincode_reply::write(reply, numbering, out),
    }
}
