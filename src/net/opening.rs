//! How a connection begins: accepted, greeted, put on the core that its client asks for.

use std::os::fd::OwnedFd;

use sutra_runtime::{Core, PeerAddr, Socket};
use sutra_wire::{CLIENT_HELLO_BYTES, FrameBuffer, Header, Opcode, encode_archive};
use tracing::{debug, info, warn};

use crate::connection::{Connection, Phase, Protocol};
use crate::handshake::{self, Greeting, HandOver};
use crate::io::{Envelope, Io, Ports};
use crate::net::Net;
use crate::service::Service;

impl<S: Service> Net<S> {
    pub(crate) fn accepted(&mut self, core: &mut Core<Envelope<S::Message>>, fd: OwnedFd, peer: PeerAddr) {
        if let Some(socket) = self.adopt(core, fd, peer, Phase::Hello) {
            core.receive_once(socket, CLIENT_HELLO_BYTES as u32);
            self.keep_house(core);
        }
    }

    /// Takes a socket in, where there is room for it; closes it where there is none.
    fn adopt(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        fd: OwnedFd,
        peer: PeerAddr,
        phase: Phase,
    ) -> Option<Socket> {
        if self.io.drain_end.is_none() {
            self.io.make_place(core);
        }
        let limit = self.io.limits.max_connections;
        let adopted = if self.io.drain_end.is_some() {
            Err("the server is draining".to_owned())
        } else if self.io.counters.connections >= limit as u64 {
            Err(format!("this core serves {limit} connections already, the limit"))
        } else {
            core.adopt(fd).map_err(|error| error.to_string())
        };
        match adopted {
            Ok(socket) => {
                if let Some(loads) = &self.io.loads {
                    loads.add(core.index());
                }
                self.io.insert(core.now(), socket, peer, phase);
                Some(socket)
            }
            Err(reason) => {
                self.io.counters.refused_connections += 1;
                if let Some(left_out) = self.io.log_limit.admit(core.now()) {
                    warn!(%peer, reason, left_out, "connection refused");
                }
                None
            }
        }
    }

    /// More of a Hello arrived.
    pub(crate) fn greeted(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket, bytes: &[u8]) {
        let Io { limits, inputs, connections, ports, .. } = &mut self.io;
        let Some(connection) = connections.get_mut(socket.index()) else { return };
        connection.input.extend(bytes, inputs);
        if *ports == Ports::Either && handshake::is_other_protocol(connection.input.bytes()) {
            return self.turn_translated(core, socket);
        }
        match handshake::read(connection.input.bytes(), limits, core.cores()) {
            Greeting::Partial => {
                let missing = CLIENT_HELLO_BYTES.saturating_sub(connection.input.bytes().len());
                core.receive_once(socket, missing as u32);
            }
            Greeting::Refused { status, request, message } => {
                self.io.note_spoken(socket.index());
                self.break_off(core, socket.index(), request, status, message);
            }
            Greeting::Hello { request, wanted_core } => {
                connection.input.clear(inputs);
                match wanted_core.filter(|wanted| *wanted != core.index()) {
                    Some(wanted) => self.hand_over(core, socket, wanted, request),
                    None => self.welcome(core, socket, request),
                }
            }
        }
    }

    fn hand_over(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket, to: usize, request: u64) {
        let Some(fd) = core.detach(socket) else {
            // Something is still under way on the socket: it stays here, where it is served as
            // well.
            return self.welcome(core, socket, request);
        };
        let Some(connection) = self.io.remove(socket.index()) else { return };
        if let Some(loads) = &self.io.loads {
            loads.take(core.index());
        }
        let hand_over = HandOver { socket: fd, peer: connection.peer, request: Some(request) };
        match core.send_message(to, Envelope::HandOver(hand_over)) {
            Ok(()) => self.io.counters.handed_over += 1,
            // That core's mailbox is full: stays here as well.
            Err(Envelope::HandOver(back)) => self.take_over(core, back),
            Err(Envelope::Service(_)) => unreachable!("the mailbox gives back what it was given"),
        }
    }

    /// A connection that another core has accepted.
    pub(crate) fn take_over(&mut self, core: &mut Core<Envelope<S::Message>>, hand_over: HandOver) {
        let HandOver { socket, peer, request } = hand_over;
        match request {
            Some(request) => {
                if let Some(socket) = self.adopt(core, socket, peer, Phase::Hello) {
                    self.welcome(core, socket, request);
                }
            }
            None => {
                // It was counted for this core when it was sent here.
                if let Some(loads) = &self.io.loads {
                    loads.take(core.index());
                }
                self.open_translated(core, socket, peer);
            }
        }
    }

