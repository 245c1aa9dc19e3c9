//! The provided-buffer ring: receive buffers that the kernel takes when bytes arrive and the core
//! gives back at once.
//!
//! An idle connection owns none. A buffer belongs to the kernel while it is in the ring, and to the
//! core from the completion that names it until [`ReceiveBuffers::recycle`]. Protocol:
//! `io_uring_register_buf_ring(3)`; buffers and ring are page-aligned mappings that must outlive
//! the data ring.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use crate::RuntimeError;
use crate::mapping::Mapping;

/// The one buffer group of a data ring.
pub(super) const GROUP: u16 = 0;

/// Every buffer starts at a multiple of this, so that archives in it are aligned as the wire
/// aligned them.
const ALIGNMENT: u32 = 64;

/// The buffers of one data ring and the ring that offers them.
pub(crate) struct ReceiveBuffers {
    memory: Mapping,
    entries: Mapping,
    count: u16,
    size: u32,
    tail: u16,
}

impl ReceiveBuffers {
    /// Maps `count` buffers (rounded up to a power of two) of `size` bytes (rounded up to 64) and
    /// registers them.
    ///
    /// The caller keeps the value until the data ring is gone.
    pub(super) fn register(
        io: &IoUring,
        count: u16,
        size: u32,
    ) -> Result<ReceiveBuffers, RuntimeError> {
        const WHAT: &str = "registering receive buffers";
        let count = count.next_power_of_two();
        let size = size.next_multiple_of(ALIGNMENT);
        let memory =
            Mapping::new(usize::from(count) * size as usize).map_err(RuntimeError::system(WHAT))?;
        let entries = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())
            .map_err(RuntimeError::system(WHAT))?;
        let address = entries.start().as_ptr() as u64;
        // SAFETY: the mapping has room for `count` entries and page alignment, and outlives the
        // ring (the caller's promise).
        unsafe { io.submitter().register_buf_ring_with_flags(address, count, GROUP, 0) }
            .map_err(RuntimeError::system(WHAT))?;
        let mut buffers = ReceiveBuffers { memory, entries, count, size, tail: 0 };
        for buffer in 0..count {
            buffers.offer(buffer);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// How many buffers.
    pub(super) fn count(&self) -> u16 {
        self.count
    }

    /// Bytes of one.
    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// The first `len` bytes of a buffer that a completion has named and that was not recycled
    /// since.
    pub(crate) fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        let len = len.min(self.size as usize);
        // SAFETY: `buffer` is masked, so start and length lie inside the mapping, which is
        // initialised. The kernel does not write to a buffer that it has handed out, and `recycle`
        // needs `&mut self`, so not while the slice lives.
        unsafe { std::slice::from_raw_parts(self.address(buffer).as_ptr(), len) }
    }

    /// Gives a buffer back to the kernel.
    pub(crate) fn recycle(&mut self, buffer: u16) {
        self.offer(buffer);
        self.publish();
    }

    fn address(&self, buffer: u16) -> NonNull<u8> {
        let index = usize::from(buffer & (self.count - 1));
        // SAFETY: index is below count, so the offset lies inside the mapping of count * size
        // bytes.
        unsafe { self.memory.start().add(index * self.size as usize) }
    }

    fn offer(&mut self, buffer: u16) {
        let address = self.address(buffer).as_ptr() as u64;
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: the mapping holds `count` entries and is zeroed or written by us. The kernel
        // reads entries only below the published tail. This one is not below it, as at most `count`
        // buffers are offered at a time. `&mut self` makes this the only reference. The first entry
        // shares its last two bytes with the tail, which `set_*` leave alone.
        let entry = unsafe { self.entries.start().cast::<BufRingEntry>().add(index).as_mut() };
        entry.set_addr(address);
        entry.set_len(self.size);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: the mapping starts with an initialised entry, whose reserved field is the ring's
        // tail by the protocol. It is 2-byte aligned, lives as long as the mapping, and is written
        // only through this atomic.
        let tail = unsafe {
            &*BufRingEntry::tail(self.entries.start().as_ptr().cast()).cast::<AtomicU16>()
        };
        tail.store(self.tail, Ordering::Release);
    }
}
