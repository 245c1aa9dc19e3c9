//! A connection between two processes: its socket, and what is known of it. The next process goes
//! on with it where the last one stopped, and its peer sees no seam.
//!
//! No request of it is under way: one that was offered to the service is answered, and one that was
//! not lies in its input. What the layout below means is fixed by [`PASSING`]: processes that
//! disagree about that pass nothing on.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rkyv::rancor::Error;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};

/// The layout of what is passed on. To be raised with every change of it, or of what a translator
/// keeps of a reply that it has begun.
pub const PASSING: u32 = 1;

/// A connection that no core serves for now.
pub struct Passed {
    socket: OwnedFd,
    state: ConnectionState,
}

/// Bytes that are no connection's state.
#[derive(Debug, thiserror::Error)]
#[error("what is known of a connection can't be read: {0}")]
pub struct Unreadable(Error);

impl Passed {
    pub(crate) fn new(socket: OwnedFd, state: ConnectionState) -> Self {
        Self { socket, state }
    }

    pub(crate) fn into_parts(self) -> (OwnedFd, ConnectionState) {
        (self.socket, self.state)
    }

    /// What is known of it, for [`Passed::read`]. Cost: a copy of what it has sent and is to be
    /// sent.
    pub fn archive(&self) -> AlignedVec<16> {
        rkyv::api::high::to_bytes_in::<_, Error>(&self.state, AlignedVec::new())
            .expect("archiving plain data into memory can't fail")
    }

    /// A connection that another process has passed on.
    ///
    /// # Errors
    /// The bytes, which are to begin at a multiple of 16, are no state.
    pub fn read(socket: OwnedFd, archive: &[u8]) -> Result<Self, Unreadable> {
        let state = rkyv::from_bytes::<ConnectionState, Error>(archive).map_err(Unreadable)?;
        Ok(Self { socket, state })
    }
}

impl AsFd for Passed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// How far a connection has come, of those that are passed on.
#[derive(Archive, Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) enum Stage {
    /// Nothing but (part of) Hello has been read.
    Hello,
    /// Requests are read and answered. That the peer has closed its side is found again.
    Open,
    /// The peer broke the protocol, and is told so.
    Refused,
    /// All is said, and our side is closed.
    Lingering,
}

/// What is known of a connection.
#[derive(Archive, Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct ConnectionState {
    pub(crate) stage: Stage,
    pub(crate) is_silent: bool,
    pub(crate) has_said_last: bool,
    /// What has arrived and was not handled.
    pub(crate) input: Vec<u8>,
    /// What is to be sent.
    pub(crate) unsent: Vec<u8>,
    /// What one of another protocol has under way.
    pub(crate) exchange: Option<ExchangeState>,
}

/// What a connection of another protocol has under way. Of requests, none but one whose reply has
/// several parts.
#[derive(Archive, Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct ExchangeState {
    pub(crate) next: u64,
    pub(crate) due: u64,
    pub(crate) manner: u32,
    /// Replies that came before their turn, by the numbers of their requests.
    pub(crate) early: Vec<(u64, Vec<u8>)>,
    pub(crate) gathered: Vec<u8>,
    pub(crate) asked: Vec<u8>,
    pub(crate) follow_up: Option<FollowUpState>,
}

/// The request for the next part of a reply.
#[derive(Archive, Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct FollowUpState {
    pub(crate) number: u64,
    pub(crate) opcode: u8,
    pub(crate) manner: u32,
    pub(crate) payload: Vec<u8>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_known_of_a_connection_comes_out_again_and_damage_is_refused() {
        let follow_up = FollowUpState { number: 6, opcode: 7, manner: 8, payload: vec![9; 33] };
        let exchange = ExchangeState {
            next: 1,
            due: 2,
            manner: 3,
            early: vec![(4, vec![5])],
            gathered: vec![1, 2],
            asked: vec![],
            follow_up: Some(follow_up),
        };
        let state = ConnectionState {
            stage: Stage::Open,
            is_silent: false,
            has_said_last: true,
            input: vec![1; 1000],
            unsent: vec![2; 70],
            exchange: Some(exchange),
        };
        let descriptor = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let archive = Passed::new(descriptor(), state.clone()).archive();
        let read = Passed::read(descriptor(), &archive).unwrap();
        assert_eq!(read.into_parts().1, state);
        for len in [0, 1, archive.len() - 16] {
            assert!(Passed::read(descriptor(), &archive[..len]).is_err(), "{len}");
        }
    }
}