    /// A connection of another protocol begins: it goes to the core that has the fewest.
    pub(crate) fn accepted_translated(&mut self, core: &mut Core<Envelope<S::Message>>, fd: OwnedFd, peer: PeerAddr) {
        let here = core.index();
        let to = self.io.loads.as_ref().map_or(here, |loads| loads.least(here));
        if to == here {
            return self.open_translated(core, fd, peer);
        }
        if let Some(loads) = &self.io.loads {
            // Now, so that the next of a burst of connections goes elsewhere.
            loads.add(to);
        }
        match core.send_message(to, Envelope::HandOver(HandOver { socket: fd, peer, request: None })) {
            Ok(()) => self.io.counters.handed_over += 1,
            Err(Envelope::HandOver(back)) => {
                if let Some(loads) = &self.io.loads {
                    loads.take(to);
                }
                // That core's mailbox is full: it is served here as well.
                self.open_translated(core, back.socket, peer);
            }
            Err(Envelope::Service(_)) => unreachable!("the mailbox gives back what it was given"),
        }
    }

    /// Reads requests from a connection of another protocol, which knows no greeting.
    fn open_translated(&mut self, core: &mut Core<Envelope<S::Message>>, fd: OwnedFd, peer: PeerAddr) {
        let Some(socket) = self.adopt(core, fd, peer, Phase::Open) else { return };
        let Some(connection) = self.io.get(socket) else { return };
        connection.protocol = Protocol::Translated(Box::default());
        debug!(%peer, core = core.index(), "connection of another protocol open");
        self.listen_to(core, socket.index());
        if self.io.limits.idle_timeout.is_some() {
            self.keep_house(core);
        }
    }

    /// Instead of Hello came another protocol's message: it is read from what has arrived on.
    fn turn_translated(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket) {
        self.io.note_spoken(socket.index());
        let Some(connection) = self.io.get(socket) else { return };
        connection.phase = Phase::Open;
        connection.protocol = Protocol::Translated(Box::default());
        // Its first message begins here, and not with the connection.
        connection.began = core.now();
        debug!(peer = %connection.peer, core = core.index(), "connection of another protocol open");
        self.listen_to(core, socket.index());
        self.feed(core, socket.index(), &[]);
        if self.io.limits.idle_timeout.is_some() {
            self.keep_house(core);
        }
    }

    /// Answers Hello, and reads requests from here on.
    fn welcome(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket, request: u64) {
        let answer = handshake::answer(self.service.identity(), &self.io.limits, core.cores(), core.index());
        self.io.note_spoken(socket.index());
        let Some(connection) = self.io.get(socket) else { return };
        connection.phase = Phase::Open;
        debug!(peer = %connection.peer, core = core.index(), "connection open");
        let mut frame = FrameBuffer::new();
        let header = Header { opcode: Opcode::Hello as u8, request, ..Header::default() };
        encode_archive(&mut frame, header, &answer);
        self.io.gather(core, socket.index(), |output| output.bytes().extend_from_slice(&frame));
        self.listen_to(core, socket.index());
    }
}

impl Io {
    /// Makes room for one more connection where that takes the place of a silent one.
    pub(crate) fn make_place<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>) {
        let is_full = self.counters.connections >= self.limits.max_connections as u64;
        if !is_full && self.silent.count < self.limits.max_silent {
            return;
        }
        let Some(index) = self.silent.oldest(&self.connections) else { return };
        self.counters.closed_silent += 1;
        if let (Some(connection), Some(left_out)) = (self.connections.get(index), self.log_limit.admit(core.now())) {
            let (peer, kept) = (connection.peer, self.limits.max_silent);
            info!(%peer, kept, left_out, "a connection that had said nothing gave its place to a new one");
        }
        self.drop_connection(core, index);
    }

    fn insert(&mut self, now: std::time::Instant, socket: Socket, peer: PeerAddr, phase: Phase) {
        let index = socket.index();
        let make = |serial| Connection::new(socket, serial, peer, phase, now);
        let serial = self.connections.insert(index, make);
        self.counters.connections += 1;
        self.note_silent(index, serial);
    }
}
