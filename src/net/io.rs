//! The connections of a core, apart from the service that answers them.
//!
//! It calls nothing above it: what only the service can do it leaves to the front (`front.rs`),
//! which asks here what is to be done.

mod arriving;
mod closing;
mod housekeeping;
mod messages;
mod receiving;
mod replies;
mod sending;
mod wording;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_runtime::{ListenerId, Socket, TimerId};
use sutra_wire::Counter;

use crate::budget::OutputBudget;
use crate::connection::Connection;
use crate::counters::Counters;
use crate::in_flight::{InFlight, ReplyTo};
use crate::input::InputPool;
use crate::limits::Limits;
use crate::loads::Loads;
use crate::log_limit::LogLimit;
use crate::pools::Pools;
use crate::silence::Silent;
use crate::slots::Slots;
use crate::translator::Translator;
use crate::waiting::WaitingList;

pub(crate) use messages::{Incoming, Next, Refusal};
pub(crate) use receiving::Readiness;
pub use replies::PartSent;

pub(crate) const HOUSEKEEPING: TimerId = TimerId(0);
pub(crate) const DEADLINES: TimerId = TimerId(1);

/// Log lines that clients of one core can cause in a second.
const CLIENT_LINES: u32 = 5;

/// Which protocol a connection speaks, by the port that it came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ports {
    Native,
    /// Listeners from this number on are the translator's; those before are native.
    TranslatedFrom(ListenerId),
    /// Either, as its first bytes tell.
    Either,
}

/// The state of connections, apart from the service so that both can be borrowed at once.
pub(crate) struct Io {
    limits: Limits,
    connections: Slots,
    in_flight: InFlight,
    inputs: InputPool,
    pools: Pools,
    /// Of the connections that speak another protocol; `None` where there are none, and while it is
    /// at work.
    translator: Option<Box<dyn Translator>>,
    ports: Ports,
    /// How many connections each core has, where there is a translator.
    loads: Option<Arc<Loads>>,
    output_budget: OutputBudget,
    counters: Counters,
    log_limit: LogLimit,
    silent: Silent,
    /// Slots of connections with something to send.
    marked: Vec<usize>,
    waiting: WaitingList,
    /// Empty, kept for its memory.
    expired: Vec<ReplyTo>,
    /// When a drain, if one is under way, waits no longer for clients to read.
    drain_end: Option<Instant>,
    /// When the housekeeping timer is due, and how far ahead it is set.
    next_look: Option<Instant>,
    period: Duration,
}

impl Io {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            period: limits.look_period(),
            output_budget: OutputBudget::new(&limits),
            limits,
            connections: Slots::default(),
            in_flight: InFlight::default(),
            inputs: InputPool::default(),
            pools: Pools::default(),
            translator: None,
            ports: Ports::Native,
            loads: None,
            counters: Counters::default(),
            log_limit: LogLimit::new(CLIENT_LINES),
            silent: Silent::default(),
            marked: Vec::new(),
            waiting: WaitingList::default(),
            expired: Vec::new(),
            drain_end: None,
            next_look: None,
        }
    }

    /// Has connections of some ports speak another protocol. `loads` is shared by all cores.
    pub(crate) fn translate(&mut self, translator: Box<dyn Translator>, ports: Ports, loads: Arc<Loads>) {
        self.translator = Some(translator);
        self.ports = ports;
        self.loads = Some(loads);
    }

    /// Whether connections from this listener speak another protocol.
    pub(crate) fn is_translated(&self, listener: ListenerId) -> bool {
        matches!(self.ports, Ports::TranslatedFrom(first) if listener.0 >= first.0)
    }

    /// Whether a connection's first bytes tell its protocol.
    pub(crate) fn speaks_either(&self) -> bool {
        self.ports == Ports::Either
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The connection in a slot.
    pub(crate) fn get(&self, index: usize) -> Option<&Connection> {
        self.connections.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Connection> {
        self.connections.get_mut(index)
    }

    /// The connection of a socket; `None` where it is not ours any more.
    pub(crate) fn of(&mut self, socket: Socket) -> Option<&mut Connection> {
        self.connections.of(socket)
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> u64 {
        self.counters.connections()
    }

    /// Whether the process was asked to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.drain_end.is_some()
    }

    pub(crate) fn pools(&mut self) -> &mut Pools {
        &mut self.pools
    }

    /// Adds this core's counts to `out`.
    pub(crate) fn report(&self, out: &mut Vec<Counter>) {
        self.counters.report(out);
        for (name, value) in [
            ("requests_in_flight", self.in_flight.len()),
            ("input_held_bytes", self.inputs.held()),
            ("output_held_bytes", self.output_budget.held()),
        ] {
            out.push(Counter { name: name.into(), value: value as u64 });
        }
    }
}
