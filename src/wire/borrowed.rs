//! Records and requests whose strings and numbers still lie in a message of another protocol. Their
//! archives are byte for byte those of the owned types, so a translated message has every string
//! and every vector copied once, from the message into the archive.

use std::marker::PhantomData;

use rkyv::rancor::{Fallible, Source};
use rkyv::rend::f32_le;
use rkyv::ser::{Allocator, Writer, WriterExt};
use rkyv::vec::{ArchivedVec, VecResolver};
use rkyv::with::{ArchiveWith, AsString, AsVec, SerializeWith};
use rkyv::{Archive, Place, Serialize};

use crate::{
    ArchivedAssociationKey, ArchivedAssociationRecord, ArchivedConceptKey, ArchivedConceptRecord,
    ArchivedConceptsRequest, ArchivedNeighborsRequest, ArchivedPathRequest, ArchivedSearchRequest,
    Near,
};

/// A vector in whatever form it lies.
pub trait Numbers {
    /// How many numbers it has.
    fn count(&self) -> usize;

    /// Gives the numbers to `write`, in order, as little-endian `f32`, in pieces of any length, and
    /// stops at its first error. Promises four bytes for each of [`Numbers::count`].
    fn write<E>(&self, write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E>;
}

/// Archives [`Numbers`] as a `Vec<f32>`.
struct AsNumbers<V>(PhantomData<V>);

impl<V: Numbers> ArchiveWith<V> for AsNumbers<V> {
    type Archived = ArchivedVec<f32_le>;
    type Resolver = VecResolver;

    fn resolve_with(numbers: &V, resolver: VecResolver, out: Place<Self::Archived>) {
        ArchivedVec::resolve_from_len(numbers.count(), resolver, out);
    }
}

impl<V: Numbers, S: Fallible + Writer + ?Sized> SerializeWith<V, S> for AsNumbers<V> {
    fn serialize_with(numbers: &V, serializer: &mut S) -> Result<VecResolver, S::Error> {
        let start = serializer.align_for::<f32_le>()?;
        numbers.write(|bytes| serializer.write(bytes))?;
        assert_eq!(
            serializer.pos() - start,
            numbers.count() * size_of::<f32_le>(),
            "as many numbers as were promised"
        );
        Ok(VecResolver::from_pos(start))
    }
}

/// A [`crate::ConceptRecord`] in parts.
#[derive(Archive, Serialize)]
#[rkyv(as = ArchivedConceptRecord, serialize_bounds(__S: Writer + Allocator, __S::Error: Source))]
pub struct ConceptRecordRef<'a, V: Numbers> {
    /// As in the record.
    pub id: [u8; 16],
    /// As in the record.
    #[rkyv(with = AsString, omit_bounds)]
    pub namespace: &'a str,
    /// As in the record.
    #[rkyv(with = AsString, omit_bounds)]
    pub name: &'a str,
    /// As in the record.
    #[rkyv(with = AsString, omit_bounds)]
    pub content: &'a str,
    /// As in the record.
    #[rkyv(with = AsNumbers<V>, omit_bounds)]
    pub embedding: V,
    /// As in the record.
    pub strength: f32,
    /// As in the record.
    pub confidence: f32,
    /// As in the record.
    pub created: u64,
    /// As in the record.
    pub updated: u64,
}

/// An [`crate::AssociationRecord`] in parts.
#[derive(Archive, Serialize)]
#[rkyv(
    as = ArchivedAssociationRecord,
    serialize_bounds(__S: Writer + Allocator, __S::Error: Source)
)]
pub struct AssociationRecordRef<'a> {
    /// As in the record.
    pub source: [u8; 16],
    /// As in the record.
    pub target: [u8; 16],
    /// As in the record.
    #[rkyv(with = AsString, omit_bounds)]
    pub namespace: &'a str,
    /// As in the record.
    pub kind: u32,
    /// As in the record.
    pub confidence: f32,
    /// As in the record.
    pub created: u64,
    /// As in the record.
    pub updated: u64,
}

