//! For tests: of how many bytes a thread has computed entries' checksums.

use std::cell::Cell;

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

pub(crate) fn note(bytes: usize) {
    BYTES.set(BYTES.get() + bytes);
}

/// Of how many since the last time.
pub(crate) fn take() -> usize {
    BYTES.take()
}
