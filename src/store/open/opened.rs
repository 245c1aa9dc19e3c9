//! An open store: what it is made of, and how recovered shards become shards that serve.

use std::sync::Arc;
use std::time::Duration;

use sutra_wire::{Durability, IdRule};

use super::report::OpenReport;
use crate::disk::{Clock, Disk};
use crate::keeper::Keeper;
use crate::namespaces::Namespaces;
use crate::prepare::Preparation;
use crate::recovery::{Recovered, Uncut, Unwritten};
use crate::shard::Shard;
use crate::vectors::Vectors;

/// An open store.
pub struct Opened<T> {
    /// One for each core.
    pub shards: Vec<Shard<T>>,
    /// The namespaces, for all of them.
    pub namespaces: Arc<Namespaces>,
    /// Keeps the manifest; to be closed when the shards are no longer driven.
    pub keeper: Arc<Keeper>,
    /// How a caller's string becomes an id here.
    pub id_rule: IdRule,
    /// Drawn when the store was made.
    pub store_id: u64,
    /// When it was opened, in µs since 1970.
    pub started: u64,
    /// What recovery found.
    pub report: OpenReport,
}

/// What an open store is made of, beside its shards.
pub(crate) struct Parts {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) namespaces: Arc<Namespaces>,
    /// Its random number.
    pub(crate) store: u64,
    pub(crate) id_rule: IdRule,
    pub(crate) segment_bytes: usize,
}

impl Parts {
    /// The store with these shards, which are to be served from here on.
    pub(crate) fn into_opened<T: Send>(
        self,
        recovered: Vec<Recovered>,
        vectors: Vec<Vectors>,
        durability: Durability,
        started_at: u64,
    ) -> Opened<T> {
        let Self { disk, clock, keeper, namespaces, store, id_rule, segment_bytes } = self;
        let highest = recovered.iter().map(|recovered| recovered.sequence).max().unwrap_or(0);
        let mut report = OpenReport::default();
        let mut shards = Vec::with_capacity(recovered.len());
        for ((number, mut recovered), vectors) in (0..).zip(recovered).zip(vectors) {
            let block = recovered.active.file().alignment() as usize;
            let spare = recovered.spare.take();
            let mut preparation =
                Preparation::new(Arc::clone(&disk), number, store, segment_bytes, block, spare);
            if let Some(Unwritten { overdue, error }) = recovered.unwritten.take() {
                let now = clock.monotonic();
                keeper.progress(number).give_up_unsynced();
                preparation.write_first(&mut recovered.active, overdue, error, now);
            }
            if let Some(Uncut { range, error }) = recovered.uncut.take() {
                let file = Arc::clone(recovered.active.file());
                preparation.spoil(&mut recovered.active, file, range, error, clock.monotonic());
            }
            let relaxed = durability != Durability::Always;
            let (keeper, clock) = (Arc::clone(&keeper), Arc::clone(&clock));
            let (mut shard, shard_report) =
                Shard::new(recovered, vectors, preparation, keeper, clock, relaxed);
            // Every core starts above all that any has seen (Lamport 1978).
            shard.observe(highest);
            shards.push(shard);
            report.shards.push(shard_report);
        }
        if let Err(error) = disk.note_use(true) {
            tracing::warn!(%error, "the folder could not be tidied up");
        }
        report.elapsed = Duration::from_micros(clock.monotonic().saturating_sub(started_at));
        let started = clock.now();
        Opened { shards, namespaces, keeper, id_rule, store_id: store, started, report }
    }
}

/// The logs are on stable storage up to where they were read.
pub(crate) fn note_reached(keeper: &Keeper, recovered: &[Recovered]) {
    for (shard, recovered) in (0..).zip(recovered) {
        keeper.progress(shard).set_durable(recovered.durable.position);
    }
}
