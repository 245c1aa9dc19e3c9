//! A record as a line that `sutra import` reads. What is left out is what import takes for granted.

use std::io::{self, Write};

use serde::Serialize;
use sutra_wire::ArchivedConceptRecord;

use super::format::{Edge, End};
use crate::json;

/// Where a concept's embedding stands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Embedding {
    /// In its line.
    Inside,
    /// In a file beside.
    Beside,
}

#[derive(Serialize)]
struct ConceptLine<'a> {
    id: &'a str,
    /// Where it is not the id's.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    content: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    embedding: Vec<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
    created: u64,
    updated: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
}

#[derive(Serialize)]
struct AssociationLine<'a> {
    source: &'a str,
    target: &'a str,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
    created: u64,
    updated: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
}

/// A number, unless it is the one that is taken for granted.
fn unless_one(number: f32) -> Option<f32> {
    Some(number).filter(|number| *number != 1.0)
}

/// Writes a concept's line.
pub(super) fn concept(
    mut out: impl Write,
    namespace: Option<&str>,
    end: &End,
    record: &ArchivedConceptRecord,
    embedding: Embedding,
) -> io::Result<()> {
    let numbers = record.embedding.iter().filter(|_| embedding == Embedding::Inside);
    let name = Some(&*record.name).filter(|name| !name.is_empty() && *name != end.reference);
    let line = ConceptLine {
        id: &end.reference,
        name,
        content: &record.content,
        embedding: numbers.map(|number| number.to_native()).collect(),
        strength: unless_one(record.strength.to_native()),
        confidence: unless_one(record.confidence.to_native()),
        created: record.created.to_native(),
        updated: record.updated.to_native(),
        namespace,
    };
    json::write(&mut out, &line)?;
    writeln!(out)
}

/// Writes an association's line.
pub(super) fn association(
    mut out: impl Write,
    namespace: Option<&str>,
    edge: &Edge<'_>,
) -> io::Result<()> {
    let line = AssociationLine {
        source: &edge.source.reference,
        target: &edge.target.reference,
        kind: edge.kind.to_string(),
        confidence: unless_one(edge.confidence),
        created: edge.created,
        updated: edge.updated,
        namespace,
    };
    json::write(&mut out, &line)?;
    writeln!(out)
}
