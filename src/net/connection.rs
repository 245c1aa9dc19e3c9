//! What a core knows of one connection. Small while nothing is under way: no buffer, a few words.

use std::time::Instant;

use sutra_runtime::{PeerAddr, Socket};

use crate::exchange::Exchange;
use crate::input::{Input, InputPool};
use crate::outbox::{Outbox, Sent};
use crate::passed::{ConnectionState, Stage};
use crate::protocol::Protocol;

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
enum Receiving {
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
    /// No request is begun, as the connection may be passed on to another process.
    Held,
}

/// Names one connection of a core, also when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionId {
    index: usize,
    /// Unlike the slot, never used twice on a core.
    serial: u64,
}

impl ConnectionId {
    pub(crate) fn new(index: usize, serial: u64) -> Self {
        Self { index, serial }
    }

    /// The slot that it has, or had.
    pub(crate) fn index(self) -> usize {
        self.index
    }
}

pub(crate) struct Connection {
    id: ConnectionId,
    socket: Socket,
    peer: PeerAddr,
    phase: Phase,
    receiving: Receiving,
    waiting: Waiting,
    /// The deadline of the request that waits for the service.
    waits_until: Option<Instant>,
    /// Whether something was sent since it began to end, which closing at once could destroy on its
    /// way.
    has_said_last: bool,
    /// Whether it has said nothing yet (`silence`).
    is_silent: bool,
    /// Whether it is on its way to another process.
    is_withdrawn: bool,
    input: Input,
    protocol: Protocol,
    outbox: Outbox,
    /// Requests without an answer.
    in_flight: u32,
    /// When bytes last arrived: everything in `input` was here by then.
    received: Instant,
    /// When the peer began what it has to finish: its Hello, a frame, the end of its side.
    began: Instant,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, socket: Socket, peer: PeerAddr, now: Instant) -> Self {
        Self {
            id,
            socket,
            peer,
            phase: Phase::Hello,
            receiving: Receiving::Off,
            waiting: Waiting::No,
            waits_until: None,
            has_said_last: false,
            is_silent: true,
            is_withdrawn: false,
            input: Input::default(),
            protocol: Protocol::Native,
            outbox: Outbox::new(now),
            in_flight: 0,
            received: now,
            began: now,
        }
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(crate) fn socket(&self) -> Socket {
        self.socket
    }

    pub(crate) fn peer(&self) -> PeerAddr {
        self.peer
    }
}

/// What it speaks.
impl Connection {
    /// It speaks the translator's protocol, from what has arrived on.
    pub(crate) fn speak_translated(&mut self, exchange: Exchange) {
        // What a reply goes on with is still to come.
        self.in_flight += u32::from(exchange.has_follow_up());
        self.protocol = Protocol::Translated(Box::new(exchange));
    }

    pub(crate) fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    pub(crate) fn protocol_mut(&mut self) -> &mut Protocol {
        &mut self.protocol
    }
}

/// How far it has come.
impl Connection {
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// It was greeted, or knows no greeting: requests are read.
    pub(crate) fn open(&mut self) {
        self.phase = Phase::Open;
    }

    /// The peer broke the protocol.
    pub(crate) fn refuse(&mut self, inputs: &mut InputPool) {
        self.phase = Phase::Refused;
        self.input.clear(inputs);
    }

    /// It takes no more requests than have arrived. Returns whether receiving is to be paused.
    pub(crate) fn end(&mut self) -> bool {
        self.phase = Phase::Ending;
        self.pause()
    }

    /// The peer has sent all that it will send. Returns whether nothing is left to be said to it.
    pub(crate) fn peer_closed(&mut self) -> bool {
        self.receiving = Receiving::Over;
        if self.phase == Phase::Open {
            self.phase = Phase::Ending;
        }
        matches!(self.phase, Phase::Hello | Phase::Lingering)
    }

    /// All is said: what still comes is dropped. Receiving is on, also where it was pausing.
    pub(crate) fn linger(&mut self, now: Instant) {
        self.phase = Phase::Lingering;
        self.receiving = Receiving::On;
        self.began = now;
    }

    /// Whether the peer asks nothing more: it has closed its side, or broken the protocol.
    pub(crate) fn has_left(&self) -> bool {
        self.receiving == Receiving::Over || self.phase == Phase::Refused
    }

    /// Whether it may be closed at once: nothing that was said can be destroyed on its way.
    pub(crate) fn can_close(&self) -> bool {
        self.receiving == Receiving::Over || !self.has_said_last
    }

    /// Whether a connection that takes no more requests has answered all that it took.
    pub(crate) fn is_finished(&self) -> bool {
        let takes_no_more = match self.phase {
            Phase::Ending => matches!(self.receiving, Receiving::Off | Receiving::Over),
            Phase::Refused => true,
            Phase::Hello | Phase::Open | Phase::Lingering => false,
        };
        takes_no_more && self.in_flight == 0 && self.waiting == Waiting::No && self.outbox.is_done()
    }

    /// Whether it has said nothing yet.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// It has spoken. Returns whether it had not before.
    pub(crate) fn note_spoken(&mut self) -> bool {
        std::mem::take(&mut self.is_silent)
    }
}

