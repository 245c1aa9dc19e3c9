//! The client: what can be asked of a server. How a call is made is [`crate::caller`]'s.

use sutra_wire::{
    AssociationKey, AssociationKind, AssociationRecord, BackupCut, BackupDone, ConceptId,
    ConceptKey, ConceptRecord, Deleted, Health, LogRange, Neighbors, Paths, ScrubReport,
    ScrubRequest, SearchHits, SharedBytes, Stats, StoreInfo, View,
};

use crate::caller::Caller;
use crate::request::Request;
use crate::{
    Association, ClientError, Concept, ConceptPages, ConceptRef, Many, Neighborhood, Pages,
    PathQuery, SearchQuery, ServerInfo,
};

/// A client of one server: a pool of connections to each of its cores. Cloning is cheap and shares
/// the pool; all methods may be called from many tasks at once.
///
/// Every call ends within the client's timeout. A call may be dropped at any time: its reply is
/// then ignored. Calls that fail because a connection was lost, or because the server is busy or
/// shutting down, are repeated as often as [`crate::Connect::with_retries`] says. Writes are
/// upserts, so repeating one is safe, with one caveat. A write that is repeated because its answer
/// was lost may overwrite what another client wrote to that concept in between.
#[derive(Clone)]
pub struct Client {
    caller: Caller,
}

impl Client {
    /// A client that makes its calls by this one.
    pub(crate) fn new(caller: Caller) -> Self {
        Self { caller }
    }

    /// The same client, for another namespace. The empty one is the default.
    pub fn namespace(&self, namespace: &str) -> Self {
        Self { caller: self.caller.with_namespace(namespace) }
    }

    /// What the server said of itself when a connection was opened last.
    pub fn server(&self) -> ServerInfo {
        self.caller.server_info()
    }

    /// Learns a concept. **A learn is the whole record**: of a concept that is learned already it
    /// replaces content, embedding, strength, confidence and name, also those that this one leaves
    /// out. Only its associations stay, and the time when it was first learned. To change one
    /// field, [`Client::query`] the record first and give the others again. Returns the write's
    /// sequence once the write is as durable as [`ServerInfo::durability`] says.
    pub async fn learn(&self, concept: Concept) -> Result<u64, ClientError> {
        self.caller.call(&concept.request(self.caller.namespace())?).await?.sequence()
    }

    /// Looks a concept up by its name or id. `None` where it is not learned.
    ///
    /// The record is read where it was received: nothing is copied and nothing allocated. It keeps
    /// its receive buffer from being used again; what is to be kept for long is better copied
    /// (`record.checked().to_owned()`).
    pub async fn query(
        &self,
        concept: impl Into<ConceptRef>,
    ) -> Result<Option<View<ConceptRecord>>, ClientError> {
        let request = concept.into().request(self.caller.namespace())?;
        self.caller.call(&request).await?.found()
    }

    /// Deletes a concept with all its associations, from either end, whether it is learned or only
    /// associations name it. Returns what was removed ([`Deleted::default`] where there was
    /// nothing).
    ///
    /// A delete is several writes. If the server is killed meanwhile, some associations may be
    /// left; deleting again removes them. What is written to the concept before the answer may stay
    /// or go. A delete that is repeated because its answer was lost counts only what the first has
    /// left.
    pub async fn delete(&self, concept: impl Into<ConceptRef>) -> Result<Deleted, ClientError> {
        self.delete_by(Request::Delete, concept.into()).await
    }

    /// As [`Client::delete`], but refused with [`sutra_wire::Status::Associated`] where the concept
    /// has associations; nothing is removed then. One that is made meanwhile may stay or go.
    pub async fn delete_unassociated(
        &self,
        concept: impl Into<ConceptRef>,
    ) -> Result<Deleted, ClientError> {
        self.delete_by(Request::DeleteUnassociated, concept.into()).await
    }

