//! How long the embeddings of each namespace are, as all shards share it.
//!
//! A shard holds a namespace to a length, and lets go of it. What is held, and by how many, is one
//! word: so no shard ever sees one without the other.

use crate::shared::{AtomicU64, Ordering};

/// A namespace's dimension, and the shards that have an embedding of that length, in one word.
#[derive(Clone, Copy)]
struct Held {
    dimension: u32,
    shards: u32,
}

impl Held {
    fn of(word: u64) -> Self {
        Self { dimension: (word >> 32) as u32, shards: word as u32 }
    }

    fn word(self) -> u64 {
        u64::from(self.dimension) << 32 | u64::from(self.shards)
    }
}

/// By the namespace's number.
#[derive(Debug)]
pub(crate) struct SharedDimensions(Box<[AtomicU64]>);

impl SharedDimensions {
    /// For so many namespaces, none of which is held to any length.
    pub(crate) fn new(namespaces: usize) -> Self {
        Self((0..namespaces).map(|_| AtomicU64::new(0)).collect())
    }

    /// The length that some shard holds a namespace to. Cost: one load.
    pub(crate) fn get(&self, namespace: u32) -> Option<u32> {
        let held = Held::of(self.0.get(namespace as usize)?.load(Ordering::Relaxed));
        (held.shards > 0).then_some(held.dimension)
    }

    /// One more shard holds a namespace to this length: until [`SharedDimensions::release`].
    ///
    /// # Errors
    /// The length to which other shards hold it.
    pub(crate) fn hold(&self, namespace: u32, dimension: u32) -> Result<(), u32> {
        let held = |word| match Held::of(word) {
            Held { shards: 0, .. } => Some(Held { dimension, shards: 1 }.word()),
            held if held.dimension == dimension => {
                Some(Held { shards: held.shards + 1, ..held }.word())
            }
            _ => None,
        };
        let word = &self.0[namespace as usize];
        let before = word.try_update(Ordering::Relaxed, Ordering::Relaxed, held);
        before.map(drop).map_err(|word| Held::of(word).dimension)
    }

    /// A shard lets go: the last that does sets the length free.
    pub(crate) fn release(&self, namespace: u32) {
        let released = |word| {
            let held = Held::of(word);
            Some(Held { shards: held.shards.checked_sub(1)?, ..held }.word())
        };
        let word = &self.0[namespace as usize];
        let _ = word.try_update(Ordering::Relaxed, Ordering::Relaxed, released);
    }
}
