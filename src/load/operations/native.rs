//! Operations of the native wire. Each reuses one request value.

use std::fmt::Write;
use std::mem::{offset_of, size_of};
use std::sync::Arc;

use sutra_wire::{
    ArchivedConceptRecord, AssociationKind, AssociationRecord, Checked, ConceptId, ConceptKey,
    ConceptRecord, FrameBuffer, Header, NeighborsRequest, Opcode, PathRequest, Paths, SearchHits,
    SearchRequest, encode_archive, encode_empty,
};

use super::{tag, text};
use crate::workload::{expect_bare_ok, expect_ok};
use crate::{Keys, Recall, Reply, Routes, Workload};

/// Writes concepts.
#[derive(Debug)]
pub struct Learn {
    keys: Keys,
    record: ConceptRecord,
    /// Embeddings by the concept's number; empty if all have the record's.
    embeddings: Arc<Vec<Vec<f32>>>,
}

impl Learn {
    /// Writes concepts of `keys` with `content_bytes` bytes of content and `dimension` numbers in
    /// the embedding.
    pub fn new(namespace: &str, keys: Keys, content_bytes: usize, dimension: usize) -> Self {
        let record = ConceptRecord {
            namespace: namespace.into(),
            content: text(content_bytes),
            embedding: (0..dimension).map(|at| at as f32 / dimension as f32).collect(),
            strength: 1.0,
            confidence: 1.0,
            ..ConceptRecord::default()
        };
        Self { keys, record, embeddings: Arc::default() }
    }

    /// Writes concepts without content, each with the embedding in the row of its number.
    pub fn with_embeddings(namespace: &str, keys: Keys, embeddings: Arc<Vec<Vec<f32>>>) -> Self {
        Self { embeddings, ..Self::new(namespace, keys, 0, 0) }
    }

    /// Bytes of the archive that each of its concepts is stored as, which is the payload of a query
    /// that finds it.
    pub fn archived_bytes(&mut self) -> usize {
        self.name_record(ConceptId::default(), 0);
        let mut out = FrameBuffer::new();
        encode_archive(&mut out, Header::default(), &self.record);
        sutra_wire::parse(&out, u32::MAX)
            .ok()
            .and_then(|parsed| match parsed {
                sutra_wire::Parsed::Frame(frame, _) => Some(frame.payload.len()),
                sutra_wire::Parsed::Partial(_) => None,
            })
            .expect("a frame that was just encoded parses")
    }

    fn name_record(&mut self, id: ConceptId, number: u64) {
        self.record.id = id.0;
        self.record.name.clear();
        write!(self.record.name, "{}-{number:010}", self.keys.prefix())
            .expect("writing to a string can't fail");
        if let Some(embedding) =
            usize::try_from(number).ok().and_then(|number| self.embeddings.get(number))
        {
            self.record.embedding.clone_from(embedding);
        }
    }
}

impl Workload for Learn {
    fn name(&self) -> &'static str {
        "learn"
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
    }

    fn write(&mut self, lane: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (id, key) = self.keys.next(lane)?;
        self.name_record(id, key);
        encode_archive(out, request(Opcode::Learn, number), &self.record);
        Some(key)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        expect_bare_ok(reply)
    }
}

/// Reads concepts.
#[derive(Debug)]
pub struct Query {
    keys: Keys,
    key: ConceptKey,
    payload_bytes: Option<usize>,
}

impl Query {
    /// Reads concepts of `keys`. `payload_bytes` is the length of each one's archive, if it is
    /// known ([`Learn::archived_bytes`]).
    pub fn new(namespace: &str, keys: Keys, payload_bytes: Option<usize>) -> Self {
        Self { keys, key: ConceptKey { id: [0; 16], namespace: namespace.into() }, payload_bytes }
    }
}

