//! How a long reading is watched.

use crate::StoreError;

/// How far a long reading has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advance {
    /// What is done: `reading`, `writing`.
    pub phase: &'static str,
    /// Bytes that were read.
    pub done: u64,
    /// Bytes that there are.
    pub total: u64,
}

/// Told of every step; says whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(Advance) -> bool;

/// Whoever watches has ended it.
pub(super) fn ended() -> StoreError {
    StoreError::Option("it was ended before all was read".to_owned())
}
