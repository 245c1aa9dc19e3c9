//! A store to be damaged, with all that is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sutra_wire::{AssociationRecord, Checked, ConceptId, ConceptKey, ConceptRecord, Durability};

use crate::format::{
    COMMIT_ENTRY, ENTRY_HEADER, KIND_ASSOCIATION, KIND_CONCEPT, KIND_REMOVAL, KIND_TOMBSTONE,
    SegmentHeader,
};
use crate::salvage::scan::{Frame, Piece, scan};
use crate::vectors::sample_checkpoint;
use crate::{
    CheckpointName, EdgeKey, NamespaceId, OpenOptions, Opened, Shard, Store, StoreError,
    open_read_only,
};

const SEGMENT: u64 = 64 << 10;

/// An entry of a log.
#[derive(Clone, Debug)]
pub(super) struct InLog {
    pub(super) file: String,
    pub(super) at: usize,
    pub(super) bytes: usize,
    pub(super) sequence: u64,
    kind: u8,
    body: Vec<u8>,
}

impl InLog {
    /// Its shard's folder, and its sequence, which is its own there.
    fn key(&self) -> (String, u64) {
        let (shard, _) = self.file.split_once('/').unwrap();
        (shard.to_owned(), self.sequence)
    }
}

/// A commit of a log.
#[derive(Clone, Debug)]
pub(super) struct CommitInLog {
    pub(super) file: String,
    pub(super) at: usize,
    /// Where its entries end.
    pub(super) end: usize,
    pub(super) padded: usize,
}

/// A store that was made to be damaged.
pub(super) struct Source {
    pub(super) cores: usize,
    pub(super) entries: Vec<InLog>,
    pub(super) commits: Vec<CommitInLog>,
    /// Its files, relative to the folder.
    pub(super) files: Vec<String>,
}

pub(super) fn options(cores: usize) -> OpenOptions {
    OpenOptions {
        cores,
        durability: Durability::Always,
        segment_bytes: SEGMENT,
        id_rule: None,
        listening: String::new(),
    }
}

/// Opens a store in the way of a start.
pub(super) fn opened(folder: &Path, cores: usize) -> Result<Opened<()>, StoreError> {
    Store::open(folder, options(cores))
}

fn archive<T>(value: &T) -> rkyv::util::AlignedVec
where
    T: for<'a> rkyv::Serialize<
            rkyv::api::high::HighSerializer<
                rkyv::util::AlignedVec,
                rkyv::ser::allocator::ArenaHandle<'a>,
                rkyv::rancor::Error,
            >,
        >,
{
    rkyv::to_bytes::<rkyv::rancor::Error>(value).unwrap()
}

fn write(shard: &mut Shard<()>) {
    while let Some(commit) = shard.next_commit() {
        let file = fs::OpenOptions::new().write(true).open(commit.file.path()).unwrap();
        file.write_all_at(&commit.bytes, commit.offset).unwrap();
        shard.commit_finished(Ok::<(), io::Error>(()), |_| {});
    }
    while let Some(job) = shard.next_preparation() {
        shard.prepared(job.run()).unwrap();
    }
    while let Some(job) = shard.next_mark() {
        shard.marked(job.run());
    }
}

impl Source {
    /// The same, made over from another number of cores, with more that was written since.
    pub(super) fn make_over(folder: &Path, cores: usize) -> Self {
        // One core at first: then every sequence is an entry's own.
        Self::make(folder, 1, false);
        if cores == 1 {
            opened(folder, 3).unwrap().keeper.close().unwrap();
        }
        let mut store = opened(folder, cores).unwrap();
        let layout = sutra_wire::CoreLayout::new(cores as u16);
        let mut shards = std::mem::take(&mut store.shards);
        for number in (0..40_u32).step_by(2) {
            let name = format!("concept {number}");
            let id = ConceptId::from_name(&name).unwrap();
            let content = format!("since then {}", "x".repeat(number as usize * 17));
            let record = ConceptRecord { id: id.0, name, content, ..ConceptRecord::default() };
            let bytes = archive(&record);
            // As messages between cores would have it.
            let highest = shards.iter().map(Shard::last_sequence).max().unwrap();
            let shard = &mut shards[usize::from(layout.owner(&id))];
            shard.observe(highest);
            shard.learn(Checked::new(&bytes).unwrap(), NamespaceId::DEFAULT, ()).unwrap();
            write(shard);
        }
        drop(shards);
        store.keeper.close().unwrap();
        drop(store);
        Self::of(folder, cores)
    }