impl Workload for Query {
    fn name(&self) -> &'static str {
        "query"
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
    }

    fn write(&mut self, lane: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (id, _) = self.keys.next(lane)?;
        self.key.id = id.0;
        encode_archive(out, request(Opcode::Query, number), &self.key);
        Some(tag(&id.0))
    }

    /// Compares length and id in the archive. A full validation, as the client library makes it,
    /// would make the load heavier than the server.
    fn check(&mut self, asked: u64, reply: &Reply<'_>) -> Result<(), String> {
        expect_ok(reply)?;
        let length = reply.payload.len();
        if let Some(expected) = self.payload_bytes.filter(|expected| *expected != length) {
            return Err(format!("expected a record of {expected} bytes, got {length}"));
        }
        let Some(root) = length.checked_sub(size_of::<ArchivedConceptRecord>()) else {
            return Err(format!("{length} bytes are too few for a concept record"));
        };
        let id = &reply.payload[root + offset_of!(ArchivedConceptRecord, id)..][..16];
        if tag(id) != asked {
            return Err("got the record of another concept".into());
        }
        Ok(())
    }
}

/// Writes associations: from concept i of the space to concepts i + 1, i + 2 …, wrapping round at
/// its end.
#[derive(Debug)]
pub struct Associate {
    keys: Keys,
    record: AssociationRecord,
    concepts: u64,
    each: u64,
    /// For each lane: the concept that associations start from, its number, and how many of them
    /// are written.
    done: Vec<(ConceptId, u64, u64)>,
}

impl Associate {
    /// `each` associations from every concept that `keys` gives, which are numbers below
    /// `concepts`.
    pub fn new(namespace: &str, keys: Keys, concepts: u64, each: u64) -> Self {
        let record = AssociationRecord {
            namespace: namespace.into(),
            kind: AssociationKind::SEMANTIC.0,
            confidence: 1.0,
            ..AssociationRecord::default()
        };
        Self { keys, record, concepts: concepts.max(1), each: each.max(1), done: Vec::new() }
    }
}

impl Workload for Associate {
    fn name(&self) -> &'static str {
        "associate"
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
        self.done = vec![(ConceptId::default(), 0, self.each); routes.lanes()];
    }

    fn write(&mut self, lane: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        if self.done[lane].2 == self.each {
            let (id, key) = self.keys.next(lane)?;
            self.done[lane] = (id, key, 0);
        }
        let (source, key, done) = &mut self.done[lane];
        *done += 1;
        self.record.source = source.0;
        self.record.target = self.keys.id((*key + *done) % self.concepts).0;
        encode_archive(out, request(Opcode::Associate, number), &self.record);
        Some(0)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        expect_bare_ok(reply)
    }
}

/// Reads neighbours.
#[derive(Debug)]
pub struct Neighbors {
    keys: Keys,
    request: NeighborsRequest,
    expected: Option<usize>,
}

impl Neighbors {
    /// Asks for the neighbours of the concepts of `keys`, in both directions. `expected` is how
    /// many each has, if that is known.
    pub fn new(namespace: &str, keys: Keys, expected: Option<usize>) -> Self {
        let request =
            NeighborsRequest { namespace: namespace.into(), ..NeighborsRequest::default() };
        Self { keys, request, expected }
    }
}

impl Workload for Neighbors {
    fn name(&self) -> &'static str {
        "neighbors"
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
    }

    fn write(&mut self, lane: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (id, _) = self.keys.next(lane)?;
        self.request.id = id.0;
        encode_archive(out, request(Opcode::Neighbors, number), &self.request);
        Some(0)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        expect_ok(reply)?;
        let found = Checked::<sutra_wire::Neighbors>::new(reply.payload)
            .map_err(|error| error.to_string())?;
        let count = found.neighbors.len();
        match self.expected {
            Some(expected) if expected != count => {
                Err(format!("expected {expected} neighbours, got {count}"))
            }
            _ => Ok(()),
        }
    }
}

/// Searches for the vectors nearest to the queries, one query after the other.
#[derive(Debug)]
pub struct Search {
    requests: Vec<SearchRequest>,
    next: usize,
    recall: Option<Arc<Recall>>,
}

