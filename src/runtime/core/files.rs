//! A core's file writes, as its handler uses them. The work is done in `writes.rs`.

use std::sync::Arc;

use crate::core::Core;
use crate::data_file::DataFile;
use crate::region::RegionSlice;

impl<M: Send + 'static> Core<M> {
    /// Writes `bytes` at `offset`; [`crate::Event::Written`] with `token` comes when all of it is
    /// as durable as the file's mode says. In [`crate::WriteMode::Direct`] offset, length and the
    /// bytes' place in their region are multiples of the file's alignment; the kernel refuses the
    /// write otherwise.
    pub fn write(&mut self, file: &Arc<DataFile>, offset: u64, bytes: RegionSlice, token: u64) {
        self.writes.write(&mut self.backend, &mut self.stages, file, offset, bytes, token);
    }

    /// Makes everything that was written to the file durable (fdatasync);
    /// [`crate::Event::Written`] with `token` comes then.
    pub fn sync(&mut self, file: &Arc<DataFile>, token: u64) {
        self.writes.sync(&mut self.backend, &mut self.stages, file, token);
    }
}
