//! The fixed parts of a snapshot. All numbers are little-endian, and nothing is padded.
//!
//! | at | header | |
//! |---|---|---|
//! | 0 | magic | `SUTRADAT` |
//! | 8 | u32 | version, 2 |
//! | 12 | u32 | how many concepts |
//! | 16 | u32 | how many associations |
//! | 20 | u32 | how many vectors |
//! | 24 | u64 | when it was written, in µs since 1970 |
//! | 32 | 32 bytes | zeros |
//!
//! The three sections follow without a gap: what each entry has stands at its function below.

use crate::error::Damage;

/// The 16 bytes of a concept's id.
pub type Id = [u8; 16];

/// How a snapshot begins.
pub const MAGIC: [u8; 8] = *b"SUTRADAT";
/// The only version there is.
pub const VERSION: u32 = 2;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of a concept before its content: id, length, strength, confidence, accesses, created.
pub(crate) const CONCEPT_BYTES: usize = 36;
/// Bytes of an association: source, target, confidence.
pub(crate) const EDGE_BYTES: usize = 36;
/// Bytes of a vector before its numbers: id, how many.
pub(crate) const VECTOR_BYTES: usize = 20;

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Entries of the first section.
    pub concepts: u32,
    /// Entries of the second: most associations stand there twice, once from each end.
    pub edges: u32,
    /// Entries of the third.
    pub vectors: u32,
    /// When it was written, in µs since 1970.
    pub flushed: u64,
}

impl Header {
    /// Reads a header.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Damage> {
        if !bytes.starts_with(&MAGIC) {
            return Err(Damage::NotASnapshot);
        }
        let number = |at| u32::from_le_bytes(part(bytes, at));
        let version = number(8);
        if version != VERSION {
            return Err(Damage::Version { found: version });
        }
        if let Some(at) = (32..HEADER_BYTES).find(|at| bytes[*at] != 0) {
            return Err(Damage::Reserved { at: at as u64, found: bytes[at] });
        }
        let flushed = u64::from_le_bytes(part(bytes, 24));
        Ok(Self { concepts: number(12), edges: number(16), vectors: number(20), flushed })
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        let numbers = [VERSION, self.concepts, self.edges, self.vectors];
        for (place, number) in bytes[8..24].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[24..32].copy_from_slice(&self.flushed.to_le_bytes());
        bytes
    }
}

/// The bytes of one field. The places are constants of this format, inside of what is given.
pub(crate) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes")
}
