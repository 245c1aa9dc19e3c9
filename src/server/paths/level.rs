//! What a level of a traversal goes on from.

use sutra_store::Slab;

/// Units to go on from, by the core that owns their concepts. A unit is a concept's number or, for
/// the most confident path, a label's.
#[derive(Default)]
pub(super) struct Level {
    cores: Vec<Slab<u32>>,
    /// How many of each core's have been begun.
    begun: Vec<u32>,
    length: usize,
}

impl Level {
    pub(super) fn new(cores: usize) -> Self {
        Self {
            cores: (0..cores).map(|_| Slab::default()).collect(),
            begun: vec![0; cores],
            length: 0,
        }
    }

    pub(super) fn push(&mut self, core: usize, unit: u32) {
        self.cores[core].push(unit);
        self.length += 1;
    }

    /// The next unit of a core that has not been begun.
    pub(super) fn begin(&mut self, core: usize) -> Option<u32> {
        let unit = *self.cores[core].get(self.begun[core])?;
        self.begun[core] += 1;
        Some(unit)
    }

    /// The unit of a core at this place among its own.
    pub(super) fn unit(&self, core: usize, at: u32) -> u32 {
        self.cores[core][at]
    }

    /// How many of a core's have been begun.
    pub(super) fn begun(&self, core: usize) -> u32 {
        self.begun[core]
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Whether all of a core's have been begun.
    pub(super) fn is_begun(&self, core: usize) -> bool {
        self.begun[core] as usize == self.cores[core].len()
    }

    pub(super) fn clear(&mut self) {
        self.cores.iter_mut().for_each(Slab::clear);
        self.begun.fill(0);
        self.length = 0;
    }
}
