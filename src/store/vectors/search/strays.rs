//! What a search keeps of the vectors that the index is known to miss.

use foldhash::{HashSet, HashSetExt};

/// Vectors that the index is known to miss, and that are scanned instead.
pub(super) struct Strays {
    /// Their entries, and those that this search found.
    pub(super) heads: Vec<u32>,
    pub(super) found: HashSet<u32>,
    /// Vectors of one of them that are yet to be read.
    pub(super) rest: Vec<u32>,
    pub(super) best: f32,
    /// Whether there are so many that one of them among the best says that others may be missed.
    pub(super) is_gap: bool,
}

impl Default for Strays {
    fn default() -> Self {
        Self { heads: Vec::new(), found: HashSet::new(), rest: Vec::new(), best: f32::NEG_INFINITY, is_gap: false }
    }
}
