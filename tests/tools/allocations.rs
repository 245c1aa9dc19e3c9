//! An allocator that counts, for tests that bound what a piece of code may allocate.
//!
//! It counts where a test's crate makes it the global one, and only there; so a test that expects
//! no allocation also shows that one would have counted.
//!
//! ```
//! use sutra_testing::allocations::{Counting, counted};
//!
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting;
//!
//! let (_, requested) = counted(|| vec![1, 2, 3]);
//! assert_eq!(requested.times, 1);
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, with a count of what was asked of it.
pub struct Counting;

/// What was asked of the allocator: allocations and reallocations, whether or not they were freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requested {
    /// How often.
    pub times: u64,
    /// How many bytes: of a reallocation, all of its new size.
    pub bytes: usize,
}

impl Sub for Requested {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { times: self.times - earlier.times, bytes: self.bytes - earlier.bytes }
    }
}

thread_local! {
    // Without destructors and without lazy initialisation: safe to touch from inside the allocator
    // at any time.
    static HERE: Cell<Requested> = const { Cell::new(Requested { times: 0, bytes: 0 }) };
    static EXEMPT: Cell<bool> = const { Cell::new(false) };
}

static EVERYWHERE: AtomicU64 = AtomicU64::new(0);

/// What this thread has requested so far.
pub fn on_this_thread() -> Requested {
    HERE.get()
}

/// How often the process has allocated so far, on all threads that are not exempt.
pub fn times_on_all_threads() -> u64 {
    EVERYWHERE.load(Ordering::Relaxed)
}

/// From now on what this thread requests is left out of [`times_on_all_threads`].
pub fn exempt_this_thread() {
    EXEMPT.set(true);
}

/// Runs `work` and returns what it gave and what this thread requested for it.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, Requested) {
    let before = on_this_thread();
    let result = work();
    (result, on_this_thread() - before)
}

fn count(bytes: usize) {
    let Requested { times, bytes: so_far } = HERE.get();
    HERE.set(Requested { times: times + 1, bytes: so_far + bytes });
    if !EXEMPT.get() {
        EVERYWHERE.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to `System` unchanged, which keeps the contract; counting
// allocates nothing and does not unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract, and the arguments are passed on
        // as they are.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: `pointer` came from `System` through this allocator with `layout`, as the caller
        // promises.
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as for `realloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    #[test]
    fn every_way_to_allocate_counts_with_its_bytes_and_freeing_does_not() {
        let (mut bytes, fresh) = counted(|| black_box(Vec::<u8>::with_capacity(100)));
        assert_eq!(fresh, Requested { times: 1, bytes: 100 });
        let ((), grown) = counted(|| {
            bytes.resize(100, 7);
            bytes.reserve_exact(50);
        });
        assert_eq!((grown, bytes[99]), (Requested { times: 1, bytes: 150 }, 7));
        let ((), freed) = counted(|| drop(bytes));
        assert_eq!(freed, Requested::default());
        let (zeros, zeroed) = counted(|| black_box(vec![0u8; 64]));
        assert_eq!((zeroed, zeros), (Requested { times: 1, bytes: 64 }, vec![0; 64]));
    }

    #[test]
    fn a_thread_counts_for_itself_and_for_all_unless_it_is_exempt() {
        let counts = |is_exempt: bool| {
            std::thread::spawn(move || {
                if is_exempt {
                    exempt_this_thread();
                }
                let before = times_on_all_threads();
                let (_, here) =
                    counted(|| (0..1_000).for_each(|number| drop(black_box(Box::new(number)))));
                (here.times, times_on_all_threads() - before)
            })
        };
        let (here, everywhere) = counts(false).join().unwrap();
        assert_eq!(here, 1_000);
        assert!(everywhere >= 1_000, "{everywhere}");
        // Other threads of the test's process may allocate meanwhile, though not so often.
        let (here, everywhere) = counts(true).join().unwrap();
        assert_eq!(here, 1_000);
        assert!(everywhere < 1_000, "{everywhere}");
    }
}
