//! A store driven the way a server drives it, on one thread: writes go to the files by hand,
//! background work runs at once.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::fs::OpenOptions as FileOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rkyv::util::AlignedVec;
use sutra_store::{
    Acknowledged, Clock, CommitWrite, EdgeKey, Effect, FileDisk, NamespaceId, NeighborQuery,
    OpenOptions, Opened, Refusal, SearchProgress, Shard, Store, StoreError, VectorQuery,
};
use sutra_wire::{
    AssociationRecord, Checked, ConceptId, ConceptKey, ConceptRecord, CoreLayout, Direction,
    Durability, Neighbor, SearchHit,
};
use tempfile::TempDir;

/// A folder in memory where there is such a filesystem, so that syncs cost nothing.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(crate) fn options(cores: usize, durability: Durability) -> OpenOptions {
    OpenOptions {
        cores,
        durability,
        segment_bytes: 64 << 10,
        id_rule: None,
        listening: "127.0.0.1:50050".into(),
    }
}

/// A clock that is one µs later whenever it is asked; the wall's can be set.
#[derive(Debug, Default)]
pub(crate) struct TestClock {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl TestClock {
    /// Sets the clock on the wall.
    pub(crate) fn set_wall(&self, time: u64) {
        self.wall.store(time, Ordering::Relaxed);
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, microseconds: u64) {
        self.wall.fetch_add(microseconds, Ordering::Relaxed);
        self.monotonic.fetch_add(microseconds, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> u64 {
        self.wall.fetch_add(1, Ordering::Relaxed) + 1_000_000
    }

    fn monotonic(&self) -> u64 {
        self.monotonic.fetch_add(1, Ordering::Relaxed)
    }
}

pub(crate) struct World {
    pub(crate) shards: Vec<Shard<u64>>,
    pub(crate) opened: Opened<u64>,
    pub(crate) layout: CoreLayout,
    pub(crate) clock: Arc<TestClock>,
    /// Whether the background thread does not come to marking segments that are full.
    pub(crate) marks_late: bool,
    next_ticket: u64,
}

impl World {
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_with(folder, &options(1, Durability::Always))
    }

    pub(crate) fn open_with(folder: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        let disk = FileDisk::open(folder, options.durability, &options.listening)?;
        Self::open_on(Arc::new(disk), options)
    }

    pub(crate) fn open_on(
        disk: Arc<dyn sutra_store::Disk>,
        options: &OpenOptions,
    ) -> Result<Self, StoreError> {
        let clock = Arc::new(TestClock::default());
        Ok(Self::of(Store::open_on(disk, clock.clone(), options)?, clock))
    }

    pub(crate) fn of(mut opened: Opened<u64>, clock: Arc<TestClock>) -> Self {
        let shards = std::mem::take(&mut opened.shards);
        let layout = CoreLayout::new(shards.len() as u16);
        Self { shards, opened, layout, clock, marks_late: false, next_ticket: 0 }
    }

    pub(crate) fn shard_of(&mut self, id: &[u8; 16]) -> &mut Shard<u64> {
        let owner = self.layout.owner(&ConceptId(*id));
        &mut self.shards[usize::from(owner)]
    }

    pub(crate) fn namespace(&self, name: &str) -> NamespaceId {
        *self.opened.namespaces.register(&[name])[0].as_ref().unwrap()
    }

    /// Accepts a concept, making room where there is none yet.
    pub(crate) fn learn(&mut self, record: &ConceptRecord) -> u64 {
        self.try_learn(record).unwrap()
    }

    pub(crate) fn try_learn(&mut self, record: &ConceptRecord) -> Result<u64, Refusal> {
        let (bytes, namespace) = (archive(record), self.namespace(&record.namespace));
        let record = Checked::<ConceptRecord>::new(&bytes).unwrap();
        let ticket = self.ticket();
        self.until_not_stalled(|world| world.shard_of(&record.id).learn(record, namespace, ticket))
    }

    pub(crate) fn associate(&mut self, record: &AssociationRecord) -> u64 {
        self.try_associate(record).unwrap()
    }

    pub(crate) fn try_associate(&mut self, record: &AssociationRecord) -> Result<u64, Refusal> {
        let (bytes, namespace) = (archive(record), self.namespace(&record.namespace));
        let record = Checked::<AssociationRecord>::new(&bytes).unwrap();
        let ticket = self.ticket();
        self.until_not_stalled(|world| {
            world.shard_of(&record.source).associate(record, namespace, ticket)
        })
    }

    /// Accepts the removal of an association; `None` where it is not visible.
    pub(crate) fn dissociate(&mut self, key: &EdgeKey) -> Option<u64> {
        let ticket = self.ticket();
        self.until_not_stalled(|world| world.shard_of(&key.source.0).dissociate(key, ticket))
            .unwrap()
    }

    /// Accepts a concept's tombstone.
    pub(crate) fn bury(&mut self, namespace: &str, id: [u8; 16]) -> u64 {
        let bytes = archive(&ConceptKey { id, namespace: namespace.to_owned() });
        let (namespace, ticket) = (self.namespace(namespace), self.ticket());
        let key = Checked::<ConceptKey>::new(&bytes).unwrap();
        self.until_not_stalled(|world| world.shard_of(&id).delete(key, namespace, ticket)).unwrap()
    }

    /// The associations that are visible at a concept.
    pub(crate) fn edges(&mut self, namespace: &str, id: [u8; 16]) -> Vec<EdgeKey> {
        let number = self.namespace(namespace);
        let of = |(peer, kind, _, outgoing): ([u8; 16], u32, f32, bool)| {
            let (source, target) = if outgoing { (id, peer) } else { (peer, id) };
            EdgeKey {
                namespace: number,
                source: ConceptId(source),
                target: ConceptId(target),
                kind,
            }
        };
        self.neighbors(namespace, id, Direction::Both).into_iter().map(of).collect()
    }

    /// Deletes a concept as a server does: its associations first, then, when these are durable,
    /// itself.
    pub(crate) fn delete(&mut self, namespace: &str, id: [u8; 16]) -> bool {
        for key in self.edges(namespace, id) {
            self.dissociate(&key);
        }
        self.commit();
        let sequence = self.bury(namespace, id);
        let acknowledged = self.commit();
        let tombstone = acknowledged.iter().find(|entry| entry.sequence == sequence).unwrap();
        match tombstone.effect {
            Ok(Effect::Deleted(was_there)) => was_there,
            ref other => panic!("{other:?}"),
        }
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    fn until_not_stalled<R>(
        &mut self,
        mut write: impl FnMut(&mut Self) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        for _ in 0..1000 {
            match write(self) {
                Err(Refusal::Stalled) => {
                    self.work();
                    self.commit();
                }
                result => return result,
            }
        }
        panic!("stalled for ever");
    }

    /// Runs all background work there is.
    pub(crate) fn work(&mut self) {
        for shard in &mut self.shards {
            while let Some(job) = shard.next_preparation() {
                if shard.prepared(job.run()).is_err() {
                    break;
                }
            }
        }
        if !self.marks_late {
            self.mark();
        }
    }

    /// Runs all work on the vector indexes.
    pub(crate) fn index(&mut self) {
        self.index_work(false);
    }

    fn index_work(&mut self, stopping: bool) {
        for shard in &mut self.shards {
            while let Some(job) = shard.next_index_job(stopping) {
                assert!(
                    shard.is_indexing() && shard.next_index_job(stopping).is_none(),
                    "one at a time"
                );
                shard.indexed(job.run());
            }
        }
    }

    /// Searches all shards, as a server does.
    pub(crate) fn search(
        &mut self,
        query: &VectorQuery,
        allowed: Option<&[[u8; 16]]>,
    ) -> Vec<SearchHit> {
        let query = Arc::new(query.clone());
        let mut hits = Vec::new();
        for shard in &mut self.shards {
            let mut search = shard.begin_search(Arc::clone(&query), allowed.map(<[_]>::to_vec));
            while shard.advance_search(&mut search) != SearchProgress::Done {
                assert!(!shard.is_indexing());
            }
            hits.extend(search.into_hits());
        }
        hits.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.id.cmp(&b.id)));
        hits.truncate(query.k as usize);
        hits
    }

