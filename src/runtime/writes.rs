//! File writes: short writes are continued, and a buffered write is followed by its sync.
//!
//! A write keeps its file and its bytes until the kernel is done. After a failed write or sync
//! nothing is tried again. The kernel may have dropped the pages, and would call the next sync a
//! success.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;
use slab::Slab;

use crate::backend::Backend;
use crate::data_file::DataFile;
use crate::event::Event;
use crate::metrics::CoreMetrics;
use crate::operation::Outcome;
use crate::region::RegionSlice;
use crate::stages::{Stage, StageClock};
use crate::write_mode::WriteMode;

/// A core's writes and syncs. As many as the handler starts: a log has one.
#[derive(Default)]
pub(crate) struct Writes {
    under_way: Slab<Write>,
    /// Tokens of writes that had nothing to write, told in the same turn or the next.
    empty: VecDeque<u64>,
}

/// One write, or one sync.
struct Write {
    file: Arc<DataFile>,
    offset: u64,
    /// `None` for a sync.
    bytes: Option<RegionSlice>,
    done: usize,
    token: u64,
}

impl Write {
    /// The bytes that are left to write; none where a sync is what is left.
    fn rest(&self) -> &[u8] {
        self.bytes.as_ref().and_then(|bytes| bytes.get(self.done..)).unwrap_or_default()
    }

    /// So many bytes were written: whether all is done, or a step is left.
    fn advance(&mut self, written: usize) -> io::Result<bool> {
        let before = self.done;
        self.done += written;
        if let (WriteMode::Direct { align }, false) = (self.file.mode(), self.rest().is_empty()) {
            // A direct write goes on at a whole block; what was written of the next one is written
            // again.
            self.done -= self.done % align as usize;
        }
        match self.rest() {
            [] => Ok(self.file.mode() != WriteMode::Buffered),
            _ if self.done == before => Err(io::ErrorKind::WriteZero.into()),
            _ => Ok(false),
        }
    }
}

impl Writes {
    /// Begins to write `bytes` at `offset`.
    pub(crate) fn write(
        &mut self,
        backend: &mut Backend,
        stages: &mut StageClock,
        file: &Arc<DataFile>,
        offset: u64,
        bytes: RegionSlice,
        token: u64,
    ) {
        if bytes.is_empty() {
            self.empty.push_back(token);
            return;
        }
        let write = Write { file: Arc::clone(file), offset, bytes: Some(bytes), done: 0, token };
        let index = self.under_way.insert(write);
        self.arm(backend, stages, index);
    }

    /// Begins a sync.
    pub(crate) fn sync(
        &mut self,
        backend: &mut Backend,
        stages: &mut StageClock,
        file: &Arc<DataFile>,
        token: u64,
    ) {
        let write = Write { file: Arc::clone(file), offset: 0, bytes: None, done: 0, token };
        let index = self.under_way.insert(write);
        self.arm(backend, stages, index);
    }

    /// Submits a write's next step: the bytes that are left, or the sync when none are. One system
    /// call.
    fn arm(&self, backend: &mut Backend, stages: &mut StageClock, index: usize) {
        let Some(write) = self.under_way.get(index) else {
            return;
        };
        let rest = write.rest();
        if rest.is_empty() {
            backend.sync(index as u32, &write.file);
        } else {
            // SAFETY: the slab keeps the file and the slice, so its region and the frozen bytes,
            // until the completion. A core that ends before drops its backend first.
            unsafe {
                backend.write(index as u32, &write.file, write.offset + write.done as u64, rest);
            };
        }
        // In a system call of its own. Submitted together with a turn's sends, the block layer
        // would hold the request back (plugged) until the last send is done: 144 µs were seen with
        // 24 sends. A failure shows at the turn's own submission.
        stages.enter_kernel(Stage::Write);
        let _ = backend.submit();
        stages.leave_kernel();
    }

    /// A step of a write ended.
    pub(crate) fn written(
        &mut self,
        backend: &mut Backend,
        stages: &mut StageClock,
        metrics: &mut CoreMetrics,
        write: u32,
        outcome: Outcome,
    ) -> Option<Event<'static>> {
        let index = write as usize;
        let write = self.under_way.get_mut(index)?;
        let was_sync = write.rest().is_empty();
        let result = match outcome {
            Err(Errno::INTR | Errno::AGAIN) => Ok(false),
            Err(errno) => Err(io::Error::from(errno)),
            Ok(_) if was_sync => Ok(true),
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => write.advance(written),
        };
        if let Ok(false) = result {
            self.arm(backend, stages, index);
            return None;
        }
        // The region is let go before the handler hears of it, so that it may be reclaimed there.
        let Write { file, done, token, .. } = self.under_way.remove(index);
        let what = if was_sync { "sync" } else { "write to" };
        // Only a failure builds its context: it copies the path.
        let result = result.map(|_| ()).map_err(|error| file.in_context(what)(error));
        if result.is_ok() {
            metrics.writes += 1;
            metrics.bytes_written += done as u64;
        }
        Some(Event::Written { token, result })
    }

    /// How many empty writes wait to be told.
    pub(crate) fn pending(&self) -> usize {
        self.empty.len()
    }

    /// Takes an empty write that is to be told.
    pub(crate) fn next_pending(&mut self) -> Option<Event<'static>> {
        self.empty.pop_front().map(|token| Event::Written { token, result: Ok(()) })
    }
}
