//! How many connections each core has, so that one can be put where there are fewest.

use std::sync::atomic::{AtomicU32, Ordering};

/// How many connections each core has, so that one can be put where there are fewest.
#[derive(Debug)]
pub struct Loads(Box<[AtomicU32]>);

impl Loads {
    /// For so many cores.
    pub fn new(cores: usize) -> Self {
        Self((0..cores).map(|_| AtomicU32::new(0)).collect())
    }

    pub(crate) fn add(&self, core: usize) {
        self.0[core].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn take(&self, core: usize) {
        self.0[core].fetch_sub(1, Ordering::Relaxed);
    }

    /// The core with the fewest; `here` where others have as few.
    pub(crate) fn least(&self, here: usize) -> usize {
        let load = |core: usize| self.0[core].load(Ordering::Relaxed);
        (0..self.0.len()).min_by_key(|core| (load(*core), *core != here)).unwrap_or(here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_where_the_fewest_are() {
        let loads = Loads::new(3);
        assert_eq!(loads.least(2), 2);
        loads.add(2);
        loads.add(0);
        assert_eq!(loads.least(2), 1);
        loads.add(1);
        loads.take(0);
        assert_eq!(loads.least(2), 0);
    }
}
