//! A core's connections and the service behind them, as the handler that the runtime's loop calls.
//!
//! What connections need without the service is below (`io.rs`); here is what calls the service.

mod opening;
mod passing;
mod requests;
mod retries;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sutra_runtime::{Core, Event, Handler, ListenerId, Next, Outgoing, Socket, Stage, TimerId};

use crate::context::Context;
use crate::envelope::Envelope;
use crate::io::{DEADLINES, HOUSEKEEPING, Io};
use crate::limits::Limits;
use crate::loads::Loads;
use crate::names;
use crate::ports::Ports;
use crate::service::Service;
use crate::translator::Translator;

/// One core's front: its connections and its service.
pub struct Front<S: Service> {
    service: S,
    io: Io,
}

impl<S: Service> Front<S> {
    /// A front for `service`.
    pub fn new(service: S, limits: Limits) -> Self {
        Self { service, io: Io::new(limits) }
    }

    /// Has connections from listeners of this number and above speak another protocol. `loads` is
    /// shared by all cores: such a connection goes to the core that has the fewest.
    pub fn with_translator(
        mut self,
        translator: Box<dyn Translator>,
        first_port: ListenerId,
        loads: Arc<Loads>,
    ) -> Self {
        self.io.translate(translator, Ports::TranslatedFrom(first_port), loads);
        self
    }

    /// Has every port speak either protocol: a connection whose first bytes begin no native frame
    /// is the translator's. Such a connection stays on the core that accepted it, and has as long
    /// for its first two bytes as others for their Hello.
    pub fn speaking_either(mut self, translator: Box<dyn Translator>, loads: Arc<Loads>) -> Self {
        self.io.translate(translator, Ports::Either, loads);
        self
    }

    /// Keeps the last requests that took at least so long ([`crate::SlowRequest`]); none by
    /// default.
    pub fn keeping_slow(mut self, threshold: Option<Duration>) -> Self {
        self.io.keep_slow(threshold);
        self
    }

    /// Whether requests that had to wait are to be tried again now.
    fn has_retries(&self) -> bool {
        self.io.has_retries() && !self.io.is_holding()
    }

    fn sent(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        socket: Socket,
        outgoing: Box<Outgoing>,
        result: io::Result<()>,
    ) {
        core.recycle(outgoing);
        if self.io.of(socket).is_none() {
            return;
        }
        match result {
            Ok(()) => self.io.sent(core, socket.index()),
            Err(error) => self.io.lost(core, socket.index(), &error),
        }
    }
}

impl<S: Service> Handler for Front<S> {
    type Message = Envelope<S::Message>;

    fn event(&mut self, core: &mut Core<Self::Message>, event: Event<'_>) {
        match event {
            Event::Accepted { listener, socket, peer }
                if self.io.ports().are_translated(listener) =>
            {
                self.accepted_translated(core, socket, peer);
            }
            Event::Accepted { socket, peer, .. } => self.io.accepted(core, socket, peer),
            Event::Received { socket, bytes } if self.io.is_parting() => {
                self.io.keep_received(socket, bytes);
            }
            Event::Received { socket, bytes } => self.received(core, socket, bytes),
            Event::ReceiveEnded { socket, reason } => self.io.receive_ended(core, socket, reason),
            Event::Sent { socket, outgoing, result } => self.sent(core, socket, outgoing, result),
            Event::Written { token, result } => {
                core.enter_stage(Stage::LookUp);
                self.service.written(
                    &mut Context::new(&mut self.io, core),
                    names::token(token),
                    result,
                );
            }
            Event::Withdrawn { socket, fd, unsent } => {
                self.io.withdrawn(core, socket, fd, unsent);
            }
            Event::Closed { .. } => {}
        }
    }

    fn message(&mut self, core: &mut Core<Self::Message>, from: usize, message: Self::Message) {
        match message {
            Envelope::HandOver(hand_over) => self.take_over(core, hand_over),
            Envelope::Step(step) => self.step(core, step),
            Envelope::IdleTimeout(timeout) => self.io.set_idle_timeout(core, timeout),
            Envelope::Service(message) => {
                core.enter_stage(Stage::LookUp);
                self.service.message(&mut Context::new(&mut self.io, core), from, message);
            }
        }
    }

    fn timer(&mut self, core: &mut Core<Self::Message>, timer: TimerId) {
        match timer {
            HOUSEKEEPING if self.io.is_parting() => {}
            HOUSEKEEPING => self.io.housekeeping(core),
            DEADLINES => self.deadlines(core),
            own => self.service.timer(&mut Context::new(&mut self.io, core), names::timer(own)),
        }
    }

    fn turn_end(&mut self, core: &mut Core<Self::Message>) -> Next {
        if self.has_retries() {
            self.retry(core);
        }
        core.enter_stage(Stage::LookUp);
        let next = self.service.turn_end(&mut Context::new(&mut self.io, core));
        core.enter_stage(Stage::Send);
        self.io.flush(core);
        self.io.pass_on(core);
        core.enter_stage(Stage::Other);
        self.io.turn_ended(|| core.read_clock());
        core.set_timer(DEADLINES, self.io.next_sweep());
        if self.has_retries() { Next::Again } else { next }
    }

    fn shutdown(&mut self, core: &mut Core<Self::Message>) {
        self.io.drain(core);
    }

    fn drained(&self) -> bool {
        self.io.connections() == 0 && self.service.is_idle()
    }
}
