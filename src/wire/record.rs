//! The records that are stored: concepts and associations. Their archives are request payload, log
//! entry and reply in one.
//!
//! The server sets the two times where the client sends 0. They are at fixed offsets from the
//! archive's end, so the server writes them into its copy and touches nothing else.

use std::fmt;
use std::mem::{offset_of, size_of};
use std::str::FromStr;

use rkyv::{Archive, Deserialize, Serialize};

use crate::checked::{
    check_confidence, check_id, check_name, check_namespace, check_strength, check_vector,
};
use crate::{Checked, Payload, PayloadError};

/// A concept, as a client learns it and a query returns it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct ConceptRecord {
    /// The 16 bytes of its [`crate::ConceptId`].
    pub id: [u8; 16],
    /// The namespace it belongs to; the empty one is the default.
    pub namespace: String,
    /// The caller's own string for it; empty where it gave only an id.
    pub name: String,
    /// Text.
    pub content: String,
    /// The embedding, empty where there is none.
    pub embedding: Vec<f32>,
    /// Finite, not negative.
    pub strength: f32,
    /// From 0 to 1.
    pub confidence: f32,
    /// When it was first learned, in µs since 1970; 0 in a request: the server says.
    pub created: u64,
    /// When it was last learned, in µs since 1970; 0 in a request: the server says.
    pub updated: u64,
}

/// A directed association between two concepts, which need not be learned yet.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct AssociationRecord {
    /// The 16 bytes of the source's [`crate::ConceptId`].
    pub source: [u8; 16],
    /// The 16 bytes of the target's [`crate::ConceptId`].
    pub target: [u8; 16],
    /// The namespace of both ends.
    pub namespace: String,
    /// An [`AssociationKind`]; other numbers are kept as they are.
    pub kind: u32,
    /// From 0 to 1.
    pub confidence: f32,
    /// When it was first stored, in µs since 1970; 0 in a request: the server says.
    pub created: u64,
    /// When it was last stored, in µs since 1970; 0 in a request: the server says.
    pub updated: u64,
}

impl Payload for ConceptRecord {
    const NAME: &'static str = "concept record";

    fn check(record: &ArchivedConceptRecord) -> Result<(), PayloadError> {
        check_id("id", &record.id)?;
        check_namespace(&record.namespace)?;
        check_name(&record.name)?;
        check_vector("embedding", &record.embedding)?;
        check_strength("strength", record.strength.to_native())?;
        check_confidence("confidence", record.confidence.to_native())
    }
}

impl Payload for AssociationRecord {
    const NAME: &'static str = "association record";

    fn check(record: &ArchivedAssociationRecord) -> Result<(), PayloadError> {
        check_id("source", &record.source)?;
        check_id("target", &record.target)?;
        check_namespace(&record.namespace)?;
        check_confidence("confidence", record.confidence.to_native())
    }
}

/// Writes the two times into a copy of a record's archive. The root stands at the archive's end, so
/// both fields have fixed places counted from there.
fn write_times(
    archive: &mut [u8],
    root: usize,
    created_at: usize,
    updated_at: usize,
    created: u64,
    updated: u64,
) {
    let start = archive.len() - root;
    archive[start + created_at..][..8].copy_from_slice(&created.to_le_bytes());
    archive[start + updated_at..][..8].copy_from_slice(&updated.to_le_bytes());
}

impl Checked<'_, ConceptRecord> {
    /// Writes the times into `copy`, which is a copy of this record's archive and as long.
    pub fn write_times(&self, copy: &mut [u8], created: u64, updated: u64) {
        assert_eq!(copy.len(), self.bytes().len(), "a copy of this archive");
        type Root = ArchivedConceptRecord;
        write_times(
            copy,
            size_of::<Root>(),
            offset_of!(Root, created),
            offset_of!(Root, updated),
            created,
            updated,
        );
    }
}

impl Checked<'_, AssociationRecord> {
    /// Writes the times into `copy`, which is a copy of this record's archive and as long.
    pub fn write_times(&self, copy: &mut [u8], created: u64, updated: u64) {
        assert_eq!(copy.len(), self.bytes().len(), "a copy of this archive");
        type Root = ArchivedAssociationRecord;
        write_times(
            copy,
            size_of::<Root>(),
            offset_of!(Root, created),
            offset_of!(Root, updated),
            created,
            updated,
        );
    }
}

/// What an association means. The first five are the old protocol's; any other number is kept and
/// shown as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssociationKind(pub u32);

impl AssociationKind {
    /// Related in meaning.
    pub const SEMANTIC: Self = Self(0);
    /// Source brings about target.
    pub const CAUSAL: Self = Self(1);
    /// Source comes before target.
    pub const TEMPORAL: Self = Self(2);
    /// Source is a kind of target.
    pub const HIERARCHICAL: Self = Self(3);
    /// Source is a part of target.
    pub const COMPOSITIONAL: Self = Self(4);

    const NAMES: [&'static str; 5] =
        ["semantic", "causal", "temporal", "hierarchical", "compositional"];
}

impl fmt::Display for AssociationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.get(self.0 as usize) {
            Some(name) => f.pad(name),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl FromStr for AssociationKind {
    type Err = PayloadError;

    fn from_str(text: &str) -> Result<Self, PayloadError> {
        let known = Self::NAMES.iter().position(|name| *name == text).map(|at| at as u32);
        known.or_else(|| text.parse().ok()).map(Self).ok_or_else(|| {
            PayloadError::argument(
                "type",
                format!("{text:?} is neither a number nor one of {}", Self::NAMES.join(", ")),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_into_a_copy_and_nothing_else_changes() {
        let record = ConceptRecord {
            id: [7; 16],
            content: "content".into(),
            embedding: vec![1.0, 2.0],
            strength: 1.0,
            confidence: 0.5,
            ..ConceptRecord::default()
        };
        let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(&record).expect("fits");
        let mut copy = bytes.clone();
        Checked::<ConceptRecord>::new(&bytes).expect("valid").write_times(&mut copy, 11, 22);
        let copy = Checked::<ConceptRecord>::new(&copy).expect("still valid").to_owned();
        assert_eq!(copy, ConceptRecord { created: 11, updated: 22, ..record });
    }

    #[test]
    fn kinds_read_by_name_and_by_number_and_print_as_they_read() {
        for (text, number) in [("semantic", 0), ("hierarchical", 3), ("4", 4), ("77", 77)] {
            assert_eq!(text.parse(), Ok(AssociationKind(number)));
        }
        assert_eq!(AssociationKind(4).to_string(), "compositional");
        assert_eq!(AssociationKind(77).to_string(), "77");
        assert!("partly".parse::<AssociationKind>().is_err());
    }
}