    /// Marks the segments that are full.
    pub(crate) fn mark(&mut self) {
        for shard in &mut self.shards {
            while let Some(job) = shard.next_mark() {
                shard.marked(job.run());
            }
        }
    }

    /// A clean stop.
    pub(crate) fn stop(self) {
        self.try_stop().unwrap();
    }

    /// The same, which may fail.
    pub(crate) fn try_stop(mut self) -> Result<(), StoreError> {
        self.commit();
        self.index_work(true);
        self.shards.clear();
        self.opened.keeper.close()
    }

    /// Writes everything that has gathered, and passes in-edges on. Returns what was acknowledged.
    pub(crate) fn commit(&mut self) -> Vec<Acknowledged<u64>> {
        let mut all = Vec::new();
        for at in 0..self.shards.len() {
            while let Some(commit) = self.shards[at].next_commit() {
                let result = write(&commit);
                all.extend(self.finish(at, result));
            }
        }
        self.work();
        all
    }

    /// The commit that a shard has in flight has ended.
    pub(crate) fn finish(
        &mut self,
        shard: usize,
        result: io::Result<()>,
    ) -> Vec<Acknowledged<u64>> {
        let mut acknowledged = Vec::new();
        self.shards[shard].commit_finished(result, |entry| acknowledged.push(entry));
        let edges: VecDeque<_> = acknowledged
            .iter()
            .filter_map(|entry| match entry.effect {
                Ok(Effect::Association(edge) | Effect::Removal(edge, _)) => Some(edge),
                _ => None,
            })
            .collect();
        for edge in edges {
            self.shard_of(&edge.key.target.0).apply_in_edge(edge);
        }
        acknowledged
    }