/// What it receives.
impl Connection {
    /// Receives again where that is wanted. Returns whether it did not before.
    pub(crate) fn listen(&mut self) -> bool {
        let is_wanted = self.phase == Phase::Open && self.waiting == Waiting::No;
        let begins = self.receiving == Receiving::Off && is_wanted;
        if begins {
            self.receiving = Receiving::On;
        }
        begins
    }

    /// Reads no further. Returns whether the runtime is to be told.
    fn pause(&mut self) -> bool {
        let is_on = self.receiving == Receiving::On;
        if is_on {
            self.receiving = Receiving::Pausing;
        }
        is_on
    }

    /// The runtime has stopped to receive.
    pub(crate) fn paused(&mut self) {
        self.receiving = Receiving::Off;
    }

    /// Bytes have arrived.
    pub(crate) fn note_received(&mut self, now: Instant) {
        self.received = now;
    }

    /// When bytes last arrived.
    pub(crate) fn received(&self) -> Instant {
        self.received
    }

    /// What has arrived and was not handled yet.
    pub(crate) fn input(&mut self) -> &mut Input {
        &mut self.input
    }

    pub(crate) fn input_bytes(&self) -> &[u8] {
        self.input.bytes()
    }

    /// Keeps what was not handled; gives it back where nothing more is taken.
    pub(crate) fn keep(&mut self, input: Input) -> Result<(), Input> {
        if !matches!(self.phase, Phase::Open | Phase::Ending) {
            return Err(input);
        }
        self.input = input;
        Ok(())
    }

    /// The peer begins something that it has to finish.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.began = now;
    }

    /// When it began that.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Whether the peer has sent the beginning of a frame, and it is the peer's turn to send the
    /// rest.
    pub(crate) fn has_half_a_frame(&self) -> bool {
        self.phase == Phase::Open && self.waiting == Waiting::No && !self.input.is_empty()
    }
}

/// What it waits for.
impl Connection {
    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// Takes no further request until there is room. Returns whether receiving is to be paused.
    pub(crate) fn wait(&mut self, waiting: Waiting) -> bool {
        self.waiting = waiting;
        self.pause()
    }

    /// It waits no longer. Returns for what it did.
    pub(crate) fn wait_no_longer(&mut self) -> Waiting {
        std::mem::replace(&mut self.waiting, Waiting::No)
    }

    /// It is to be tried again. Returns whether that is new.
    pub(crate) fn try_again(&mut self) -> bool {
        std::mem::replace(&mut self.waiting, Waiting::Again) != Waiting::Again
    }

    /// A reply or a send is done: whether what it waits for is there.
    pub(crate) fn has_room(&self) -> bool {
        match self.waiting {
            Waiting::Room => true,
            Waiting::Turn => self.in_flight == 0,
            Waiting::No | Waiting::Again | Waiting::Service | Waiting::Held => false,
        }
    }

    /// The deadline of the request that waits for the service.
    pub(crate) fn waits_until(&self) -> Option<Instant> {
        self.waits_until
    }
}

/// What it has asked, and what it is told.
impl Connection {
    /// Requests without an answer.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// A request is offered to the service.
    pub(crate) fn ask(&mut self) {
        self.in_flight += 1;
    }

    /// A request was answered.
    pub(crate) fn answered(&mut self) {
        self.in_flight -= 1;
    }

    /// The service did not take the request, which has this deadline.
    pub(crate) fn take_back(&mut self, deadline: Option<Instant>) {
        self.in_flight -= 1;
        self.waits_until = deadline;
    }

    /// What it has to send.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(crate) fn outbox_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// A send has ended.
    pub(crate) fn sent(&mut self, now: Instant) -> Sent {
        self.has_said_last |= matches!(self.phase, Phase::Ending | Phase::Refused);
        self.outbox.sent(now)
    }
}

/// How it goes from one process to the next.
impl Connection {
    /// It is withdrawn from here. Returns whether that is new.
    pub(crate) fn withdraw(&mut self) -> bool {
        !std::mem::replace(&mut self.is_withdrawn, true)
    }

    /// What the next process has to know, with what is to be sent.
    pub(crate) fn pass_on(mut self, unsent: Vec<u8>, inputs: &mut InputPool) -> ConnectionState {
        let stage = match self.phase {
            Phase::Hello => Stage::Hello,
            Phase::Open | Phase::Ending => Stage::Open,
            Phase::Refused => Stage::Refused,
            Phase::Lingering => Stage::Lingering,
        };
        let input = self.input.bytes().to_vec();
        self.input.clear(inputs);
        let exchange = self.protocol.exchange().map(|exchange| std::mem::take(exchange).pass_on());
        let Self { is_silent, has_said_last, .. } = self;
        ConnectionState { stage, is_silent, has_said_last, input, unsent, exchange }
    }

    /// Goes on as one whose peer broke the protocol. Receiving is on.
    pub(crate) fn refuse_on(&mut self, has_said_last: bool) {
        self.phase = Phase::Refused;
        self.receiving = Receiving::On;
        self.has_said_last = has_said_last;
    }
}
