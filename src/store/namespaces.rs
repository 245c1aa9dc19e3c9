//! Namespaces by name and number: numbered in the manifest, known to every core.
//!
//! Looking a name up takes no lock: names live in a fixed table of write-once slots (open addressing with linear probing, Knuth TAOCP 6.4),
//! and a slot is filled after the manifest that names it is on the disk. Registering some rewrites the manifest once: a background job.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use foldhash::quality::RandomState;
use sutra_wire::limits::MAX_NAMESPACE;

use crate::StoreError;
use crate::open_manifest::OpenManifest;

/// The most namespaces of a store: enough for a tenant each of a large team, few enough that the manifest stays a small file.
pub const MAX_NAMESPACES: usize = 4096;

/// Slots of the table: half of them stay empty, so a probe ends soon.
const SLOTS: usize = 2 * MAX_NAMESPACES;

/// Filled once, never changed.
type Slot = OnceLock<(Box<str>, NamespaceId)>;

/// A namespace's number in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceId(u32);

impl NamespaceId {
    /// The empty namespace.
    pub const DEFAULT: Self = Self(0);

    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// The namespaces of a store.
#[derive(Debug)]
pub struct Namespaces {
    slots: Box<[Slot]>,
    random: RandomState,
    /// Slots that are filled.
    count: AtomicUsize,
    /// By number: how long the embeddings are, 0 while there are none.
    dimensions: Box<[AtomicU32]>,
    manifest: Arc<OpenManifest>,
}

impl Namespaces {
    /// Those of a manifest.
    pub(crate) fn new(manifest: Arc<OpenManifest>) -> Result<Self, StoreError> {
        let slots = (0..SLOTS).map(|_| OnceLock::new()).collect();
        let dimensions = (0..MAX_NAMESPACES).map(|_| AtomicU32::new(0)).collect();
        let (random, count) = (RandomState::default(), AtomicUsize::new(0));
        let namespaces = Self { slots, random, count, dimensions, manifest };
        let manifest = namespaces.manifest.lock();
        if manifest.namespaces.len() > MAX_NAMESPACES {
            return Err(StoreError::TooManyNamespaces { limit: MAX_NAMESPACES });
        }
        for (number, name) in (0..).zip(&manifest.namespaces) {
            namespaces.publish(name, NamespaceId(number));
        }
        drop(manifest);
        Ok(namespaces)
    }

    fn probe(&self, name: &str) -> impl Iterator<Item = &Slot> {
        let start = self.random.hash_one(name) as usize;
        (0..SLOTS).map(move |step| &self.slots[(start + step) % SLOTS])
    }

