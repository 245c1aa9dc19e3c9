//! The client for code that is not asynchronous: the same operations, each of which returns when it
//! is done.
//!
//! It is the asynchronous client on a runtime of its own, which runs in the calling thread. A call
//! writes its request to the socket itself and then waits on that socket: no other thread is woken.
//! With [`crate::Connect::with_spin`] it receives the reply itself, too, without the runtime.
//!
//! ```no_run
//! use sutra_client::{Concept, blocking::Client};
//!
//! let client = Client::connect("127.0.0.1:50050")?;
//! client.learn(Concept::new("dog").content("a domesticated carnivore"))?;
//! if let Some(dog) = client.query("dog")? {
//!     println!("{}", dog.content);
//! }
//! # Ok::<(), sutra_client::ClientError>(())
//! ```
//!
//! # Panics
//! Its methods panic when they are called from asynchronous code: use the asynchronous client
//! there, or a thread of its own.

use std::sync::Arc;

use sutra_wire::{
    AssociationKind, AssociationRecord, BackupCut, BackupDone, ConceptId, ConceptRecord, Concepts,
    Deleted, Health, LogRange, Neighbors, Paths, ScrubReport, SearchHits, SharedBytes, Stats,
    StoreInfo, View,
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    Association, ClientError, Concept, ConceptRef, Neighborhood, PathQuery, SearchQuery, ServerInfo,
};

/// A blocking client of one server. Cloning is cheap and shares the connections; threads may use it
/// at the same time.
#[derive(Clone, Debug)]
pub struct Client {
    client: crate::Client,
    runtime: Arc<OwnRuntime>,
}

