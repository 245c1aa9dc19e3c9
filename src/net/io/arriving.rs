//! How connections come: accepted or handed over, within their bounds; and how they go on to the
//! core that is to serve them.

use std::os::fd::OwnedFd;

use sutra_runtime::{Core, PeerAddr, Socket};
use sutra_wire::CLIENT_HELLO_BYTES;
use tracing::{debug, info, warn};

use super::Io;
use crate::connection::Connection;
use crate::counters::Count;
use crate::envelope::{Envelope, HandOver};
use crate::exchange::Exchange;

impl Io {
    /// A connection was accepted that is to say Hello.
    pub(crate) fn accepted<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        fd: OwnedFd,
        peer: PeerAddr,
    ) {
        if let Some(socket) = self.adopt(core, fd, peer) {
            core.receive_once(socket, CLIENT_HELLO_BYTES as u32);
            self.keep_house(core);
        }
    }

    /// Takes a socket in, where there is room for it; closes it where there is none.
    pub(crate) fn adopt<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        fd: OwnedFd,
        peer: PeerAddr,
    ) -> Option<Socket> {
        if !self.is_draining() {
            self.make_room_for_one(core);
        }
        let limit = self.limits.max_connections;
        let adopted = if self.is_draining() && !self.is_parting() {
            Err("the server is draining".to_owned())
        } else if self.connections() >= limit as u64 {
            Err(format!("this core serves {limit} connections already, the limit"))
        } else {
            core.adopt(fd).map_err(|error| error.to_string())
        };
        match adopted {
            Ok(socket) => {
                let now = core.now();
                let id =
                    self.connections.insert(socket, |id| Connection::new(id, socket, peer, now));
                self.counters.opened();
                self.census.came(core.index(), id, &self.connections);
                Some(socket)
            }
            Err(reason) => {
                self.counters.count(Count::Refused);
                if let Some(left_out) = self.log_limit.admit(core.now()) {
                    warn!(%peer, reason, left_out, "connection refused");
                }
                None
            }
        }
    }

    /// Makes room for one more connection where that means to close a silent one.
    fn make_room_for_one<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>) {
        let is_full = self.connections() >= self.limits.max_connections as u64;
        if !is_full && self.census.silent() < self.limits.max_silent {
            return;
        }
        let Some(index) = self.census.longest_silent(&self.connections) else { return };
        self.counters.count(Count::ClosedSilent);
        if let (Some(connection), Some(left_out)) =
            (self.connections.get(index), self.log_limit.admit(core.now()))
        {
            let (peer, kept) = (connection.peer(), self.limits.max_silent);
            info!(
                %peer,
                kept,
                left_out,
                "a connection that had said nothing gave its place to a new one"
            );
        }
        self.drop_connection(core, index);
    }

    /// More of a connection's Hello has arrived.
    pub(crate) fn extend_input(&mut self, index: usize, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(index) {
            connection.input().extend(bytes, &mut self.inputs);
        }
    }

    /// Forgets what a connection has sent, which was handled.
    pub(crate) fn clear_input(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index) {
            connection.input().clear(&mut self.inputs);
        }
    }

    /// A connection has spoken.
    pub(crate) fn note_spoken(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index)
            && connection.note_spoken()
        {
            self.census.spoke();
        }
    }

    /// Gives a connection to the core that its client asked for. Gives it back where that core's
    /// mailbox is full; `None` where something is still under way on its socket, so that it stays
    /// where it is.
    pub(crate) fn hand_over<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        socket: Socket,
        to: usize,
        request: u64,
    ) -> Option<Result<(), HandOver>> {
        let fd = core.detach(socket)?;
        let connection = self.remove(core.index(), socket.index())?;
        Some(self.post(core, to, HandOver::new(fd, connection.peer(), Some(request))))
    }

    /// A connection of another protocol was accepted: gives it to the core that has the fewest, or
    /// back where this is that core.
    pub(crate) fn spread<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        fd: OwnedFd,
        peer: PeerAddr,
    ) -> Result<(), HandOver> {
        let (here, hand_over) = (core.index(), HandOver::new(fd, peer, None));
        let Some(to) = self.census.place(here) else { return Err(hand_over) };
        let posted = if to == here { Err(hand_over) } else { self.post(core, to, hand_over) };
        if posted.is_err() {
            self.census.unplace(to);
        }
        posted
    }

    fn post<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        to: usize,
        hand_over: HandOver,
    ) -> Result<(), HandOver> {
        match core.send_message(to, Envelope::HandOver(hand_over)) {
            Ok(()) => {
                self.counters.count(Count::HandedOver);
                Ok(())
            }
            Err(Envelope::HandOver(back)) => Err(back),
            Err(Envelope::Service(_) | Envelope::Step(_) | Envelope::IdleTimeout(_)) => {
                unreachable!("the mailbox gives back what it was given")
            }
        }
    }

    /// A connection of another protocol that was sent here is about to be taken in: it was counted
    /// for this core when it was sent.
    pub(crate) fn take_spread(&mut self, here: usize) {
        self.census.unplace(here);
    }

    /// Reads requests from a connection that speaks another protocol, which knows no greeting.
    pub(crate) fn open_translated<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        socket: Socket,
    ) {
        let Some(connection) = self.connections.of(socket) else { return };
        connection.open();
        connection.speak_translated(Exchange::default());
        // Its first message begins here, and not with the connection.
        connection.begin(core.now());
        debug!(
            peer = %connection.peer(),
            core = core.index(),
            "connection of another protocol open"
        );
        self.listen_to(core, socket.index());
        if self.limits.idle_timeout.is_some() {
            self.keep_house(core);
        }
    }
}
