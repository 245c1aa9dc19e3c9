//! Writes a snapshot as old servers wrote it.
//!
//! Concepts and vectors come in any order and are written as they come: vectors into a second file
//! first, since they stand behind the associations. The header is written last, so what is not
//! finished is no snapshot.

use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use crate::associations::Association;
use crate::layout::{HEADER_BYTES, Header, Id};

/// A snapshot that is being written.
pub struct Writer<W: Write, S: Write> {
    out: BufWriter<W>,
    vectors: BufWriter<S>,
    header: Header,
}

impl<W: Write + Seek, S: Read + Write + Seek> Writer<W, S> {
    /// Begins a snapshot in `out`; `spool` is an empty file for the time until it is finished.
    pub fn new(out: W, spool: S) -> io::Result<Self> {
        let mut out = BufWriter::new(out);
        out.write_all(&[0; HEADER_BYTES])?;
        Ok(Self { out, vectors: BufWriter::new(spool), header: Header::default() })
    }

    /// Writes a concept. `created` is what is kept of the time ([`crate::low_bits`]).
    pub fn concept(
        &mut self,
        id: &Id,
        content: &str,
        [strength, confidence]: [f32; 2],
        accesses: u32,
        created: u32,
    ) -> io::Result<()> {
        let length = u32::try_from(content.len()).map_err(|_| too_many("bytes of a content"))?;
        self.header.concepts = one_more(self.header.concepts, "concepts")?;
        self.out.write_all(id)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&strength.to_le_bytes())?;
        self.out.write_all(&confidence.to_le_bytes())?;
        self.out.write_all(&accesses.to_le_bytes())?;
        self.out.write_all(&created.to_le_bytes())?;
        self.out.write_all(content.as_bytes())
    }

    /// Writes a concept's vector.
    pub fn vector(&mut self, id: &Id, numbers: &[f32]) -> io::Result<()> {
        let count = u32::try_from(numbers.len()).map_err(|_| too_many("numbers of a vector"))?;
        self.header.vectors = one_more(self.header.vectors, "vectors")?;
        self.vectors.write_all(id)?;
        self.vectors.write_all(&count.to_le_bytes())?;
        numbers.iter().try_for_each(|number| self.vectors.write_all(&number.to_le_bytes()))
    }

    /// Writes the edges, then everything that was kept back. Returns the file and its header.
    pub fn finish(
        mut self,
        edges: impl IntoIterator<Item = Association>,
        flushed: u64,
    ) -> io::Result<(W, Header)> {
        for Association { source, target, confidence } in edges {
            self.header.edges = one_more(self.header.edges, "associations")?;
            self.out.write_all(&source)?;
            self.out.write_all(&target)?;
            self.out.write_all(&confidence.to_le_bytes())?;
        }
        let mut vectors = self.vectors.into_inner().map_err(|error| error.into_error())?;
        vectors.rewind()?;
        io::copy(&mut vectors, &mut self.out)?;
        self.header.flushed = flushed;
        let mut out = self.out.into_inner().map_err(|error| error.into_error())?;
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&self.header.encode())?;
        Ok((out, self.header))
    }
}

fn one_more(count: u32, what: &str) -> io::Result<u32> {
    count.checked_add(1).ok_or_else(|| too_many(what))
}

fn too_many(what: &str) -> io::Error {
    io::Error::other(format!("an old server's file holds at most {} {what}", u32::MAX))
}
