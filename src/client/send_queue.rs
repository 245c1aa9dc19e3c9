//! The requests of a connection that wait for its socket, one frame behind the other.
//!
//! Callers append, and may write what they have appended. Where the socket is busy the driver takes
//! all that has gathered. A caller that appends to an empty queue wakes it.

use std::task::Waker;

use sutra_wire::{FrameBuffer, HEADER_BYTES, Header};
use tokio::net::tcp::OwnedWriteHalf;

use crate::request::Request;

/// Bytes that may wait for the socket before the next request waits for them: a few of the longest
/// embeddings.
const MAX_QUEUED: usize = 4 << 20;

#[derive(Default)]
pub(crate) struct SendQueue {
    /// Requests that the driver has not taken yet.
    frames: FrameBuffer,
    /// How much of their beginning was written already.
    written: usize,
    /// Whether the driver holds bytes that must go out before these.
    is_driver_sending: bool,
    driver: Option<Waker>,
}

impl SendQueue {
    /// Whether another request may be appended.
    pub(crate) fn has_room(&self) -> bool {
        self.frames.len() < MAX_QUEUED
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether the driver has bytes that must go out before these. It looks here again when they
    /// have gone.
    pub(crate) fn is_driver_sending(&self) -> bool {
        self.is_driver_sending
    }

    /// Appends a request. One with a longer payload than `limit` is left out, and its length is the
    /// error.
    pub(crate) fn push(
        &mut self,
        request: &Request,
        header: Header,
        limit: usize,
    ) -> Result<(), usize> {
        let start = self.frames.len();
        request.encode(&mut self.frames, header);
        let length = self.frames.len() - start - HEADER_BYTES;
        if length > limit {
            self.frames.resize(start, 0);
            return Err(length);
        }
        Ok(())
    }

    /// Writes as much as the socket takes; whether that was all. A socket that is full or broken is
    /// the driver's to deal with.
    pub(crate) fn write(&mut self, socket: &OwnedWriteHalf) -> bool {
        self.written += socket.try_write(&self.frames[self.written..]).unwrap_or(0);
        let is_all = self.written == self.frames.len();
        if is_all {
            self.frames.clear();
            self.written = 0;
        }
        is_all
    }

    /// Whom to wake when there is something to take.
    pub(crate) fn driver(&self) -> Option<Waker> {
        self.driver.clone()
    }

    /// The driver has nothing left to send, and is woken by this waker from now on.
    pub(crate) fn driver_is_idle(&mut self, waker: &Waker) {
        self.is_driver_sending = false;
        if !self.driver.as_ref().is_some_and(|driver| driver.will_wake(waker)) {
            self.driver = Some(waker.clone());
        }
    }

    /// Gives all frames to the driver, for an empty buffer; returns how much of them was written
    /// already.
    pub(crate) fn take(&mut self, sending: &mut FrameBuffer) -> usize {
        self.is_driver_sending = true;
        std::mem::swap(&mut self.frames, sending);
        std::mem::take(&mut self.written)
    }

    /// Nobody takes from it any more; the waker of the driver, which is to be told.
    pub(crate) fn end(&mut self) -> Option<Waker> {
        self.driver.take()
    }
}
