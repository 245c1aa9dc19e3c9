//! How a log's file is written.

use std::fmt;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// O_DIRECT|O_DSYNC: one operation, past the page cache, durable when it completes. Memory,
    /// offset and length are multiples of `align`.
    Direct {
        /// Bytes; a power of two, 512 to the page size.
        align: u32,
    },
    /// A write into the page cache and fdatasync(2) after it.
    Buffered,
    /// A write into the page cache; synced only when asked.
    Relaxed,
}

impl fmt::Display for WriteMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteMode::Direct { align } => write!(f, "O_DIRECT|O_DSYNC, {align}-byte blocks"),
            WriteMode::Buffered => f.write_str("write + fdatasync"),
            WriteMode::Relaxed => f.write_str("write, synced later"),
        }
    }
}
