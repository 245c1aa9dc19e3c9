//! Where a shard's checkpoints belong.

use std::sync::Arc;

use super::checkpoint::Origin;
use crate::disk::{CheckpointName, Disk};
use crate::namespaces::{NamespaceId, Namespaces};

/// Where a shard's checkpoints belong.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) store: u64,
    pub(crate) shard: u16,
    pub(crate) namespaces: Arc<Namespaces>,
}

impl Home {
    pub(super) fn origin(&self, namespace: NamespaceId, dimension: u32) -> Origin {
        let name = CheckpointName { shard: self.shard, namespace: namespace.number() };
        Origin { store: self.store, name, dimension }
    }
}
