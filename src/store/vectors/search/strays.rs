//! The vectors that the index is known to miss, as a search goes through them.

use foldhash::{HashSet, HashSetExt};

use crate::vectors::space::Space;

/// Vectors that the index is known to miss, and that are scanned instead.
pub(super) struct Strays {
    /// Their entries, and those that this search found.
    heads: Vec<u32>,
    found: HashSet<u32>,
    /// Vectors of one of them that are yet to be read.
    rest: Vec<u32>,
    best: f32,
    /// Whether there are so many that one of them among the best says that others may be missed.
    is_gap: bool,
}

/// What comes next of them.
pub(super) enum Stray {
    /// This vector is to be judged.
    Vector(u32),
    /// This entry's vectors were found already, or none lives: the next is to be asked for.
    None,
    /// This entry has more vectors behind it than are worth a list.
    TooMany,
    /// There are no more.
    End,
}

impl Default for Strays {
    fn default() -> Self {
        Self {
            heads: Vec::new(),
            found: HashSet::new(),
            rest: Vec::new(),
            best: f32::NEG_INFINITY,
            is_gap: false,
        }
    }
}

impl Strays {
    /// The entries of these heads, of which a search has `found` some.
    pub(super) fn new(heads: Vec<u32>, found: HashSet<u32>, is_gap: bool) -> Self {
        Self { heads, found, is_gap, ..Self::default() }
    }

    /// The next one. An entry with more than `most` vectors behind it is too many.
    pub(super) fn next(&mut self, space: &Space, most: usize) -> Stray {
        if let Some(ordinal) = self.rest.pop() {
            return Stray::Vector(ordinal);
        }
        let Some(head) = self.heads.pop() else { return Stray::End };
        if space.count_behind(head) > most {
            return Stray::TooMany;
        }
        if !self.found.contains(&head) {
            self.rest.extend(space.behind(head));
        }
        Stray::None
    }

    /// One of them is so similar.
    pub(super) fn note(&mut self, similarity: f32) {
        self.best = self.best.max(similarity);
    }

    /// Whether others may be missed near them: there are many, and one is as similar as the last of
    /// the best.
    pub(super) fn show_gap(&self, last: Option<f32>) -> bool {
        self.is_gap && last.is_some_and(|last| self.best >= last)
    }
}