impl Search {
    /// Asks for the `k` nearest to each query, with the index width `ef_search` (0 for the server's
    /// own).
    pub fn new(namespace: &str, queries: &[Vec<f32>], k: u32, ef_search: u32) -> Self {
        let request = |vector: &Vec<f32>| SearchRequest {
            namespace: namespace.into(),
            vector: vector.clone(),
            k,
            ef_search,
            ..SearchRequest::default()
        };
        Self { requests: queries.iter().map(request).collect(), next: 0, recall: None }
    }

    /// Counts every answer in `recall`.
    #[must_use]
    pub fn judged_by(self, recall: Arc<Recall>) -> Self {
        Self { recall: Some(recall), ..self }
    }

    /// Makes the searches exact: the server looks at all vectors, without the index.
    #[must_use]
    pub fn exact(mut self) -> Self {
        self.requests.iter_mut().for_each(|request| request.exact = true);
        self
    }
}

impl Workload for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn open(&mut self, _: &Routes) {}

    fn write(&mut self, _: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        let query = self.next % self.requests.len().max(1);
        let wanted = self.requests.get(query)?;
        self.next += 1;
        encode_archive(out, request(Opcode::Search, number), wanted);
        Some(query as u64)
    }

    fn check(&mut self, query: u64, reply: &Reply<'_>) -> Result<(), String> {
        expect_ok(reply)?;
        let found = Checked::<SearchHits>::new(reply.payload).map_err(|error| error.to_string())?;
        let wanted = self.requests.get(query as usize).map_or(0, |request| request.k);
        if found.hits.len() != wanted as usize {
            return Err(format!("expected {wanted} hits, got {}", found.hits.len()));
        }
        if let Some(recall) = &self.recall {
            recall.count(query as usize, found.hits.iter().map(|hit| ConceptId(hit.id)));
        }
        Ok(())
    }
}

/// Asks how concepts are connected, one pair after the other.
#[derive(Debug)]
pub struct Path {
    request: PathRequest,
    pairs: Vec<(ConceptId, ConceptId)>,
    next: usize,
}

impl Path {
    /// Asks for the shortest path between each pair, of at most `max_depth` associations.
    pub fn new(namespace: &str, pairs: Vec<(ConceptId, ConceptId)>, max_depth: u32) -> Self {
        let request =
            PathRequest { namespace: namespace.into(), max_depth, ..PathRequest::default() };
        Self { request, pairs, next: 0 }
    }
}

impl Workload for Path {
    fn name(&self) -> &'static str {
        "path"
    }

    fn open(&mut self, _: &Routes) {}

    fn write(&mut self, _: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (start, end) = self.pairs.get(self.next % self.pairs.len().max(1))?;
        self.next += 1;
        (self.request.start, self.request.end) = (start.0, end.0);
        encode_archive(out, request(Opcode::Path, number), &self.request);
        Some(tag(&start.0))
    }

    fn check(&mut self, start: u64, reply: &Reply<'_>) -> Result<(), String> {
        expect_ok(reply)?;
        let found = Checked::<Paths>::new(reply.payload).map_err(|error| error.to_string())?;
        match found.paths.first().and_then(|path| path.concepts.first()) {
            Some(first) if tag(first) != start => Err("a path that begins elsewhere".into()),
            _ => Ok(()),
        }
    }
}

/// Asks for the server's health: the smallest request that the storage service answers.
#[derive(Debug)]
pub struct Health;

impl Workload for Health {
    fn name(&self) -> &'static str {
        "health"
    }

    fn open(&mut self, _: &Routes) {}

    fn write(&mut self, _: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        encode_empty(out, request(Opcode::Health, number));
        Some(0)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        expect_ok(reply)?;
        Checked::<sutra_wire::Health>::new(reply.payload)
            .map(|_| ())
            .map_err(|error| error.to_string())
    }
}

fn request(opcode: Opcode, number: u64) -> Header {
    Header { opcode: opcode as u8, request: number, ..Header::default() }
}
