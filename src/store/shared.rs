//! What two threads share memory through without a lock: the one place that names it.
//!
//! `tests/models` compiles the files that use it once more, over loom (a model checker), as it does
//! with the runtime's.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
