//! Namespaces by name and number: numbered in the manifest, known to every core.
//!
//! Looking a name up takes no lock. Names are in a fixed table of write-once slots (open addressing
//! with linear probing, Knuth TAOCP 6.4). A slot is filled after the manifest that names it is on
//! the disk. Registering several rewrites the manifest once, in a background job.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use foldhash::quality::RandomState;
use sutra_wire::limits::MAX_NAMESPACE;

use crate::StoreError;
use crate::keeper::Keeper;
use crate::manifest::Manifest;
use crate::shared_dimensions::SharedDimensions;

/// The most namespaces of a store: enough for a tenant each of a large team, few enough that the
/// manifest stays a small file.
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
    dimensions: SharedDimensions,
    keeper: Arc<Keeper>,
}

impl Namespaces {
    /// The namespaces that a manifest names.
    pub(crate) fn new(keeper: Arc<Keeper>) -> Result<Self, StoreError> {
        let slots = (0..SLOTS).map(|_| OnceLock::new()).collect();
        let dimensions = SharedDimensions::new(MAX_NAMESPACES);
        let (random, count) = (RandomState::default(), AtomicUsize::new(0));
        let namespaces = Self { slots, random, count, dimensions, keeper };
        let manifest = namespaces.keeper.lock();
        if manifest.namespace_places() > MAX_NAMESPACES {
            return Err(StoreError::TooManyNamespaces { limit: MAX_NAMESPACES });
        }
        for (number, name) in manifest.namespaces() {
            namespaces.publish(name, NamespaceId(number));
        }
        drop(manifest);
        Ok(namespaces)
    }