    async fn delete_by(
        &self,
        request: fn(ConceptKey) -> Request,
        concept: ConceptRef,
    ) -> Result<Deleted, ClientError> {
        let key = ConceptKey { id: concept.id()?.0, namespace: self.caller.namespace().to_owned() };
        let deleted = self.caller.call(&request(key)).await?.found::<Deleted>()?;
        Ok(deleted.map(|deleted| deleted.checked().to_owned()).unwrap_or_default())
    }

    /// Learns an association. One of the same ends and kind is replaced, its confidence, too.
    /// Returns the write's sequence.
    pub async fn associate(&self, association: Association) -> Result<u64, ClientError> {
        self.caller.call(&association.request(self.caller.namespace())?).await?.sequence()
    }

    /// Removes the association of this kind from `source` to `target`; whether there was one. Both
    /// concepts stay. One that is repeated because its answer was lost may find nothing any more.
    pub async fn dissociate(
        &self,
        source: impl Into<ConceptRef>,
        target: impl Into<ConceptRef>,
        kind: AssociationKind,
    ) -> Result<bool, ClientError> {
        let key = AssociationKey {
            source: source.into().id()?.0,
            target: target.into().id()?.0,
            namespace: self.caller.namespace().to_owned(),
            kind: Some(kind.0),
        };
        Ok(self.caller.call(&Request::Dissociate(key)).await?.was_found())
    }

    /// Looks an association from `source` to `target` up: the one of this kind, or of the lowest
    /// kind where none is given. `None` where there is no such association.
    pub async fn association(
        &self,
        source: impl Into<ConceptRef>,
        target: impl Into<ConceptRef>,
        kind: Option<AssociationKind>,
    ) -> Result<Option<View<AssociationRecord>>, ClientError> {
        let (source, target) = (source.into().id()?.0, target.into().id()?.0);
        let (namespace, kind) = (self.caller.namespace().to_owned(), kind.map(|kind| kind.0));
        self.caller
            .call(&Request::Association(AssociationKey { source, target, namespace, kind }))
            .await?
            .found()
    }

    /// The ids of all concepts of the client's namespace, one reply after the other. A concept that
    /// is there throughout comes exactly once; one that is learned or deleted meanwhile may come or
    /// not.
    pub fn concept_pages(&self) -> ConceptPages {
        ConceptPages::new(self.caller.clone(), Request::Concepts)
    }

    /// The ids of the concepts of the client's namespace that are not learned and that associations
    /// start from, one reply after the other: with [`Client::concept_pages`] all that an
    /// association can have as its source.
    pub fn unlearned_source_pages(&self) -> ConceptPages {
        ConceptPages::new(self.caller.clone(), Request::UnlearnedSources)
    }

    /// Asks for a concept's neighbours: of a name or id all of them, of a [`Neighborhood`] those
    /// that it describes. Where there are more than a reply holds, the reply's cursor is not 0;
    /// [`Client::neighbor_pages`] follows it.
    pub async fn neighbors(
        &self,
        of: impl Into<Neighborhood>,
    ) -> Result<View<Neighbors>, ClientError> {
        let request = of.into().request(self.caller.namespace())?;
        self.caller.call(&request).await?.view()
    }

    /// All of a concept's neighbours, one reply after the other.
    pub fn neighbor_pages(&self, of: impl Into<Neighborhood>) -> Pages {
        Pages::new(self.caller.clone(), of.into())
    }

