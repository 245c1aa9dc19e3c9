//! The connections of a core, apart from the service that answers them.
//!
//! It calls nothing above it: what only the service can do it leaves to the front (`front.rs`),
//! which asks here what is to be done.

mod arriving;
mod closing;
mod housekeeping;
mod messages;
mod passing;
mod receiving;
mod replies;
mod sending;
mod wording;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_runtime::{Socket, TimerId};
use sutra_wire::Counter;

use crate::census::Census;
use crate::connection::Connection;
use crate::counters::Counters;
use crate::in_flight::InFlight;
use crate::input::InputPool;
use crate::latencies::Latencies;
use crate::limits::Limits;
use crate::loads::Loads;
use crate::log_limit::LogLimit;
use crate::passing::Passing;
use crate::pools::Pools;
use crate::ports::{Ports, Translation};
use crate::slots::Slots;
use crate::slow::{Slow, SlowRequests};
use crate::translator::Translator;
use crate::unsent::Unsent;
use crate::waiting::WaitingList;
use crate::watch::Watch;

pub(crate) use messages::{Incoming, Next, Refusal};
pub(crate) use receiving::Readiness;
pub use replies::PartSent;

pub(crate) const HOUSEKEEPING: TimerId = TimerId(0);
pub(crate) const DEADLINES: TimerId = TimerId(1);

/// Log lines that clients of one core can cause in a second.
const CLIENT_LINES: u32 = 5;

/// The state of connections, apart from the service so that both can be borrowed at once.
pub(crate) struct Io {
    limits: Limits,
    connections: Slots,
    in_flight: InFlight,
    inputs: InputPool,
    pools: Pools,
    translation: Translation,
    census: Census,
    unsent: Unsent,
    counters: Counters,
    latencies: Latencies,
    slow: Slow,
    log_limit: LogLimit,
    waiting: WaitingList,
    watch: Watch,
    passing: Passing,
}

impl Io {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            unsent: Unsent::new(&limits),
            watch: Watch::new(&limits),
            limits,
            connections: Slots::default(),
            in_flight: InFlight::default(),
            inputs: InputPool::default(),
            pools: Pools::default(),
            translation: Translation::default(),
            census: Census::default(),
            counters: Counters::default(),
            latencies: Latencies::default(),
            slow: Slow::new(None),
            log_limit: LogLimit::new(CLIENT_LINES),
            waiting: WaitingList::default(),
            passing: Passing::default(),
        }
    }

    /// Has connections of some ports speak another protocol. `loads` is shared by all cores.
    pub(crate) fn translate(
        &mut self,
        translator: Box<dyn Translator>,
        ports: Ports,
        loads: Arc<Loads>,
    ) {
        self.translation = Translation::new(translator, ports);
        self.census.share(loads);
    }

    /// Keeps the requests that take at least so long.
    pub(crate) fn keep_slow(&mut self, threshold: Option<Duration>) {
        self.slow = Slow::new(threshold);
    }

    pub(crate) fn ports(&self) -> Ports {
        self.translation.ports()
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
        self.watch.is_draining()
    }

    pub(crate) fn pools(&mut self) -> &mut Pools {
        &mut self.pools
    }

    /// How long requests took on this core.
    pub(crate) fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// The requests of this core that took long.
    pub(crate) fn slow_requests(&self) -> SlowRequests {
        self.slow.requests()
    }

    /// The turn ends: what was answered in it is on its way.
    pub(crate) fn turn_ended(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(now) = self.latencies.turn_ended(now) {
            self.slow.turn_ended(now);
        }
    }

    /// Adds this core's counts to `out`.
    pub(crate) fn report(&self, out: &mut Vec<Counter>) {
        self.counters.report(out);
        self.slow.report(out);
        for (name, value) in [
            ("requests_in_flight", self.in_flight.len()),
            ("input_held_bytes", self.inputs.held()),
            ("output_held_bytes", self.unsent.held()),
        ] {
            out.push(Counter { name: name.into(), value: value as u64 });
        }
    }
}