    /// Makes a store of many small commits in several segments. It is stopped in order, or
    /// `is_killed`.
    pub(super) fn make(folder: &Path, cores: usize, is_killed: bool) -> Self {
        let mut store = opened(folder, cores).unwrap();
        let mut shards = std::mem::take(&mut store.shards);
        let namespaces = ["", "other"]
            .map(|name| *store.namespaces.register(&[name]).remove(0).as_ref().unwrap());
        let layout = sutra_wire::CoreLayout::new(cores as u16);
        let owner = |id: &[u8; 16]| usize::from(layout.owner(&ConceptId(*id)));
        for number in 0..160_u32 {
            let name = format!("concept {}", number % 120);
            let id = ConceptId::from_name(&name).unwrap().0;
            let (at, namespace) = (owner(&id), namespaces[number as usize % 2]);
            let in_namespace = ["", "other"][number as usize % 2].to_owned();
            let shard = &mut shards[at];
            let record = ConceptRecord {
                id,
                namespace: in_namespace.clone(),
                name,
                content: format!("version {number} {}", "x".repeat(number as usize * 13 % 1500)),
                ..ConceptRecord::default()
            };
            let bytes = archive(&record);
            shard.learn(Checked::new(&bytes).unwrap(), namespace, ()).unwrap();
            let target = ConceptId::from_name("concept 1").unwrap();
            let edge = AssociationRecord {
                source: id,
                target: target.0,
                namespace: in_namespace.clone(),
                confidence: 0.5,
                ..AssociationRecord::default()
            };
            let bytes = archive(&edge);
            shard.associate(Checked::new(&bytes).unwrap(), namespace, ()).unwrap();
            if number % 3 != 0 {
                write(shard);
            }
            if number % 10 == 9 {
                let key = EdgeKey { namespace, source: ConceptId(id), target, kind: 0 };
                write(shard);
                shard.dissociate(&key, ()).unwrap().unwrap();
                let key = ConceptKey { id, namespace: in_namespace };
                let bytes = archive(&key);
                shard.delete(Checked::new(&bytes).unwrap(), namespace, ()).unwrap();
                write(shard);
            }
        }
        shards.iter_mut().for_each(write);
        drop(shards);
        if !is_killed {
            store.keeper.close().unwrap();
        }
        let name = CheckpointName { shard: 0, namespace: 0 };
        fs::write(folder.join(name.to_string()), sample_checkpoint(store.store_id, name)).unwrap();
        drop(store);
        Self::of(folder, cores)
    }

    /// Makes a store of one association of each of so many types, between the same two concepts.
    pub(super) fn make_of_edges(folder: &Path, types: u32) -> Self {
        let mut store = opened(folder, 1).unwrap();
        for kind in 0..types {
            let ends = AssociationRecord { source: [1; 16], target: [2; 16], ..Default::default() };
            let edge = AssociationRecord { kind, ..ends };
            let bytes = archive(&edge);
            let record = Checked::new(&bytes).unwrap();
            store.shards[0].associate(record, NamespaceId::DEFAULT, ()).unwrap();
            write(&mut store.shards[0]);
        }
        store.shards.clear();
        store.keeper.close().unwrap();
        drop(store);
        Self::of(folder, 1)
    }

