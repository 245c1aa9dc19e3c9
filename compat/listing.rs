//! A list of ids that takes several native replies: the old protocol has no cursor, so the parts
//! are gathered and answered as one.

use rmp::Marker;
use sutra_wire::{
    Checked, Concepts, ConceptsRequest, FrameBuffer, Neighbors, NeighborsRequest, archive,
};

use crate::MAX_MESSAGE;
use crate::dialect::{Encoding, Manner};
use crate::error::CompatError;
use crate::ids::{self, DIGITS, ID_BYTES};
use crate::message::message;
use crate::operation::Operation;
use crate::reply::bincode;
use crate::reply::msgpack::Writer;

/// Bytes that a text of 32 digits takes in a message, at least.
const TEXT_BYTES: usize = 34;
/// Most ids that fit into a message.
const MOST_IDS: usize = MAX_MESSAGE as usize / TEXT_BYTES;

/// A request whose answer comes in parts. It is made when [`crate::encode_reply`] said
/// [`CompatError::Partial`], and takes that reply first.
///
/// Holds at most twice the ids that fit into a message, 16 MiB: of the associations of a hub, many
/// lead to the same neighbours. The ids are thinned out only when there are so many, so each is
/// sorted a few times at most.
pub struct Listing {
    manner: Manner,
    request: FrameBuffer,
    ids: Vec<u8>,
}

impl Listing {
    /// A listing that nothing was taken of yet. `request` is the archive that [`crate::decode`]
    /// made.
    pub fn new(manner: Manner, request: FrameBuffer) -> Self {
        Self { manner, request, ids: Vec::new() }
    }

    /// One of which parts were taken before, as [`Listing::into_parts`] left it.
    pub fn resume(manner: Manner, request: FrameBuffer, ids: Vec<u8>) -> Self {
        Self { manner, request, ids }
    }

    /// The request to send next, and the ids that were taken: what is kept until its reply comes.
    pub fn into_parts(self) -> (FrameBuffer, Vec<u8>) {
        (self.request, self.ids)
    }

    /// The archive of the request to send next, under the opcode of the first.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Takes a part: the payload of the reply to [`Listing::request`]. Whether there is more: the
    /// next request is then ready.
    pub fn take(&mut self, payload: &[u8]) -> Result<bool, CompatError> {
        let Some(operation) = self.manner.operation() else {
            unreachable!("a listing answers an operation")
        };
        let cursor = part(operation, payload, |id| self.ids.extend_from_slice(id))?;
        if self.ids.len() > 2 * MOST_IDS * ID_BYTES {
            self.thin()?;
        }
        if cursor != 0 {
            self.go_on(operation, cursor)?;
        }
        Ok(cursor != 0)
    }

    /// Keeps one of each id, unless those are too many.
    fn thin(&mut self) -> Result<(), CompatError> {
        let count = ids::sort_and_thin(0, &mut self.ids);
        if count > MOST_IDS {
            return Err(CompatError::ReplyTooLong {
                length: count * TEXT_BYTES,
                limit: MAX_MESSAGE,
            });
        }
        Ok(())
    }

    /// Makes the request for the part at `cursor`.
    fn go_on(&mut self, operation: Operation, cursor: u64) -> Result<(), CompatError> {
        let last = std::mem::take(&mut self.request);
        match operation {
            Operation::GetAllConceptIds => {
                let request = ConceptsRequest {
                    cursor,
                    ..Checked::<ConceptsRequest>::new(&last)?.to_owned()
                };
                archive(&mut self.request, &request);
            }
            _ => {
                let request = NeighborsRequest {
                    cursor,
                    ..Checked::<NeighborsRequest>::new(&last)?.to_owned()
                };
                archive(&mut self.request, &request);
            }
        }
        Ok(())
    }

    /// Appends the message, with its prefix, that answers with all that was taken.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), CompatError> {
        // Before they are spelled out, which takes more than twice their bytes.
        if !is_distinct(self.manner) || self.ids.len() > MOST_IDS * ID_BYTES {
            self.thin()?;
        }
        message(out, |out| {
            let start = out.len();
            out.extend_from_slice(&self.ids);
            write(self.manner, start, out);
            Ok(())
        })
    }
}

