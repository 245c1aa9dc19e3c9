//! A region's memory, in the place of the product's mapping: loom is told of every byte that is
//! read or written, and so sees who does it at the same time.

use std::io;
use std::ops::Range;

use loom::cell::UnsafeCell;

#[derive(Debug)]
pub(crate) struct Mapping {
    /// What the bytes are. Never touched but by these pointers.
    bytes: *mut [u8],
    /// By byte: who touches it.
    touched: Box<[UnsafeCell<()>]>,
}

// SAFETY: as the product's is; loom looks whether its users keep their promises.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let bytes = Box::into_raw(vec![0; len].into_boxed_slice());
        Ok(Self { bytes, touched: (0..len).map(|_| UnsafeCell::new(())).collect() })
    }

    pub(crate) fn to_read(&self, range: Range<usize>) -> *const u8 {
        self.touched[range.clone()].iter().for_each(|byte| byte.with(|_| ()));
        self.bytes.cast::<u8>().wrapping_add(range.start)
    }

    pub(crate) fn to_write(&self, range: Range<usize>) -> *mut u8 {
        self.touched[range.clone()].iter().for_each(|byte| byte.with_mut(|_| ()));
        self.bytes.cast::<u8>().wrapping_add(range.start)
    }

    pub(crate) fn len(&self) -> usize {
        self.touched.len()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw`, and given back once.
        drop(unsafe { Box::from_raw(self.bytes) });
    }
}