    /// Learns of the namespaces that another process has named since. Blocks on the disk.
    pub(crate) fn refresh(&self) -> Result<(), StoreError> {
        let mut manifest = self.keeper.lock();
        self.keeper.read_again(&mut manifest)?;
        for (number, name) in manifest.namespaces() {
            if self.lookup(name).is_none() {
                self.publish(name, NamespaceId(number));
            }
        }
        Ok(())
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

    /// The number of a namespace, if the store has it. Cost: one hash and one probe, no lock; none
    /// for the empty name.
    pub fn lookup(&self, name: &str) -> Option<NamespaceId> {
        if name.is_empty() {
            return Some(NamespaceId::DEFAULT);
        }
        self.probe(name)
            .map_while(OnceLock::get)
            .find(|(known, _)| **known == *name)
            .map(|(_, number)| *number)
    }

    /// Who keeps the manifest that names them.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// All that are known, in no order. Cost: a look at each slot of the table, no lock.
    fn known(&self) -> impl Iterator<Item = (&str, NamespaceId)> {
        let known = self.slots.iter().filter_map(OnceLock::get);
        known.map(|(name, number)| (&**name, *number))
    }

    /// The names by number; empty ones are free places, but for the first.
    pub fn by_number(&self) -> Vec<String> {
        let mut names = vec![String::new()];
        for (name, NamespaceId(number)) in self.known() {
            let number = number as usize;
            names.resize(names.len().max(number + 1), String::new());
            name.clone_into(&mut names[number]);
        }
        names
    }

    /// The names, the empty one first, then in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.known().map(|(name, _)| name.to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// How many numbers the embeddings of a namespace have; `None` while it has none. Cost: one
    /// load.
    pub fn dimension(&self, namespace: NamespaceId) -> Option<u32> {
        self.dimensions.get(namespace.0)
    }

    /// A shard has a namespace's embedding of this length, or accepts one: until
    /// [`Namespaces::release_dimension`].
    ///
    /// # Errors
    /// The length to which other shards hold it.
    pub(crate) fn hold_dimension(&self, namespace: NamespaceId, dimension: u32) -> Result<(), u32> {
        self.dimensions.hold(namespace.0, dimension)
    }

    /// A shard has no embedding of a namespace any more: the last that lets go sets its dimension
    /// free.
    pub(crate) fn release_dimension(&self, namespace: NamespaceId) {
        self.dimensions.release(namespace.0);
    }

    /// Whether no further namespace can be registered.
    pub fn is_full(&self) -> bool {
        self.count.load(Ordering::Relaxed) >= MAX_NAMESPACES
    }

    /// The numbers of namespaces, which they get now where they have none: all of them with one
    /// rewrite of the manifest. In the order of the names, which may repeat. Blocks on the disk:
    /// for background jobs.
    pub fn register(&self, names: &[impl AsRef<str>]) -> Vec<Result<NamespaceId, Arc<StoreError>>> {
        let mut manifest = self.keeper.lock();
        let mut free =
            (1..MAX_NAMESPACES as u32).filter(|number| manifest.is_free(*number)).map(NamespaceId);
        let mut new: HashMap<&str, NamespaceId> = HashMap::new();
        let mut numbers: Vec<_> = names
            .iter()
            .map(|name| {
                let name = name.as_ref();
                if let Some(number) = self.lookup(name).or_else(|| new.get(name).copied()) {
                    return Ok(number);
                }
                if name.len() > MAX_NAMESPACE {
                    let what = format!(
                        "a namespace has at most {MAX_NAMESPACE} bytes, this one has {}",
                        name.len()
                    );
                    return Err(Arc::new(StoreError::Option(what)));
                }
                let full = || Arc::new(StoreError::TooManyNamespaces { limit: MAX_NAMESPACES });
                let number = free.next().ok_or_else(full)?;
                new.insert(name, number);
                Ok(number)
            })
            .collect();
        drop(free);
        if new.is_empty() {
            return numbers;
        }
        let add = |manifest: &mut Manifest| {
            for (name, number) in &new {
                manifest.name_namespace(number.0, name);
            }
        };
        match self.keeper.replace(&mut manifest, add) {
            Ok(()) => new.iter().for_each(|(name, number)| self.publish(name, *number)),
            Err(error) => {
                let error = Arc::new(error);
                for (number, name) in numbers.iter_mut().zip(names) {
                    if number.is_ok() && new.contains_key(name.as_ref()) {
                        *number = Err(Arc::clone(&error));
                    }
                }
            }
        }
        numbers
    }

    /// Gives back the places of namespaces that have neither concepts nor associations; `in_use`
    /// are those that have. To be called after recovery, before anything is served: at run time a
    /// core could be about to write to one. Old entries of the logs, up to `sequence`, may go on
    /// naming them: what these wrote was deleted again. A number may be another namespace's
    /// afterwards, as entries name namespaces by their names. Blocks on the disk.
    pub(crate) fn give_back(
        self: Arc<Self>,
        in_use: &HashSet<NamespaceId>,
        sequence: u64,
    ) -> Result<Arc<Self>, StoreError> {
        let mut manifest = self.keeper.lock();
        let is_in_use = |number| number == 0 || in_use.contains(&NamespaceId(number));
        let count = manifest.namespaces().filter(|(number, _)| !is_in_use(*number)).count();
        if count == 0 {
            drop(manifest);
            return Ok(self);
        }
        let clear = |manifest: &mut Manifest| manifest.give_back(is_in_use, sequence);
        match self.keeper.replace(&mut manifest, clear) {
            Err(error) if error.is_full() => {
                tracing::warn!(%error, "namespaces without content keep their places");
                drop(manifest);
                return Ok(self);
            }
            result => result?,
        }
        tracing::info!(
            count,
            "namespaces without concepts and associations gave their places back"
        );
        drop(manifest);
        Ok(Arc::new(Self::new(Arc::clone(&self.keeper))?))
    }

    /// Whether an entry of this sequence may name a namespace that the store does not know.
    pub(crate) fn is_given_back(&self, sequence: u64) -> bool {
        self.keeper.lock().is_given_back(sequence)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sutra_wire::IdRule;

    use super::*;
    use crate::file_disk::FileDisk;

    fn open(folder: &tempfile::TempDir, manifest: Option<Manifest>) -> Namespaces {
        let disk = FileDisk::open(folder.path(), sutra_wire::Durability::Always, "").unwrap();
        let manifest = manifest.unwrap_or_else(|| Manifest::read(&disk).unwrap().unwrap());
        Namespaces::new(Arc::new(Keeper::new(manifest, Arc::new(disk)))).unwrap()
    }

    /// A manifest with so many namespaces, the empty one and n1, n2, ….
    fn manifest(places: usize) -> Manifest {
        let mut manifest = Manifest::new(1, 1, IdRule::default());
        (1..places as u32)
            .for_each(|number| manifest.name_namespace(number, &format!("n{number}")));
        manifest
    }

    fn register(namespaces: &Namespaces, name: &str) -> Result<NamespaceId, Arc<StoreError>> {
        namespaces.register(&[name]).remove(0)
    }

    #[test]
    fn many_are_registered_with_one_rewrite_each_with_a_number_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = manifest(MAX_NAMESPACES - 3);
        let namespaces = open(&folder, Some(manifest));
        let known = namespaces.lookup("n7").unwrap();
        let long = "x".repeat(MAX_NAMESPACE + 1);
        assert!(!namespaces.is_full());
        let numbers = namespaces.register(&["a", "n7", "b", &long, "a", "c", "d", "b", ""]);
        let (a, b, c) = (
            namespaces.lookup("a").unwrap(),
            namespaces.lookup("b").unwrap(),
            namespaces.lookup("c").unwrap(),
        );
        let found: Vec<_> = numbers.iter().map(|number| number.as_ref().ok().copied()).collect();
        assert_eq!(
            found,
            [
                Some(a),
                Some(known),
                Some(b),
                None,
                Some(a),
                Some(c),
                None,
                Some(b),
                Some(NamespaceId::DEFAULT)
            ]
        );
        assert!(matches!(
            numbers[6].as_ref().unwrap_err().as_ref(),
            StoreError::TooManyNamespaces { .. }
        ));
        assert!(namespaces.is_full() && namespaces.lookup("d").is_none());
        drop(namespaces);
        let namespaces = open(&folder, None);
        assert_eq!(
            (namespaces.lookup("a"), namespaces.lookup("b"), namespaces.lookup("c")),
            (Some(a), Some(b), Some(c))
        );
    }

    #[test]
    fn namespaces_without_content_give_their_places_back_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = manifest(MAX_NAMESPACES);
        let namespaces = Arc::new(open(&folder, Some(manifest)));
        assert!(namespaces.is_full());
        let in_use = [1, 3, 5, 4000].map(NamespaceId).into_iter().collect();
        let namespaces = namespaces.give_back(&in_use, 77).unwrap();
        assert!(
            !namespaces.is_full() && namespaces.is_given_back(77) && !namespaces.is_given_back(78)
        );
        let numbers = ["n1", "n2", "n3", "n4000", "n4001", ""]
            .map(|name| namespaces.lookup(name).map(|number| number.0));
        assert_eq!(numbers, [Some(1), None, Some(3), Some(4000), None, Some(0)]);
        assert_eq!(register(&namespaces, "new").unwrap(), NamespaceId(2));
        assert_eq!(register(&namespaces, "n2").unwrap(), NamespaceId(4));
        let many: Vec<_> = (0..MAX_NAMESPACES).map(|number| format!("m{number}")).collect();
        let given: HashSet<_> = namespaces.register(&many).into_iter().flatten().collect();
        assert_eq!(given.len(), MAX_NAMESPACES - 7, "each a number of its own");
        assert!(given.iter().all(|number| ![0, 1, 2, 3, 4, 5, 4000].contains(&number.0)));
        drop(namespaces);
        let namespaces = Arc::new(open(&folder, None));
        assert_eq!(namespaces.lookup("new"), Some(NamespaceId(2)));
        assert!(namespaces.is_full());
        let all = (0..MAX_NAMESPACES as u32).map(NamespaceId).collect();
        assert!(namespaces.give_back(&all, 90).unwrap().is_given_back(77));
    }

