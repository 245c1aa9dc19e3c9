//! Requests in bincode 1: a variant's number and its fields, one after the other.
//!
//! Every number and text is read by bincode itself, borrowed and under a limit; so nothing is
//! allocated, whatever a length claims. A vector alone is cut out by its length, as serde has no
//! way to lend it. What follows the last field is ignored: later releases put optional fields
//! there.

use bincode::Options;
use serde::{Deserialize, Serialize};

use crate::MAX_MESSAGE;
use crate::dialect::Manner;
use crate::error::CompatError;
use crate::operation::Numbering;
use crate::operation::Operation;
use crate::request::Request;
use crate::vector::{Vector, check_count};

/// What is left of a message.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next value. `T` borrows all that has a length.
    fn take<T: Deserialize<'a> + Serialize>(
        &mut self,
        place: &'static str,
    ) -> Result<T, CompatError> {
        let options = bincode::options()
            .with_fixint_encoding()
            .allow_trailing_bytes()
            .with_limit(u64::from(MAX_MESSAGE));
        let value: T = options.deserialize(self.rest).map_err(|error| match *error {
            bincode::ErrorKind::InvalidUtf8Encoding(error) => CompatError::Value {
                place,
                problem: format!("is not UTF-8 from byte {} on", error.valid_up_to()),
            },
            _ => CompatError::Truncated { inside: place },
        })?;
        let length = options.serialized_size(&value).expect("a value that was read has a size");
        self.rest = &self.rest[usize::try_from(length).expect("no longer than the message")..];
        Ok(value)
    }

    fn text(&mut self, place: &'static str) -> Result<&'a str, CompatError> {
        self.take(place)
    }

    fn vector(&mut self, place: &'static str) -> Result<Vector<'a>, CompatError> {
        let length = 4 * check_count(self.take(place)?, place)?;
        let (numbers, rest) =
            self.rest.split_at_checked(length).ok_or(CompatError::Truncated { inside: place })?;
        self.rest = rest;
        Vector::raw(numbers, place)
    }
}

/// Reads a request, and tells `manner` its operation as soon as it is known. `None` where the
/// operation is not served.
pub(crate) fn read<'a>(
    message: &'a [u8],
    numbering: Numbering,
    manner: &mut Manner,
) -> Result<Option<Request<'a>>, CompatError> {
    let mut reader = Reader { rest: message };
    let number: u32 = reader.take("the variant's number")?;
    let operation = Operation::from_number(number.into(), numbering)
        .ok_or_else(|| CompatError::UnknownOperation { name: number.to_string() })?;
    manner.note_operation(operation);
    Ok(Some(match operation {
        Operation::LearnConcept => Request::LearnConcept {
            concept_id: reader.text("concept_id")?,
            content: reader.text("content")?,
            embedding: reader.vector("embedding")?,
            strength: reader.take("strength")?,
            confidence: reader.take("confidence")?,
        },
        Operation::LearnAssociation => Request::LearnAssociation {
            source_id: reader.text("source_id")?,
            target_id: reader.text("target_id")?,
            assoc_type: reader.take("assoc_type")?,
            confidence: reader.take("confidence")?,
        },
        Operation::QueryConcept => Request::QueryConcept { concept_id: reader.text("concept_id")? },
        Operation::GetNeighbors => Request::GetNeighbors { concept_id: reader.text("concept_id")? },
        Operation::FindPath => Request::FindPath {
            start_id: reader.text("start_id")?,
            end_id: reader.text("end_id")?,
            max_depth: reader.take("max_depth")?,
        },
        Operation::VectorSearch => Request::VectorSearch {
            query_vector: reader.vector("query_vector")?,
            k: reader.take("k")?,
            ef_search: reader.take("ef_search")?,
        },
        Operation::GetStats => Request::GetStats,
        Operation::Flush => Request::Flush,
        Operation::HealthCheck => Request::HealthCheck,
        _ => return Ok(None),
    }))
}