/// A [`crate::ConceptKey`] in parts.
#[derive(Archive, Serialize)]
#[rkyv(as = ArchivedConceptKey, serialize_bounds(__S: Writer + Allocator, __S::Error: Source))]
pub struct ConceptKeyRef<'a> {
    /// As in the key.
    pub id: [u8; 16],
    /// As in the key.
    #[rkyv(with = AsString, omit_bounds)]
    pub namespace: &'a str,
}

/// A [`crate::AssociationKey`] in parts.
#[derive(Archive, Serialize)]
#[rkyv(as = ArchivedAssociationKey, serialize_bounds(__S: Writer + Allocator, __S::Error: Source))]
pub struct AssociationKeyRef<'a> {
    /// As in the key.
    pub source: [u8; 16],
    /// As in the key.
    pub target: [u8; 16],
    /// As in the key.
    #[rkyv(with = AsString, omit_bounds)]
    pub namespace: &'a str,
    /// As in the key.
    pub kind: Option<u32>,
}

/// A [`crate::ConceptsRequest`] in parts.
#[derive(Archive, Serialize)]
#[rkyv(as = ArchivedConceptsRequest, serialize_bounds(__S: Writer + Allocator, __S::Error: Source))]
pub struct ConceptsRequestRef<'a> {
    /// As in the request.
    #[rkyv(with = AsString, omit_bounds)]
    pub namespace: &'a str,
    /// As in the request.
    pub limit: u32,
    /// As in the request.
    pub cursor: u64,
}

/// A [`crate::NeighborsRequest`] in parts.
#[derive(Archive, Serialize)]
#[rkyv(
    as = ArchivedNeighborsRequest,
    serialize_bounds(__S: Writer + Allocator, __S::Error: Source)
)]
pub struct NeighborsRequestRef<'a> {
    /// As in the request.
    pub id: [u8; 16],
    /// As in the request.
    #[rkyv(with = AsString, omit_bounds)]
    pub namespace: &'a str,
    /// As in the request.
    #[rkyv(with = AsVec, omit_bounds)]
    pub kinds: &'a [u32],
    /// As in the request.
    pub minimum_confidence: f32,
    /// As in the request.
    pub limit: u32,
    /// As in the request.
    pub cursor: u64,
    /// As in the request.
    pub direction: u8,
}

/// A [`crate::PathRequest`] in parts.
#[derive(Archive, Serialize)]
#[rkyv(as = ArchivedPathRequest, serialize_bounds(__S: Writer + Allocator, __S::Error: Source))]
pub struct PathRequestRef<'a> {
    /// As in the request.
    pub start: [u8; 16],
    /// As in the request.
    pub end: [u8; 16],
    /// As in the request.
    #[rkyv(with = AsString, omit_bounds)]
    pub namespace: &'a str,
    /// As in the request.
    #[rkyv(with = AsVec, omit_bounds)]
    pub kinds: &'a [u32],
    /// As in the request.
    pub max_depth: u32,
    /// As in the request.
    pub alternatives: u32,
    /// As in the request.
    pub max_visited: u32,
    /// As in the request.
    pub direction: u8,
    /// As in the request.
    pub mode: u8,
}

/// A [`crate::SearchRequest`] in parts.
#[derive(Archive, Serialize)]
#[rkyv(as = ArchivedSearchRequest, serialize_bounds(__S: Writer + Allocator, __S::Error: Source))]
pub struct SearchRequestRef<'a, V: Numbers> {
    /// As in the request.
    #[rkyv(with = AsString, omit_bounds)]
    pub namespace: &'a str,
    /// As in the request.
    #[rkyv(with = AsNumbers<V>, omit_bounds)]
    pub vector: V,
    /// As in the request.
    pub k: u32,
    /// As in the request.
    pub ef_search: u32,
    /// As in the request.
    pub minimum_strength: f32,
    /// As in the request.
    pub minimum_confidence: f32,
    /// As in the request.
    pub near: Option<Near>,
    /// As in the request.
    pub exact: bool,
}
