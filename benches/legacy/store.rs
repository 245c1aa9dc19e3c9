//! The plain store behind a lock, and the log.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, RwLock};
use std::time::Instant;

use sutra_plain_store::{Concept, Graph};
use sutra_wire::ConceptId;

use super::messages::{Request, Response};

struct Log {
    file: File,
    sequence: u64,
}

pub(super) struct Store {
    graph: RwLock<Graph>,
    log: Mutex<Log>,
    is_synced: bool,
    started: Instant,
}

type Answer = Result<Response, String>;

const LOST: &str = "a thread panicked while it held the lock";

impl Store {
    pub(super) fn create(path: &Path, is_synced: bool) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            graph: RwLock::default(),
            log: Mutex::new(Log { file, sequence: 0 }),
            is_synced,
            started: Instant::now(),
        })
    }

    /// Whether writes wait for the disk.
    pub(super) fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// Answers a request. `message` is its bytes as they arrived, which the log keeps if it is a
    /// write.
    pub(super) fn answer(&self, request: Request, message: &[u8]) -> Response {
        self.try_answer(request, message).unwrap_or_else(|message| Response::Error { message })
    }

    fn try_answer(&self, request: Request, message: &[u8]) -> Answer {
        let read = || self.graph.read().map_err(|_| LOST.to_owned());
        let write = || self.graph.write().map_err(|_| LOST.to_owned());
        Ok(match request {
            Request::LearnConcept { concept_id, content, embedding, strength, confidence } => {
                let sequence = self.append(message)?;
                let concept = Concept { content, embedding, strength, confidence };
                write()?.learn(id(&concept_id)?, concept);
                Response::LearnConceptOk { sequence }
            }
            Request::QueryConcept { concept_id } => {
                let asked = id(&concept_id)?;
                match read()?.query(&asked) {
                    Some(concept) => Response::QueryConceptOk {
                        found: true,
                        concept_id: asked.to_string(),
                        content: concept.content.clone(),
                        strength: concept.strength,
                        confidence: concept.confidence,
                    },
                    None => Response::QueryConceptOk {
                        found: false,
                        concept_id: String::new(),
                        content: String::new(),
                        strength: 0.0,
                        confidence: 0.0,
                    },
                }
            }
            Request::VectorSearch { query_vector, k, _ef_search: _ } => {
                let nearest = read()?.nearest(&query_vector, k as usize).into_iter();
                Response::VectorSearchOk {
                    results: nearest.map(|(id, similarity)| (id.to_string(), similarity)).collect(),
                }
            }
            Request::HealthCheck => Response::HealthCheckOk {
                healthy: true,
                status: "healthy".into(),
                uptime_seconds: self.started.elapsed().as_secs(),
            },
        })
    }

    /// Appends a write to the log as it arrived, behind its length. Syncs the log if writes wait
    /// for the disk.
    fn append(&self, message: &[u8]) -> Result<u64, String> {
        let mut entry = Vec::with_capacity(4 + message.len());
        entry.extend_from_slice(&(message.len() as u32).to_le_bytes());
        entry.extend_from_slice(message);
        let mut log = self.log.lock().map_err(|_| LOST.to_owned())?;
        let written = log
            .file
            .write_all(&entry)
            .and_then(|()| if self.is_synced { log.file.sync_data() } else { Ok(()) });
        written.map_err(|error| format!("the log: {error}"))?;
        log.sequence += 1;
        Ok(log.sequence)
    }
}

fn id(name: &str) -> Result<ConceptId, String> {
    ConceptId::from_name(name).map_err(|error| error.to_string())
}