    /// The visible record, as its stored bytes tell it.
    pub(crate) fn concept(&mut self, namespace: &str, id: [u8; 16]) -> Option<ConceptRecord> {
        let namespace = self.opened.namespaces.lookup(namespace)?;
        let shard = self.shard_of(&id);
        let stored = shard.concept(namespace, &ConceptId(id));
        let record = shard.record(namespace, &ConceptId(id)).map(|record| record.to_owned());
        assert_eq!(
            stored.map(|stored| Checked::<ConceptRecord>::new(&stored).unwrap().to_owned()),
            record
        );
        record
    }

    /// The stored record of an association, of this kind or of the lowest.
    pub(crate) fn association(
        &mut self,
        namespace: &str,
        source: [u8; 16],
        target: [u8; 16],
        kind: Option<u32>,
    ) -> Option<AssociationRecord> {
        let namespace = self.opened.namespaces.lookup(namespace)?;
        let shard = self.shard_of(&source);
        let stored = shard.association(namespace, &ConceptId(source), &ConceptId(target), kind)?;
        Some(Checked::<AssociationRecord>::new(&stored).unwrap().to_owned())
    }

    /// The ids of a namespace's concepts, listed in small pages.
    pub(crate) fn concepts(&mut self, namespace: &str) -> Vec<[u8; 16]> {
        let Some(namespace) = self.opened.namespaces.lookup(namespace) else { return Vec::new() };
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut next = Some(0);
            while let Some(from) = next {
                next = shard.concepts(namespace, from, 2, &mut all);
            }
        }
        all
    }

    /// A concept's neighbours as (other end, kind, confidence, outgoing), sorted.
    pub(crate) fn neighbors(
        &mut self,
        namespace: &str,
        id: [u8; 16],
        direction: Direction,
    ) -> Vec<([u8; 16], u32, f32, bool)> {
        let Some(namespace) = self.opened.namespaces.lookup(namespace) else { return Vec::new() };
        let shard = self.shard_of(&id);
        let mut query = NeighborQuery {
            namespace,
            id: ConceptId(id),
            direction,
            kinds: &[],
            minimum_confidence: 0.0,
            limit: 7,
            cursor: 0,
        };
        let mut all: Vec<Neighbor> = Vec::new();
        loop {
            query.cursor = shard.neighbors(&query, &mut all);
            if query.cursor == 0 {
                break;
            }
        }
        let mut all: Vec<_> = all
            .into_iter()
            .map(|neighbor| {
                (
                    neighbor.id,
                    neighbor.kind,
                    neighbor.confidence,
                    neighbor.direction == Direction::Out as u8,
                )
            })
            .collect();
        all.sort_by(|a, b| a.partial_cmp(b).unwrap());
        all
    }
}

/// Writes a commit as the runtime would.
pub(crate) fn write(commit: &CommitWrite) -> io::Result<()> {
    let alignment = u64::from(commit.file.alignment());
    assert!(
        commit.offset.is_multiple_of(alignment)
            && (commit.bytes.len() as u64).is_multiple_of(alignment)
    );
    FileOptions::new()
        .write(true)
        .open(commit.file.path())?
        .write_all_at(&commit.bytes, commit.offset)
}

pub(crate) fn archive<T>(value: &T) -> AlignedVec
where
    T: for<'a> rkyv::Serialize<
            rkyv::api::high::HighSerializer<
                AlignedVec,
                rkyv::ser::allocator::ArenaHandle<'a>,
                rkyv::rancor::Error,
            >,
        >,
{
    rkyv::to_bytes::<rkyv::rancor::Error>(value).unwrap()
}

pub(crate) fn id(number: u32) -> [u8; 16] {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id
}

pub(crate) fn concept(number: u32, content: &str) -> ConceptRecord {
    ConceptRecord {
        id: id(number),
        content: content.into(),
        confidence: 1.0,
        strength: 1.0,
        ..ConceptRecord::default()
    }
}

/// A search of the default namespace.
pub(crate) fn query(vector: &[f32], k: u32) -> VectorQuery {
    VectorQuery {
        namespace: NamespaceId::DEFAULT,
        vector: vector.to_vec(),
        k,
        ef: 0,
        minimum_strength: 0.0,
        minimum_confidence: 0.0,
        exact: false,
    }
}

pub(crate) fn association(source: u32, target: u32, confidence: f32) -> AssociationRecord {
    AssociationRecord {
        source: id(source),
        target: id(target),
        confidence,
        ..AssociationRecord::default()
    }
}

/// A shard's segment file.
pub(crate) fn segment(folder: &Path, shard: usize, number: usize) -> PathBuf {
    folder.join(format!("shard-{shard:03}/segment-{number:08}.log"))
}
