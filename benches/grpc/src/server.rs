//! The server: tonic over the plain store.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sutra_plain_store::{Concept, Graph};
use sutra_wire::ConceptId;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::calls::grid_server::{Grid, GridServer};
use crate::calls::storage_server::{Storage, StorageServer};
use crate::calls::{vector_search_reply::Hit, *};
use crate::{Outcome, pin};

#[derive(Default)]
struct Store {
    graph: RwLock<Graph>,
    written: AtomicU64,
}

#[derive(Clone)]
struct Served(Arc<Store>);

type Answer<T> = Result<Response<T>, Status>;

/// Serves until the process is killed, with one worker thread, as tokio starts on one CPU.
pub(crate) fn serve(cpu: usize) -> Outcome {
    pin(cpu)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("listening   {}", listener.local_addr()?);
        let served = Served(Arc::default());
        Server::builder()
            .add_service(StorageServer::new(served.clone()))
            .add_service(GridServer::new(served))
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
            .await?;
        Ok(())
    })
}

#[allow(clippy::result_large_err, reason = "tonic's own error")]
fn id(name: &str) -> Result<ConceptId, Status> {
    ConceptId::from_name(name).map_err(|error| Status::invalid_argument(error.to_string()))
}

impl Served {
    fn read<T>(&self, ask: impl FnOnce(&Graph) -> T) -> T {
        ask(&self.0.graph.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the graph, and returns the change's number.
    fn write(&self, change: impl FnOnce(&mut Graph)) -> u64 {
        change(&mut self.0.graph.write().unwrap_or_else(PoisonError::into_inner));
        self.0.written.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[tonic::async_trait]
impl Storage for Served {
    async fn learn_concept(
        &self,
        request: Request<LearnConceptRequest>,
    ) -> Answer<LearnConceptReply> {
        let LearnConceptRequest { concept_id, content, embedding, strength, confidence } =
            request.into_inner();
        let id = id(&concept_id)?;
        let sequence = self
            .write(|graph| graph.learn(id, Concept { content, embedding, strength, confidence }));
        Ok(Response::new(LearnConceptReply { sequence }))
    }

    async fn query_concept(
        &self,
        request: Request<QueryConceptRequest>,
    ) -> Answer<QueryConceptReply> {
        let id = id(&request.get_ref().concept_id)?;
        Ok(Response::new(self.read(|graph| match graph.query(&id) {
            Some(concept) => QueryConceptReply {
                found: true,
                concept_id: id.to_string(),
                content: concept.content.clone(),
                strength: concept.strength,
                confidence: concept.confidence,
            },
            None => QueryConceptReply::default(),
        })))
    }

    async fn vector_search(
        &self,
        request: Request<VectorSearchRequest>,
    ) -> Answer<VectorSearchReply> {
        let request = request.into_inner();
        let nearest = self.read(|graph| graph.nearest(&request.query_vector, request.k as usize));
        let hit =
            |(id, similarity): (ConceptId, f32)| Hit { concept_id: id.to_string(), similarity };
        Ok(Response::new(VectorSearchReply { results: nearest.into_iter().map(hit).collect() }))
    }
}

#[tonic::async_trait]
impl Grid for Served {
    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Answer<HeartbeatReply> {
        let timestamp = request.get_ref().timestamp;
        Ok(Response::new(HeartbeatReply { acknowledged: true, timestamp }))
    }
}
