//! What can be wrong with a snapshot. Every text says where, and what is wrong there; the caller
//! knows the file's name.

use std::fmt;
use std::io;

/// A part of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The first.
    Concepts,
    /// The second.
    Associations,
    /// The last.
    Vectors,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Section::Concepts => "concept",
            Section::Associations => "association",
            Section::Vectors => "vector",
        })
    }
}

/// Why bytes are no snapshot, or none that is whole. Offsets are in bytes from the file's start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It begins otherwise, or is too short to begin.
    #[error("at byte 0: it does not begin with SUTRADAT, as an old server's snapshot does")]
    NotASnapshot,
    /// Another format, or a damaged number.
    #[error("at byte 8: its version is {found}, and old servers wrote version 2 alone")]
    Version {
        /// What it says.
        found: u32,
    },
    /// Something stands where they wrote nothing.
    #[error("at byte {at}: the header has {found:#04x} where old servers wrote zeros")]
    Reserved {
        /// Where.
        at: u64,
        /// What.
        found: u8,
    },
    /// There is less than the header says.
    #[error("it is cut short: it ends at byte {length}, inside of {inside} {number} of {count}")]
    CutShort {
        /// How long it is.
        length: u64,
        /// What has begun and does not end.
        inside: Section,
        /// Which one, from 1.
        number: u32,
        /// Of how many.
        count: u32,
    },
    /// There is more than the header says.
    #[error("at byte {at}: {bytes} more bytes follow where all that the header counts has ended")]
    TooLong {
        /// Where.
        at: u64,
        /// How many.
        bytes: u64,
    },
    /// A content is no text.
    #[error("at byte {at}: the content of concept {number} is not UTF-8")]
    NotUtf8 {
        /// Where the first wrong byte is.
        at: u64,
        /// Which concept, from 1.
        number: u32,
    },
    /// An id that can stand in a section only once.
    #[error("at byte {at}: a second {section} of the id {}", digits(.id))]
    Twice {
        /// Where.
        at: u64,
        /// In which section.
        section: Section,
        /// The id.
        id: [u8; 16],
    },
}

fn digits(id: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}

/// Why a snapshot can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is damaged, or none.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The system.
    #[error(transparent)]
    Io(#[from] io::Error),
}
