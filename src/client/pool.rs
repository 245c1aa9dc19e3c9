//! The connections of a client, by the core that they lead to, taken in turn.
//!
//! Pure structure: what a slot holds and how it is connected is [`crate::slot`]'s. Cost of a turn:
//! one relaxed atomic addition.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `per_core` slots for each of a server's cores.
pub(crate) struct Pool<T> {
    cores: Box<[Turns<T>]>,
}

struct Turns<T> {
    next: AtomicUsize,
    slots: Box<[Arc<T>]>,
}

impl<T> Pool<T> {
    /// A pool whose slots are made by `slot`, which is told their core. There is at least one core
    /// and one slot.
    pub(crate) fn new(cores: u16, per_core: usize, mut slot: impl FnMut(u16) -> T) -> Self {
        let cores = (0..cores.max(1))
            .map(|core| Turns {
                next: AtomicUsize::new(0),
                slots: (0..per_core.max(1)).map(|_| Arc::new(slot(core))).collect(),
            })
            .collect();
        Self { cores }
    }

    /// The core's next slot. A core that the server does not have is taken for one that it has.
    pub(crate) fn next(&self, core: u16) -> &Arc<T> {
        let turns = &self.cores[usize::from(core) % self.cores.len()];
        let turn = turns.next.fetch_add(1, Ordering::Relaxed);
        &turns.slots[turn % turns.slots.len()]
    }

    /// The core's first slot, without taking a turn.
    pub(crate) fn first(&self, core: u16) -> &Arc<T> {
        &self.cores[usize::from(core) % self.cores.len()].slots[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pool whose slots are numbered, and the numbers that `turns` turns on a core give.
    fn turns(pool: &Pool<(u16, usize)>, core: u16, turns: usize) -> Vec<(u16, usize)> {
        (0..turns).map(|_| **pool.next(core)).collect()
    }

    fn numbered(cores: u16, per_core: usize) -> Pool<(u16, usize)> {
        let mut number = vec![0; usize::from(cores)];
        Pool::new(cores, per_core, |core| {
            let number = &mut number[usize::from(core)];
            *number += 1;
            (core, *number - 1)
        })
    }

    #[test]
    fn test_pool_round_robin() {
        let pool = numbered(2, 3);
        assert_eq!(turns(&pool, 0, 7), [(0, 0), (0, 1), (0, 2), (0, 0), (0, 1), (0, 2), (0, 0)]);
        assert_eq!(turns(&pool, 1, 2), [(1, 0), (1, 1)], "a core's turns are its own");
        assert_eq!(turns(&pool, 0, 1), [(0, 1)]);
    }

    #[test]
    fn turns_taken_by_many_threads_at_once_are_shared_evenly() {
        let pool = Pool::new(1, 4, |_| AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        pool.next(0).fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let shares: Vec<usize> = (0..4).map(|_| pool.next(0).load(Ordering::Relaxed)).collect();
        assert_eq!(shares, [1000; 4]);
    }

    #[test]
    fn a_core_that_is_not_there_is_served_by_one_that_is() {
        let pool = numbered(2, 1);
        assert_eq!(turns(&pool, 5, 1), [(1, 0)]);
        assert_eq!(**Pool::new(0, 0, |core| core).next(3), 0);
    }
}
