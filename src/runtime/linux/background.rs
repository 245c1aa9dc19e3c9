//! Low-priority threads for what can't be sliced. The process has one for what blocks: files are
//! made, zero-filled and synced there. Each core has one for what computes, index insertions and
//! checkpoints. So a core that builds an index holds up no other's log.
//!
//! Each thread has a bounded queue of jobs, first come first served. A result goes to the core that
//! asked, as a message from itself. None of the threads is pinned.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::RuntimeError;
use crate::linux::doorbell::Doorbell;
use crate::postbox::{Job, Postbox, Results};

/// Jobs that wait before new ones are refused. Each takes milliseconds to seconds: a longer queue
/// would only hide that the disk does not keep up.
const QUEUE: usize = 64;

/// Jobs of a core that wait for its worker. Each takes milliseconds, and what a core computes in
/// the background comes one after the other.
const WORKER_QUEUE: usize = 4;

/// The threads' niceness (nice(2)): cores come first wherever they share a CPU with one.
const NICENESS: i32 = 10;

struct Order<M> {
    job: Job<M>,
    core: usize,
    results: Arc<Results<M>>,
}

/// A core's way to the background thread and to its own worker.
pub(super) struct Background<M> {
    core: usize,
    orders: SyncSender<Order<M>>,
    worker: SyncSender<Order<M>>,
    results: Arc<Results<M>>,
    /// What other threads have sent is in it.
    postbox: Postbox<M>,
    /// Jobs whose result has not been taken.
    outstanding: usize,
}

impl<M: Send + 'static> Background<M> {
    /// Queues a job for the process's thread; gives it back when the queue is full.
    pub(super) fn run(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        self.queue(job, |ends| &ends.orders)
    }

    /// Queues a job for this core's worker; gives it back when the queue is full.
    pub(super) fn compute(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        self.queue(job, |ends| &ends.worker)
    }

    fn queue(
        &mut self,
        job: Job<M>,
        thread: fn(&Self) -> &SyncSender<Order<M>>,
    ) -> Result<(), Job<M>> {
        let order = Order { job, core: self.core, results: Arc::clone(&self.results) };
        match thread(self).try_send(order) {
            Ok(()) => {
                self.outstanding += 1;
                Ok(())
            }
            Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) => Err(order.job),
        }
    }

    /// A finished job's result, or what another thread has posted. Two loads where there is none.
    pub(super) fn take(&mut self) -> Option<M> {
        if let Some(message) = self.results.take() {
            self.outstanding -= 1;
            return Some(message);
        }
        self.postbox.posted().take()
    }

    /// A way to this core for another thread.
    pub(super) fn postbox(&self) -> Postbox<M> {
        self.postbox.clone()
    }

    /// How many results, and messages of other threads, are there.
    pub(super) fn arrived(&self) -> usize {
        self.results.waiting() + self.postbox.posted().waiting()
    }

    /// Whether a result is there.
    pub(super) fn has_result(&self) -> bool {
        self.arrived() > 0
    }

    /// Whether no job is waiting, running, or done with its result not taken.
    pub(super) fn is_idle(&self) -> bool {
        self.outstanding == 0
    }
}

/// Starts the threads; returns one end for each core and the threads, which end when all ends are
/// gone. To be called before the calling thread is pinned: the new ones inherit its mask.
pub(super) fn start<M: Send + 'static>(
    doorbells: &Arc<[Doorbell]>,
) -> Result<Threads<M>, RuntimeError> {
    let mut threads = Vec::with_capacity(doorbells.len() + 1);
    let mut spawn = |name: String, length| {
        let (orders, queue) = sync_channel(length);
        let doorbells = Arc::clone(doorbells);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || work(&queue, &doorbells))
            .map_err(RuntimeError::thread("starting a background thread"))?;
        threads.push(thread);
        Ok(orders)
    };
    let orders = spawn("background".into(), QUEUE)?;
    let mut ends = Vec::with_capacity(doorbells.len());
    for core in 0..doorbells.len() {
        let bells = Arc::clone(doorbells);
        ends.push(Background {
            core,
            orders: orders.clone(),
            worker: spawn(format!("worker-{core}"), WORKER_QUEUE)?,
            results: Arc::new(Results::new()),
            postbox: Postbox::new(move || {
                bells[core].ring();
            }),
            outstanding: 0,
        });
    }
    Ok((ends, threads))
}

/// An end for each core, and the threads.
type Threads<M> = (Vec<Background<M>>, Vec<JoinHandle<()>>);

fn work<M>(queue: &Receiver<Order<M>>, doorbells: &[Doorbell]) {
    // On Linux niceness belongs to the thread (sched(7)). Refused nowhere; without it the thread
    // merely competes.
    let _ = rustix::process::nice(NICENESS);
    while let Ok(order) = queue.recv() {
        order.results.put((order.job)());
        doorbells[order.core].ring();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn what_another_thread_posts_comes_in_order_and_is_no_jobs_result() {
        let doorbells: Arc<[Doorbell]> = [Doorbell::new().unwrap()].into_iter().collect();
        let (mut ends, threads) = start::<usize>(&doorbells).unwrap();
        let mut end = ends.pop().unwrap();
        let postbox = end.postbox();
        std::thread::spawn(move || (0..3).for_each(|number| postbox.post(number))).join().unwrap();
        assert!(end.has_result() && end.is_idle());
        assert_eq!(
            [end.take(), end.take(), end.take(), end.take()],
            [Some(0), Some(1), Some(2), None]
        );
        drop(end);
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_full_queue_gives_the_job_back_and_results_come_in_order() {
        let doorbells: Arc<[Doorbell]> = [Doorbell::new().unwrap()].into_iter().collect();
        let (mut ends, threads) = start::<usize>(&doorbells).unwrap();
        let mut end = ends.pop().unwrap();
        let barrier = Arc::new(Barrier::new(2));
        let first = Arc::clone(&barrier);
        let running = Arc::new(Barrier::new(2));
        let begun = Arc::clone(&running);
        assert!(
            end.run(Box::new(move || {
                begun.wait();
                first.wait();
                0
            }))
            .is_ok()
        );
        running.wait();
        for number in 1..=QUEUE {
            assert!(end.run(Box::new(move || number)).is_ok());
        }
        let refused = end.run(Box::new(|| 99)).map_err(|job| job()).unwrap_err();
        assert_eq!(refused, 99);
        assert!(end.take().is_none());
        // The worker has a queue of its own.
        let computed = Arc::new(Barrier::new(2));
        let done = Arc::clone(&computed);
        assert!(
            end.compute(Box::new(move || {
                done.wait();
                1000
            }))
            .is_ok()
        );
        computed.wait();
        while !end.has_result() {
            std::thread::yield_now();
        }
        assert_eq!(end.take(), Some(1000));
        barrier.wait();
        let mut got = Vec::new();
        while !end.is_idle() {
            got.extend(end.take());
            std::thread::yield_now();
        }
        assert_eq!(got, (0..=QUEUE).collect::<Vec<_>>());
        drop(end);
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
