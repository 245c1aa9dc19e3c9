//! A snapshot from its first byte to its last, entry by entry.
//!
//! Promises: a length that an entry claims is held against what is left of the file before anything
//! is kept for it. What lies behind the last entry is damage.

use std::io::{self, BufReader, ErrorKind, Read};

use crate::error::{Damage, ReadError, Section};
use crate::layout::{CONCEPT_BYTES, EDGE_BYTES, HEADER_BYTES, Header, Id, VECTOR_BYTES, part};
use crate::read_at::{ReadAt, ReadFrom};

/// The longest content that is read, in bytes: longer ones are passed over. No message of the old
/// protocol was longer.
pub const MAX_CONTENT: u32 = 16 << 20;

/// How much is read of the file at a time.
const CHUNK: usize = 256 << 10;

/// An entry of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry<'a> {
    /// Of the first section.
    Concept(ConceptEntry<'a>),
    /// Of the second.
    Edge(EdgeEntry),
    /// Of the third.
    Vector(VectorEntry),
}

/// A concept as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConceptEntry<'a> {
    /// Where it begins.
    pub at: u64,
    /// Which concept.
    pub id: Id,
    /// Its text; `None` where that is longer than [`MAX_CONTENT`].
    pub content: Option<&'a str>,
    /// Bytes of the text.
    pub content_bytes: u32,
    /// Any number, also none.
    pub strength: f32,
    /// Any number, also none.
    pub confidence: f32,
    /// How often it was read.
    pub accesses: u32,
    /// The low 32 bits of the time when it was learned, in µs since 1970.
    pub created: u32,
}

/// One end of an association: a neighbour of a concept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeEntry {
    /// Where it begins.
    pub at: u64,
    /// The concept.
    pub source: Id,
    /// Its neighbour, which need not be among the concepts.
    pub target: Id,
    /// Any number, also none.
    pub confidence: f32,
}

/// A vector's place; its numbers are passed over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VectorEntry {
    /// Where it begins.
    pub at: u64,
    /// Whose it is.
    pub id: Id,
    /// How many numbers it has.
    pub count: u32,
    /// Where they begin.
    pub numbers_at: u64,
}

/// Reads a snapshot.
pub struct Reader<'a, S> {
    bytes: BufReader<ReadFrom<'a, S>>,
    length: u64,
    at: u64,
    header: Header,
    /// Entries of each section that were read.
    read: [u32; 3],
    text: Vec<u8>,
}

impl<'a, S: ReadAt> Reader<'a, S> {
    /// Reads the header.
    pub fn new(source: &'a S) -> Result<Self, ReadError> {
        let length = source.length()?;
        let mut bytes = BufReader::with_capacity(CHUNK, ReadFrom { source, at: 0 });
        let mut head = [0; HEADER_BYTES];
        if length < HEADER_BYTES as u64 {
            return Err(Damage::NotASnapshot.into());
        }
        bytes.read_exact(&mut head)?;
        let header = Header::decode(&head)?;
        Ok(Self { bytes, length, at: HEADER_BYTES as u64, header, read: [0; 3], text: Vec::new() })
    }

    /// What the snapshot says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next entry; `None` behind the last.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, ReadError> {
        let Header { concepts, edges, vectors, .. } = self.header;
        if self.read[0] < concepts {
            self.read[0] += 1;
            return Ok(Some(Entry::Concept(self.concept()?)));
        }
        if self.read[1] < edges {
            self.read[1] += 1;
            return Ok(Some(Entry::Edge(self.edge()?)));
        }
        if self.read[2] < vectors {
            self.read[2] += 1;
            return Ok(Some(Entry::Vector(self.vector()?)));
        }
        match self.length - self.at {
            0 => Ok(None),
            bytes => Err(Damage::TooLong { at: self.at, bytes }.into()),
        }
    }

    /// id, u32 length, f32 strength, f32 confidence, u32 accesses, u32 created, then the content.
    fn concept(&mut self) -> Result<ConceptEntry<'_>, ReadError> {
        let at = self.at;
        let bytes: [u8; CONCEPT_BYTES] = self.take(Section::Concepts)?;
        let number = |at| u32::from_le_bytes(part(&bytes, at));
        let content_bytes = number(16);
        self.claim(Section::Concepts, u64::from(content_bytes))?;
        let content = if content_bytes > MAX_CONTENT {
            self.pass_over(Section::Concepts, u64::from(content_bytes))?;
            None
        } else {
            Some(self.text(content_bytes as usize)?)
        };
        Ok(ConceptEntry {
            at,
            id: part(&bytes, 0),
            content,
            content_bytes,
            strength: f32::from_bits(number(20)),
            confidence: f32::from_bits(number(24)),
            accesses: number(28),
            created: number(32),
        })
    }

    /// source, target, f32 confidence.
    fn edge(&mut self) -> Result<EdgeEntry, ReadError> {
        let at = self.at;
        let bytes: [u8; EDGE_BYTES] = self.take(Section::Associations)?;
        let confidence = f32::from_le_bytes(part(&bytes, 32));
        Ok(EdgeEntry { at, source: part(&bytes, 0), target: part(&bytes, 16), confidence })
    }

    /// id, u32 count, then as many f32.
    fn vector(&mut self) -> Result<VectorEntry, ReadError> {
        let at = self.at;
        let bytes: [u8; VECTOR_BYTES] = self.take(Section::Vectors)?;
        let count = u32::from_le_bytes(part(&bytes, 16));
        let numbers_at = self.at;
        self.pass_over(Section::Vectors, u64::from(count) * 4)?;
        Ok(VectorEntry { at, id: part(&bytes, 0), count, numbers_at })
    }

    /// A content of so many bytes, which are known to be there.
    fn text(&mut self, length: usize) -> Result<&str, ReadError> {
        self.text.resize(length, 0);
        let began = self.at;
        let read = self.bytes.read_exact(&mut self.text);
        read.map_err(|error| self.ended(Section::Concepts, error))?;
        self.at += length as u64;
        let number = self.read[0];
        std::str::from_utf8(&self.text).map_err(|error| {
            Damage::NotUtf8 { at: began + error.valid_up_to() as u64, number }.into()
        })
    }

    fn take<const N: usize>(&mut self, section: Section) -> Result<[u8; N], ReadError> {
        self.claim(section, N as u64)?;
        let mut bytes = [0; N];
        self.bytes.read_exact(&mut bytes).map_err(|error| self.ended(section, error))?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn pass_over(&mut self, section: Section, bytes: u64) -> Result<(), ReadError> {
        self.claim(section, bytes)?;
        let passed = io::copy(&mut self.bytes.by_ref().take(bytes), &mut io::sink())?;
        if passed < bytes {
            return Err(self.cut_short(section).into());
        }
        self.at += bytes;
        Ok(())
    }

    /// An error where so many bytes are not left.
    fn claim(&self, section: Section, bytes: u64) -> Result<(), Damage> {
        if bytes <= self.length - self.at { Ok(()) } else { Err(self.cut_short(section)) }
    }

    /// A file that has become shorter since it was opened is cut short as well.
    fn ended(&self, section: Section, error: io::Error) -> ReadError {
        match error.kind() {
            ErrorKind::UnexpectedEof => self.cut_short(section).into(),
            _ => error.into(),
        }
    }

    fn cut_short(&self, inside: Section) -> Damage {
        let Header { concepts, edges, vectors, .. } = self.header;
        let (at, count) = match inside {
            Section::Concepts => (0, concepts),
            Section::Associations => (1, edges),
            Section::Vectors => (2, vectors),
        };
        Damage::CutShort { length: self.length, inside, number: self.read[at], count }
    }
}
