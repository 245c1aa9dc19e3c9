//! The state of a core's connections, apart from the service that answers them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_runtime::{Core, ListenerId, Outgoing, Socket, TimerId};
use tracing::info;

use crate::budget::OutputBudget;
use crate::connection::{Connection, Waiting};
use crate::connections::Connections;
use crate::counters::Counters;
use crate::handshake::HandOver;
use crate::in_flight::InFlight;
use crate::input::InputPool;
use crate::limits::Limits;
use crate::log_limit::LogLimit;
use crate::pools::Pools;
use crate::service::ReplyTo;
use crate::silence::Silent;
use crate::translator::{Loads, Translator};
use crate::waiting::WaitingList;

pub(crate) const HOUSEKEEPING: TimerId = TimerId(0);
pub(crate) const DEADLINES: TimerId = TimerId(1);

/// Log lines that clients of one core can cause in a second.
const CLIENT_LINES: u32 = 5;
/// What cores send each other.
pub enum Envelope<M> {
    /// A connection that asked for this core.
    HandOver(HandOver),
    /// The service's own.
    Service(M),
}

/// Which protocol a connection speaks, by the port that it came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ports {
    Native,
    /// From this listener's number on the translator's.
    TranslatedFrom(ListenerId),
    /// Either, as its first bytes tell.
    Either,
}

impl Ports {
    pub(crate) fn is_translated(self, listener: ListenerId) -> bool {
        matches!(self, Self::TranslatedFrom(first) if listener.0 >= first.0)
    }
}

/// The state of connections, apart from the service so that both can be borrowed at once.
pub(crate) struct Io {
    pub(crate) limits: Limits,
    pub(crate) connections: Connections,
    pub(crate) in_flight: InFlight,
    pub(crate) inputs: InputPool,
    pub(crate) pools: Pools,
    /// Of the connections that speak another protocol; `None` where there are none, and while it is
    /// at work.
    pub(crate) translator: Option<Box<dyn Translator>>,
    pub(crate) ports: Ports,
    /// How many connections each core has, where there is a translator.
    pub(crate) loads: Option<Arc<Loads>>,
    pub(crate) output_budget: OutputBudget,
    pub(crate) counters: Counters,
    pub(crate) log_limit: LogLimit,
    pub(crate) silent: Silent,
    /// Connections with output to send.
    dirty: Vec<usize>,
    pub(crate) waiting: WaitingList,
    pub(crate) expired: Vec<ReplyTo>,
    /// When a drain, if one is under way, waits no longer for clients to read.
    pub(crate) drain_end: Option<Instant>,
    /// When the housekeeping timer is due, and how far ahead it is set.
    pub(crate) next_look: Option<Instant>,
    pub(crate) period: Duration,
}

impl Io {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            period: limits.look_period(),
            output_budget: OutputBudget::new(&limits),
            limits,
            connections: Connections::default(),
            in_flight: InFlight::default(),
            inputs: InputPool::default(),
            pools: Pools::default(),
            translator: None,
            ports: Ports::Native,
            loads: None,
            counters: Counters::default(),
            log_limit: LogLimit::new(CLIENT_LINES),
            silent: Silent::default(),
            dirty: Vec::new(),
            waiting: WaitingList::default(),
            expired: Vec::new(),
            drain_end: None,
            next_look: None,
        }
    }

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
        let Some(connection) = self.connections.get_mut(index) else { return };
        let output = connection.output.get_or_insert_with(|| core.outgoing());
        let before = output.copied();
        append(output);
        self.output_budget.add(output.copied() - before);
        let is_within_share = output.len() < self.limits.max_output;
        let is_sending = connection.sending > 0;
        if let Some(nothing) = connection.output.take_if(|output| output.is_empty()) {
            return core.recycle(nothing);
        }
        if is_within_share || !self.output_budget.is_full() {
            return self.mark(index);
        }
        if is_sending { self.close_unread(core, index) } else { self.send(core, index) }
    }

    /// Closes a connection whose replies wait unread while all together hold too much.
    pub(crate) fn close_unread<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize) {
        let Some(peer) = self.connections.get(index).map(|connection| connection.peer) else { return };
        self.counters.closed_unread += 1;
        if let Some(left_out) = self.log_limit.admit(core.now()) {
            let held = self.output_budget.held();
            info!(%peer, held, left_out, "a client does not read its replies while too many wait for others: closed");
        }
        self.drop_connection(core, index);
    }

    /// Sends a connection's output, unless a send is under way: then its end will.
    pub(crate) fn send<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize) {
        let Some(connection) = self.connections.get_mut(index).filter(|connection| connection.sending == 0) else {
            return;
        };
        let Some(output) = connection.output.take() else { return };
        connection.sending = output.len();
        connection.sending_copied = output.copied();
        connection.sent = core.now();
        core.send(connection.socket, output);
    }

    /// Notes that a connection has something to send.
    pub(crate) fn mark(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push(index);
        }
    }

    /// Whether a connection has something to send.
    pub(crate) fn has_output(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Sends what a connection has gathered; `false` where none has anything.
    pub(crate) fn send_next<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>) -> bool {
        let Some(index) = self.dirty.pop() else { return false };
        if let Some(connection) = self.connections.get_mut(index) {
            connection.dirty = false;
            self.send(core, index);
        }
        true
    }

    /// A reply or a send of the connection is done: where it waited for that, it is tried again at
    /// the end of the turn.
    pub(crate) fn make_room(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index)
            && (connection.waiting == Waiting::Room || connection.waiting == Waiting::Turn && connection.in_flight == 0)
        {
            connection.waiting = Waiting::Again;
            self.waiting.again(index);
        }
    }

    /// Has a connection tried again at the end of the turn that waits for no other reason than its
    /// own.
    pub(crate) fn try_again(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index)
            && connection.waiting != Waiting::Again
        {
            debug_assert_ne!(connection.waiting, Waiting::Service, "it has offered nothing");
            connection.waiting = Waiting::Again;
            self.waiting.again(index);
        }
    }

    pub(crate) fn has_retries(&self) -> bool {
        self.waiting.is_to_be_tried()
    }

    /// The connection of a socket; `None` where it is not ours any more.
    pub(crate) fn get(&mut self, socket: Socket) -> Option<&mut Connection> {
        self.connections.of(socket)
    }

    /// A connection has come, which has said nothing yet.
    pub(crate) fn note_silent(&mut self, index: usize, serial: u64) {
        self.silent.tidy(&self.connections);
        self.silent.add(index, serial);
    }

    /// It has spoken.
    pub(crate) fn note_spoken(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index)
            && std::mem::take(&mut connection.is_silent)
        {
            self.silent.left();
        }
    }
}
