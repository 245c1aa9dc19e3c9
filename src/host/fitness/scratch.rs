//! A file to try things with, in a folder that belongs to somebody: it has no name from the moment
//! that it is open, so nothing is left of it, however this process ends.

use std::io;
use std::path::Path;
use std::sync::Arc;

use sutra_runtime::{DataFile, Durability, Folder};

/// An open file without a name.
pub(crate) struct Scratch {
    /// As a log's segment is opened.
    pub(crate) file: Arc<DataFile>,
}

impl Scratch {
    /// Makes one in this folder.
    pub(crate) fn make(folder: &Path) -> io::Result<Self> {
        let folder = Folder::open(folder)?;
        let name = format!(".sutra-doctor-{}", std::process::id());
        let made = DataFile::create(&folder, &name, Durability::Always);
        let removed = folder.remove(&name);
        let file = made?;
        removed?;
        Ok(Self { file: Arc::new(file) })
    }
}
