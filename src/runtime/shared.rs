//! What two threads share memory through: the one place that names it.
//!
//! `tests/models` compiles the files that use it once more, with another `shared.rs`. There loom
//! (a model checker) stands behind the same names, and tries the orders that threads may run in.

pub(crate) use std::sync::Mutex;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};

pub(crate) use rtrb::{Consumer, Producer, PushError, RingBuffer};
