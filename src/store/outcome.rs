//! What becomes of a write: it is refused, or acknowledged with what it did.

use std::sync::Arc;

use crate::graph::InEdge;

/// Why a write is not taken, or not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no space for the log. Reads go on, and writes when there is space again.
    #[error("{reason}")]
    Full {
        /// What could not be done, and what helps.
        reason: Arc<str>,
    },
    /// The data folder, or something in it, is not what it was. Reads go on, and writes when it is
    /// back.
    #[error("{reason}")]
    Lost {
        /// What has become of it, and what helps.
        reason: Arc<str>,
    },
    /// The record would not fit an empty segment.
    #[error(
        "the record has {length} bytes, the longest that this store's segments take has {limit}"
    )]
    TooLarge {
        /// The record's archive.
        length: usize,
        /// The longest.
        limit: usize,
    },
    /// The disk failed a write or a sync of the log. Nothing more is taken until what it may have
    /// lost is written again. Reads go on.
    #[error(
        "the log could not be written ({reason}); check the disk and the kernel's log: writes are \
         taken again once it has what was written so far, which is tried every second"
    )]
    Failed {
        /// What the operating system said.
        reason: Arc<str>,
    },
    /// Vectors of a namespace are all as long as its first.
    #[error(
        "the embedding has {got} numbers, those of this namespace have {expected}; \
         embed with one model, or use another namespace"
    )]
    Dimension {
        /// Numbers of the namespace's embeddings.
        expected: u32,
        /// Numbers of this one.
        got: u32,
    },
    /// There is no room at this moment: to be tried again after the shard's next
    /// [`commit_finished`] or [`prepared`].
    ///
    /// [`commit_finished`]: crate::Shard::commit_finished
    /// [`prepared`]: crate::Shard::prepared
    #[error("the log has no room at this moment")]
    Stalled,
}

impl Refusal {
    /// Whether to try again soon.
    pub fn is_stalled(&self) -> bool {
        matches!(self, Refusal::Stalled)
    }
}

/// What an acknowledged write did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// A concept is visible.
    Concept,
    /// An association is visible at its source; the shard of the edge's target (this one or
    /// another) is to be told ([`crate::Shard::apply_in_edge`]).
    Association(InEdge),
    /// An association is gone at its source; its target's shard is to be told as well. Whether it
    /// was there before: of two removals that are under way at the same time only one finds it.
    Removal(InEdge, bool),
    /// A concept is gone; whether it was there before.
    Deleted(bool),
}

/// A write's end.
#[derive(Debug)]
pub struct Acknowledged<T> {
    /// What came with the write.
    pub ticket: T,
    /// The write's sequence.
    pub sequence: u64,
    /// What it did, or why it did not happen.
    pub effect: Result<Effect, Refusal>,
}