/// A runtime that can be dropped anywhere, in asynchronous code, too.
#[derive(Debug)]
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.as_ref().expect("the runtime is taken only when it is dropped").block_on(future)
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Client {
    /// Connects a client on a runtime of its own.
    pub(crate) fn open(
        connecting: impl Future<Output = Result<crate::Client, ClientError>>,
    ) -> Result<Self, ClientError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| ClientError::Runtime(Arc::new(error)))?;
        let runtime = Arc::new(OwnRuntime(Some(runtime)));
        let client = runtime.block_on(connecting)?;
        Ok(Self { client, runtime })
    }

    /// As [`crate::Client::namespace`].
    pub fn namespace(&self, namespace: &str) -> Self {
        Self { client: self.client.namespace(namespace), runtime: self.runtime.clone() }
    }

    /// As [`crate::Client::server`].
    pub fn server(&self) -> ServerInfo {
        self.client.server()
    }

    /// As [`crate::Client::learn`].
    pub fn learn(&self, concept: Concept) -> Result<u64, ClientError> {
        self.runtime.block_on(self.client.learn(concept))
    }

    /// As [`crate::Client::query`].
    pub fn query(
        &self,
        concept: impl Into<ConceptRef>,
    ) -> Result<Option<View<ConceptRecord>>, ClientError> {
        self.runtime.block_on(self.client.query(concept))
    }

    /// As [`crate::Client::delete`].
    pub fn delete(&self, concept: impl Into<ConceptRef>) -> Result<Deleted, ClientError> {
        self.runtime.block_on(self.client.delete(concept))
    }

    /// As [`crate::Client::delete_unassociated`].
    pub fn delete_unassociated(
        &self,
        concept: impl Into<ConceptRef>,
    ) -> Result<Deleted, ClientError> {
        self.runtime.block_on(self.client.delete_unassociated(concept))
    }

    /// As [`crate::Client::associate`].
    pub fn associate(&self, association: Association) -> Result<u64, ClientError> {
        self.runtime.block_on(self.client.associate(association))
    }

    /// As [`crate::Client::dissociate`].
    pub fn dissociate(
        &self,
        source: impl Into<ConceptRef>,
        target: impl Into<ConceptRef>,
        kind: AssociationKind,
    ) -> Result<bool, ClientError> {
        self.runtime.block_on(self.client.dissociate(source, target, kind))
    }

    /// As [`crate::Client::association`].
    pub fn association(
        &self,
        source: impl Into<ConceptRef>,
        target: impl Into<ConceptRef>,
        kind: Option<AssociationKind>,
    ) -> Result<Option<View<AssociationRecord>>, ClientError> {
        self.runtime.block_on(self.client.association(source, target, kind))
    }

    /// As [`crate::Client::concept_pages`], as an iterator.
    pub fn concept_pages(&self) -> ConceptPages {
        ConceptPages { pages: self.client.concept_pages(), runtime: self.runtime.clone() }
    }

    /// As [`crate::Client::unlearned_source_pages`], as an iterator.
    pub fn unlearned_source_pages(&self) -> ConceptPages {
        let pages = self.client.unlearned_source_pages();
        ConceptPages { pages, runtime: self.runtime.clone() }
    }

    /// As [`crate::Client::neighbors`].
    pub fn neighbors(&self, of: impl Into<Neighborhood>) -> Result<View<Neighbors>, ClientError> {
        self.runtime.block_on(self.client.neighbors(of))
    }

    /// As [`crate::Client::neighbor_pages`], as an iterator.
    pub fn neighbor_pages(&self, of: impl Into<Neighborhood>) -> Pages {
        Pages { pages: self.client.neighbor_pages(of), runtime: self.runtime.clone() }
    }

    /// As [`crate::Client::path`].
    pub fn path(&self, query: PathQuery) -> Result<View<Paths>, ClientError> {
        self.runtime.block_on(self.client.path(query))
    }

    /// As [`crate::Client::search`].
    pub fn search(&self, query: SearchQuery) -> Result<View<SearchHits>, ClientError> {
        self.runtime.block_on(self.client.search(query))
    }

    /// As [`crate::Client::store_info`].
    pub fn store_info(&self) -> Result<View<StoreInfo>, ClientError> {
        self.runtime.block_on(self.client.store_info())
    }

    /// As [`crate::Client::stats`].
    pub fn stats(&self) -> Result<View<Stats>, ClientError> {
        self.runtime.block_on(self.client.stats())
    }

    /// As [`crate::Client::flush`].
    pub fn flush(&self) -> Result<(), ClientError> {
        self.runtime.block_on(self.client.flush())
    }

    /// As [`crate::Client::health`].
    pub fn health(&self) -> Result<View<Health>, ClientError> {
        self.runtime.block_on(self.client.health())
    }

    /// As [`crate::Client::begin_scrub`].
    pub fn begin_scrub(&self, bandwidth: u64) -> Result<View<ScrubReport>, ClientError> {
        self.runtime.block_on(self.client.begin_scrub(bandwidth))
    }

    /// As [`crate::Client::scrub`].
    pub fn scrub(&self) -> Result<View<ScrubReport>, ClientError> {
        self.runtime.block_on(self.client.scrub())
    }

    /// As [`crate::Client::backup_cut`].
    pub fn backup_cut(&self) -> Result<View<BackupCut>, ClientError> {
        self.runtime.block_on(self.client.backup_cut())
    }

    /// As [`crate::Client::read_log`].
    pub fn read_log(&self, range: LogRange) -> Result<SharedBytes, ClientError> {
        self.runtime.block_on(self.client.read_log(range))
    }

    /// As [`crate::Client::backup_done`].
    pub fn backup_done(&self, done: BackupDone) -> Result<(), ClientError> {
        self.runtime.block_on(self.client.backup_done(done))
    }

    /// As [`crate::Client::learn_many`], as an iterator.
    pub fn learn_many<I: IntoIterator<Item = Concept>>(
        &self,
        concepts: I,
    ) -> Many<I::IntoIter, u64> {
        Many { many: self.client.learn_many(concepts), runtime: self.runtime.clone() }
    }

    /// As [`crate::Client::associate_many`], as an iterator.
    pub fn associate_many<I: IntoIterator<Item = Association>>(
        &self,
        associations: I,
    ) -> Many<I::IntoIter, u64> {
        Many { many: self.client.associate_many(associations), runtime: self.runtime.clone() }
    }

    /// As [`crate::Client::query_many`], as an iterator.
    pub fn query_many<I>(&self, concepts: I) -> Many<I::IntoIter, Option<View<ConceptRecord>>>
    where
        I: IntoIterator<Item: Into<ConceptRef>>,
    {
        Many { many: self.client.query_many(concepts), runtime: self.runtime.clone() }
    }

    /// As [`crate::Client::association_many`], as an iterator.
    pub fn association_many<I>(
        &self,
        associations: I,
    ) -> Many<I::IntoIter, Option<View<AssociationRecord>>>
    where
        I: IntoIterator<Item = (ConceptId, ConceptId, AssociationKind)>,
    {
        Many { many: self.client.association_many(associations), runtime: self.runtime.clone() }
    }
}

/// A pipelined operation, as an iterator over its answers: see [`crate::Many`].
pub struct Many<I: Iterator, T> {
    many: crate::Many<I, T>,
    runtime: Arc<OwnRuntime>,
}

impl<I: Iterator, T> Many<I, T> {
    /// As [`crate::Many::in_flight`].
    pub fn in_flight(mut self, requests: usize) -> Self {
        self.many = self.many.in_flight(requests);
        self
    }

    /// As [`crate::Many::finish`].
    pub fn finish(self) -> Result<u64, ClientError> {
        self.runtime.block_on(self.many.finish())
    }
}

impl<I: Iterator, T> Iterator for Many<I, T> {
    type Item = Result<T, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.many.next())
    }
}

/// A concept's neighbours, reply by reply, as an iterator: see [`crate::Pages`].
pub struct Pages {
    pages: crate::Pages,
    runtime: Arc<OwnRuntime>,
}

impl Iterator for Pages {
    type Item = Result<View<Neighbors>, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.pages.next())
    }
}

/// The ids of a namespace's concepts, reply by reply, as an iterator: see [`crate::ConceptPages`].
pub struct ConceptPages {
    pages: crate::ConceptPages,
    runtime: Arc<OwnRuntime>,
}

impl ConceptPages {
    /// As [`crate::ConceptPages::limit`].
    pub fn limit(mut self, limit: u32) -> Self {
        self.pages = self.pages.limit(limit);
        self
    }
}

impl Iterator for ConceptPages {
    type Item = Result<View<Concepts>, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.pages.next())
    }
}
