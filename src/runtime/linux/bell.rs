//! A bell that one thread rings and a core's thread hears: an eventfd.
//!
//! It is never read: every ring counts as an edge.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::EventfdFlags;

use crate::RuntimeError;

#[derive(Debug)]
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> Result<Bell, RuntimeError> {
        let eventfd = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let failed =
            |errno: rustix::io::Errno| RuntimeError::system("creating an eventfd")(errno.into());
        Ok(Bell(eventfd.map_err(failed)?))
    }

    /// Rings it. Refused only when its count is full, after 2^64 - 1 times.
    pub(super) fn ring(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// The same bell, with a descriptor of its own.
    pub(super) fn again(&self) -> std::io::Result<Bell> {
        self.0.try_clone().map(Bell)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
