//! What a core keeps of its file writes until the kernel is done with them: the file and the bytes.

use std::sync::Arc;

use slab::Slab;

use crate::data_file::DataFile;
use crate::region::RegionSlice;

/// Writes and syncs of a core that are under way. As many as the handler starts: a log has one.
pub(crate) type Writes = Slab<Write>;

/// One write, or one sync.
pub(crate) struct Write {
    pub(crate) file: Arc<DataFile>,
    pub(crate) offset: u64,
    pub(crate) bytes: Option<RegionSlice>,
    pub(crate) done: usize,
    pub(crate) token: u64,
}

impl Write {
    /// The bytes that are left to write; none for a sync.
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes.as_ref().and_then(|bytes| bytes.get(self.done..)).unwrap_or_default()
    }
}
