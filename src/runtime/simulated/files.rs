//! What a simulated disk does for the files that cores write to.

use std::fmt;
use std::io;
use std::path::Path;

use crate::write_mode::WriteMode;

/// A file of a simulated disk. [`crate::DataFile::simulated`] makes what cores write to of it.
pub trait SimulatedFile: Send + Sync + fmt::Debug {
    /// Its path, for messages.
    fn path(&self) -> &Path;

    /// How it is written.
    fn mode(&self) -> WriteMode;

    /// A number that no other file has.
    fn number(&self) -> u64;

    /// Its present length in bytes.
    ///
    /// # Errors
    /// As the disk likes.
    fn len(&self) -> io::Result<u64>;

    /// Whether it is empty.
    ///
    /// # Errors
    /// As [`SimulatedFile::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads some of the bytes that fill `buffer`, at least one; none at the end of the file.
    ///
    /// # Errors
    /// As the disk likes.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes, as the mode says; returns how many bytes, which may be fewer.
    ///
    /// # Errors
    /// As the disk likes.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// As the disk likes. After one nothing is known about what was written before.
    fn sync(&self) -> io::Result<()>;

    /// Everything ended while this was being written: any part of it may be there.
    fn interrupted(&self, offset: u64, bytes: &[u8]);
}
