//! How a connection begins: greeted, and put on the core that its client asks for.

use std::os::fd::OwnedFd;

use sutra_runtime::{Core, PeerAddr, Socket};
use sutra_wire::{CLIENT_HELLO_BYTES, FrameBuffer, Header, Opcode, encode_archive};
use tracing::debug;

use super::Front;
use crate::envelope::{Envelope, HandOver};
use crate::handshake::{self, Greeting};
use crate::io::Refusal;
use crate::service::Service;

impl<S: Service> Front<S> {
    /// More of a Hello arrived.
    pub(super) fn greeted(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        socket: Socket,
        bytes: &[u8],
    ) {
        self.io.extend_input(socket.index(), bytes);
        let Some(connection) = self.io.get(socket.index()) else { return };
        let hello = connection.input_bytes();
        if self.io.ports().are_translated_from(hello) {
            return self.turn_translated(core, socket);
        }
        match handshake::read(hello, self.io.limits(), core.cores()) {
            Greeting::Partial => {
                let missing = CLIENT_HELLO_BYTES.saturating_sub(hello.len());
                core.receive_once(socket, missing as u32);
            }
            Greeting::Refused { status, request, message } => {
                self.io.note_spoken(socket.index());
                self.io.broken(core, socket.index(), Refusal { request, status, message });
            }
            Greeting::Hello { request, wanted_core } => {
                self.io.clear_input(socket.index());
                match wanted_core.filter(|wanted| *wanted != core.index()) {
                    Some(wanted) => self.hand_over(core, socket, wanted, request),
                    None => self.welcome(core, socket, request),
                }
            }
        }
    }

    /// A connection that can't go to the core that it asked for stays here, where it is served as
    /// well.
    fn hand_over(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        socket: Socket,
        to: usize,
        request: u64,
    ) {
        match self.io.hand_over(core, socket, to, request) {
            Some(Ok(())) => {}
            Some(Err(back)) => self.take_over(core, back),
            None => self.welcome(core, socket, request),
        }
    }

    /// A connection that another core has accepted.
    pub(super) fn take_over(&mut self, core: &mut Core<Envelope<S::Message>>, hand_over: HandOver) {
        let (fd, peer, request) = hand_over.into_parts();
        let Some(request) = request else {
            self.io.take_spread(core.index());
            return self.take_translated(core, fd, peer);
        };
        if let Some(socket) = self.io.adopt(core, fd, peer) {
            self.welcome(core, socket, request);
        }
    }

    /// A connection of another protocol begins: it goes to the core that has the fewest.
    pub(super) fn accepted_translated(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        fd: OwnedFd,
        peer: PeerAddr,
    ) {
        if let Err(back) = self.io.spread(core, fd, peer) {
            let (fd, peer, _) = back.into_parts();
            self.take_translated(core, fd, peer);
        }
    }

    fn take_translated(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        fd: OwnedFd,
        peer: PeerAddr,
    ) {
        if let Some(socket) = self.io.adopt(core, fd, peer) {
            self.io.open_translated(core, socket);
        }
    }

    /// Instead of Hello came another protocol's message: it is read from what has arrived on.
    fn turn_translated(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket) {
        self.io.note_spoken(socket.index());
        self.io.open_translated(core, socket);
        self.feed(core, socket.index(), &[]);
    }

    /// Answers Hello, and reads requests from here on.
    fn welcome(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket, request: u64) {
        let answer = handshake::answer(
            self.service.identity(),
            self.io.limits(),
            core.cores(),
            core.index(),
        );
        self.io.note_spoken(socket.index());
        let Some(connection) = self.io.of(socket) else { return };
        connection.open();
        debug!(peer = %connection.peer(), core = core.index(), "connection open");
        let mut frame = FrameBuffer::new();
        let header = Header { opcode: Opcode::Hello as u8, request, ..Header::default() };
        encode_archive(&mut frame, header, &answer);
        self.io.gather(core, socket.index(), |output| output.bytes().extend_from_slice(&frame));
        self.io.listen_to(core, socket.index());
    }
}
