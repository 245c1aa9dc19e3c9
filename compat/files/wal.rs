//! `wal.log`: what the old server has acknowledged since its last flush by request, without content
//! or vector. So nothing can be brought back from it; it can be said what was lost.
//!
//! There are two forms. The first is a line of JSON for each write. The later one is a
//! little-endian `u32` length and as many bytes of MessagePack. A server writes the snapshot at
//! other times as well and leaves the log as it is. So a write is lost only where it is later than
//! the snapshot, or its concept is not in there.

use std::io::{self, BufRead, ErrorKind, Read};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::layout::Id;
use crate::read_at::ReadAt;
use crate::snapshot::Snapshot;

/// The longest entry that is read: they have some 300 bytes.
const MAX_ENTRY: u64 = 64 << 10;

/// Acknowledged writes that the old server has lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostWrites {
    /// Concepts that were learned.
    pub concepts: u64,
    /// Associations that were made.
    pub associations: u64,
    /// The first of the concepts.
    pub examples: Vec<Id>,
    /// Entries that can't be read. With them in its log the old server does not start.
    pub unreadable: u64,
}

/// How many lost concepts are named.
const EXAMPLES: usize = 10;

impl LostWrites {
    /// Whether there is anything to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An entry, as far as it matters here. In MessagePack its fields have no names: all stand here, in
/// their order.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "sequence")]
    _sequence: IgnoredAny,
    /// µs since 1970.
    timestamp: u64,
    operation: Operation,
    #[serde(rename = "transaction_id")]
    _transaction_id: IgnoredAny,
}

/// The operations. Servers wrote the first two alone.
#[derive(Deserialize)]
enum Operation {
    WriteConcept(WrittenConcept),
    WriteAssociation(IgnoredAny),
    DeleteConcept(IgnoredAny),
    DeleteAssociation(IgnoredAny),
    BeginTransaction(IgnoredAny),
    CommitTransaction(IgnoredAny),
    RollbackTransaction(IgnoredAny),
}

#[derive(Deserialize)]
struct WrittenConcept {
    concept_id: Id,
    #[serde(rename = "content_len")]
    _content_len: IgnoredAny,
    #[serde(rename = "vector_len")]
    _vector_len: IgnoredAny,
    #[serde(rename = "created")]
    _created: IgnoredAny,
    #[serde(rename = "modified")]
    _modified: IgnoredAny,
}

/// What this log names that the snapshot does not have.
pub fn lost_writes<S: ReadAt>(
    mut log: impl BufRead,
    snapshot: &Snapshot<S>,
) -> io::Result<LostWrites> {
    let mut lost = LostWrites::default();
    let is_lines = log.fill_buf()?.first().is_none_or(|first| *first == b'{');
    let mut bytes = Vec::new();
    loop {
        let entry = if is_lines {
            line(&mut log, &mut bytes)?.then(|| serde_json::from_slice::<Entry>(&bytes).ok())
        } else {
            framed(&mut log, &mut bytes)?.then(|| rmp_serde::from_slice::<Entry>(&bytes).ok())
        };
        match entry {
            None => return Ok(lost),
            Some(None) => lost.unreadable += 1,
            Some(Some(entry)) => lost.note(&entry, snapshot),
        }
    }
}

impl LostWrites {
    fn note<S: ReadAt>(&mut self, entry: &Entry, snapshot: &Snapshot<S>) {
        let is_later = entry.timestamp > snapshot.header().flushed;
        match &entry.operation {
            Operation::WriteConcept(WrittenConcept { concept_id, .. })
                if is_later || !snapshot.has(concept_id) =>
            {
                self.concepts += 1;
                if self.examples.len() < EXAMPLES && !self.examples.contains(concept_id) {
                    self.examples.push(*concept_id);
                }
            }
            Operation::WriteAssociation(_) if is_later => self.associations += 1,
            _ => {}
        }
    }
}

/// The next line that is not empty. Of a line that is too long the beginning, which no parser
/// takes.
fn line(log: &mut impl BufRead, out: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        out.clear();
        let count = log.by_ref().take(MAX_ENTRY).read_until(b'\n', out)?;
        if count == 0 {
            return Ok(false);
        }
        if count as u64 == MAX_ENTRY && !out.ends_with(b"\n") {
            skip_line(log)?;
        }
        if !out.trim_ascii().is_empty() {
            return Ok(true);
        }
    }
}

fn skip_line(log: &mut impl BufRead) -> io::Result<()> {
    loop {
        let held = log.fill_buf()?;
        let end = held.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(held.len(), |at| at + 1);
        log.consume(used);
        if used == 0 || end.is_some() {
            return Ok(());
        }
    }
}

/// The next entry behind its length. A last one that is not whole, or too long to be one, is what
/// there is of it: no parser takes that either.
fn framed(log: &mut impl BufRead, out: &mut Vec<u8>) -> io::Result<bool> {
    out.clear();
    if log.fill_buf()?.is_empty() {
        return Ok(false);
    }
    let mut length = [0; 4];
    match log.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(true),
        read => read?,
    }
    let length = u64::from(u32::from_le_bytes(length));
    if length > MAX_ENTRY {
        // What follows has no beginning any more.
        io::copy(log, &mut io::sink())?;
        return Ok(true);
    }
    let whole = log.by_ref().take(length).read_to_end(out)? as u64 == length;
    if !whole {
        out.clear();
    }
    Ok(true)
}
