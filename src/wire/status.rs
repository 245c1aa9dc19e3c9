//! How a request ended: the stable codes in a reply's header.
//!
//! Below 16 the request was answered; from 16 on it was refused and the payload is an
//! [`crate::ErrorMessage`]. A code never changes its meaning, so clients may decide by it.

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// There is no such thing; no payload.
    NotFound = 1,
    /// The bytes are no frame; the connection is closed.
    Malformed = 16,
    /// Another protocol version or schema; the connection is closed.
    UnsupportedVersion = 17,
    /// The payload is longer than the limit; the connection is closed.
    TooLarge = 18,
    /// The payload does not have the crc32c that its header states; the connection is closed.
    ChecksumMismatch = 19,
    /// No operation has this number.
    UnknownOpcode = 20,
    /// The operation is known, but this server does not serve it yet.
    NotServed = 21,
    /// The payload is not a valid archive of the operation's type.
    InvalidArchive = 22,
    /// The archive is valid and says something that can't be accepted.
    InvalidArgument = 23,
    /// The token is missing or wrong; the connection is closed.
    Unauthorized = 24,
    /// The concept has associations, and was to be deleted only without.
    Associated = 25,
    /// The server has too much to do right now; the same request may succeed later.
    Busy = 32,
    /// The request's deadline passed before it was done. A write may still take effect.
    DeadlineExceeded = 33,
    /// The server is draining; ask another, or this one when it is back.
    ShuttingDown = 34,
    /// The disk or a configured bound is full: writes are refused, reads go on.
    StorageFull = 35,
    /// The disk failed: writes are refused until the server is started again, reads go on.
    StorageFailed = 36,
    /// Another process that is needed for it can't be reached, or has not answered. The message
    /// says whether it may have been done.
    Unavailable = 37,
    /// A bug in the server.
    Internal = 63,
}

impl Status {
    const ALL: [Status; 19] = [
        Status::Ok,
        Status::NotFound,
        Status::Malformed,
        Status::UnsupportedVersion,
        Status::TooLarge,
        Status::ChecksumMismatch,
        Status::UnknownOpcode,
        Status::NotServed,
        Status::InvalidArchive,
        Status::InvalidArgument,
        Status::Unauthorized,
        Status::Associated,
        Status::Busy,
        Status::DeadlineExceeded,
        Status::ShuttingDown,
        Status::StorageFull,
        Status::StorageFailed,
        Status::Unavailable,
        Status::Internal,
    ];

    /// The status of this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as u8 == number)
    }

    /// Whether the request was refused (the payload is then an [`crate::ErrorMessage`]).
    pub fn is_error(self) -> bool {
        self as u8 >= Status::Malformed as u8
    }

    /// Whether the same request may succeed if it is sent again, to this server or to the one that
    /// takes its place.
    pub fn is_transient(self) -> bool {
        matches!(self, Status::Busy | Status::ShuttingDown)
    }

    /// Its name, as counters spell it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::NotFound => "not_found",
            Status::Malformed => "malformed",
            Status::UnsupportedVersion => "unsupported_version",
            Status::TooLarge => "too_large",
            Status::ChecksumMismatch => "checksum_mismatch",
            Status::UnknownOpcode => "unknown_opcode",
            Status::NotServed => "not_served",
            Status::InvalidArchive => "invalid_archive",
            Status::InvalidArgument => "invalid_argument",
            Status::Unauthorized => "unauthorized",
            Status::Associated => "associated",
            Status::Busy => "busy",
            Status::DeadlineExceeded => "deadline_exceeded",
            Status::ShuttingDown => "shutting_down",
            Status::StorageFull => "storage_full",
            Status::StorageFailed => "storage_failed",
            Status::Unavailable => "unavailable",
            Status::Internal => "internal",
        }
    }

    /// Every status that refuses, in numeric order.
    pub fn errors() -> impl Iterator<Item = Status> {
        Self::ALL.into_iter().filter(|status| status.is_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable() {
        let numbers: Vec<u8> = Status::ALL.into_iter().map(|status| status as u8).collect();
        assert_eq!(
            numbers,
            [0, 1, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 32, 33, 34, 35, 36, 37, 63]
        );
        assert!(
            Status::ALL.into_iter().all(|status| Status::from_number(status as u8) == Some(status))
        );
    }
}
