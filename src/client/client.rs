//! The client: operations, their retries, and the time that they may take.

use std::sync::Arc;
use std::time::Duration;

use sutra_wire::{
    AssociationKey, AssociationKind, AssociationRecord, ConceptKey, ConceptRecord, Concepts, ConceptsRequest, Deleted,
    Health, Neighbors, Opcode, Paths, SearchHits, Stats, View,
};

use crate::answer::Answer;
use crate::builder::{Connect, Options};
use crate::deadline::Deadline;
use crate::grid::Place;
use crate::in_flight::Reply;
use crate::pending::Pending;
use crate::request::{Association, Concept, ConceptRef, Neighborhood, Request};
use crate::retry::{self, Retry};
use crate::topology::Topology;
use crate::{ClientError, ConceptPages, Many, Pages, PathQuery, SearchQuery, ServerInfo, backoff};

/// A client of one server: a pool of connections to each of its cores. Cloning is cheap and shares
/// the pool; all methods may be called from many tasks at once.
///
/// Every call ends within the client's timeout. A call may be dropped at any time: its reply is
/// then ignored. Calls that fail because a connection was lost, or because the server is busy or
/// shutting down, are repeated as often as [`Connect::with_retries`] says. Writes are upserts, so
/// that repeating one is safe, with one caveat: a write that is repeated because its answer was
/// lost may overwrite what another client wrote to the same concept in between.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Inner>,
    namespace: Arc<str>,
}

struct Inner {
    name: String,
    options: Options,
    topology: Topology,
}

impl Client {
    /// Connects to the server at `address` (`HOST:PORT`, the port 50050 if it is left out), or to
    /// the storage node of a grid at `grid://HOST:PORT/NODE`: that is asked of the grid's master,
    /// and again when the node is gone, so that a node which is started again elsewhere is found.
    /// Options can be set on what is returned, before it is awaited.
    pub fn connect(address: impl Into<String>) -> Connect {
        Connect::to(address)
    }

