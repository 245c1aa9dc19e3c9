//! What a core knows of one connection. Small while nothing is under way: no buffer, a few words.

use std::time::Instant;

use sutra_runtime::{Outgoing, PeerAddr, Socket};

use crate::input::Input;
use crate::translator::Exchange;

/// How far a connection has come. Only ever goes on to a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing but (part of) Hello has been read.
    Hello,
    /// Requests are read and answered.
    Open,
    /// The peer sends no more, or the server drains: what has arrived is answered, then the
    /// connection is closed.
    Ending,
    /// The peer broke the protocol: what it sends is dropped; what it asked before, and its error,
    /// are answered.
    Refused,
    /// All is said and our side is closed: what the peer still sends is dropped until it closes its
    /// side.
    Lingering,
}

/// What the runtime is doing with the receiving side once Hello has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {
    Off,
    On,
    /// Bytes that had arrived may still come, then the runtime says that it is off.
    Pausing,
    /// The peer has sent all that it will send.
    Over,
}

/// Why the next request, which lies in `input`, is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    No,
    /// The connection has too much unanswered or unsent; its next reply or send makes room.
    Room,
    /// There is room again: it is on the core's list for the end of this turn.
    Again,
    /// Its requests of the other kind must be answered first ([`crate::Overlap`]).
    Turn,
    /// The service has no room; it is on the core's list until the service resumes.
    Service,
}

/// What a connection speaks.
pub(crate) enum Protocol {
    Native,
    /// The translator's; what it has under way.
    Translated(Box<Exchange>),
}

pub(crate) struct Connection {
    pub(crate) socket: Socket,
    /// Unlike the slot, never used twice on a core.
    pub(crate) serial: u64,
    pub(crate) peer: PeerAddr,
    pub(crate) phase: Phase,
    pub(crate) receiving: Receiving,
    pub(crate) waiting: Waiting,
    /// The deadline of the request that waits for the service.
    pub(crate) waits_until: Option<Instant>,
    /// Whether something was sent since it began to end, which closing at once could destroy on its
    /// way.
    pub(crate) said_last: bool,
    /// Whether it has said nothing yet (`silence`).
    pub(crate) is_silent: bool,
    /// Whether it is on the core's list of connections with output to send.
    pub(crate) dirty: bool,
    pub(crate) input: Input,
    pub(crate) protocol: Protocol,
    /// Replies gathered for the next send; never empty. Where there are some, it is dirty or
    /// sending.
    pub(crate) output: Option<Box<Outgoing>>,
    /// Bytes of the send that is with the kernel, 0 for none.
    pub(crate) sending: usize,
    /// What of them is memory of its own, and not the service's.
    pub(crate) sending_copied: usize,
    pub(crate) in_flight: u32,
    /// When bytes last arrived: everything in `input` was here by then.
    pub(crate) received: Instant,
    /// When a send last began or ended.
    pub(crate) sent: Instant,
    /// When that began which the peer is to finish: its Hello, a frame, the end of its side.
    pub(crate) began: Instant,
}

impl Connection {
    pub(crate) fn new(socket: Socket, serial: u64, peer: PeerAddr, phase: Phase, now: Instant) -> Self {
        Self {
            socket,
            serial,
            peer,
            phase,
            receiving: Receiving::Off,
            waiting: Waiting::No,
            waits_until: None,
            said_last: false,
            is_silent: true,
            dirty: false,
            input: Input::default(),
            protocol: Protocol::Native,
            output: None,
            sending: 0,
            sending_copied: 0,
            in_flight: 0,
            received: now,
            sent: now,
            began: now,
        }
    }

    /// What it has under way, where it speaks the translator's protocol.
    pub(crate) fn exchange(&mut self) -> Option<&mut Exchange> {
        match &mut self.protocol {
            Protocol::Native => None,
            Protocol::Translated(exchange) => Some(exchange),
        }
    }

    pub(crate) fn is_native(&self) -> bool {
        matches!(self.protocol, Protocol::Native)
    }

    /// Bytes of replies that are kept until those before them have left.
    pub(crate) fn held(&self) -> usize {
        match &self.protocol {
            Protocol::Native => 0,
            Protocol::Translated(exchange) => exchange.held(),
        }
    }

    /// Bytes gathered and not yet on their way.
    pub(crate) fn output_bytes(&self) -> usize {
        self.output.as_ref().map_or(0, |output| output.len())
    }

    /// Whether a connection that takes no more requests has answered all that it took.
    pub(crate) fn is_finished(&self) -> bool {
        let takes_no_more = match self.phase {
            Phase::Ending => matches!(self.receiving, Receiving::Off | Receiving::Over),
            Phase::Refused => true,
            Phase::Hello | Phase::Open | Phase::Lingering => false,
        };
        let answered = self.in_flight == 0 && self.waiting == Waiting::No;
        takes_no_more && answered && self.sending == 0 && self.output.is_none()
    }

    /// Whether the peer has sent the beginning of a frame, and it is the peer's turn to send the
    /// rest.
    pub(crate) fn has_half_a_frame(&self) -> bool {
        self.phase == Phase::Open && self.waiting == Waiting::No && !self.input.is_empty()
    }
}
