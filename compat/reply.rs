//! A native reply as a legacy message: which reply it is here, how it is spelled in
//! `reply/msgpack.rs` and `reply/bincode.rs`.

pub(crate) mod bincode;
pub(crate) mod msgpack;

use sutra_wire::{
    AssociationRecord, Checked, ConceptRecord, ErrorMessage, Health, Paths, SearchHits, Stats,
    Status,
};

use crate::answer::Answer;
use crate::dialect::{Encoding, Manner};
use crate::error::CompatError;
use crate::listing;
use crate::message::message;
use crate::operation::Operation;

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
    let Some(operation) = manner.operation() else {
        unreachable!("only a request that named its operation is answered")
    };
    let write = |answer, out: &mut Vec<u8>| {
        write(manner, answer, out);
        Ok(())
    };
    message(out, |out| match operation {
        Operation::LearnConcept => write(Answer::LearnConceptOk { sequence }, out),
        Operation::LearnAssociation => write(Answer::LearnAssociationOk { sequence }, out),
        Operation::QueryConcept if found => {
            write(Answer::QueryConceptOk(Some(Checked::<ConceptRecord>::new(payload)?.get())), out)
        }
        Operation::QueryConcept => write(Answer::QueryConceptOk(None), out),
        Operation::GetNeighbors | Operation::GetAllConceptIds => {
            let start = out.len();
            if found && listing::part(operation, payload, |id| out.extend_from_slice(id))? != 0 {
                return Err(CompatError::Partial);
            }
            listing::write(manner, start, out);
            Ok(())
        }
        Operation::GetAssociation if found => write(
            Answer::GetAssociationOk(Some(Checked::<AssociationRecord>::new(payload)?.get())),
            out,
        ),
        Operation::GetAssociation => write(Answer::GetAssociationOk(None), out),
        Operation::FindPath if found => {
            let paths = Checked::<Paths>::new(payload)?;
            write(Answer::FindPathOk(paths.get().paths.first()), out)
        }
        Operation::FindPath => write(Answer::FindPathOk(None), out),
        Operation::VectorSearch if found => {
            write(Answer::VectorSearchOk(&Checked::<SearchHits>::new(payload)?.get().hits), out)
        }
        Operation::VectorSearch => write(Answer::VectorSearchOk(&[]), out),
        Operation::GetStats => write(Answer::StatsOk(Checked::<Stats>::new(payload)?.get()), out),
        Operation::Flush => write(Answer::FlushOk, out),
        Operation::HealthCheck => {
            write(Answer::HealthCheckOk(Checked::<Health>::new(payload)?.get()), out)
        }
        Operation::DeleteConcept => write(Answer::DeleteConceptOk { deleted: found }, out),
        Operation::DeleteAssociation => write(Answer::DeleteAssociationOk { deleted: found }, out),
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
        write(manner, Answer::Error { message: text }, out);
        Ok(())
    })
    .expect("an error of bounded length can be said in every encoding");
}

fn write(manner: Manner, answer: Answer<'_>, out: &mut Vec<u8>) {
    match manner.encoding() {
        Encoding::Msgpack => msgpack::write(answer, false, out),
        Encoding::TaggedMsgpack => msgpack::write(answer, true, out),
        Encoding::Bincode(numbering) => bincode::write(answer, numbering, out),
    }
}
