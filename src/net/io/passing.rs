//! Passing connections on to another process: held, so that nothing new is begun; then withdrawn
//! from their core with what is known of them; and taken in by the next.

use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;

use sutra_runtime::{Core, Outgoing, Socket};

use super::Io;
use crate::connection::{Phase, Waiting};
use crate::envelope::Envelope;
use crate::exchange::Exchange;
use crate::outbox::Abandoned;
use crate::passed::{ConnectionState, Passed, Stage};
use crate::passing::{Held, Parted, Passing};

impl Io {
    /// Begins no request from now on.
    pub(crate) fn hold(&mut self, told: Sender<Held>) {
        if !self.is_parting() && !self.is_draining() {
            self.passing = Passing::Holding(Some(told));
        }
    }

    /// Whether no request is begun.
    pub(crate) fn is_holding(&self) -> bool {
        !matches!(self.passing, Passing::No)
    }

    /// Whether connections are withdrawn.
    pub(crate) fn is_parting(&self) -> bool {
        matches!(self.passing, Passing::Parting(_))
    }

    /// Goes on where requests were held. What came meanwhile is offered at the end of the turn.
    pub(crate) fn go_on(&mut self) {
        if !matches!(self.passing, Passing::Holding(_)) {
            return;
        }
        self.passing = Passing::No;
        for index in 0..self.connections.len() {
            if let Some(connection) = self.connections.get_mut(index)
                && connection.waiting() == Waiting::Held
            {
                connection.try_again();
                self.waiting.again(index);
            }
        }
    }

    /// Withdraws all connections, and keeps the listeners.
    pub(crate) fn part<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        to: Sender<Parted>,
    ) {
        if matches!(self.passing, Passing::Holding(_)) && !self.is_draining() {
            // Unheard only where nobody takes them any more.
            let _ = to.send(Parted::Begun(core.index()));
            self.passing = Passing::Parting(to);
            core.keep_listeners();
            self.withdraw_all(core);
        }
    }

    /// The turn ends: tells that no request is under way any more, or withdraws what came in the
    /// turn.
    pub(crate) fn pass_on<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>) {
        match &mut self.passing {
            Passing::No => {}
            Passing::Holding(told) => {
                if self.in_flight.len() == 0
                    && let Some(told) = told.take()
                {
                    let _ = told.send(Ok(core.index()));
                }
            }
            Passing::Parting(to) => {
                for (id, listener) in core.take_listeners() {
                    let _ = to.send(Parted::Listener { core: core.index(), id, listener });
                }
                self.withdraw_all(core);
            }
        }
    }

    /// Cost: a look at every connection.
    fn withdraw_all<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>) {
        for index in 0..self.connections.len() {
            if let Some(connection) = self.connections.get_mut(index)
                && connection.withdraw()
            {
                core.withdraw(connection.socket());
            }
        }
    }

    /// Bytes that had arrived before their connection was withdrawn.
    pub(crate) fn keep_received(&mut self, socket: Socket, bytes: &[u8]) {
        if let Some(connection) = self.connections.of(socket)
            && matches!(connection.phase(), Phase::Hello | Phase::Open | Phase::Ending)
        {
            connection.input().extend(bytes, &mut self.inputs);
        }
    }

    /// A connection has nothing under way any more: it is passed on.
    pub(crate) fn withdrawn<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        socket: Socket,
        fd: OwnedFd,
        unsent: Option<Box<Outgoing>>,
    ) {
        let mut rest = Vec::new();
        let mut keep = |core: &mut Core<Envelope<M>>, outgoing: Box<Outgoing>| {
            outgoing.copy_rest(&mut rest);
            core.recycle(outgoing);
        };
        unsent.into_iter().for_each(|unsent| keep(core, unsent));
        if self.connections.of(socket).is_none() {
            return;
        }
        let Some(mut connection) = self.remove(core.index(), socket.index()) else { return };
        self.unsent.take(connection.protocol().held());
        let Abandoned { copied, buffer, answers } = connection.outbox_mut().abandon();
        self.unsent.take(copied);
        for answers in answers.into_iter().flatten() {
            self.slow.left(answers, connection.peer(), core.now());
        }
        buffer.into_iter().for_each(|gathered| keep(core, gathered));
        let state = connection.pass_on(rest, &mut self.inputs);
        if let Passing::Parting(to) = &self.passing {
            let passed = Passed::new(fd, state);
            let _ = to.send(Parted::Connection { core: core.index(), passed });
        }
    }

    /// Goes on with a connection that was just taken in, where another process stopped. Returns
    /// whether its Hello is still to be read.
    pub(crate) fn restore<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        socket: Socket,
        state: ConnectionState,
    ) -> bool {
        let index = socket.index();
        if !state.is_silent {
            self.note_spoken(index);
        }
        let ConnectionState { stage, has_said_last, input, unsent, exchange, .. } = state;
        let Some(connection) = self.connections.get_mut(index) else { return false };
        connection.input().extend(&input, &mut self.inputs);
        if stage == Stage::Hello {
            return true;
        }
        let mut is_due = !input.is_empty();
        if let Some(exchange) = exchange {
            is_due |= exchange.follow_up.is_some();
            connection.speak_translated(Exchange::restored(exchange));
            self.unsent.add(connection.protocol().held());
        }
        match stage {
            Stage::Hello | Stage::Open => connection.open(),
            Stage::Refused => connection.refuse_on(has_said_last),
            Stage::Lingering => connection.linger(core.now()),
        }
        if !unsent.is_empty() {
            self.gather(core, index, |output| output.bytes().extend_from_slice(&unsent));
        }
        match stage {
            Stage::Open if is_due => self.try_again(index),
            Stage::Hello | Stage::Open => self.listen_to(core, index),
            Stage::Refused => {
                core.receive(socket);
                self.finish(core, index);
            }
            Stage::Lingering => {
                core.receive(socket);
                self.watch_lingering(core);
            }
        }
        false
    }
}
