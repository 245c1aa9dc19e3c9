//! File writes through the data ring: short writes are continued, and a buffered write is followed
//! by its sync.
//!
//! A write keeps its file and its bytes until the kernel is done. After a failed write or sync
//! nothing is tried again: the kernel may have dropped the pages and would call the next sync a
//! success.

use std::io;
use std::sync::Arc;

use io_uring::types::{Fd, FsyncFlags};
use io_uring::{cqueue, opcode};

use crate::core::{Core, Pending};
use crate::data_file::{DataFile, WriteMode};
use crate::event::{Event, Handler};
use crate::operation::{Kind, encode};
use crate::region::RegionSlice;
use crate::stages::Stage;
use crate::under_way::Write;

/// The most that one WRITE takes; a multiple of every alignment, below 2 GiB.
const MAX_WRITE: usize = 1 << 30;

impl<M: Send + 'static> Core<M> {
    /// Writes `bytes` at `offset`; [`Event::Written`] with `token` comes when all of it is as
    /// durable as the file's mode says. In [`WriteMode::Direct`] offset and length are multiples of
    /// the file's alignment and the bytes start at one in their region, or the kernel refuses the
    /// write.
    pub fn write(&mut self, file: &Arc<DataFile>, offset: u64, bytes: RegionSlice, token: u64) {
        if bytes.is_empty() {
            self.pending.push_back(Pending::Written(token));
            return;
        }
        let write = Write { file: Arc::clone(file), offset, bytes: Some(bytes), done: 0, token };
        let index = self.writes.insert(write);
        self.arm_write(index);
    }

    /// Makes everything that was written to the file durable (fdatasync); [`Event::Written`] with
    /// `token` comes then.
    pub fn sync(&mut self, file: &Arc<DataFile>, token: u64) {
        let index = self.writes.insert(Write { file: Arc::clone(file), offset: 0, bytes: None, done: 0, token });
        self.arm_write(index);
    }

    /// Submits a write's next step: the bytes that are left, or the sync when none are. One system
    /// call.
    fn arm_write(&mut self, index: usize) {
        let Some(write) = self.writes.get(index) else {
            return;
        };
        let fd = Fd(write.file.write_fd());
        let rest = write.rest();
        let entry = if rest.is_empty() {
            opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC).build()
        } else {
            opcode::Write::new(fd, rest.as_ptr(), rest.len().min(MAX_WRITE) as u32)
                .offset(write.offset + write.done as u64)
                .build()
        };
        let entry = entry.user_data(encode(Kind::Write, index as u32, 0));
        // SAFETY: the slab keeps the slice, so its region and the frozen bytes, and the file, until
        // the completion.
        unsafe { self.ring.push(entry) };
        // In a system call of its own: submitted together with a turn's sends, the block layer
        // would hold the request back (plugged) until the last send is done: 144 µs were seen with
        // 24 sends. A failure shows at the turn's own submission.
        self.stages.enter_kernel(Stage::Write);
        let _ = self.ring.submit();
        self.stages.leave_kernel();
    }
}

/// A step of a write ended.
pub(crate) fn write_completed<H: Handler>(
    handler: &mut H,
    core: &mut Core<H::Message>,
    index: usize,
    completion: &cqueue::Entry,
) {
    let Some(write) = core.writes.get_mut(index) else {
        return;
    };
    let was_sync = write.rest().is_empty();
    let result = match completion.result() {
        error if matches!(-error, libc::EINTR | libc::EAGAIN) => Ok(false),
        error @ ..0 => Err(io::Error::from_raw_os_error(-error)),
        _ if was_sync => Ok(true),
        0 => Err(io::ErrorKind::WriteZero.into()),
        written => {
            let before = write.done;
            write.done += written as usize;
            if let (WriteMode::Direct { align }, false) = (write.file.mode(), write.rest().is_empty()) {
                // A direct write goes on at a whole block; what was written of the next one is
                // written again.
                write.done -= write.done % align as usize;
            }
            match write.rest() {
                [] => Ok(write.file.mode() != WriteMode::Buffered),
                _ if write.done == before => Err(io::ErrorKind::WriteZero.into()),
                _ => Ok(false),
            }
        }
    };
    if let Ok(false) = result {
        core.arm_write(index);
        return;
    }
    // The region is let go before the handler hears of it, so that it may be reclaimed there.
    let Write { file, done, token, .. } = core.writes.remove(index);
    let what = if was_sync { "sync" } else { "write to" };
    // Only a failure builds its context: it copies the path.
    let result = result.map(|_| ()).map_err(|error| file.in_context(what)(error));
    if result.is_ok() {
        core.metrics.writes += 1;
        core.metrics.bytes_written += done as u64;
    }
    handler.event(core, Event::Written { token, result });
}
