//! What stands behind the names of the product's `shared.rs` here: loom's atomics and locks, and a
//! ring that says to loom what it reads and writes.

use std::cell::Cell;
use std::fmt;

use loom::cell::UnsafeCell;
pub(crate) use loom::sync::Mutex;
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};

/// loom's lacks a method that the standard library's has.
#[derive(Debug, Default)]
pub(crate) struct AtomicU64(loom::sync::atomic::AtomicU64);

impl AtomicU64 {
    pub(crate) fn new(value: u64) -> Self {
        Self(loom::sync::atomic::AtomicU64::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_add(value, order)
    }

    pub(crate) fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_max(value, order)
    }

    pub(crate) fn try_update(
        &self,
        set: Ordering,
        fetch: Ordering,
        update: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        self.0.fetch_update(set, fetch, update)
    }
}

/// In the place of `rtrb`'s ring, which loom can't see into. It orders its reads and writes as that
/// one does, and remembers the other side's place as that one does, and no more.
pub(crate) struct RingBuffer<T> {
    slots: Box<[UnsafeCell<Option<T>>]>,
    /// Messages that were taken, and that were put in.
    head: AtomicUsize,
    tail: AtomicUsize,
}

// SAFETY: a slot is the producer's until `tail` has passed it, and then the consumer's until `head`
// has; loom looks whether that holds.
unsafe impl<T: Send> Sync for RingBuffer<T> {}

impl<T> RingBuffer<T> {
    #[allow(clippy::new_ret_no_self, reason = "as rtrb's")]
    pub(crate) fn new(capacity: usize) -> (Producer<T>, Consumer<T>) {
        let slots = (0..capacity).map(|_| UnsafeCell::new(None)).collect();
        let ring = Self { slots, head: AtomicUsize::new(0), tail: AtomicUsize::new(0) };
        let ring = std::sync::Arc::new(ring);
        let consumer =
            Consumer { ring: std::sync::Arc::clone(&ring), head: 0, seen_tail: Cell::new(0) };
        (Producer { ring, tail: 0, seen_head: 0 }, consumer)
    }

    fn slot(&self, number: usize) -> &UnsafeCell<Option<T>> {
        &self.slots[number % self.slots.len()]
    }
}

pub(crate) struct Producer<T> {
    ring: std::sync::Arc<RingBuffer<T>>,
    tail: usize,
    seen_head: usize,
}

pub(crate) enum PushError<T> {
    Full(T),
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full")
    }
}

impl<T> Producer<T> {
    pub(crate) fn push(&mut self, message: T) -> Result<(), PushError<T>> {
        let capacity = self.ring.slots.len();
        if self.tail - self.seen_head == capacity {
            self.seen_head = self.ring.head.load(Ordering::Acquire);
            if self.tail - self.seen_head == capacity {
                return Err(PushError::Full(message));
            }
        }
        // SAFETY: the slot is the producer's, as the consumer has passed it.
        self.ring.slot(self.tail).with_mut(|slot| unsafe { *slot = Some(message) });
        self.tail += 1;
        self.ring.tail.store(self.tail, Ordering::Release);
        Ok(())
    }
}

pub(crate) struct Consumer<T> {
    ring: std::sync::Arc<RingBuffer<T>>,
    head: usize,
    seen_tail: Cell<usize>,
}

impl<T> Consumer<T> {
    pub(crate) fn slots(&self) -> usize {
        self.seen_tail.set(self.ring.tail.load(Ordering::Acquire));
        self.seen_tail.get() - self.head
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head == self.seen_tail.get() && self.slots() == 0
    }

    pub(crate) fn pop(&mut self) -> Result<T, ()> {
        if self.is_empty() {
            return Err(());
        }
        // SAFETY: the slot is the consumer's, as the producer has passed it.
        let message = self.ring.slot(self.head).with_mut(|slot| unsafe { (*slot).take() });
        self.head += 1;
        self.ring.head.store(self.head, Ordering::Release);
        Ok(message.expect("the producer has filled it"))
    }
}
