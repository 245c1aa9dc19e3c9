//! What a shard is recovered from: the disk, and what is known of the store.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use sutra_wire::CoreLayout;

use crate::StoreError;
use crate::disk::{Clock, Disk, SegmentName};
use crate::marks::Position;
use crate::namespaces::Namespaces;

/// What a shard is recovered from and with.
#[derive(Clone)]
pub(crate) struct Source {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shard: u16,
    /// The log must be whole up to here.
    pub(super) mark: Position,
    pub(super) store: u64,
    pub(super) layout: CoreLayout,
    pub(super) namespaces: Arc<Namespaces>,
    pub(super) segment_bytes: usize,
    /// The numbers of the segments that belong to the store, wherever the last one is.
    pub(super) segments: Range<u32>,
    /// Whether another process still writes it.
    pub(super) is_ahead: bool,
    /// Whether all that can be read is on stable storage.
    pub(super) is_stable: bool,
}

impl Source {
    /// What all shards of a store are recovered with; [`Source::of`] names one.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        store: u64,
        layout: CoreLayout,
        namespaces: Arc<Namespaces>,
        segment_bytes: usize,
    ) -> Self {
        Self {
            disk,
            clock,
            shard: 0,
            mark: Position::default(),
            store,
            layout,
            namespaces,
            segment_bytes,
            segments: 0..u32::MAX,
            is_ahead: false,
            is_stable: false,
        }
    }

    /// The same of a store that only segments of these numbers belong to.
    pub(crate) fn within(self, segments: Range<u32>) -> Self {
        Self { segments, ..self }
    }

    /// The same of a store that another process still writes.
    pub(crate) fn ahead(self) -> Self {
        Self { is_ahead: true, ..self }
    }

    /// The same for one shard, whose log must be whole up to `mark`.
    pub(crate) fn of(&self, shard: u16, mark: Position) -> Self {
        Self { shard, mark, ..self.clone() }
    }

    pub(super) fn path(&self, name: SegmentName) -> PathBuf {
        self.disk.folder().join(name.to_string())
    }

    pub(super) fn damaged(
        &self,
        name: SegmentName,
        offset: usize,
        what: impl Into<String>,
    ) -> StoreError {
        StoreError::Damage { file: self.path(name), offset: offset as u64, what: what.into() }
    }
}
