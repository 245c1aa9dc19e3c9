//! One anonymous, page-aligned memory mapping that unmaps itself. Log segments and receive buffers
//! lie in one.

use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags};

/// From this length on a mapping asks for huge pages (transparent ones, where the host allows them
/// on request). Records are read at random. With small pages nearly every one would miss the
/// processor's page table cache as well as its data cache.
const HUGE_PAGE: usize = 2 << 20;

/// Zeroed private memory, aligned to a page, of a fixed length. Says nothing about who may touch
/// which byte: its users do.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is plain process memory, valid from any thread; access is ordered by the types
// built on it.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&Mapping` itself only gives out the address and the length.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes (more than none). Pages get memory when first touched.
    pub(crate) fn new(len: usize) -> io::Result<Mapping> {
        // SAFETY: a null hint asks for a new mapping anywhere, so no existing memory is affected.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )?
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Mapping { start, len };
        if len >= HUGE_PAGE {
            // SAFETY: advice about memory that this value has just mapped; it changes no byte. A
            // kernel without huge pages refuses, and serves as well with small ones.
            let _ =
                unsafe { rustix::mm::madvise(start.as_ptr().cast(), len, Advice::LinuxHugepage) };
        }
        Ok(mapping)
    }

    /// The first byte.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Where bytes lie that are read only while nobody writes to them: the caller's promise.
    pub(crate) fn to_read(&self, range: Range<usize>) -> *const u8 {
        self.to_write(range)
    }

    /// Where bytes lie that nobody else reads or writes meanwhile: the caller's promise.
    pub(crate) fn to_write(&self, range: Range<usize>) -> *mut u8 {
        assert!(range.start <= range.end && range.end <= self.len, "bytes of the mapping");
        // SAFETY: the offset was checked to lie inside the mapping, or at its end.
        unsafe { self.start.as_ptr().add(range.start) }
    }

    /// Length in bytes, as asked for.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this value owns the mapping of exactly this address and length, and its users
        // hold it while they or the kernel use the memory. A failure could only mean that the
        // mapping is not there, and there is nothing to do.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
