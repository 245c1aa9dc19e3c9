//! An allocator that counts, for tests that bound what a piece of code may allocate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with a count of the bytes that each thread asked for.
pub(crate) struct Counting;

thread_local! {
    // Without a destructor and without lazy initialisation: safe to touch from inside the allocator at any time.
    static REQUESTED: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work` and returns what it gave and the bytes that this thread requested for it, whether or not they were freed.
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = REQUESTED.get();
    let result = work();
    (result, REQUESTED.get() - before)
}

fn count(bytes: usize) {
    REQUESTED.set(REQUESTED.get() + bytes);
}

// SAFETY: every call is passed on to `System` unchanged, which keeps the contract; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract, and the arguments are passed on as they are.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: `pointer` came from `System` through this allocator with `layout`, as the caller promises.
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as for `realloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
