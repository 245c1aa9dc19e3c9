//! One connection's calls, each answer checked.

use clap::ValueEnum;
use sutra_load::{KeySpace, Keys, key_name};
use tonic::transport::Channel;

use crate::Outcome;
use crate::calls::grid_client::GridClient;
use crate::calls::storage_client::StorageClient;
use crate::calls::*;

/// What is asked; the same data as `sutra-bench compare` gives the other contenders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// Read a concept by its name
    Query,
    /// Write a concept
    Learn,
    /// An agent's heartbeat
    Heartbeat,
    /// Whether the server is healthy
    Health,
}

/// Concepts that are queried, and that are learned again and again.
pub(crate) const CONCEPTS: u64 = 10_000;
const LEARNED: u64 = 20_000;
const QUERIED_CONTENT: usize = 200;
const LEARNED_CONTENT: usize = 100;
const DIMENSION: usize = 384;

/// Which numbers are asked for next; one a thread.
pub(crate) struct Numbers(Keys);

impl Numbers {
    pub(crate) fn of(operation: Operation) -> Self {
        let (prefix, space) = match operation {
            Operation::Learn => ("learned", KeySpace::Cycling(LEARNED)),
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

/// A concept as it is learned while measuring.
pub(crate) fn learned(number: u64) -> LearnConceptRequest {
    LearnConceptRequest {
        concept_id: key_name("learned", number),
        content: text(LEARNED_CONTENT),
        embedding: (0..DIMENSION).map(|at| at as f32 / DIMENSION as f32).collect(),
        strength: 1.0,
        confidence: 1.0,
    }
}

/// The answer to a query.
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
    HeartbeatRequest { agent_id: "agent-001".into(), storage_node_count: 5, timestamp: 1_230_000_000 }
}

/// Makes the call and checks its answer.
pub(crate) async fn call(channel: &Channel, operation: Operation, number: u64) -> Result<(), String> {
    let said = |status: tonic::Status| status.to_string();
    match operation {
        Operation::Query => {
            let request = QueryConceptRequest { concept_id: key_name("bench", number) };
            let reply = StorageClient::new(channel.clone()).query_concept(request).await.map_err(said)?.into_inner();
            let id = sutra_wire::ConceptId::from_name(&key_name("bench", number)).map_err(|error| error.to_string())?;
            if !reply.found || reply.content.len() != QUERIED_CONTENT {
                return Err(format!("expected {QUERIED_CONTENT} bytes of content, got {reply:?}"));
            }
            if sutra_wire::ConceptId::from_digits(&reply.concept_id) != Some(id) {
                return Err("got the record of another concept".into());
            }
        }
        Operation::Learn => {
            let reply = StorageClient::new(channel.clone()).learn_concept(learned(number)).await.map_err(said)?;
            if reply.get_ref().sequence == 0 {
                return Err("a write without a sequence".into());
            }
        }
        Operation::Heartbeat => {
            let reply = GridClient::new(channel.clone()).heartbeat(heartbeat()).await.map_err(said)?;
            if !reply.get_ref().acknowledged {
                return Err("the heartbeat was not acknowledged".into());
            }
        }
        Operation::Health => {
            let reply = StorageClient::new(channel.clone()).health_check(HealthCheckRequest {}).await.map_err(said)?;
            if !reply.get_ref().healthy {
                return Err("it says that it is not healthy".into());
            }
        }
    }
    Ok(())
}

/// Learns the concept that a query will ask for.
pub(crate) async fn fill(channel: &Channel, number: u64) -> Outcome {
    let concept = LearnConceptRequest {
        concept_id: key_name("bench", number),
        content: text(QUERIED_CONTENT),
        embedding: Vec::new(),
        strength: 1.0,
        confidence: 1.0,
    };
    StorageClient::new(channel.clone()).learn_concept(concept).await?;
    Ok(())
}
