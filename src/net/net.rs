//! A core's connections and the service behind them, as the handler that the runtime's loop calls.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_runtime::{Core, Event, Handler, Next, Outgoing, Socket, Stage, TimerId};
use sutra_wire::FrameBuffer;
use tracing::{debug, info};

use crate::connection::{Connection, Phase, Waiting};
use crate::context::{Context, DEADLINES, HOUSEKEEPING, SERVICE};
use crate::counters::Counters;
use crate::handshake::HandOver;
use crate::housekeeping;
use crate::in_flight::InFlight;
use crate::input::InputPool;
use crate::limits::Limits;
use crate::log_limit::LogLimit;
use crate::service::{ReplyTo, Service};
use crate::silence::Silent;
use crate::translator::{Loads, Translator};
use crate::waiting::WaitingList;

/// Log lines that clients of one core can cause in a second.
const CLIENT_LINES: u32 = 5;
/// Largest buffer kept for the next archived reply.
const SCRATCH_BYTES: usize = 256 << 10;
/// Largest aligned buffer kept for the next request that travels, and how many are kept.
const POOLED_BYTES: usize = 64 << 10;
const POOLED_BUFFERS: usize = 1024;
/// What a connection may have gathered while all together hold too much: a client that reads what
/// it asks for hardly ever has more.
const SCARCE_OUTPUT: usize = 16 << 10;

/// The first number of listeners whose connections speak the translator's protocol.
pub const TRANSLATED: u8 = 128;

/// What cores send each other.
pub enum Envelope<M> {
    /// A connection that asked for this core.
    HandOver(HandOver),
    /// The service's own.
    Service(M),
}

/// The state of connections, apart from the service so that both can be borrowed at once.
pub(crate) struct Io {
    pub(crate) limits: Limits,
    /// By the runtime's socket slot.
    pub(crate) connections: Vec<Option<Connection>>,
    pub(crate) in_flight: InFlight,
    pub(crate) inputs: InputPool,
    pub(crate) buffers: Vec<FrameBuffer>,
    /// Of the connections that speak another protocol; `None` where there are none, and while it is
    /// at work.
    pub(crate) translator: Option<Box<dyn Translator>>,
    /// Pooled buffers for its messages.
    pub(crate) messages: Vec<Vec<u8>>,
    /// Whether every port takes either protocol.
    pub(crate) speaks_either: bool,
    /// How many connections each core has, where there is a translator.
    pub(crate) loads: Option<Arc<Loads>>,
    /// Reply bytes in memory of their own that are gathered or with the kernel, of all connections.
    pub(crate) output_held: usize,
    pub(crate) scratch: FrameBuffer,
    pub(crate) counters: Counters,
    pub(crate) log_limit: LogLimit,
    pub(crate) silent: Silent,
    /// Connections with output to send.
    dirty: Vec<usize>,
    pub(crate) waiting: WaitingList,
    /// Whether the service has room for those that wait for it.
    pub(crate) resume: bool,
    /// Connections that wait for nothing any more ([`Waiting::Again`]).
    pub(crate) retry: Vec<usize>,
    pub(crate) expired: Vec<ReplyTo>,
    /// When a drain, if one is under way, waits no longer for clients to read.
    pub(crate) drain_end: Option<Instant>,
    pub(crate) next_serial: u64,
    /// When the housekeeping timer is due, and how far ahead it is set.
    pub(crate) next_look: Option<Instant>,
    pub(crate) period: Duration,
}