/// Gives the ids of one native reply to `take`, in order; returns the cursor to go on with, 0 at
/// the end.
pub(crate) fn part(
    operation: Operation,
    payload: &[u8],
    take: impl FnMut(&[u8; ID_BYTES]),
) -> Result<u64, CompatError> {
    if operation == Operation::GetAllConceptIds {
        let reply = Checked::<Concepts>::new(payload)?.get();
        reply.ids.iter().for_each(take);
        return Ok(reply.cursor.to_native());
    }
    let reply = Checked::<Neighbors>::new(payload)?.get();
    reply.neighbors.iter().map(|neighbor| &neighbor.id).for_each(take);
    Ok(reply.cursor.to_native())
}

/// Turns the ids from `start` on into the reply of the listing that was asked for.
pub(crate) fn write(manner: Manner, start: usize, out: &mut Vec<u8>) {
    let (name, field) = match manner.operation() {
        Some(Operation::GetNeighbors) => ("GetNeighborsOk", "neighbor_ids"),
        Some(Operation::GetAllConceptIds) => ("GetAllConceptIdsOk", "concept_ids"),
        other => unreachable!("{other:?} lists no ids"),
    };
    put_ids(manner.encoding(), (name, field), is_distinct(manner), start, out);
}

/// Whether each id comes once: a concept is listed once, and a neighbour for each of its
/// associations.
fn is_distinct(manner: Manner) -> bool {
    manner.operation() == Some(Operation::GetAllConceptIds)
}

/// Turns the ids that lie from `start` to the end of `out`, as bare bytes, into the reply of this
/// operation, in their place. Each appears once: those that may not be distinct are sorted, and are
/// in the order of their bytes. Sorting 120,000 takes some 6 ms, in which the core does nothing
/// else.
fn put_ids(
    encoding: Encoding,
    (name, field): (&str, &str),
    distinct: bool,
    start: usize,
    out: &mut Vec<u8>,
) {
    let count =
        if distinct { (out.len() - start) / ID_BYTES } else { ids::sort_and_thin(start, out) };
    // The list's header depends on its length, so it is written after the list and rotated to the
    // front.
    let end = out.len();
    match encoding {
        Encoding::Msgpack | Encoding::TaggedMsgpack => {
            Writer(out).open(name, 1).text(field).array(count);
        }
        Encoding::Bincode(_) => bincode::put(out, &(bincode::NEIGHBORS, count as u64)),
    }
    let head = out.len() - end;
    out[start..].rotate_right(head);
    match encoding {
        Encoding::Msgpack | Encoding::TaggedMsgpack => {
            spell_out(start + head, &[Marker::Str8.to_u8(), DIGITS as u8], out);
        }
        Encoding::Bincode(_) => spell_out(start + head, &(DIGITS as u64).to_le_bytes(), out),
    }
}

/// Turns the bare ids from `start` on into texts, each after the encoding's `mark` of a text of 32
/// bytes.
fn spell_out(start: usize, mark: &[u8], out: &mut Vec<u8>) {
    let bare = out.len() - start;
    let width = mark.len() + DIGITS;
    let (from, length) = (out.len(), bare / ID_BYTES * width);
    out.resize(start + length, 0);
    // Moved to the end, each id lies behind the place where its text will end, so that the texts
    // never overtake the ids.
    let ids = start + length - bare;
    out.copy_within(start..from, ids);
    for (at, place) in (start..start + length).step_by(width).enumerate() {
        let id =
            ids::Hex::of(out[ids + at * ID_BYTES..][..ID_BYTES].try_into().expect("an id's bytes"));
        let text = &mut out[place..place + width];
        text[..mark.len()].copy_from_slice(mark);
        text[mark.len()..].copy_from_slice(&id.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_spelled_out_in_their_place_each_once() {
        for count in [0_u8, 1, 2, 3, 17, 255] {
            let mut out = b"before".to_vec();
            for id in (0..count).rev().chain(0..count) {
                out.extend_from_slice(&[id; ID_BYTES]);
            }
            put_ids(
                Encoding::Bincode(crate::operation::Numbering::First),
                ("", ""),
                false,
                6,
                &mut out,
            );
            let ids: Vec<_> = (0..count).map(|id| format!("{id:02x}").repeat(ID_BYTES)).collect();
            assert_eq!(out[..6], *b"before");
            assert_eq!(out[6..], ::bincode::serialize(&(3_u32, ids)).expect("fits"), "{count} ids");
        }
    }
}
