//! One low-priority thread of the process for what can't be sliced: file creation, zero-filling, checkpoints.
//!
//! Jobs wait in one bounded queue, first come first served; each result goes to the core that asked, as a message from itself.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::RuntimeError;
use crate::mailbox::Doorbell;

/// What runs in the background; its result comes back as a message.
pub type Job<M> = Box<dyn FnOnce() -> M + Send>;

/// Jobs that wait before new ones are refused. Each takes milliseconds to seconds: a longer queue would only hide
/// that the disk does not keep up.
const QUEUE: usize = 64;

/// How much nicer than the cores the thread is: they come first wherever they share a CPU with it.
const NICENESS: i32 = 10;

/// Results on their way to one core. No more than its jobs, which are bounded.
pub(crate) struct Results<M> {
    done: Mutex<VecDeque<M>>,
    waiting: AtomicUsize,
}

impl<M> Results<M> {
    fn put(&self, message: M) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push_back(message);
        self.waiting.store(done.len(), Ordering::Release);
    }

    fn take(&self) -> Option<M> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let message = done.pop_front();
        self.waiting.store(done.len(), Ordering::Release);
        message
    }
}

struct Order<M> {
    job: Job<M>,
    core: usize,
    results: Arc<Results<M>>,
}

/// A core's way to the background thread.
pub(crate) struct Background<M> {
    core: usize,
    orders: SyncSender<Order<M>>,
    results: Arc<Results<M>>,
    /// Jobs whose result has not been taken.
    outstanding: usize,
}

impl<M: Send + 'static> Background<M> {
    /// Queues a job; gives it back when the queue is full.
    pub(crate) fn run(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        let order = Order { job, core: self.core, results: Arc::clone(&self.results) };
        match self.orders.try_send(order) {
            Ok(()) => {
                self.outstanding += 1;
                Ok(())
            }
            Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) => Err(order.job),
        }
    }

    /// A finished job's result. One load where there is none.
    pub(crate) fn take(&mut self) -> Option<M> {
        let message = self.results.take()?;
        self.outstanding -= 1;
        Some(message)
    }

    /// Whether a result is there.
    pub(crate) fn has_result(&self) -> bool {
        self.results.waiting.load(Ordering::Acquire) > 0
    }

    /// Whether no job is waiting, running, or done with its result not taken.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding == 0
    }
}

/// Starts the thread; returns one end for each core and the thread, which ends when all ends are gone. To be called before the
/// calling thread is pinned: the new one inherits its mask.
pub(crate) fn start<M: Send + 'static>(
    doorbells: &Arc<[Doorbell]>,
) -> Result<(Vec<Background<M>>, JoinHandle<()>), RuntimeError> {
    let (orders, queue) = sync_channel(QUEUE);
    let ends = (0..doorbells.len())
        .map(|core| Background {
            core,
            orders: orders.clone(),
            results: Arc::new(Results { done: Mutex::new(VecDeque::new()), waiting: AtomicUsize::new(0) }),
            outstanding: 0,
        })
        .collect();
    let doorbells = Arc::clone(doorbells);
    let thread = std::thread::Builder::new()
        .name("background".into())
        .spawn(move || work(&queue, &doorbells))
        .map_err(RuntimeError::system("starting the background thread"))?;
    Ok((ends, thread))
}

fn work<M>(queue: &Receiver<Order<M>>, doorbells: &[Doorbell]) {
    // On Linux niceness belongs to the thread (sched(7)). Refused nowhere; without it the thread merely competes.
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
    fn a_full_queue_gives_the_job_back_and_results_come_in_order() {
        let doorbells: Arc<[Doorbell]> = [Doorbell::new().unwrap()].into_iter().collect();
        let (mut ends, thread) = start::<usize>(&doorbells).unwrap();
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
        barrier.wait();
        let mut got = Vec::new();
        while !end.is_idle() {
            got.extend(end.take());
            std::thread::yield_now();
        }
        assert_eq!(got, (0..=QUEUE).collect::<Vec<_>>());
        drop(end);
        thread.join().unwrap();
    }
}
