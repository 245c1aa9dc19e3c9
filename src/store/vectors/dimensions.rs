//! How long the embeddings of each namespace are, as a shard holds it.
//!
//! The length is the same on all shards. The first embedding that is accepted decides it. It is
//! free again when no shard has one any more, nor waits for one to land. Each shard counts its own,
//! so the length that all share is only touched by a shard's first and last.

use std::sync::Arc;

use crate::namespaces::{NamespaceId, Namespaces};

#[derive(Clone, Copy, Default)]
struct Hold {
    /// 0 where this shard holds none.
    dimension: u32,
    /// Embeddings that were accepted and have not landed.
    pending: u32,
}

/// A shard's share in the namespaces' dimensions.
pub(crate) struct Dimensions {
    namespaces: Arc<Namespaces>,
    /// By number.
    holds: Vec<Hold>,
}

impl Dimensions {
    pub(crate) fn new(namespaces: Arc<Namespaces>) -> Self {
        Self { namespaces, holds: Vec::new() }
    }

    fn hold(&mut self, namespace: NamespaceId) -> &mut Hold {
        let number = namespace.number() as usize;
        if self.holds.len() <= number {
            self.holds.resize(number + 1, Hold::default());
        }
        &mut self.holds[number]
    }

    /// The dimension of a namespace, where this shard has an embedding or waits for one.
    pub(crate) fn held(&self, namespace: NamespaceId) -> Option<u32> {
        self.holds
            .get(namespace.number() as usize)
            .map(|hold| hold.dimension)
            .filter(|dimension| *dimension > 0)
    }

    /// Takes an embedding of this length for one of the namespace's: until it has landed
    /// ([`Dimensions::landed`]).
    ///
    /// # Errors
    /// The length that the others have.
    pub(crate) fn accept(&mut self, namespace: NamespaceId, dimension: u32) -> Result<(), u32> {
        let held = self.hold(namespace).dimension;
        if held == 0 {
            self.namespaces.hold_dimension(namespace, dimension)?;
            self.hold(namespace).dimension = dimension;
        } else if held != dimension {
            return Err(held);
        }
        self.hold(namespace).pending += 1;
        Ok(())
    }

    /// One that was accepted has landed, or never will.
    pub(crate) fn landed(&mut self, namespace: NamespaceId) {
        let hold = self.hold(namespace);
        hold.pending = hold.pending.saturating_sub(1);
    }

    /// None that was accepted will ever land; of which namespaces there were any.
    pub(crate) fn give_up(&mut self) -> Vec<NamespaceId> {
        let pending = (0..).zip(&mut self.holds).filter_map(|(number, hold)| {
            let was_pending = std::mem::take(&mut hold.pending) > 0;
            was_pending.then(|| NamespaceId::from_number(number))
        });
        pending.collect()
    }

    /// Lets go of a namespace's dimension where no embedding is under way, and this shard has none;
    /// whether it did.
    pub(crate) fn let_go(&mut self, namespace: NamespaceId) -> bool {
        let hold = self.hold(namespace);
        if hold.dimension == 0 || hold.pending > 0 {
            return false;
        }
        *hold = Hold::default();
        self.namespaces.release_dimension(namespace);
        true
    }
}
