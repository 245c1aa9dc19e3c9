//! Namespaces by name and number: numbered in the manifest, known to every core.
//!
//! Looking a name up takes no lock: names live in a fixed table of write-once slots (open addressing with linear probing, Knuth TAOCP 6.4),
//! and a slot is filled after the manifest that names it is on the disk. Registering one rewrites the manifest: a background job.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use foldhash::quality::RandomState;
use sutra_wire::limits::MAX_NAMESPACE;

use crate::StoreError;
use crate::disk::Disk;
use crate::manifest::Manifest;

/// The most namespaces of a store: enough for a tenant each of a large team, few enough that the manifest stays a small file.
pub const MAX_NAMESPACES: usize = 4096;

/// Slots of the table: half of them stay empty, so a probe ends soon.
const SLOTS: usize = 2 * MAX_NAMESPACES;

/// A namespace's number in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceId(u32);

impl NamespaceId {
    /// The empty namespace.
    pub const DEFAULT: Self = Self(0);

    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// The namespaces of a store.
#[derive(Debug)]
pub struct Namespaces {
    slots: Box<[OnceLock<(Box<str>, NamespaceId)>]>,
    random: RandomState,
    manifest: Mutex<Manifest>,
    disk: Arc<dyn Disk>,
}

impl Namespaces {
    /// Those of a manifest.
    pub(crate) fn new(manifest: Manifest, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        if manifest.namespaces.len() > MAX_NAMESPACES {
            return Err(StoreError::TooManyNamespaces { limit: MAX_NAMESPACES });
        }
        let slots = (0..SLOTS).map(|_| OnceLock::new()).collect();
        let namespaces = Self { slots, random: RandomState::default(), manifest: Mutex::new(manifest), disk };
        let manifest = namespaces.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, name) in (0..).zip(&manifest.namespaces) {
            namespaces.publish(name, NamespaceId(number));
        }
        drop(manifest);
        Ok(namespaces)
    }

    fn probe(&self, name: &str) -> impl Iterator<Item = &OnceLock<(Box<str>, NamespaceId)>> {
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
        let mut manifest = self.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = self.lookup(name) {
            return Ok(number);
        }
        if manifest.namespaces.len() >= MAX_NAMESPACES {
            return Err(StoreError::TooManyNamespaces { limit: MAX_NAMESPACES });
        }
        let number = NamespaceId(u32::try_from(manifest.namespaces.len()).expect("at most 4,096"));
        manifest.namespaces.push(name.to_owned());
        if let Err(error) = manifest.write(&*self.disk) {
            manifest.namespaces.pop();
            return Err(error);
        }
        self.publish(name, number);
        Ok(number)
    }
}
