//! The protocol of the server that Sutra replaces: a length, then MessagePack or bincode.

use std::sync::Arc;

use sutra_wire::{ConceptId, FrameBuffer};

use super::{tag, text};
use crate::{Framing, Keys, Recall, Reply, Routes, Workload};

/// How an old client encodes its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// MessagePack, as the Python clients do.
    Msgpack,
    /// bincode, as some Rust clients do.
    Bincode,
}

/// Queries as an old client sends them.
#[derive(Debug)]
pub struct LegacyQuery {
    keys: Keys,
    spelling: Spelling,
    name: String,
}

impl LegacyQuery {
    /// Queries concepts of `keys` by name.
    pub fn new(keys: Keys, spelling: Spelling) -> Self {
        Self { keys, spelling, name: String::new() }
    }
}

impl Workload for LegacyQuery {
    fn name(&self) -> &'static str {
        "query"
    }

    fn framing(&self) -> Framing {
        Framing::Legacy
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
    }

    fn write(&mut self, lane: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (id, number) = self.keys.next(lane)?;
        self.keys.spell(number, &mut self.name);
        let length = u8::try_from(self.name.len()).expect("names are short");
        let (head, length): (&[u8], &[u8]) = match self.spelling {
            Spelling::Msgpack => (b"\x81\xacQueryConcept\x81\xaaconcept_id\xd9", &[length]),
            Spelling::Bincode => (&[2, 0, 0, 0], &[length, 0, 0, 0, 0, 0, 0, 0]),
        };
        message(out, &[head, length, self.name.as_bytes()]);
        Some(tag(&id.0))
    }

    /// Compares the id at its place in the reply, without decoding the rest.
    fn check(&mut self, asked: u64, reply: &Reply<'_>) -> Result<(), String> {
        let at = match self.spelling {
            Spelling::Msgpack => {
                b"\x81\xaeQueryConceptOk\x85\xa5found\xc3\xaaconcept_id\xd9\x20".len()
            }
            Spelling::Bincode => 4 + 1 + 8,
        };
        let digits =
            reply.payload.get(at..at + 32).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(ConceptId::from_digits) {
            Some(id) if tag(&id.0) == asked => Ok(()),
            Some(_) => Err("got the record of another concept".into()),
            None => Err(format!("no record: {:?}", String::from_utf8_lossy(reply.payload))),
        }
    }
}

/// Writes concepts as an old client does, in MessagePack with 32-bit floats (5 bytes a number).
#[derive(Debug)]
pub struct LegacyLearn {
    keys: Keys,
    name: String,
    /// Everything behind the name. It is the same for all concepts, unless each has an embedding of
    /// its own.
    rest: Vec<u8>,
    embeddings: Arc<Vec<Vec<f32>>>,
}

impl LegacyLearn {
    /// Writes concepts of `keys` with `content_bytes` bytes of content and `dimension` numbers in
    /// the embedding.
    pub fn new(keys: Keys, content_bytes: usize, dimension: usize) -> Self {
        let embedding: Vec<f32> = (0..dimension).map(|at| at as f32 / dimension as f32).collect();
        let mut rest = Vec::new();
        spell_rest(&mut rest, &text(content_bytes), &embedding);
        Self { keys, name: String::new(), rest, embeddings: Arc::default() }
    }

    /// Writes concepts without content, each with the embedding in the row of its number.
    pub fn with_embeddings(keys: Keys, embeddings: Arc<Vec<Vec<f32>>>) -> Self {
        Self { keys, name: String::new(), rest: Vec::new(), embeddings }
    }
}

fn spell_float(out: &mut Vec<u8>, number: f32) {
    out.push(0xca);
    out.extend_from_slice(&number.to_be_bytes());
}

fn spell_vector(out: &mut Vec<u8>, vector: &[f32]) {
    out.push(0xdc);
    out.extend_from_slice(
        &u16::try_from(vector.len()).expect("vectors have below 65,536 numbers").to_be_bytes(),
    );
    vector.iter().for_each(|number| spell_float(out, *number));
}

