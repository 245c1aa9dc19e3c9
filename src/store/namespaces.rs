//! Namespaces by name and number: numbered in the manifest, known to every core.
//!
//! Looking a name up takes no lock: names live in a fixed table of write-once slots (open addressing with linear probing, Knuth TAOCP 6.4),
//! and a slot is filled after the manifest that names it is on the disk. Registering one rewrites the manifest: a background job.

use std::hash::BuildHasher;
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

    #[cfg(test)]
    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// The namespaces of a store.
#[derive(Debug)]
pub struct Namespaces {
    slots: Box<[Slot]>,
    random: RandomState,
    manifest: Arc<OpenManifest>,
}

impl Namespaces {
    /// Those of a manifest.
    pub(crate) fn new(manifest: Arc<OpenManifest>) -> Result<Self, StoreError> {
        let slots = (0..SLOTS).map(|_| OnceLock::new()).collect();
        let namespaces = Self { slots, random: RandomState::default(), manifest };
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

    /// The number of a namespace, which it gets now if it has none. Blocks on the disk: for background jobs.
    pub fn register(&self, name: &str) -> Result<NamespaceId, StoreError> {
        if name.len() > MAX_NAMESPACE {
            return Err(StoreError::Option(format!(
                "a namespace has at most {MAX_NAMESPACE} bytes, this one has {}",
                name.len()
            )));
        }
        let mut manifest = self.manifest.lock();
        if let Some(number) = self.lookup(name) {
            return Ok(number);
        }
        if manifest.namespaces.len() >= MAX_NAMESPACES {
            return Err(StoreError::TooManyNamespaces { limit: MAX_NAMESPACES });
        }
        let number = NamespaceId(u32::try_from(manifest.namespaces.len()).expect("at most 4,096"));
        self.manifest.replace(&mut manifest, |manifest| manifest.namespaces.push(name.to_owned()))?;
        self.publish(name, number);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::disk::FileDisk;
    use crate::manifest::Manifest;

    fn open(folder: &tempfile::TempDir, manifest: Option<Manifest>) -> Namespaces {
        let disk = FileDisk::open(folder.path(), sutra_wire::Durability::Always, "").unwrap();
        let manifest = manifest.unwrap_or_else(|| Manifest::read(&disk).unwrap().unwrap());
        Namespaces::new(Arc::new(OpenManifest::new(manifest, Arc::new(disk)))).unwrap()
    }

    #[test]
    fn a_namespace_keeps_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let namespaces = open(&folder, Some(Manifest::new(1, 1)));
        assert_eq!(namespaces.lookup(""), Some(NamespaceId::DEFAULT));
        assert_eq!(namespaces.lookup("a"), None);
        let a = namespaces.register("a").unwrap();
        let b = namespaces.register("b").unwrap();
        assert_eq!((namespaces.register("a").unwrap(), a == b), (a, false));
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
        assert!(matches!(namespaces.register("another"), Err(StoreError::TooManyNamespaces { .. })));
        assert_eq!(namespaces.lookup("another"), None);
    }

    #[test]
    fn a_namespace_that_the_manifest_could_not_take_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let namespaces = open(&folder, Some(Manifest::new(1, 1)));
        std::fs::create_dir(folder.path().join("manifest.json.new")).unwrap();
        assert!(namespaces.register("a").is_err());
        assert_eq!(namespaces.lookup("a"), None);
        std::fs::remove_dir(folder.path().join("manifest.json.new")).unwrap();
        assert!(namespaces.register("a").is_ok());
    }
}
