//! A file put in another one's place, so that after a crash the old or the new one is there, whole.
//!
//! The new one is written under a name of its own and synced. Then it gets the name, and then its
//! folder is synced. The order is the promise, so it stands here once, for every kind of folder.

use std::io;

use crate::disk::new_name;

/// A folder in which a file can be replaced.
pub trait ReplaceIn {
    /// A file that is being written.
    type File;

    /// Makes an empty file of a name that nothing has.
    ///
    /// # Errors
    /// As the folder likes; so for all of these.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Writes all of this behind what was written.
    ///
    /// # Errors
    /// As above.
    fn append(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// As above.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Gives a file the name of another, which is gone then.
    ///
    /// # Errors
    /// As above.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As above.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names durable.
    ///
    /// # Errors
    /// As above.
    fn sync_names(&self) -> io::Result<()>;
}

/// Puts a new file in a file's place. No two writers use the same `number`, which is drawn for it.
///
/// # Errors
/// What the folder answers. Unless the last step failed, the old file is there then.
pub fn replace(
    folder: &impl ReplaceIn,
    name: &str,
    number: u64,
    parts: &[&[u8]],
) -> io::Result<()> {
    let new = new_name(name, number);
    let mut file = folder.create(&new)?;
    let written = parts.iter().try_for_each(|part| folder.append(&mut file, part));
    let replaced =
        written.and_then(|()| folder.sync(&file)).and_then(|()| folder.rename(&new, name));
    replaced.inspect_err(|_| {
        // What was written of it only takes space, which may be what lacks. Where it stays, the
        // next start removes it.
        let _ = folder.remove(&new);
    })?;
    folder.sync_names()
}
