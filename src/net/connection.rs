//! What a core knows of one connection. Small while nothing is under way: no buffer, a handful of words.

use std::time::Instant;

use sutra_runtime::{Outgoing, PeerAddr, Socket};

use crate::input::Input;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing but (part of) Hello has been read.
    Hello,
    /// Requests are read and answered.
    Open,
    /// No further byte is read: what has arrived is answered, then the connection is closed.
    Ending,
    /// The peer broke the protocol: what it sends is dropped; the connection is closed once its error is on the way.
    Refused,
}

/// What the runtime is doing with the receiving side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {
    Off,
    On,
    Pausing,
}

pub(crate) struct Connection {
    pub(crate) socket: Socket,
    /// Unlike the slot, never used twice on a core.
    pub(crate) serial: u64,
    pub(crate) peer: PeerAddr,
    pub(crate) phase: Phase,
    pub(crate) receiving: Receiving,
    pub(crate) input: Input,
    /// Replies gathered for the next send.
    pub(crate) output: Option<Box<Outgoing>>,
    pub(crate) sending: bool,
    /// Whether it is on the core's list of connections with output to send.
    pub(crate) dirty: bool,
    /// Whether it waits for room before its next request is taken.
    pub(crate) waiting: bool,
    pub(crate) in_flight: u32,
    /// When bytes last moved, either way.
    pub(crate) active: Instant,
}

impl Connection {
    pub(crate) fn new(socket: Socket, serial: u64, peer: PeerAddr, phase: Phase, now: Instant) -> Self {
        Self {
            socket,
            serial,
            peer,
            phase,
            receiving: Receiving::Off,
            input: Input::default(),
            output: None,
            sending: false,
            dirty: false,
            waiting: false,
            in_flight: 0,
            active: now,
        }
    }

    /// Bytes gathered and not yet on their way.
    pub(crate) fn output_bytes(&self) -> usize {
        self.output.as_ref().map_or(0, |output| output.len())
    }

    /// Whether a connection that reads no more has nothing left to do.
    pub(crate) fn is_finished(&self) -> bool {
        let answered = self.phase == Phase::Refused || (self.in_flight == 0 && !self.waiting);
        matches!(self.phase, Phase::Ending | Phase::Refused) && answered && !self.sending && self.output.is_none()
    }

    /// Whether it is the peer's turn to do something that can't take for ever.
    pub(crate) fn is_stalled_by_peer(&self) -> bool {
        self.sending || (!self.input.is_empty() && !self.waiting)
    }
}
