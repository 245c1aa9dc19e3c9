//! How a connection ends: after its last reply, after an error, when its peer is gone, or with the
//! server.
//!
//! close(2) with unread bytes makes TCP reset the connection, and a reset destroys what is still on
//! its way to the peer. So a connection that has just said something closes its own side, drops
//! what still comes, and is closed when the peer closes too.

use sutra_runtime::{Core, ReceiveEnd, Socket};
use sutra_wire::{ErrorMessage, FrameBuffer, Header, Status, encode_archive};
use tracing::{debug, info};

use crate::connection::{Connection, Phase, Receiving, Waiting};
use crate::io::{Envelope, Io};
use crate::net::Net;
use crate::service::Service;

impl<S: Service> Net<S> {
    /// Answers bytes that are no frame, and reads no further; what was asked before is still
    /// answered.
    pub(crate) fn break_off(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        index: usize,
        request: u64,
        status: Status,
        message: String,
    ) {
        self.io.counters.error(status);
        let now = core.now();
        self.io.wait_no_longer(index);
        let Io { inputs, connections, log_limit, .. } = &mut self.io;
        let Some(connection) = connections.get_mut(index) else { return };
        connection.phase = Phase::Refused;
        connection.input.clear(inputs);
        if let Some(left_out) = log_limit.admit(now) {
            info!(peer = %connection.peer, left_out, reason = %message, "connection closed: broken protocol");
        }
        if !connection.is_native() {
            return self.io.say_error(core, index, &message);
        }
        let mut frame = FrameBuffer::new();
        let header = Header { status: status as u8, request, ..Header::default() };
        encode_archive(&mut frame, header, &ErrorMessage { message });
        self.io.gather(core, index, |output| output.bytes().extend_from_slice(&frame));
    }

    pub(crate) fn receive_ended(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket, reason: ReceiveEnd) {
        let Some(connection) = self.io.get(socket) else { return };
        let index = socket.index();
        match reason {
            ReceiveEnd::Paused => {
                connection.receiving = Receiving::Off;
                self.listen_to(core, index);
                self.finish(core, index);
            }
            ReceiveEnd::PeerClosed => {
                connection.receiving = Receiving::Over;
                match connection.phase {
                    Phase::Hello | Phase::Lingering => return self.drop_connection(core, index),
                    Phase::Open => connection.phase = Phase::Ending,
                    Phase::Ending | Phase::Refused => {}
                }
                self.finish(core, index);
            }
            ReceiveEnd::Failed(error) => {
                debug!(peer = %connection.peer, %error, "connection lost");
                self.drop_connection(core, index);
            }
        }
    }

    /// Closes a connection that has nothing left to do.
    pub(crate) fn finish(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize) {
        let Some(connection) = self.io.connections.get_mut(index).filter(|connection| connection.is_finished()) else {
            return;
        };
        if connection.receiving == Receiving::Over || !connection.said_last {
            return self.drop_connection(core, index);
        }
        connection.phase = Phase::Lingering;
        connection.began = core.now();
        core.finish_sending(connection.socket);
        // Also where it was pausing: this takes the pause back.
        connection.receiving = Receiving::On;
        core.receive(connection.socket);
        self.watch_lingering(core);
    }

    pub(crate) fn drop_connection(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize) {
        self.io.drop_connection(core, index);
    }

    /// Takes no more connections and no more requests; answers those that have arrived.
    pub(crate) fn drain(&mut self, core: &mut Core<Envelope<S::Message>>) {
        info!(core = core.index(), connections = self.io.counters.connections, "draining");
        self.io.drain_end = Some(core.now() + self.io.limits.drain_timeout);
        core.stop_listening();
        for index in 0..self.io.connections.slots() {
            let Some(connection) = self.io.connections.get_mut(index) else { continue };
            match connection.phase {
                Phase::Hello => self.drop_connection(core, index),
                Phase::Open => {
                    connection.phase = Phase::Ending;
                    if connection.receiving == Receiving::On {
                        connection.receiving = Receiving::Pausing;
                        core.pause(connection.socket);
                    }
                    self.finish(core, index);
                }
                // They end by themselves.
                Phase::Ending | Phase::Refused | Phase::Lingering => {}
            }
        }
        self.keep_house(core);
    }
}

impl Io {
    /// Closes a connection, whatever is under way on it.
    pub(crate) fn drop_connection<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize) {
        let Some(mut connection) = self.remove(index) else { return };
        debug!(peer = %connection.peer, "connection closed");
        connection.input.clear(&mut self.inputs);
        if let Some(loads) = &self.loads {
            loads.take(core.index());
        }
        self.output_budget.take(connection.sending_copied);
        self.output_budget.take(connection.held());
        if let Some(output) = connection.output {
            self.output_budget.take(output.copied());
            core.recycle(output);
        }
        core.close(connection.socket);
    }

    /// Takes a connection out of its place.
    pub(crate) fn remove(&mut self, index: usize) -> Option<Connection> {
        self.wait_no_longer(index);
        let connection = self.connections.take(index)?;
        if connection.is_silent {
            self.silent.left();
        }
        self.counters.connections -= 1;
        Some(connection)
    }

    /// Takes a connection off the list of those that wait for the service, where it is on it.
    fn wait_no_longer(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if std::mem::replace(&mut connection.waiting, Waiting::No) == Waiting::Service {
            self.waiting.left(&self.connections);
        }
    }
}
