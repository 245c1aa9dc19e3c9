//! Which vectors a shard has: the ordinal of each node that has one, and the space of each
//! namespace.

use super::space::Space;
use crate::namespaces::NamespaceId;
use crate::slab::Slab;

/// The ordinals of nodes that have a vector.
#[derive(Default)]
pub(super) struct Ordinals(Slab<u32>);

impl Ordinals {
    const NONE: u32 = u32::MAX;

    pub(super) fn get(&self, node: u32) -> Option<u32> {
        self.0.get(node).copied().filter(|ordinal| *ordinal != Self::NONE)
    }

    pub(super) fn set(&mut self, node: u32, ordinal: Option<u32>) {
        if ordinal.is_none() && self.0.get(node).is_none() {
            return;
        }
        while self.0.get(node).is_none() {
            self.0.push(Self::NONE);
        }
        self.0[node] = ordinal.unwrap_or(Self::NONE);
    }

    /// Bytes.
    pub(super) fn memory(&self) -> u64 {
        self.0.memory()
    }
}

/// The namespaces' vectors, by number.
#[derive(Default)]
pub(super) struct Spaces {
    spaces: Vec<Option<Box<Space>>>,
    /// How many there ever were: a namespace may lose its vectors and get others, of another
    /// dimension.
    lives: u32,
}

impl Spaces {
    pub(super) fn get(&self, namespace: NamespaceId) -> Option<&Space> {
        self.spaces.get(namespace.number() as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, namespace: NamespaceId) -> Option<&mut Space> {
        self.spaces.get_mut(namespace.number() as usize)?.as_deref_mut()
    }

    pub(super) fn get_or_make(&mut self, namespace: NamespaceId, dimension: u32) -> &mut Space {
        let number = namespace.number() as usize;
        if self.spaces.len() <= number {
            self.spaces.resize_with(number + 1, || None);
        }
        let lives = &mut self.lives;
        self.spaces[number].get_or_insert_with(|| {
            *lives += 1;
            Box::new(Space::new(dimension, *lives))
        })
    }

    /// Namespaces that have vectors, or had some: their numbers are below it.
    pub(super) fn count(&self) -> u32 {
        self.spaces.len() as u32
    }

    /// Takes a namespace's out, which has none any more.
    pub(super) fn take(&mut self, namespace: NamespaceId) -> Option<Box<Space>> {
        self.spaces.get_mut(namespace.number() as usize)?.take()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Space> {
        self.spaces.iter().flatten().map(|space| &**space)
    }
}
