//! What can be wrong with bytes from a peer, and the status that it is answered with.

use crate::status::Status;
use crate::version::{MAGIC, VERSION};

/// The bytes are no frame. Where the next frame would start is unknown, so the connection ends
/// after this error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first two bytes are not ours.
    #[error(
        "bad magic 0x{found:04x}: a native frame starts with 0x{MAGIC:04x}; \
         is this client speaking another protocol?"
    )]
    Magic {
        /// What stood there.
        found: u16,
    },
    /// Another version of the frame.
    #[error("frame version {found} is not spoken here; this side speaks version {VERSION}")]
    Version {
        /// What stood there.
        found: u8,
    },
    /// The reserved field is in use.
    #[error("reserved field is 0x{found:04x}; it must be zero in version {VERSION}")]
    Reserved {
        /// What stood there.
        found: u16,
    },
    /// A flag that this version does not know.
    #[error("flags 0x{found:02x} hold an unknown bit; version {VERSION} knows 0x03")]
    Flags {
        /// What stood there.
        found: u8,
    },
    /// The payload is longer than accepted.
    #[error(
        "payload of {length} bytes is over the limit of {limit}; \
         split the request or shorten its content"
    )]
    TooLong {
        /// What the header claims.
        length: u32,
        /// What is accepted.
        limit: u32,
        /// The request that it belongs to.
        request: u64,
    },
    /// The payload is not what was sent.
    #[error(
        "payload checksum is 0x{computed:08x}, the header says 0x{stated:08x}: \
         the bytes were damaged on the way"
    )]
    Checksum {
        /// What the header says.
        stated: u32,
        /// What the payload has.
        computed: u32,
        /// The request that it belongs to.
        request: u64,
    },
}

impl FrameError {
    /// The status of the reply that tells the peer.
    pub fn status(&self) -> Status {
        match self {
            FrameError::Magic { .. } | FrameError::Reserved { .. } | FrameError::Flags { .. } => {
                Status::Malformed
            }
            FrameError::Version { .. } => Status::UnsupportedVersion,
            FrameError::TooLong { .. } => Status::TooLarge,
            FrameError::Checksum { .. } => Status::ChecksumMismatch,
        }
    }

    /// The request that the reply belongs to; 0 where the header could not be trusted that far.
    pub fn request(&self) -> u64 {
        match self {
            FrameError::TooLong { request, .. } | FrameError::Checksum { request, .. } => *request,
            _ => 0,
        }
    }
}

/// A frame's payload is not an acceptable value of its type. The connection goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The structure is wrong: truncated, out of bounds, misaligned, not UTF-8, an impossible
    /// option.
    #[error("payload of {length} bytes is not a valid {expected}: {detail}")]
    Archive {
        /// The type that the operation takes.
        expected: &'static str,
        /// Bytes that were given.
        length: usize,
        /// What the validator said.
        detail: String,
    },
    /// The structure is right and a value is not.
    #[error("{field}: {problem}")]
    Argument {
        /// The field, as the schema names it.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl PayloadError {
    pub(crate) fn argument(field: &'static str, problem: impl Into<String>) -> Self {
        PayloadError::Argument { field, problem: problem.into() }
    }

    /// The status of the reply that tells the peer.
    pub fn status(&self) -> Status {
        match self {
            PayloadError::Archive { .. } => Status::InvalidArchive,
            PayloadError::Argument { .. } => Status::InvalidArgument,
        }
    }
}
