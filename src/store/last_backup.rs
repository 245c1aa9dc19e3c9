//! When the last backup of a store was completed: a small file of its own in the data folder, so
//! that a server knows it after a restart. Earlier versions ignore it.

use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::keeper::Keeper;

/// The longest such file that is read, in bytes.
pub(crate) const MAX_BYTES: u64 = 4096;

/// The last backup of a store that was completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastBackup {
    /// When its cut was taken, in µs since 1970.
    pub taken: u64,
    /// Bytes of the log that it covers.
    pub bytes: u64,
    /// How long it took, in µs.
    pub elapsed: u64,
}

impl Keeper {
    /// The last backup, where one was ever noted. What can't be read counts as none. Blocks on the
    /// disk.
    pub fn last_backup(&self) -> Option<LastBackup> {
        let read = self.disk().read_last_backup();
        let bytes = read.inspect_err(|error| {
            tracing::warn!(%error, "when the last backup was completed can't be read");
        });
        serde_json::from_slice(&bytes.ok()??)
            .inspect_err(|error| {
                tracing::warn!(%error, "the note of the last backup makes no sense");
            })
            .ok()
    }

    /// Notes a backup as the last one, durably. Blocks on the disk.
    ///
    /// # Errors
    /// The disk refuses, the folder is another process's by now, or nothing is written to it.
    pub fn note_backup(&self, backup: &LastBackup) -> Result<(), StoreError> {
        // Held, so that the folder is not released meanwhile.
        let _manifest = self.lock();
        self.refuse_writing()?;
        let mut bytes = serde_json::to_vec(backup).expect("numbers become JSON");
        bytes.push(b'\n');
        Ok(self.disk().replace_last_backup(&bytes)?)
    }
}