impl Io {
    /// Adds a reply to what a connection sends next.
    ///
    /// Replies that come late, from other cores or the disk, can't be held back as requests can.
    /// Where all connections together hold too much, one that has more than its share waiting for
    /// it and does not read it is closed.
    pub(crate) fn gather<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        append: impl FnOnce(&mut Outgoing),
    ) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        let output = connection.output.get_or_insert_with(|| core.outgoing());
        let before = output.copied();
        append(output);
        self.output_held += output.copied() - before;
        let is_within_share = output.len() < self.limits.max_output;
        let is_sending = connection.sending > 0;
        if let Some(nothing) = connection.output.take_if(|output| output.is_empty()) {
            return core.recycle(nothing);
        }
        if is_within_share || !self.is_output_full() {
            return self.mark(index);
        }
        if is_sending { self.close_unread(core, index) } else { self.send(core, index) }
    }

    /// Closes a connection whose replies wait unread while all together hold too much.
    pub(crate) fn close_unread<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize) {
        let Some(peer) = self.connections[index].as_ref().map(|connection| connection.peer) else { return };
        self.counters.closed_unread += 1;
        if let Some(left_out) = self.log_limit.admit(core.now()) {
            let held = self.output_held;
            info!(%peer, held, left_out, "a client does not read its replies while too many wait for others: closed");
        }
        self.drop_connection(core, index);
    }

    /// Sends a connection's output, unless a send is under way: then its end will.
    pub(crate) fn send<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize) {
        let Some(connection) = self.connections[index].as_mut().filter(|connection| connection.sending == 0) else {
            return;
        };
        let Some(output) = connection.output.take() else { return };
        connection.sending = output.len();
        connection.sending_copied = output.copied();
        connection.sent = core.now();
        core.send(connection.socket, output);
    }

    /// Whether replies that nobody has read take up all that they may on this core.
    pub(crate) fn is_output_full(&self) -> bool {
        self.output_held >= self.limits.max_output_held
    }

    /// How many reply bytes may wait for a connection before its requests do: less while all
    /// together hold too much.
    pub(crate) fn output_share(&self) -> usize {
        if self.is_output_full() { self.limits.max_output.min(SCARCE_OUTPUT) } else { self.limits.max_output }
    }

    /// Notes that a connection has something to send.
    pub(crate) fn mark(&mut self, index: usize) {
        if let Some(connection) = self.connections[index].as_mut()
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push(index);
        }
    }

    /// A reply or a send of the connection is done: where it waited for that, it is tried again at
    /// the end of the turn.
    pub(crate) fn make_room(&mut self, index: usize) {
        if let Some(connection) = self.connections[index].as_mut()
            && (connection.waiting == Waiting::Room || connection.waiting == Waiting::Turn && connection.in_flight == 0)
        {
            connection.waiting = Waiting::Again;
            self.retry.push(index);
        }
    }

    /// Has a connection tried again at the end of the turn that waits for no other reason than its
    /// own.
    pub(crate) fn try_again(&mut self, index: usize) {
        if let Some(connection) = self.connections[index].as_mut()
            && connection.waiting != Waiting::Again
        {
            debug_assert_ne!(connection.waiting, Waiting::Service, "it has offered nothing");
            connection.waiting = Waiting::Again;
            self.retry.push(index);
        }
    }

    /// Gives an aligned buffer back to the pool.
    pub(crate) fn give_back(&mut self, mut buffer: FrameBuffer) {
        if buffer.capacity() <= POOLED_BYTES && self.buffers.len() < POOLED_BUFFERS {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    fn has_retries(&self) -> bool {
        self.resume || !self.retry.is_empty() || self.waiting.is_being_tried()
    }

    pub(crate) fn keep_scratch(&mut self, scratch: FrameBuffer) {
        if scratch.capacity() <= SCRATCH_BYTES {
            self.scratch = scratch;
        }
    }

    /// The connection of a socket; `None` where it is not ours any more.
    pub(crate) fn get(&mut self, socket: Socket) -> Option<&mut Connection> {
        self.connections.get_mut(socket.index())?.as_mut().filter(|connection| connection.socket == socket)
    }
}

/// One core's front: its connections and its part of the service.
pub struct Net<S: Service> {
    pub(crate) service: S,
    pub(crate) io: Io,
}

impl<S: Service> Net<S> {
    /// A front for `service`.
    pub fn new(service: S, limits: Limits) -> Self {
        let io = Io {
            period: housekeeping::period(&limits),
            limits,
            connections: Vec::new(),
            in_flight: InFlight::default(),
            inputs: InputPool::default(),
            buffers: Vec::new(),
            translator: None,
            messages: Vec::new(),
            speaks_either: false,
            loads: None,
            output_held: 0,
            scratch: FrameBuffer::new(),
            counters: Counters::default(),
            log_limit: LogLimit::new(CLIENT_LINES),
            silent: Silent::default(),
            dirty: Vec::new(),
            waiting: WaitingList::default(),
            resume: false,
            retry: Vec::new(),
            expired: Vec::new(),
            drain_end: None,
            next_serial: 0,
            next_look: None,
        };
        Self { service, io }
    }

    /// Has connections from listeners numbered [`TRANSLATED`] and above speak another protocol.
    /// `loads` is shared by all cores: such a connection goes to the core that has the fewest.
    pub fn with_translator(mut self, translator: Box<dyn Translator>, loads: Arc<Loads>) -> Self {
        self.io.translator = Some(translator);
        self.io.loads = Some(loads);
        self
    }

    /// Has every port, whatever its number, speak either protocol: a connection whose first bytes
    /// begin no native frame is the translator's. Such a connection stays on the core that accepted
    /// it, and has as long for its first two bytes as others for their Hello.
    pub fn speaking_either(mut self) -> Self {
        debug_assert!(self.io.translator.is_some(), "there is a translator to speak the other one");
        self.io.speaks_either = true;
        self
    }

    /// Sends what was gathered this turn: one send a connection.
    fn flush(&mut self, core: &mut Core<Envelope<S::Message>>) {
        if self.io.dirty.is_empty() {
            return;
        }
        self.keep_house(core);
        while let Some(index) = self.io.dirty.pop() {
            if let Some(connection) = self.io.connections[index].as_mut() {
                connection.dirty = false;
                self.io.send(core, index);
            }
        }
    }

    fn sent(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        socket: Socket,
        outgoing: Box<Outgoing>,
        result: io::Result<()>,
    ) {
        core.recycle(outgoing);
        let now = core.now();
        let index = socket.index();
        let Some(connection) = self.io.get(socket) else { return };
        if let Err(error) = result {
            debug!(peer = %connection.peer, %error, "connection lost");
            return self.drop_connection(core, index);
        }
        connection.sending = 0;
        let copied = std::mem::take(&mut connection.sending_copied);
        connection.sent = now;
        connection.said_last |= matches!(connection.phase, Phase::Ending | Phase::Refused);
        let is_more_gathered = connection.output.is_some();
        self.io.output_held -= copied;
        self.io.make_room(index);
        if is_more_gathered {
            self.io.mark(index);
        } else {
            self.finish(core, index);
        }
    }
}

impl<S: Service> Handler for Net<S> {
    type Message = Envelope<S::Message>;

    fn event(&mut self, core: &mut Core<Self::Message>, event: Event<'_>) {
        match event {
            Event::Accepted { listener, socket, peer } if listener.0 >= TRANSLATED && !self.io.speaks_either => {
                self.accepted_translated(core, socket, peer);
            }
            Event::Accepted { socket, peer, .. } => self.accepted(core, socket, peer),
            Event::Received { socket, bytes } => self.received(core, socket, bytes),
            Event::ReceiveEnded { socket, reason } => self.receive_ended(core, socket, reason),
            Event::Sent { socket, outgoing, result } => self.sent(core, socket, outgoing, result),
            Event::Written { token, result } => {
                core.enter_stage(Stage::LookUp);
                let mut cx = Context { io: &mut self.io, core };
                self.service.written(&mut cx, token, result);
            }
            Event::Closed { .. } => {}
        }
    }

    fn message(&mut self, core: &mut Core<Self::Message>, from: usize, message: Self::Message) {
        match message {
            Envelope::HandOver(hand_over) => self.take_over(core, hand_over),
            Envelope::Service(message) => {
                core.enter_stage(Stage::LookUp);
                let mut cx = Context { io: &mut self.io, core };
                self.service.message(&mut cx, from, message);
            }
        }
    }

    fn timer(&mut self, core: &mut Core<Self::Message>, timer: TimerId) {
        match timer {
            HOUSEKEEPING => self.housekeeping(core),
            DEADLINES => self.deadlines(core),
            TimerId(number) => {
                let mut cx = Context { io: &mut self.io, core };
                self.service.timer(&mut cx, number.wrapping_sub(SERVICE));
            }
        }
    }

    fn turn_end(&mut self, core: &mut Core<Self::Message>) -> Next {
        if self.io.has_retries() {
            self.retry(core);
        }
        core.enter_stage(Stage::LookUp);
        let next = self.service.turn_end(&mut Context { io: &mut self.io, core });
        core.enter_stage(Stage::Send);
        self.flush(core);
        core.enter_stage(Stage::Other);
        core.set_timer(DEADLINES, self.io.in_flight.next_sweep(self.io.waiting.len()));
        if self.io.has_retries() { Next::Again } else { next }
    }

    fn shutdown(&mut self, core: &mut Core<Self::Message>) {
        self.drain(core);
    }

    fn drained(&self) -> bool {
        self.io.counters.connections == 0 && self.service.is_idle()
    }
}