/// What follows a concept's name in a message that learns it.
fn spell_rest(out: &mut Vec<u8>, content: &str, embedding: &[f32]) {
    out.extend_from_slice(b"\xa7content\xda");
    out.extend_from_slice(
        &u16::try_from(content.len()).expect("contents are below 64 KiB").to_be_bytes(),
    );
    out.extend_from_slice(content.as_bytes());
    out.extend_from_slice(b"\xa9embedding");
    spell_vector(out, embedding);
    out.extend_from_slice(b"\xa8strength");
    spell_float(out, 1.0);
    out.extend_from_slice(b"\xaaconfidence");
    spell_float(out, 1.0);
}

impl Workload for LegacyLearn {
    fn name(&self) -> &'static str {
        "learn"
    }

    fn framing(&self) -> Framing {
        Framing::Legacy
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
    }

    fn write(&mut self, lane: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (_, number) = self.keys.next(lane)?;
        self.keys.spell(number, &mut self.name);
        let length = u8::try_from(self.name.len()).expect("names are short");
        if let Some(embedding) =
            usize::try_from(number).ok().and_then(|number| self.embeddings.get(number))
        {
            self.rest.clear();
            spell_rest(&mut self.rest, "", embedding);
        }
        let head = b"\x81\xacLearnConcept\x85\xaaconcept_id\xd9";
        message(out, &[head, &[length], self.name.as_bytes(), &self.rest]);
        Some(0)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        expect_start(reply, b"\x81\xaeLearnConceptOk")
    }
}

/// Searches as an old client does, in MessagePack, one query after the other.
#[derive(Debug)]
pub struct LegacySearch {
    messages: Vec<Vec<u8>>,
    k: usize,
    next: usize,
    recall: Arc<Recall>,
}

impl LegacySearch {
    /// Asks for the `k` (below 16) nearest to each query. Counts every answer in `recall`.
    pub fn new(queries: &[Vec<f32>], k: u8, recall: Arc<Recall>) -> Self {
        let spell = |query: &Vec<f32>| {
            let mut message = b"\x81\xacVectorSearch\x83\xacquery_vector".to_vec();
            spell_vector(&mut message, query);
            message.extend_from_slice(b"\xa1k");
            message.push(k);
            message.extend_from_slice(b"\xa9ef_search\x64");
            message
        };
        Self { messages: queries.iter().map(spell).collect(), k: usize::from(k), next: 0, recall }
    }
}

impl Workload for LegacySearch {
    fn name(&self) -> &'static str {
        "search"
    }

    fn framing(&self) -> Framing {
        Framing::Legacy
    }

    fn open(&mut self, _: &Routes) {}

    fn write(&mut self, _: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        let query = self.next % self.messages.len().max(1);
        message(out, &[self.messages.get(query)?]);
        self.next += 1;
        Some(query as u64)
    }

    fn check(&mut self, query: u64, reply: &Reply<'_>) -> Result<(), String> {
        const HEAD: &[u8] = b"\x81\xaeVectorSearchOk";
        expect_start(reply, HEAD)?;
        let found = search_hits(&reply.payload[HEAD.len()..]).ok_or_else(|| {
            let shown = &reply.payload[..reply.payload.len().min(200)];
            format!("no hits: {:?}", String::from_utf8_lossy(shown))
        })?;
        if found.len() != self.k {
            return Err(format!("expected {} hits, got {}", self.k, found.len()));
        }
        self.recall.count(query as usize, found.into_iter());
        Ok(())
    }
}

/// The ids in `{"results": [[id, similarity], …]}`, or in the same without field names. There are
/// at most 15.
fn search_hits(bytes: &[u8]) -> Option<Vec<ConceptId>> {
    let results = bytes.strip_prefix(b"\x81\xa7results").or_else(|| bytes.strip_prefix(b"\x91"))?;
    let (count, mut rest) = results.split_first()?;
    let mut found = Vec::new();
    for _ in 0..count.checked_sub(0x90).filter(|count| *count < 16)? {
        // A pair: 32 digits, and a float of 32 bits.
        let digits = rest.strip_prefix(b"\x92\xd9\x20")?.get(..32)?;
        found.push(ConceptId::from_digits(std::str::from_utf8(digits).ok()?)?);
        rest = rest.get(3 + 32..)?.strip_prefix(b"\xca")?.get(4..)?;
    }
    Some(found)
}

