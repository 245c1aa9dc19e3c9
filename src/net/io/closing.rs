//! How a connection ends: after its last reply, after an error, when its peer is gone, or with the
//! server.
//!
//! close(2) with unread bytes makes TCP reset the connection, and a reset destroys what is still on
//! its way to the peer. So a connection that has just said something closes its own side, drops
//! what still comes, and is closed when the peer closes too.

use sutra_runtime::{Core, ReceiveEnd, Socket};
use tracing::{debug, info};

use super::{Io, Refusal};
use crate::connection::{Connection, Phase, Waiting};
use crate::counters::Count;
use crate::envelope::Envelope;
use crate::outbox::Abandoned;

impl Io {
    /// A connection's peer does not speak the protocol: as [`Io::break_off`], and counted so.
    pub(crate) fn broken<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        refusal: Refusal,
    ) {
        self.counters.count(Count::ClosedProtocol);
        self.break_off(core, index, refusal);
    }

    /// Says why a connection is read no further; what was asked before is still answered.
    pub(crate) fn break_off<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        refusal: Refusal,
    ) {
        self.counters.error(refusal.status);
        self.wait_no_longer(index);
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.refuse(&mut self.inputs);
        if let Some(left_out) = self.log_limit.admit(core.now()) {
            info!(
                peer = %connection.peer(),
                left_out,
                reason = %refusal.message,
                "connection closed: broken protocol"
            );
        }
        self.say_refusal(core, index, refusal);
    }

    pub(crate) fn receive_ended<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        socket: Socket,
        reason: ReceiveEnd,
    ) {
        let Some(connection) = self.connections.of(socket) else { return };
        let index = socket.index();
        match reason {
            ReceiveEnd::Paused => {
                connection.paused();
                self.listen_to(core, index);
                self.finish(core, index);
            }
            ReceiveEnd::PeerClosed => match connection.peer_closed() {
                true => self.drop_connection(core, index),
                false => self.finish(core, index),
            },
            ReceiveEnd::Failed(error) => self.lost(core, index, &error),
        }
    }

    /// A connection's peer is gone.
    pub(crate) fn lost<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        error: &std::io::Error,
    ) {
        if let Some(connection) = self.connections.get(index) {
            debug!(peer = %connection.peer(), %error, "connection lost");
            self.drop_connection(core, index);
        }
    }

    /// Closes a connection that has nothing left to do.
    pub(crate) fn finish<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize) {
        let Some(connection) =
            self.connections.get_mut(index).filter(|connection| connection.is_finished())
        else {
            return;
        };
        if connection.can_close() {
            return self.drop_connection(core, index);
        }
        core.finish_sending(connection.socket());
        connection.linger(core.now());
        core.receive(connection.socket());
        self.watch_lingering(core);
    }

    /// Takes no more connections and no more requests; those that have arrived are answered.
    pub(crate) fn drain<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>) {
        if self.is_parting() {
            // All go on elsewhere, also those that are still to come.
            return self.watch.drain(core.now());
        }
        self.go_on();
        info!(core = core.index(), connections = self.connections(), "draining");
        self.watch.drain(core.now() + self.limits.drain_timeout);
        core.stop_listening();
        for index in 0..self.connections.len() {
            let Some(connection) = self.connections.get_mut(index) else { continue };
            match connection.phase() {
                Phase::Hello => self.drop_connection(core, index),
                Phase::Open => {
                    if connection.end() {
                        core.pause(connection.socket());
                    }
                    self.finish(core, index);
                }
                // Connections in these phases end by themselves.
                Phase::Ending | Phase::Refused | Phase::Lingering => {}
            }
        }
        self.keep_house(core);
    }

    /// Closes a connection, whatever is under way on it.
    pub(super) fn drop_connection<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
    ) {
        let Some(mut connection) = self.remove(core.index(), index) else { return };
        debug!(peer = %connection.peer(), "connection closed");
        connection.input().clear(&mut self.inputs);
        self.unsent.take(connection.protocol().held());
        let (socket, peer) = (connection.socket(), connection.peer());
        let Abandoned { copied, buffer, answers } = connection.outbox_mut().abandon();
        self.unsent.take(copied);
        for answers in answers.into_iter().flatten() {
            self.slow.left(answers, peer, core.now());
        }
        if let Some(unsent) = buffer {
            core.recycle(unsent);
        }
        core.close(socket);
    }

    /// Takes a connection out of its slot.
    pub(super) fn remove(&mut self, core: usize, index: usize) -> Option<Connection> {
        self.wait_no_longer(index);
        let connection = self.connections.take(index)?;
        self.census.went(core, connection.is_silent());
        self.counters.closed();
        Some(connection)
    }

    /// Takes a connection off the list of those that wait for the service, where it is on it.
    fn wait_no_longer(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.wait_no_longer() == Waiting::Service {
            self.waiting.left(&self.connections);
        }
    }
}
