//! What the formats of an export have in common.

use std::io;

use serde::Serialize;
use sutra_wire::{ArchivedConceptRecord, AssociationKind, ConceptId};

/// One end of an association.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) id: ConceptId,
    /// What `sutra import` finds the same concept by: its name where that hashes to its id, else
    /// its id.
    pub(super) reference: String,
}

impl End {
    pub(super) fn new(id: ConceptId, name: &str) -> Self {
        // Digits stand for an id, and are no name to whoever reads them.
        let is_digits = ConceptId::from_digits(name).is_some();
        let is_its_own = !is_digits && ConceptId::from_name(name) == Ok(id);
        Self { id, reference: if is_its_own { name.to_owned() } else { id.to_string() } }
    }
}

/// An association.
pub(super) struct Edge<'a> {
    pub(super) source: &'a End,
    pub(super) target: &'a End,
    pub(super) kind: AssociationKind,
    pub(super) confidence: f32,
    /// When it was first and last stored, in µs since 1970; 0 where the format does not want it.
    pub(super) created: u64,
    pub(super) updated: u64,
}

/// How concepts and associations are written, and where to. They come in any order, each once.
pub(super) trait Format {
    /// Whether the times of associations are written: each is asked for then.
    fn wants_times(&self) -> bool {
        false
    }

    /// What follows is of this namespace.
    fn namespace(&mut self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    /// A concept; without a record, one that is not learned and an end of associations.
    fn concept(&mut self, end: &End, record: Option<&ArchivedConceptRecord>) -> io::Result<()>;

    fn association(&mut self, edge: &Edge<'_>) -> io::Result<()>;

    /// That was all: makes what was written whole.
    fn finish(self: Box<Self>) -> io::Result<Finished>;
}

/// What is to be told of an export that is whole.
#[derive(Default)]
pub(super) struct Finished {
    /// What the format can't hold.
    pub(super) not_held: Vec<NotHeld>,
    /// What to do with it.
    pub(super) advice: Option<String>,
}

/// Something that the format can't hold.
#[derive(Serialize)]
pub(super) struct NotHeld {
    /// For programs.
    pub(super) what: &'static str,
    pub(super) count: u64,
    /// For people.
    #[serde(skip)]
    pub(super) words: String,
}

/// What people read on a concept: its name, else the first line of what it holds, else its id.
pub(super) fn label(end: &End, record: Option<&ArchivedConceptRecord>) -> String {
    let Some(record) = record else { return end.reference.clone() };
    let first_line = record.content.lines().next().unwrap_or_default();
    let text = [&*record.name, first_line].into_iter().find(|text| !text.is_empty());
    text.unwrap_or(&end.reference).to_owned()
}

/// A character as drawings and XML 1.0 can hold it. Control characters, which they can't, become
/// Unicode's pictures of them: U+241B for an escape.
pub(super) fn drawable(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => c,
        '\0'..='\u{1f}' => {
            char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        '\u{7f}' => '\u{2421}',
        // No characters at all.
        '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}
