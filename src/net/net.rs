//! A core's connections and the service behind them, as the handler that the runtime's loop calls.

use std::io;
use std::sync::Arc;

use sutra_runtime::{Core, Event, Handler, ListenerId, Next, Outgoing, Socket, Stage, TimerId};
use tracing::debug;

use crate::connection::Phase;
use crate::context::Context;
use crate::io::{DEADLINES, Envelope, HOUSEKEEPING, Io, Ports};
use crate::limits::Limits;
use crate::names;
use crate::service::Service;
use crate::translator::{Loads, Translator};

/// One core's front: its connections and its part of the service.
pub struct Net<S: Service> {
    pub(crate) service: S,
    pub(crate) io: Io,
}

impl<S: Service> Net<S> {
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
        self.io.translator = Some(translator);
        self.io.ports = Ports::TranslatedFrom(first_port);
        self.io.loads = Some(loads);
        self
    }

    /// Has every port speak either protocol: a connection whose first bytes begin no native frame
    /// is the translator's. Such a connection stays on the core that accepted it, and has as long
    /// for its first two bytes as others for their Hello.
    pub fn speaking_either(mut self, translator: Box<dyn Translator>, loads: Arc<Loads>) -> Self {
        self.io.translator = Some(translator);
        self.io.ports = Ports::Either;
        self.io.loads = Some(loads);
        self
    }

    /// Sends what was gathered this turn: one send a connection.
    fn flush(&mut self, core: &mut Core<Envelope<S::Message>>) {
        if self.io.has_output() {
            self.keep_house(core);
        }
        while self.io.send_next(core) {}
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
        self.io.output_budget.take(copied);
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
            Event::Accepted { listener, socket, peer } if self.io.ports.is_translated(listener) => {
                self.accepted_translated(core, socket, peer);
            }
            Event::Accepted { socket, peer, .. } => self.accepted(core, socket, peer),
            Event::Received { socket, bytes } => self.received(core, socket, bytes),
            Event::ReceiveEnded { socket, reason } => self.receive_ended(core, socket, reason),
            Event::Sent { socket, outgoing, result } => self.sent(core, socket, outgoing, result),
            Event::Written { token, result } => {
                core.enter_stage(Stage::LookUp);
                let mut cx = Context { io: &mut self.io, core };
                self.service.written(&mut cx, names::token(token), result);
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
            own => {
                let mut cx = Context { io: &mut self.io, core };
                self.service.timer(&mut cx, names::timer(own));
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
