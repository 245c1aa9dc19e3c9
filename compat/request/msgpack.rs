//! The shapes that a MessagePack request comes in.
//!
//! ```text
//! "GetStats"   6                              an operation without fields, by name or by its first number
//! {"GetStats": {} | nil | []}                 the same
//! {"QueryConcept": {"concept_id": …}}         fields by name, in any order
//! {"QueryConcept": […]}                       fields in order
//! {"type": "QueryConcept", "concept_id": …}   all in one map; `type` may stand anywhere
//! ```
//!
//! Unknown fields and what follows the request are ignored. A field that is given twice is an
//! error, since clients and servers differ in which of them counts.

use rmp::Marker;

use crate::dialect::Manner;
use crate::error::{CompatError, excerpt};
use crate::operation::Numbering;
use crate::operation::{Field, Fields, Kind, MAX_FIELDS, Operation};
use crate::reader::{Reader, wrong};
use crate::request::{self, Request};
use crate::vector::Vector;

const REQUEST: &str = "the request";
const TYPE: &[u8] = b"type";

/// The value of a field.
#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a str),
    Vector(Vector<'a>),
    Float(f32),
    Integer(u32),
}

/// Reads a request, and tells `manner` how it is spoken as soon as that is known. `None` for the
/// request of an operation that is not served; its fields are not looked at.
pub(crate) fn read<'a>(
    message: &'a [u8],
    manner: &mut Manner,
) -> Result<Option<(Request<'a>, &'a str)>, CompatError> {
    match message.first() {
        None => return Err(CompatError::Empty),
        Some(b'{') => return Err(CompatError::Json),
        Some(_) => {}
    }
    let mut reader = Reader::new(message);
    let Some(entries) = reader.map(REQUEST)? else {
        let operation = tag(&mut reader)?;
        manner.note_operation(operation);
        return finish(operation, |_| Ok(()));
    };
    let is_tagged = entries != 1 || reader.clone().text_bytes(REQUEST)? == Some(TYPE);
    let operation = if is_tagged { tagged(reader, entries)? } else { tag(&mut reader)? };
    if is_tagged {
        manner.note_tagged();
    }
    manner.note_operation(operation);
    finish(
        operation,
        |found| if is_tagged { found.map(reader, entries, 1) } else { found.body(reader) },
    )
}

/// Reads the fields of an operation that is served, and makes the request of them.
fn finish<'a>(
    operation: Operation,
    read: impl FnOnce(&mut Found<'a>) -> Result<(), CompatError>,
) -> Result<Option<(Request<'a>, &'a str)>, CompatError> {
    if operation.refusal().is_some() {
        return Ok(None);
    }
    let mut found = Found {
        operation,
        fields: operation.fields(),
        seen: [false; MAX_FIELDS],
        values: [None; MAX_FIELDS],
    };
    read(&mut found)?;
    let namespace = found.text("namespace").unwrap_or_default();
    found.request().map(|request| Some((request, namespace)))
}

/// The operation, by name or, as the old server's decoder had it, by the number in the first
/// release.
fn tag(reader: &mut Reader<'_>) -> Result<Operation, CompatError> {
    let found = reader.peek(REQUEST)?;
    if matches!(found, Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32) {
        let number = reader.integer(REQUEST)?.into();
        return Operation::from_number(number, Numbering::First)
            .ok_or_else(|| CompatError::UnknownOperation { name: number.to_string() });
    }
    let name = reader
        .text_bytes(REQUEST)?
        .ok_or_else(|| wrong(REQUEST, "a map or an operation's name", found))?;
    Operation::from_name(name).ok_or_else(|| CompatError::UnknownOperation { name: excerpt(name) })
}

/// The operation that the `type` of a map names, wherever it stands. Fields mean nothing before it
/// is known.
fn tagged(mut reader: Reader<'_>, entries: u32) -> Result<Operation, CompatError> {
    for _ in 0..entries {
        if key(&mut reader)? == Some(TYPE) {
            return tag(&mut reader);
        }
        reader.skip(REQUEST, 1)?;
    }
    Err(CompatError::NoOperation { entries })
}

/// A map's next key; `None` for one that isn't text and so names no field.
fn key<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, CompatError> {
    let key = reader.text_bytes(REQUEST)?;
    if key.is_none() {
        reader.skip(REQUEST, 1)?;
    }
    Ok(key)
}

/// The fields that were found so far.
struct Found<'a> {
    operation: Operation,
    fields: Fields,
    seen: [bool; MAX_FIELDS],
    values: [Option<Value<'a>>; MAX_FIELDS],
}

impl<'a> Found<'a> {
    /// The value under `{"Operation": …}`.
    fn body(&mut self, mut reader: Reader<'a>) -> Result<(), CompatError> {
        let found = reader.peek(REQUEST)?;
        if reader.nil(REQUEST)? {
            Ok(())
        } else if let Some(entries) = reader.map(REQUEST)? {
            self.map(reader, entries, 2)
        } else if let Some(values) = reader.array(REQUEST)? {
            self.array(reader, values)
        } else {
            Err(wrong(self.operation.name(), "its fields as a map or an array", found))
        }
    }