    fn publish(&self, name: &str, number: NamespaceId) {
        for slot in self.probe(name) {
            if slot.set((name.into(), number)).is_ok() {
                self.count.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }

    /// The number of a namespace, if the store has it. Cost: one hash and one probe, no lock; none for the empty name.
    pub fn lookup(&self, name: &str) -> Option<NamespaceId> {
        if name.is_empty() {
            return Some(NamespaceId::DEFAULT);
        }
        self.probe(name).map_while(OnceLock::get).find(|(known, _)| **known == *name).map(|(_, number)| *number)
    }

    /// How many numbers the embeddings of a namespace have; `None` while it has none. Cost: one load.
    pub fn dimension(&self, namespace: NamespaceId) -> Option<u32> {
        let dimension = self.dimensions.get(namespace.0 as usize)?.load(Ordering::Relaxed);
        (dimension > 0).then_some(dimension)
    }

    /// Makes this the dimension of a namespace that has none, over all shards; returns the one that holds. It is fixed from the moment that
    /// the first vector is accepted on, also if that one is never acknowledged: then until the next start.
    pub(crate) fn fix_dimension(&self, namespace: NamespaceId, dimension: u32) -> u32 {
        let slot = &self.dimensions[namespace.0 as usize];
        match slot.compare_exchange(0, dimension, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => dimension,
            Err(fixed) => fixed,
        }
    }

    /// Whether no further namespace can be registered.
    pub fn is_full(&self) -> bool {
        self.count.load(Ordering::Relaxed) >= MAX_NAMESPACES
    }

    /// The numbers of namespaces, which they get now where they have none: all of them with one rewrite of the manifest. In the order of the
    /// names, which may repeat. Blocks on the disk: for background jobs.
    pub fn register(&self, names: &[impl AsRef<str>]) -> Vec<Result<NamespaceId, Arc<StoreError>>> {
        let mut manifest = self.manifest.lock();
        let first = manifest.namespaces.len();
        let mut new: HashMap<&str, NamespaceId> = HashMap::new();
        let mut added: Vec<&str> = Vec::new();
        let mut numbers: Vec<_> = names
            .iter()
            .map(|name| {
                let name = name.as_ref();
                if let Some(number) = self.lookup(name).or_else(|| new.get(name).copied()) {
                    return Ok(number);
                }
                if name.len() > MAX_NAMESPACE {
                    let what = format!("a namespace has at most {MAX_NAMESPACE} bytes, this one has {}", name.len());
                    return Err(Arc::new(StoreError::Option(what)));
                }
                if first + added.len() >= MAX_NAMESPACES {
                    return Err(Arc::new(StoreError::TooManyNamespaces { limit: MAX_NAMESPACES }));
                }
                let number = NamespaceId(u32::try_from(first + added.len()).expect("at most 4,096"));
                new.insert(name, number);
                added.push(name);
                Ok(number)
            })
            .collect();
        if added.is_empty() {
            return numbers;
        }
        let more = added.iter().map(|name| (*name).to_owned());
        match self.manifest.replace(&mut manifest, |manifest| manifest.namespaces.extend(more)) {
            Ok(()) => added.iter().for_each(|name| self.publish(name, new[name])),
            Err(error) => {
                let error = Arc::new(error);
                let is_new = |number: &NamespaceId| number.0 as usize >= first;
                for number in numbers.iter_mut().filter(|number| number.as_ref().is_ok_and(is_new)) {
                    *number = Err(Arc::clone(&error));
                }
            }
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::file_disk::FileDisk;
    use crate::manifest::Manifest;

    fn open(folder: &tempfile::TempDir, manifest: Option<Manifest>) -> Namespaces {
        let disk = FileDisk::open(folder.path(), sutra_wire::Durability::Always, "").unwrap();
        let manifest = manifest.unwrap_or_else(|| Manifest::read(&disk).unwrap().unwrap());
        Namespaces::new(Arc::new(OpenManifest::new(manifest, Arc::new(disk)))).unwrap()
    }

    fn register(namespaces: &Namespaces, name: &str) -> Result<NamespaceId, Arc<StoreError>> {
        namespaces.register(&[name]).remove(0)
    }

    #[test]
    fn many_are_registered_with_one_rewrite_each_with_a_number_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::new(1, 1);
        manifest.namespaces.extend((1..MAX_NAMESPACES - 3).map(|number| format!("n{number}")));
        let namespaces = open(&folder, Some(manifest));
        let known = namespaces.lookup("n7").unwrap();
        let long = "x".repeat(MAX_NAMESPACE + 1);
        assert!(!namespaces.is_full());
        let numbers = namespaces.register(&["a", "n7", "b", &long, "a", "c", "d", "b", ""]);
        let (a, b, c) =
            (namespaces.lookup("a").unwrap(), namespaces.lookup("b").unwrap(), namespaces.lookup("c").unwrap());
        let found: Vec<_> = numbers.iter().map(|number| number.as_ref().ok().copied()).collect();
        assert_eq!(
            found,
            [Some(a), Some(known), Some(b), None, Some(a), Some(c), None, Some(b), Some(NamespaceId::DEFAULT)]
        );
        assert!(matches!(numbers[6].as_ref().unwrap_err().as_ref(), StoreError::TooManyNamespaces { .. }));
        assert!(namespaces.is_full() && namespaces.lookup("d").is_none());
        drop(namespaces);
        let namespaces = open(&folder, None);
        assert_eq!(
            (namespaces.lookup("a"), namespaces.lookup("b"), namespaces.lookup("c")),
            (Some(a), Some(b), Some(c))
        );
    }

    #[test]
    fn a_namespace_keeps_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let namespaces = open(&folder, Some(Manifest::new(1, 1)));
        assert_eq!(namespaces.lookup(""), Some(NamespaceId::DEFAULT));
        assert_eq!(namespaces.lookup("a"), None);
        let a = register(&namespaces, "a").unwrap();
        let b = register(&namespaces, "b").unwrap();
        assert_eq!((register(&namespaces, "a").unwrap(), a == b), (a, false));
        drop(namespaces);
        let namespaces = open(&folder, None);
        assert_eq!((namespaces.lookup("a"), namespaces.lookup("b")), (Some(a), Some(b)));
    }

    #[test]
    fn the_most_namespaces_are_all_found_and_one_more_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::new(1, 1);
        manifest.namespaces.extend((1..MAX_NAMESPACES).map(|number| format!("n{number}")));
        let namespaces = open(&folder, Some(manifest));
        for number in 1..MAX_NAMESPACES {
            assert_eq!(namespaces.lookup(&format!("n{number}")), Some(NamespaceId(number as u32)));
        }
        assert!(matches!(&*register(&namespaces, "another").unwrap_err(), StoreError::TooManyNamespaces { .. }));
        assert_eq!(namespaces.lookup("another"), None);
    }

    #[test]
    fn a_namespace_that_the_manifest_could_not_take_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let namespaces = open(&folder, Some(Manifest::new(1, 1)));
        std::fs::create_dir(folder.path().join("manifest.json.new")).unwrap();
        assert!(register(&namespaces, "a").is_err());
        assert_eq!(namespaces.lookup("a"), None);
        std::fs::remove_dir(folder.path().join("manifest.json.new")).unwrap();
        assert!(register(&namespaces, "a").is_ok());
    }
}