    fn of(folder: &Path, cores: usize) -> Self {
        let mut source =
            Self { cores, entries: Vec::new(), commits: Vec::new(), files: Vec::new() };
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let inside = if entry.is_dir() {
                fs::read_dir(&entry).unwrap().map(|file| file.unwrap().path()).collect()
            } else {
                vec![entry]
            };
            source.files.extend(inside.into_iter().map(|file: std::path::PathBuf| {
                file.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()
            }));
        }
        source.files.sort();
        for file in source.files.clone().iter().filter(|file| file.ends_with(".log")) {
            source.read(folder, file);
        }
        source
    }

    fn read(&mut self, folder: &Path, file: &str) {
        let content = fs::read(folder.join(file)).unwrap();
        let mut bytes = rkyv::util::AlignedVec::<16>::new();
        bytes.extend_from_slice(&content);
        let header = SegmentHeader::decode(&bytes).unwrap();
        let frame = Frame {
            seed: header.seed(),
            block: header.block as usize,
            first: header.first_commit(),
            shard: header.shard,
            layout: None,
            is_unordered: SegmentHeader::covered(&bytes).is_some(),
        };
        for piece in scan(&bytes, &frame, &mut |_, _| {}) {
            let Piece::Run(run) = &piece else { panic!("{file} is damaged") };
            for (at, entry) in piece.entries(&bytes) {
                self.entries.push(InLog {
                    file: file.to_owned(),
                    at,
                    bytes: entry.bytes(),
                    sequence: entry.header.sequence,
                    kind: entry.header.kind,
                    body: entry.body.to_vec(),
                });
            }
            let mut at = run.range.start;
            while at < run.range.end {
                let entry = crate::format::Entry::parse(frame.seed, &bytes[at..]).unwrap();
                let body = crate::format::CommitBody::of(&entry).unwrap();
                let end = at + body.bytes as usize;
                let padded = at + (body.bytes as usize).next_multiple_of(frame.block);
                self.commits.push(CommitInLog { file: file.to_owned(), at, end, padded });
                at = padded;
            }
        }
    }

    /// The entries that damage has hit: each shard's folder, and its sequence there.
    pub(super) fn entries_in(
        &self,
        file: &str,
        bytes: &BTreeSet<usize>,
    ) -> impl Iterator<Item = (String, u64)> {
        let is_hit = move |entry: &&InLog| {
            // What pads a body holds nothing; zeros in place of zeros change nothing.
            let end = entry.at + entry.bytes;
            entry.file == file && bytes.iter().any(|at| (entry.at..end).contains(at))
        };
        self.entries.iter().filter(is_hit).map(InLog::key)
    }

    /// Whether the Commit entry of the log's last commit was hit: then zeros behind its last entry
    /// may have been one, as nothing follows that says how many there were.
    pub(super) fn ends_with(&self, file: &str, bytes: &BTreeSet<usize>) -> bool {
        let last = self.commits.last().unwrap();
        last.file == file && bytes.iter().any(|at| (last.at..last.at + COMMIT_ENTRY).contains(at))
    }

    /// What must be there when the entries of these sequences are lost: by namespace and id, the
    /// content; and the associations.
    fn expected(&self, lost: &BTreeSet<(String, u64)>) -> Contents {
        let mut entries: Vec<_> =
            self.entries.iter().filter(|entry| !lost.contains(&entry.key())).collect();
        // A concept's versions and an association's are in one log each.
        entries.sort_by_key(|entry| entry.sequence);
        let mut contents = Contents::default();
        for entry in entries {
            let mut body = rkyv::util::AlignedVec::<16>::new();
            body.extend_from_slice(&entry.body);
            match entry.kind {
                KIND_CONCEPT => {
                    let record = Checked::<ConceptRecord>::new(&body).unwrap().to_owned();
                    contents.concepts.insert((record.namespace, record.id), record.content);
                }
                KIND_TOMBSTONE => {
                    let key = Checked::<ConceptKey>::new(&body).unwrap().to_owned();
                    contents.concepts.remove(&(key.namespace, key.id));
                }
                kind => {
                    let edge = Checked::<AssociationRecord>::new(&body).unwrap().to_owned();
                    let key = (edge.namespace, edge.source, edge.target);
                    match kind {
                        KIND_ASSOCIATION => drop(contents.edges.insert(key)),
                        KIND_REMOVAL => drop(contents.edges.remove(&key)),
                        kind => panic!("{kind}"),
                    }
                }
            }
        }
        contents
    }

    /// The store in this folder has everything but what is lost.
    pub(super) fn check(&self, folder: &Path, lost: &BTreeSet<(String, u64)>, what: &str) {
        let expected = self.expected(lost);
        let (store, findings) = open_read_only::<()>(folder, &options(self.cores))
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(findings.is_empty(), "{what}: {findings:#?}");
        let layout = sutra_wire::CoreLayout::new(self.cores as u16);
        let mut found = Contents::default();
        for (name, id, target) in self.known() {
            let Some(namespace) = store.namespaces.lookup(&name) else { continue };
            let shard = &store.shards[usize::from(layout.owner(&ConceptId(id)))];
            if let Some(bytes) = shard.concept(namespace, &ConceptId(id)) {
                let record = Checked::<ConceptRecord>::new(&bytes).unwrap().to_owned();
                found.concepts.insert((name.clone(), id), record.content);
            }
            let target = ConceptId(target);
            if shard.association(namespace, &ConceptId(id), &target, None).is_some() {
                found.edges.insert((name, id, target.0));
            }
        }
        let concepts = difference(found.concepts.into_iter(), expected.concepts.into_iter());
        assert!(concepts.is_empty(), "{what}: {concepts:?}");
        let edges = difference(found.edges.into_iter(), expected.edges.into_iter());
        assert!(edges.is_empty(), "{what}: {edges:?}");
        drop(store);
        // It starts, too.
        let started = opened(folder, self.cores).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(started.report.cut(), 0, "{what}");
    }

    /// All that was ever there.
    fn known(&self) -> BTreeSet<(String, [u8; 16], [u8; 16])> {
        let target = ConceptId::from_name("concept 1").unwrap().0;
        (0..160_u32)
            .map(|number| {
                let id = ConceptId::from_name(&format!("concept {}", number % 120)).unwrap().0;
                (["", "other"][number as usize % 2].to_owned(), id, target)
            })
            .collect()
    }
}

/// What is in one and not in the other.
fn difference<T: Ord>(one: impl Iterator<Item = T>, other: impl Iterator<Item = T>) -> Vec<T> {
    let (one, other): (BTreeSet<T>, BTreeSet<T>) = (one.collect(), other.collect());
    let mut only = Vec::new();
    let mut both = one.into_iter().chain(other).collect::<Vec<_>>();
    both.sort();
    let mut both = both.into_iter().peekable();
    while let Some(next) = both.next() {
        if both.next_if(|other| *other == next).is_none() {
            only.push(next);
        }
    }
    only
}

/// What a store holds.
#[derive(Debug, Default, PartialEq)]
struct Contents {
    concepts: BTreeMap<(String, [u8; 16]), String>,
    edges: BTreeSet<(String, [u8; 16], [u8; 16])>,
}

/// Bytes of an entry's header.
pub(super) const HEADER: usize = ENTRY_HEADER;