    /// How two concepts are connected: the paths that the query describes, best first. There may be
    /// none. From a concept to itself there is a path of no associations, if it is learned or an
    /// association names it. A concept that the server does not know is connected to nothing, not
    /// even to itself.
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
        self.caller.call(&query.request(self.caller.namespace())?).await?.view()
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
        self.caller.call(&query.request(self.caller.namespace())?).await?.view()
    }

    /// What the store is made of: its namespaces, and how it makes ids of the old protocol's
    /// strings.
    pub async fn store_info(&self) -> Result<View<StoreInfo>, ClientError> {
        self.caller.call(&Request::StoreInfo).await?.view()
    }

    /// What the server has and has done, over all its cores.
    pub async fn stats(&self) -> Result<View<Stats>, ClientError> {
        self.caller.call(&Request::Stats).await?.view()
    }

    /// Makes everything written so far durable, whatever the server's durability.
    pub async fn flush(&self) -> Result<(), ClientError> {
        self.caller.call(&Request::Flush).await?.sequence().map(|_| ())
    }

    /// Whether the server can do its work.
    pub async fn health(&self) -> Result<View<Health>, ClientError> {
        self.caller.call(&Request::Health).await?.view()
    }

    /// Has the server begin to look at its files, reading at most so many bytes a second (0: as it
    /// likes), unless it does so already; returns how that goes. What it finds is in
    /// [`Client::scrub`] once it has ended.
    pub async fn begin_scrub(&self, bandwidth: u64) -> Result<View<ScrubReport>, ClientError> {
        let request = ScrubRequest { bandwidth, begin: true };
        self.caller.call(&Request::Scrub(request)).await?.view()
    }

    /// How the server's look at its files goes, or how the last one ended.
    pub async fn scrub(&self) -> Result<View<ScrubReport>, ClientError> {
        self.caller.call(&Request::Scrub(ScrubRequest::default())).await?.view()
    }

    /// Has all cores hold for some milliseconds and tell where their logs end: what a backup begins
    /// with. It covers every write that was acknowledged before.
    pub async fn backup_cut(&self) -> Result<View<BackupCut>, ClientError> {
        self.caller.call(&Request::BackupCut).await?.view()
    }

    /// A stretch of a log that a cut covers, as it is on the server's disk.
    pub async fn read_log(&self, range: LogRange) -> Result<SharedBytes, ClientError> {
        let bytes = self.caller.call(&Request::ReadLog(range)).await?.bytes()?;
        match bytes.len() == range.length as usize {
            true => Ok(bytes),
            false => Err(ClientError::protocol(
                self.caller.server_name(),
                format!("{} bytes of a log, asked for {}", bytes.len(), range.length),
            )),
        }
    }

    /// Tells the server that a backup of it is complete, which it remembers and shows.
    pub async fn backup_done(&self, done: BackupDone) -> Result<(), ClientError> {
        self.caller.call(&Request::BackupDone(done)).await?.sequence().map(|_| ())
    }

    /// Learns many concepts, many of them under way at a time. Answers come in the order of the
    /// concepts.
    pub fn learn_many<I: IntoIterator<Item = Concept>>(
        &self,
        concepts: I,
    ) -> Many<I::IntoIter, u64> {
        Many::new(self.caller.clone(), concepts.into_iter(), Concept::request, |answer| {
            answer.sequence()
        })
    }

    /// Learns many associations, as [`Client::learn_many`] does concepts.
    pub fn associate_many<I: IntoIterator<Item = Association>>(
        &self,
        associations: I,
    ) -> Many<I::IntoIter, u64> {
        Many::new(self.caller.clone(), associations.into_iter(), Association::request, |answer| {
            answer.sequence()
        })
    }

    /// Looks many concepts up, many of them under way at a time. Answers come in the order of the
    /// names.
    pub fn query_many<I>(&self, concepts: I) -> Many<I::IntoIter, Option<View<ConceptRecord>>>
    where
        I: IntoIterator<Item: Into<ConceptRef>>,
    {
        let request = |concept: I::Item, namespace: &str| concept.into().request(namespace);
        Many::new(self.caller.clone(), concepts.into_iter(), request, |answer| answer.found())
    }

    /// Looks many associations up by source, target and kind, as [`Client::query_many`] does
    /// concepts.
    pub fn association_many<I>(
        &self,
        associations: I,
    ) -> Many<I::IntoIter, Option<View<AssociationRecord>>>
    where
        I: IntoIterator<Item = (ConceptId, ConceptId, AssociationKind)>,
    {
        let request = |(source, target, kind): I::Item, namespace: &str| {
            let (source, target, kind) = (source.0, target.0, Some(kind.0));
            let namespace = namespace.to_owned();
            Ok(Request::Association(AssociationKey { source, target, namespace, kind }))
        };
        Many::new(self.caller.clone(), associations.into_iter(), request, |answer| answer.found())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.caller.server_name())
            .field("namespace", &self.caller.namespace())
            .finish()
    }
}
