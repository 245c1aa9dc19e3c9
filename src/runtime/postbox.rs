//! What threads other than a core's own do for it, and how they tell it.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use crate::shared::{AtomicUsize, Mutex, Ordering};

/// What runs in the background; its result comes back as a message.
pub type Job<M> = Box<dyn FnOnce() -> M + Send>;

/// Messages on their way to one core from other threads.
pub(crate) struct Results<M> {
    done: Mutex<VecDeque<M>>,
    waiting: AtomicUsize,
}

impl<M> Results<M> {
    pub(crate) fn new() -> Self {
        Self { done: Mutex::new(VecDeque::new()), waiting: AtomicUsize::new(0) }
    }

    /// Adds one. Whoever calls wakes the core then.
    pub(crate) fn put(&self, message: M) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push_back(message);
        self.waiting.store(done.len(), Ordering::Release);
    }

    /// Takes the oldest. One load where there is none.
    pub(crate) fn take(&self) -> Option<M> {
        if self.waiting() == 0 {
            return None;
        }
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let message = done.pop_front();
        self.waiting.store(done.len(), Ordering::Release);
        message
    }

    /// How many there are.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }
}

/// Another thread's way to a core. It is for threads that wait for what no ring and no job can wait
/// for, such as other hosts' answers. The core takes what is posted as messages from itself, in
/// order. There is no bound but the poster's own: it posts no more than it was asked for.
pub struct Postbox<M> {
    posted: Arc<Results<M>>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl<M> Clone for Postbox<M> {
    fn clone(&self) -> Self {
        Self { posted: Arc::clone(&self.posted), wake: Arc::clone(&self.wake) }
    }
}

impl<M> Postbox<M> {
    /// A new one; `wake` wakes its core where that sleeps.
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Postbox<M> {
        Postbox { posted: Arc::new(Results::new()), wake: Arc::new(wake) }
    }

    /// What was posted and is not taken yet.
    pub(crate) fn posted(&self) -> &Results<M> {
        &self.posted
    }
}

impl<M: Send> Postbox<M> {
    /// Sends the core a message, and wakes it where it sleeps. Lost where the core has ended.
    pub fn post(&self, message: M) {
        self.posted.put(message);
        (self.wake)();
    }
}
