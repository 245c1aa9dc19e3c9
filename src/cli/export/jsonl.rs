//! The lines that `sutra import` reads.

use std::io::{self, Write};

use serde::Serialize;
use sutra_wire::ArchivedConceptRecord;

use super::format::{Edge, End, Format};
use crate::json;

pub(super) struct JsonLines<'a> {
    pub(super) namespace: &'a str,
}

/// A concept's line; what is left out is what import takes for granted.
#[derive(Serialize)]
struct Concept<'a> {
    id: &'a str,
    content: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    embedding: Vec<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
}

/// An association's line.
#[derive(Serialize)]
struct Association<'a> {
    source: &'a str,
    target: &'a str,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
}

/// A number, unless it is the one that is taken for granted.
fn unless_one(number: f32) -> Option<f32> {
    Some(number).filter(|number| *number != 1.0)
}

impl Format for JsonLines<'_> {
    fn concept(
        &self,
        out: &mut dyn Write,
        end: &End,
        record: Option<&ArchivedConceptRecord>,
    ) -> io::Result<()> {
        let Some(record) = record else { return Ok(()) };
        let line = Concept {
            id: &end.reference,
            content: &record.content,
            embedding: record.embedding.iter().map(|number| number.to_native()).collect(),
            strength: unless_one(record.strength.to_native()),
            confidence: unless_one(record.confidence.to_native()),
            namespace: self.namespace,
        };
        json::write(&mut *out, &line)?;
        writeln!(out)
    }

    fn association(&self, out: &mut dyn Write, edge: &Edge<'_>) -> io::Result<()> {
        let line = Association {
            source: &edge.source.reference,
            target: &edge.target.reference,
            kind: edge.kind.to_string(),
            confidence: unless_one(edge.confidence),
            namespace: self.namespace,
        };
        json::write(&mut *out, &line)?;
        writeln!(out)
    }
}