    /// Fields by name, in a map that lies `depth` deep.
    fn map(
        &mut self,
        mut reader: Reader<'a>,
        entries: u32,
        depth: usize,
    ) -> Result<(), CompatError> {
        let mut has_type = false;
        for _ in 0..entries {
            let name = key(&mut reader)?;
            // In a map within a map, `type` is a field like any other that is not known.
            if name == Some(TYPE) && depth == 1 {
                if std::mem::replace(&mut has_type, true) {
                    return Err(self.twice("type"));
                }
                reader.skip(REQUEST, depth)?;
                continue;
            }
            match name.and_then(|name| {
                self.fields.list.iter().position(|field| field.name.as_bytes() == name)
            }) {
                Some(at) => self.field(at, &mut reader)?,
                None => reader.skip(REQUEST, depth)?,
            }
        }
        Ok(())
    }

    /// Fields in order. An array may end early where the rest is optional.
    fn array(&mut self, mut reader: Reader<'a>, values: u32) -> Result<(), CompatError> {
        let known = self.fields.in_arrays;
        let count = values as usize;
        if count > known + self.fields.spare {
            return Err(CompatError::TooManyFields {
                operation: self.operation.name(),
                found: values,
                known,
            });
        }
        (0..count.min(known)).try_for_each(|at| self.field(at, &mut reader))
    }

    /// One field's value; nil is as good as absent.
    fn field(&mut self, at: usize, reader: &mut Reader<'a>) -> Result<(), CompatError> {
        let &Field { name, kind } = &self.fields.list[at];
        if std::mem::replace(&mut self.seen[at], true) {
            return Err(self.twice(name));
        }
        if reader.nil(name)? {
            return Ok(());
        }
        self.values[at] = Some(match kind {
            Kind::Text => Value::Text(reader.text(name)?),
            Kind::Vector => Value::Vector(vector(reader, name)?),
            Kind::Float => Value::Float(reader.number(name)?.to_f32()),
            Kind::Integer => Value::Integer(reader.integer(name)?),
        });
        Ok(())
    }

    fn twice(&self, field: &'static str) -> CompatError {
        CompatError::DuplicateField { operation: self.operation.name(), field }
    }

    fn value(&self, name: &'static str) -> Result<Value<'a>, CompatError> {
        let at = self.fields.list.iter().position(|field| field.name == name);
        at.and_then(|at| self.values[at])
            .ok_or(CompatError::MissingField { operation: self.operation.name(), field: name })
    }

    fn text(&self, name: &'static str) -> Result<&'a str, CompatError> {
        match self.value(name)? {
            Value::Text(text) => Ok(text),
            _ => unreachable!("the field {name} is a text"),
        }
    }

    fn vector(&self, name: &'static str) -> Result<Vector<'a>, CompatError> {
        match self.value(name)? {
            Value::Vector(vector) => Ok(vector),
            _ => unreachable!("the field {name} is a vector"),
        }
    }

    fn float(&self, name: &'static str, default: f32) -> f32 {
        match self.value(name) {
            Ok(Value::Float(number)) => number,
            _ => default,
        }
    }

    fn integer(&self, name: &'static str, default: u32) -> u32 {
        match self.value(name) {
            Ok(Value::Integer(number)) => number,
            _ => default,
        }
    }

    fn request(&self) -> Result<Request<'a>, CompatError> {
        Ok(match self.operation {
            Operation::LearnConcept => Request::LearnConcept {
                concept_id: self.text("concept_id")?,
                content: self.text("content")?,
                embedding: self.vector("embedding").unwrap_or_default(),
                strength: self.float("strength", request::STRENGTH),
                confidence: self.float("confidence", request::CONFIDENCE),
            },
            Operation::LearnAssociation => Request::LearnAssociation {
                source_id: self.text("source_id")?,
                target_id: self.text("target_id")?,
                assoc_type: self.integer("assoc_type", 0),
                confidence: self.float("confidence", request::CONFIDENCE),
            },
            Operation::QueryConcept => {
                Request::QueryConcept { concept_id: self.text("concept_id")? }
            }
            Operation::GetNeighbors => {
                Request::GetNeighbors { concept_id: self.text("concept_id")? }
            }
            Operation::FindPath => Request::FindPath {
                start_id: self.text("start_id")?,
                end_id: self.text("end_id")?,
                max_depth: self.integer("max_depth", request::MAX_DEPTH),
            },
            Operation::VectorSearch => Request::VectorSearch {
                query_vector: self.vector("query_vector")?,
                k: self.integer("k", request::K),
                ef_search: self.integer("ef_search", request::EF_SEARCH),
            },
            Operation::DeleteConcept => Request::DeleteConcept { id: self.text("id")? },
            Operation::DeleteAssociation => Request::DeleteAssociation {
                source_id: self.text("source_id")?,
                target_id: self.text("target_id")?,
                assoc_type: self.integer("assoc_type", 0),
            },
            Operation::GetAssociation => Request::GetAssociation {
                source_id: self.text("source_id")?,
                target_id: self.text("target_id")?,
            },
            Operation::GetAllConceptIds => Request::GetAllConceptIds,
            Operation::GetStats => Request::GetStats,
            Operation::Flush => Request::Flush,
            Operation::HealthCheck => Request::HealthCheck,
            other => unreachable!("{} is refused before its fields are read", other.name()),
        })
    }
}

/// A vector: an array of numbers, or the bytes of little-endian floats.
fn vector<'a>(reader: &mut Reader<'a>, place: &'static str) -> Result<Vector<'a>, CompatError> {
    let found = reader.peek(place)?;
    if let Some(bytes) = reader.raw(place)? {
        Vector::raw(bytes, place)
    } else if let Some(count) = reader.array(place)? {
        Vector::array(reader, count, place)
    } else {
        Err(wrong(place, "an array of numbers, or the bytes of little-endian 4-byte floats", found))
    }
}