/// A health check, the smallest exchange with the old storage server.
#[derive(Debug)]
pub struct LegacyHealth;

impl Workload for LegacyHealth {
    fn name(&self) -> &'static str {
        "health"
    }

    fn framing(&self) -> Framing {
        Framing::Legacy
    }

    fn open(&mut self, _: &Routes) {}

    fn write(&mut self, _: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        message(out, &[b"\xabHealthCheck"]);
        Some(0)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        expect_start(reply, b"\x81\xadHealthCheckOk")
    }
}

/// An agent's heartbeat to the old grid master, in bincode. It has 37 bytes and the answer has 17,
/// each with its length.
#[derive(Debug)]
pub struct GridHeartbeat {
    is_registering: bool,
}

impl GridHeartbeat {
    /// Heartbeats of an agent that the master knows, or accepts although it does not know it.
    pub fn new() -> Self {
        Self { is_registering: false }
    }

    /// The registration of that agent.
    pub fn registering() -> Self {
        Self { is_registering: true }
    }
}

impl Default for GridHeartbeat {
    fn default() -> Self {
        Self::new()
    }
}

/// The agent's name: as long as the old documentation's `agent-001`. No agent that registers
/// natively has it.
const AGENT: &[u8; 9] = b"agent-old";

/// The time that every heartbeat names, in seconds since 1970. Nobody checks it.
const SENT: u64 = 1_230_000_000;

impl Workload for GridHeartbeat {
    fn name(&self) -> &'static str {
        "heartbeat"
    }

    fn framing(&self) -> Framing {
        Framing::Legacy
    }

    fn open(&mut self, _: &Routes) {}

    fn write(&mut self, _: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (name, nodes) = (&9u64.to_le_bytes(), 5u32.to_le_bytes());
        if self.is_registering {
            let one = &1u64.to_le_bytes();
            let host = [&one[..], b"h", one, b"p"].concat();
            let rest = [&nodes[..], one, b"1", &6u64.to_le_bytes(), b"h:8001"].concat();
            message(out, &[&0u32.to_le_bytes(), name, AGENT, &host, &rest]);
        } else {
            message(out, &[&1u32.to_le_bytes(), name, AGENT, &nodes, &SENT.to_le_bytes()]);
        }
        Some(0)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        if self.is_registering {
            return expect_start(reply, &[0, 0, 0, 0, 1]);
        }
        expect_start(reply, &[1, 0, 0, 0, 1])?;
        if reply.payload.len() == 13 {
            Ok(())
        } else {
            Err(format!("expected 13 bytes, got {}", reply.payload.len()))
        }
    }
}

fn message(out: &mut FrameBuffer, parts: &[&[u8]]) {
    let whole: usize = parts.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&u32::try_from(whole).expect("requests are short").to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

fn expect_start(reply: &Reply<'_>, expected: &[u8]) -> Result<(), String> {
    if reply.payload.starts_with(expected) {
        return Ok(());
    }
    let shown = &reply.payload[..reply.payload.len().min(200)];
    Err(format!(
        "expected {:?}, got {:?}",
        String::from_utf8_lossy(expected),
        String::from_utf8_lossy(shown)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_read_where_all_of_them_are_there() {
        let hit = [&b"\x92\xd9\x20"[..], &[b'a'; 32], b"\xca\x3f\x80\0\0"].concat();
        let reply = [b"\x81\xa7results\x92", &hit[..], &hit[..]].concat();
        assert_eq!(search_hits(&reply), Some(vec![ConceptId([0xaa; 16]); 2]));
        assert_eq!(search_hits(&reply[..reply.len() - 1]), None);
    }

    #[test]
    fn a_heartbeat_is_spelled_as_the_old_agents_spell_it() {
        let mut out = FrameBuffer::new();
        GridHeartbeat::new().write(0, 0, &mut out);
        assert_eq!(out.len(), 37);
        assert_eq!(out[..17], *b"\0\0\0\x21\x01\0\0\0\x09\0\0\0\0\0\0\0a");
    }
}
