//! The calls of one connection, with a check of each answer.

use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{Args, ValueEnum};
use sutra_load::{KeySpace, Keys, key_name};
use tonic::transport::Channel;

use crate::Outcome;
use crate::calls::grid_client::GridClient;
use crate::calls::storage_client::StorageClient;
use crate::calls::*;

/// The calls that can be measured. Their data is what `sutra-bench compare` gives the other
/// contenders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// Read a concept by its name
    Query,
    /// Write a concept
    Learn,
    /// Find the vectors nearest to one of the queries
    Search,
    /// An agent's heartbeat
    Heartbeat,
}

/// How many concepts are queried.
pub(crate) const CONCEPTS: u64 = 10_000;
/// How many concepts are learned, again and again.
const LEARNED: u64 = 20_000;
const QUERIED_CONTENT: usize = 200;
const LEARNED_CONTENT: usize = 100;
const DIMENSION: usize = 384;

/// How many neighbours a search asks for.
const K: u32 = 10;

/// The vectors that are learned or asked for; read once, before the first call.
static VECTORS: OnceLock<Vec<Vec<f32>>> = OnceLock::new();

fn vectors() -> &'static [Vec<f32>] {
    VECTORS.get().map_or(&[], Vec::as_slice)
}

/// Where vectors are read from.
#[derive(Args)]
pub(crate) struct Vectors {
    /// A file of vectors as 32-bit floats, little-endian, one after the other
    #[arg(long, requires = "dimension")]
    vectors: Option<PathBuf>,
    /// How many numbers each vector has
    #[arg(long)]
    dimension: Option<usize>,
}

impl Vectors {
    /// Reads the file, if one is named. Returns how many vectors it has.
    pub(crate) fn read(&self) -> Outcome<Option<u64>> {
        let (Some(file), Some(dimension)) = (&self.vectors, self.dimension) else {
            return Ok(None);
        };
        let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        if dimension == 0 || bytes.len() % (4 * dimension) != 0 {
            return Err(
                format!("{} holds no vectors of {dimension} numbers", file.display()).into()
            );
        }
        let row = |row: &[u8]| {
            row.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)).collect()
        };
        let rows: Vec<Vec<f32>> = bytes.chunks_exact(4 * dimension).map(row).collect();
        Ok(Some(VECTORS.get_or_init(|| rows).len() as u64))
    }
}

/// The numbers of the concepts or queries that are asked for, one after the other.
pub(crate) struct Numbers(Keys);

impl Numbers {
    pub(crate) fn of(operation: Operation) -> Self {
        let (prefix, space) = match operation {
            Operation::Learn => ("learned", KeySpace::Cycling(LEARNED)),
            Operation::Search => ("query", KeySpace::Cycling(vectors().len() as u64)),
            _ => ("bench", KeySpace::Random(CONCEPTS)),
        };
        let mut keys = Keys::new(prefix, space);
        keys.open(&sutra_load::Routes::single());
        Self(keys)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next(0).map_or(0, |(_, number)| number)
    }
}

fn text(bytes: usize) -> String {
    "sutra ".chars().cycle().take(bytes).collect()
}

fn concept(name: String, content: usize, embedding: Vec<f32>) -> LearnConceptRequest {
    let (concept_id, content) = (name, text(content));
    LearnConceptRequest { concept_id, content, embedding, strength: 1.0, confidence: 1.0 }
}

/// A concept as it is learned while measuring.
pub(crate) fn learned(number: u64) -> LearnConceptRequest {
    let embedding = (0..DIMENSION).map(|at| at as f32 / DIMENSION as f32).collect();
    concept(key_name("learned", number), LEARNED_CONTENT, embedding)
}

/// A concept to store before measuring. Queries ask for it by its number; if vectors were read, it
/// has the vector of that number.
pub(crate) fn filled(number: u64) -> LearnConceptRequest {
    match vectors().get(number as usize) {
        Some(vector) => concept(key_name("row", number), 0, vector.clone()),
        None => concept(key_name("bench", number), QUERIED_CONTENT, Vec::new()),
    }
}

/// The answer to the query for the concept of this number.
pub(crate) fn queried(number: u64) -> Outcome<QueryConceptReply> {
    Ok(QueryConceptReply {
        found: true,
        concept_id: sutra_wire::ConceptId::from_name(&key_name("bench", number))?.to_string(),
        content: text(QUERIED_CONTENT),
        strength: 1.0,
        confidence: 1.0,
    })
}

pub(crate) fn heartbeat() -> HeartbeatRequest {
    HeartbeatRequest {
        agent_id: "agent-001".into(),
        storage_node_count: 5,
        timestamp: 1_230_000_000,
    }
}

/// Makes the call and checks its answer.
pub(crate) async fn call(
    channel: &Channel,
    operation: Operation,
    number: u64,
) -> Result<(), String> {
    let said = |status: tonic::Status| status.to_string();
    match operation {
        Operation::Query => {
            let request = QueryConceptRequest { concept_id: key_name("bench", number) };
            let reply = StorageClient::new(channel.clone())
                .query_concept(request)
                .await
                .map_err(said)?
                .into_inner();
            let id = sutra_wire::ConceptId::from_name(&key_name("bench", number))
                .map_err(|error| error.to_string())?;
            if !reply.found || reply.content.len() != QUERIED_CONTENT {
                return Err(format!("expected {QUERIED_CONTENT} bytes of content, got {reply:?}"));
            }
            if sutra_wire::ConceptId::from_digits(&reply.concept_id) != Some(id) {
                return Err("got the record of another concept".into());
            }
        }
        Operation::Search => {
            let found = search(channel, number).await?.len();
            if found != K as usize {
                return Err(format!("expected {K} hits, got {found}"));
            }
        }
        Operation::Learn => learn(channel, learned(number)).await?,
        Operation::Heartbeat => {
            let reply =
                GridClient::new(channel.clone()).heartbeat(heartbeat()).await.map_err(said)?;
            if !reply.get_ref().acknowledged {
                return Err("the heartbeat was not acknowledged".into());
            }
        }
    }
    Ok(())
}

/// The ids of the concepts nearest to one of the queries.
pub(crate) async fn search(channel: &Channel, number: u64) -> Result<Vec<String>, String> {
    let query_vector = vectors().get(number as usize).cloned().ok_or("there is no such query")?;
    let request = VectorSearchRequest { query_vector, k: K, ef_search: 0 };
    let reply = StorageClient::new(channel.clone())
        .vector_search(request)
        .await
        .map_err(|status| status.to_string())?;
    Ok(reply.into_inner().results.into_iter().map(|hit| hit.concept_id).collect())
}

/// Has the server store a concept.
pub(crate) async fn learn(channel: &Channel, concept: LearnConceptRequest) -> Result<(), String> {
    let reply = StorageClient::new(channel.clone())
        .learn_concept(concept)
        .await
        .map_err(|status| status.to_string())?;
    if reply.get_ref().sequence == 0 { Err("a write without a sequence".into()) } else { Ok(()) }
}