    #[test]
    fn a_dimension_is_held_by_shards_and_free_when_the_last_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let (namespaces, of) = (open(&folder, Some(manifest(1))), NamespaceId::DEFAULT);
        assert_eq!(
            (namespaces.hold_dimension(of, 3), namespaces.hold_dimension(of, 3)),
            (Ok(()), Ok(()))
        );
        assert_eq!((namespaces.hold_dimension(of, 5), namespaces.dimension(of)), (Err(3), Some(3)));
        namespaces.release_dimension(of);
        assert_eq!(namespaces.hold_dimension(of, 5), Err(3));
        namespaces.release_dimension(of);
        assert_eq!(namespaces.dimension(of), None);
        assert_eq!((namespaces.hold_dimension(of, 5), namespaces.dimension(of)), (Ok(()), Some(5)));
    }

    #[test]
    fn a_namespace_keeps_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let namespaces = open(&folder, Some(manifest(1)));
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
        let manifest = manifest(MAX_NAMESPACES);
        let namespaces = open(&folder, Some(manifest));
        for number in 1..MAX_NAMESPACES {
            assert_eq!(namespaces.lookup(&format!("n{number}")), Some(NamespaceId(number as u32)));
        }
        assert!(matches!(
            &*register(&namespaces, "another").unwrap_err(),
            StoreError::TooManyNamespaces { .. }
        ));
        assert_eq!(namespaces.lookup("another"), None);
    }

    #[test]
    fn a_namespace_that_the_manifest_could_not_take_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let namespaces = open(&folder, Some(manifest(1)));
        // No file takes a folder's place.
        std::fs::create_dir(folder.path().join("manifest.json")).unwrap();
        assert!(register(&namespaces, "a").is_err());
        assert_eq!(namespaces.lookup("a"), None);
        std::fs::remove_dir(folder.path().join("manifest.json")).unwrap();
        assert!(register(&namespaces, "a").is_ok());
    }
}