    pub(crate) async fn open(place: Place, options: Options) -> Result<Self, ClientError> {
        let deadline = Deadline::of(Opcode::Hello, options.timeout);
        let mut failures = 0;
        let topology = loop {
            match Topology::discover(place.clone(), options.pool_size, &deadline).await {
                Ok(topology) => break topology,
                Err(error) => {
                    failures += 1;
                    let wait = backoff::delay(failures);
                    if failures > options.retries || retry::after(&error) == Retry::No || wait >= deadline.remaining() {
                        return Err(error);
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        };
        let name = topology.name();
        Ok(Self { shared: Arc::new(Inner { name, options, topology }), namespace: "".into() })
    }

    /// The same client, for another namespace. The empty one is the default.
    pub fn namespace(&self, namespace: &str) -> Self {
        Self { shared: self.shared.clone(), namespace: namespace.into() }
    }

    /// What the server said of itself when a connection was opened last.
    pub fn server(&self) -> ServerInfo {
        self.shared.topology.info()
    }

    /// Learns a concept. **A learn is the whole record**: where the concept is learned already, all
    /// of the earlier version is replaced, its content, embedding, strength and confidence, and its
    /// name; what this one leaves out is gone, an embedding, too. Only its associations stay, and
    /// the time when it was first learned. To change one field, [`Client::query`] the record first
    /// and give the others again. Returns the write's sequence once the write is as durable as
    /// [`ServerInfo::durability`] says.
    pub async fn learn(&self, concept: Concept) -> Result<u64, ClientError> {
        self.call(&concept.request(&self.namespace)?).await?.sequence()
    }

    /// Looks a concept up by its name or id. `None` where it is not learned.
    ///
    /// The record is read where it was received: nothing is copied and nothing allocated. It keeps
    /// its receive buffer from being used again; what is to be kept for long is better copied
    /// (`record.checked().to_owned()`).
    pub async fn query(&self, concept: impl Into<ConceptRef>) -> Result<Option<View<ConceptRecord>>, ClientError> {
        let request = concept.into().request(&self.namespace)?;
        self.call(&request).await?.found()
    }

    /// Deletes a concept with all its associations, from either end, whether it is learned or only
    /// associations name it. Returns what was removed ([`Deleted::default`] where there was
    /// nothing). A delete is several writes: should the server be killed meanwhile, the concept may
    /// be left with fewer associations, and deleting it again finishes it; what is written to it
    /// before the answer may stay or go. One that is repeated because its answer was lost finds,
    /// and counts, only what the first has left.
    pub async fn delete(&self, concept: impl Into<ConceptRef>) -> Result<Deleted, ClientError> {
        let key = ConceptKey { id: concept.into().id()?.0, namespace: self.namespace.to_string() };
        let deleted = self.call(&Request::Delete(key)).await?.found::<Deleted>()?;
        Ok(deleted.map(|deleted| deleted.checked().to_owned()).unwrap_or_default())
    }

    /// Learns an association. One of the same ends and kind is replaced, its confidence, too.
    /// Returns the write's sequence.
    pub async fn associate(&self, association: Association) -> Result<u64, ClientError> {
        self.call(&association.request(&self.namespace)?).await?.sequence()
    }

    /// Looks an association up: the one of this kind from `source` to `target`, or, where no kind
    /// is given, the one of the lowest kind that there is. `None` where there is none.
    pub async fn association(
        &self,
        source: impl Into<ConceptRef>,
        target: impl Into<ConceptRef>,
        kind: Option<AssociationKind>,
    ) -> Result<Option<View<AssociationRecord>>, ClientError> {
        let (source, target) = (source.into().id()?.0, target.into().id()?.0);
        let (namespace, kind) = (self.namespace.to_string(), kind.map(|kind| kind.0));
        self.call(&Request::Association(AssociationKey { source, target, namespace, kind })).await?.found()
    }

    /// The ids of all concepts of the client's namespace, one reply after the other. A concept that
    /// is there throughout comes exactly once; one that is learned or deleted meanwhile may come or
    /// not.
    pub fn concept_pages(&self) -> ConceptPages {
        ConceptPages::new(self.clone())
    }

    pub(crate) async fn concepts(&self, limit: u32, cursor: u64) -> Result<View<Concepts>, ClientError> {
        let namespace = self.namespace.to_string();
        self.call(&Request::Concepts(ConceptsRequest { namespace, limit, cursor })).await?.view()
    }

    /// Asks for a concept's neighbours: of a name or id all of them, of a [`Neighborhood`] those
    /// that it describes. Where there are more than a reply holds, the reply's cursor is not 0;
    /// [`Client::neighbor_pages`] follows it.
    pub async fn neighbors(&self, of: impl Into<Neighborhood>) -> Result<View<Neighbors>, ClientError> {
        let request = of.into().request(&self.namespace)?;
        self.call(&request).await?.view()
    }

    /// All of a concept's neighbours, one reply after the other.
    pub fn neighbor_pages(&self, of: impl Into<Neighborhood>) -> Pages {
        Pages::new(self.clone(), of.into())
    }

    /// How two concepts are connected: the paths that the query describes, best first, none where
    /// there is none. From a concept to itself there is a path of no associations, if it is learned
    /// or an association names it; one that was never heard of is connected to nothing, not even to
    /// itself.
    ///
    /// ```no_run
    /// # use sutra_client::{Client, ClientError, ConceptId, PathQuery};
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// let found = client.path(PathQuery::between("dog", "cat").max_depth(8)).await?;
    /// if let Some(path) = found.paths.first() {
    ///     for (edge, to) in path.edges.iter().zip(&path.concepts[1..]) {
    ///         println!("{} {}", if edge.forward { "->" } else { "<-" }, ConceptId(*to));
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn path(&self, query: PathQuery) -> Result<View<Paths>, ClientError> {
        self.call(&query.request(&self.namespace)?).await?.view()
    }

    /// The concepts whose embeddings are most like a vector, with their cosine similarity, best
    /// first.
    ///
    /// ```no_run
    /// # use sutra_client::{Client, ClientError, ConceptId, SearchQuery};
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// for hit in client.search(SearchQuery::like([0.1, 0.7]).k(5)).await?.hits.iter() {
    ///     println!("{:.3} {}", hit.similarity, ConceptId(hit.id));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn search(&self, query: SearchQuery) -> Result<View<SearchHits>, ClientError> {
        self.call(&query.request(&self.namespace)?).await?.view()
    }

    /// What the server has and has done, over all its cores.
    pub async fn stats(&self) -> Result<View<Stats>, ClientError> {
        self.call(&Request::Stats).await?.view()
    }

    /// Makes everything written so far durable, whatever the server's durability.
    pub async fn flush(&self) -> Result<(), ClientError> {
        self.call(&Request::Flush).await?.sequence().map(|_| ())
    }

    /// Whether the server can do its work.
    pub async fn health(&self) -> Result<View<Health>, ClientError> {
        self.call(&Request::Health).await?.view()
    }

    /// Learns many concepts, many of them under way at a time. Answers come in the order of the
    /// concepts.
    pub fn learn_many<I: IntoIterator<Item = Concept>>(&self, concepts: I) -> Many<I::IntoIter, u64> {
        Many::new(self.clone(), concepts.into_iter(), Concept::request, |answer| answer.sequence())
    }

    /// Learns many associations, as [`Client::learn_many`] does concepts.
    pub fn associate_many<I: IntoIterator<Item = Association>>(&self, associations: I) -> Many<I::IntoIter, u64> {
        Many::new(self.clone(), associations.into_iter(), Association::request, |answer| answer.sequence())
    }

    /// Looks many concepts up, many of them under way at a time. Answers come in the order of the
    /// names.
    pub fn query_many<I>(&self, concepts: I) -> Many<I::IntoIter, Option<View<ConceptRecord>>>
    where
        I: IntoIterator<Item: Into<ConceptRef>>,
    {
        let request = |concept: I::Item, namespace: &str| concept.into().request(namespace);
        Many::new(self.clone(), concepts.into_iter(), request, |answer| answer.found())
    }

    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    pub(crate) fn default_namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn deadline(&self, request: &Request) -> Deadline {
        Deadline::of(request.opcode(), self.shared.options.timeout)
    }

    /// Sends a request to where it belongs.
    pub(crate) async fn start(
        &self,
        request: &Request,
        deadline: &Deadline,
        at_once: bool,
    ) -> Result<Pending, ClientError> {
        let connection = self.shared.topology.connection(request.concept(), deadline).await?;
        connection.send(request, deadline, at_once).await
    }

    async fn attempt(&self, request: &Request, deadline: &Deadline) -> Result<Reply, ClientError> {
        let spin = self.shared.options.spin;
        self.start(request, deadline, !spin.is_zero()).await?.wait(deadline, spin).await
    }

    async fn call(&self, request: &Request) -> Result<Answer<'_>, ClientError> {
        let deadline = self.deadline(request);
        let first = self.attempt(request, &deadline).await;
        self.settle(request, &deadline, first).await
    }

    /// Repeats a request whose first attempt failed, where that makes sense and as long as there is
    /// time.
    pub(crate) async fn settle(
        &self,
        request: &Request,
        deadline: &Deadline,
        first: Result<Reply, ClientError>,
    ) -> Result<Answer<'_>, ClientError> {
        let mut result = first;
        let mut failures = 0;
        // Of an attempt that may have reached the server before its connection was lost.
        let mut lost = None;
        loop {
            let error = match result.and_then(|reply| Answer::new(self.name(), deadline, reply)) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failures += 1;
            let wait = match retry::after(&error) {
                Retry::No => return Err(error.after(lost)),
                Retry::Reconnect => Duration::ZERO,
                Retry::Wait => backoff::delay(failures),
            };
            if failures > self.shared.options.retries || wait >= deadline.remaining() {
                return Err(error.after(lost));
            }
            tracing::debug!(endpoint = self.name(), operation = deadline.opcode.name(), failures, %error, "trying again");
            if matches!(error, ClientError::Closed { .. }) {
                lost = Some(error);
            }
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            result = self.attempt(request, deadline).await;
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.shared.name).field("namespace", &self.namespace).finish()
    }
}
