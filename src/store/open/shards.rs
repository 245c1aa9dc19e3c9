//! All shards of a store at the same time: their logs read, their vectors made searchable, each on
//! a thread of its own.

use std::sync::Arc;
use std::thread;

use crate::StoreError;
use crate::disk::Disk;
use crate::exchange::Exchange;
use crate::marks::Position;
use crate::namespaces::Namespaces;
use crate::recovery::{Recovered, Replayed, Source, recover};
use crate::vectors::restore::{First, first_embeddings};
use crate::vectors::{Checkpoints, Records, Vectors};

/// Recovers all shards. What is to be changed on the disk is changed when all were read and none is
/// refused.
pub(super) fn recover_all(
    disk: &dyn Disk,
    source: &Source,
    marks: &[Position],
) -> Result<Vec<Recovered>, StoreError> {
    read_all(disk, source, marks)?.into_iter().map(Replayed::settle).collect()
}

/// Reads all shards, each on a thread of its own; one after the other on a disk that is for one
/// thread. Changes nothing.
pub(crate) fn read_all(
    disk: &dyn Disk,
    source: &Source,
    marks: &[Position],
) -> Result<Vec<Replayed>, StoreError> {
    let sources = (0..).zip(marks).map(|(shard, mark)| source.of(shard, *mark));
    if !disk.is_for_one_thread() {
        let read = |source, exchange| recover(source, exchange).map(Replayed::complete);
        return exchanging(sources.collect(), read);
    }
    let exchanges = Exchange::among(marks.len());
    let replayed: Result<Vec<_>, _> =
        sources.zip(exchanges).map(|(source, exchange)| recover(source, exchange)).collect();
    Ok(replayed?.into_iter().map(Replayed::complete).collect())
}

/// Has every shard read on a thread of its own, while they exchange edges.
pub(crate) fn exchanging<S: Send, R: Send>(
    shards: Vec<S>,
    read: impl Fn(S, Exchange) -> Result<R, StoreError> + Sync,
) -> Result<Vec<R>, StoreError> {
    let read = &read;
    thread::scope(|scope| {
        let exchanges = Exchange::among(shards.len());
        let threads: Vec<_> = (0_usize..)
            .zip(shards.into_iter().zip(exchanges))
            .map(|(number, (shard, exchange))| {
                let thread = thread::Builder::new().name(format!("recover-{number}"));
                thread.spawn_scoped(scope, move || read(shard, exchange))
            })
            .collect();
        let mut all = Vec::with_capacity(threads.len());
        let mut failed = None;
        for thread in threads {
            match thread
                .map_err(|source| StoreError::Thread { source })
                .and_then(|thread| thread.join().expect("recovery does not panic"))
            {
                Ok(shard) => all.push(shard),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(all), Err)
    })
}

/// Makes the shards' vectors searchable, each on a thread of its own; of every namespace those that
/// are as long as the first of it that is visible anywhere.
pub(crate) fn restore_vectors(
    disk: &Arc<dyn Disk>,
    store: u64,
    namespaces: &Arc<Namespaces>,
    records: &[Records<'_>],
) -> Vec<Vectors> {
    let mut first = First::new();
    for (namespace, found) in
        of_each(&**disk, records, |_, records| first_embeddings(records)).into_iter().flatten()
    {
        first.entry(namespace).and_modify(|first| *first = (*first).min(found)).or_insert(found);
    }
    of_each(&**disk, records, |shard, records| {
        let checkpoints = Checkpoints::new(Arc::clone(disk), store, shard);
        Vectors::restore(checkpoints, Arc::clone(namespaces), records, &first)
    })
}

/// Does something for every shard, each on a thread of its own; on this one where the system has no
/// room for another, or the disk is for one.
pub(super) fn of_each<S: Sync, R: Send>(
    disk: &dyn Disk,
    shards: &[S],
    run: impl Fn(u16, &S) -> R + Sync,
) -> Vec<R> {
    if disk.is_for_one_thread() {
        return (0..).zip(shards).map(|(number, shard)| run(number, shard)).collect();
    }
    let run = &run;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(shards)
            .map(|(number, shard)| {
                let thread = thread::Builder::new();
                let thread = thread.spawn_scoped(scope, move || run(number, shard));
                thread.map_err(|_| run(number, shard))
            })
            .collect();
        let joined = |thread: thread::ScopedJoinHandle<'_, R>| {
            thread.join().expect("restoring does not panic")
        };
        threads.into_iter().map(|done| done.map_or_else(|here| here, joined)).collect()
    })
}
