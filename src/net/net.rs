//! A core's connections and the service behind them, as the handler that the runtime's loop calls.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use sutra_runtime::{Core, Event, Handler, Next, Outgoing, PeerAddr, ReceiveEnd, Socket, TimerId};
use sutra_wire::{CLIENT_HELLO_BYTES, ErrorMessage, FrameBuffer, Header, Opcode, Parsed, Status, encode_archive};
use tracing::{debug, info, warn};

use crate::connection::{Connection, Phase, Receiving};
use crate::context::{Context, DEADLINES, HOUSEKEEPING, SERVICE};
use crate::counters::Counters;
use crate::handshake::{self, Greeting, HandOver};
use crate::in_flight::{InFlight, Pending};
use crate::input::InputPool;
use crate::limits::Limits;
use crate::log_limit::LogLimit;
use crate::service::{Flow, ReplyTo, Request, Service};

/// Log lines that clients of one core can cause in a second.
const CLIENT_LINES: u32 = 5;
/// Largest buffer kept for the next archived reply.
const SCRATCH_BYTES: usize = 256 << 10;

/// What cores send each other.
pub enum Envelope<M> {
    /// A connection that asked for this core.
    HandOver(HandOver),
    /// The service's own.
    Service(M),
}

/// The state of connections, apart from the service so that both can be borrowed at once.
pub(crate) struct Io {
    pub(crate) limits: Limits,
    /// By the runtime's socket slot.
    pub(crate) connections: Vec<Option<Connection>>,
    pub(crate) in_flight: InFlight,
    pub(crate) inputs: InputPool,
    pub(crate) buffers: Vec<FrameBuffer>,
    pub(crate) scratch: FrameBuffer,
    pub(crate) counters: Counters,
    /// Connections with output to send.
    dirty: Vec<usize>,
    /// Connections that wait for room, and those of them to try again this turn.
    waiting: Vec<usize>,
    pub(crate) retry: Vec<usize>,
    pub(crate) resume: bool,
    pub(crate) draining: bool,
    next_serial: u64,
    housekeeping: bool,
    log_limit: LogLimit,
    expired: Vec<ReplyTo>,
}

impl Io {
    pub(crate) fn mark(&mut self, index: usize) {
        if let Some(connection) = self.connections[index].as_mut()
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push(index);
        }
    }

    pub(crate) fn keep_scratch(&mut self, scratch: FrameBuffer) {
        if scratch.capacity() <= SCRATCH_BYTES {
            self.scratch = scratch;
        }
    }

    fn get(&mut self, socket: Socket) -> Option<&mut Connection> {
        self.connections.get_mut(socket.index())?.as_mut().filter(|connection| connection.socket == socket)
    }
}

/// One core's front: its connections and its part of the service.
pub struct Net<S: Service> {
    service: S,
    io: Io,
}

impl<S: Service> Net<S> {
    /// A front for `service`.
    pub fn new(service: S, limits: Limits) -> Self {
        let io = Io {
            limits,
            connections: Vec::new(),
            in_flight: InFlight::default(),
            inputs: InputPool::default(),
            buffers: Vec::new(),
            scratch: FrameBuffer::new(),
            counters: Counters::default(),
            dirty: Vec::new(),
            waiting: Vec::new(),
            retry: Vec::new(),
            resume: false,
            draining: false,
            next_serial: 0,
            housekeeping: false,
            log_limit: LogLimit::new(CLIENT_LINES),
            expired: Vec::new(),
        };
        Self { service, io }
    }

    fn accepted(&mut self, core: &mut Core<Envelope<S::Message>>, socket: OwnedFd, peer: PeerAddr) {
        self.io.counters.accepted += 1;
        if self.io.draining || self.io.counters.connections >= self.io.limits.max_connections as u64 {
            self.io.counters.refused_connections += 1;
            if let Some(left_out) = self.io.log_limit.admit(core.now()) {
                warn!(%peer, left_out, limit = self.io.limits.max_connections, "connection refused: too many, or draining");
            }
            return;
        }
        if let Some(socket) = self.adopt(core, socket, peer, Phase::Hello) {
            core.receive_once(socket, CLIENT_HELLO_BYTES as u32);
        }
    }

    /// Takes a socket in.
    fn adopt(&mut self, core: &mut Core<Envelope<S::Message>>, fd: OwnedFd, peer: PeerAddr, phase: Phase) -> Option<Socket> {
        let socket = match core.adopt(fd) {
            Ok(socket) => socket,
            Err(error) => {
                self.io.counters.refused_connections += 1;
                warn!(%peer, %error, "connection refused");
                return None;
            }
        };
        let index = socket.index();
        if index >= self.io.connections.len() {
            self.io.connections.resize_with(index + 1, || None);
        }
        self.io.next_serial += 1;
        self.io.connections[index] = Some(Connection::new(socket, self.io.next_serial, peer, phase, core.now()));
        self.io.counters.connections += 1;
        self.keep_house(core);
        Some(socket)
    }

    fn received(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket, bytes: &[u8]) {
        self.io.counters.bytes_received += bytes.len() as u64;
        let now = core.now();
        let Some(connection) = self.io.get(socket) else { return };
        connection.active = now;
        match connection.phase {
            Phase::Hello => self.greeted(core, socket, bytes),
            Phase::Open | Phase::Ending => self.feed(core, socket.index(), bytes),
            Phase::Refused => {}
        }
    }

    fn greeted(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket, bytes: &[u8]) {
        let Io { limits, inputs, connections, .. } = &mut self.io;
        let Some(connection) = connections[socket.index()].as_mut() else { return };
        connection.input.extend(bytes, inputs);
        match handshake::read(connection.input.bytes(), limits, core.cores()) {
            Greeting::Partial => {
                let missing = CLIENT_HELLO_BYTES - connection.input.bytes().len();
                core.receive_once(socket, missing as u32);
            }
            Greeting::Refused { status, request, message } => self.break_off(core, socket.index(), request, status, message),
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
        let Some(connection) = self.io.connections[socket.index()].take() else { return };
        let peer = connection.peer.clone();
        let Some(fd) = core.detach(socket) else {
            // Something is still under way on the socket: it stays here, where it is served as well.
            self.io.connections[socket.index()] = Some(connection);
            return self.welcome(core, socket, request);
        };
        self.io.counters.connections -= 1;
        self.io.counters.handed_over += 1;
        if let Err(Envelope::HandOver(back)) =
            core.send_message(to, Envelope::HandOver(HandOver { socket: fd, peer, request }))
        {
            self.take_over(core, back);
        }
    }

    fn take_over(&mut self, core: &mut Core<Envelope<S::Message>>, hand_over: HandOver) {
        if let Some(socket) = self.adopt(core, hand_over.socket, hand_over.peer, Phase::Open) {
            self.welcome(core, socket, hand_over.request);
        }
    }

    fn welcome(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket, request: u64) {
        let answer = handshake::answer(self.service.identity(), &self.io.limits, core.cores(), core.index());
        let draining = self.io.draining;
        let Some(connection) = self.io.get(socket) else { return };
        connection.phase = if draining { Phase::Ending } else { Phase::Open };
        debug!(peer = %connection.peer, core = core.index(), "connection open");
        let mut frame = FrameBuffer::new();
        let header = Header { opcode: Opcode::Hello as u8, request, ..Header::default() };
        encode_archive(&mut frame, header, &answer);
        connection.output.get_or_insert_with(|| core.outgoing()).bytes().extend_from_slice(&frame);
        self.io.mark(socket.index());
        if !draining {
            self.listen_to(core, socket.index());
        }
    }

    /// Answers bytes that are no frame, and reads no further.
    pub(crate) fn break_off(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, request: u64, status: Status, message: String) {
        self.io.counters.error(status);
        let Io { inputs, connections, log_limit, .. } = &mut self.io;
        let Some(connection) = connections[index].as_mut() else { return };
        connection.phase = Phase::Refused;
        connection.waiting = false;
        connection.input.clear(inputs);
        if let Some(left_out) = log_limit.admit(core.now()) {
            info!(peer = %connection.peer, left_out, %message, "connection closed: broken protocol");
        }
        let mut frame = FrameBuffer::new();
        encode_archive(&mut frame, Header { status: status as u8, request, ..Header::default() }, &ErrorMessage { message });
        connection.output.get_or_insert_with(|| core.outgoing()).bytes().extend_from_slice(&frame);
        self.io.mark(index);
    }

    /// Hands the frames in `bytes` to the service; keeps what is left of them. Cost: none beyond the service's for frames that arrived
    /// whole and aligned; one copy for those that did not.
    fn feed(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, mut bytes: &[u8]) {
        let Some(connection) = self.io.connections[index].as_mut() else { return };
        let mut input = std::mem::take(&mut connection.input);
        let waiting = connection.waiting;
        if !input.is_empty() && !waiting {
            // Top up the frame that was begun, and no more, so that the rest can be read where it lies.
            while let Ok(Parsed::Partial(whole)) = sutra_wire::parse(input.bytes(), self.io.limits.max_payload)
                && !bytes.is_empty()
            {
                let missing = (whole - input.bytes().len()).min(bytes.len());
                input.extend(&bytes[..missing], &mut self.io.inputs);
                bytes = &bytes[missing..];
            }
            let used = self.run(core, index, input.bytes());
            input.consume(used, &mut self.io.inputs);
        }
        if input.is_empty() && bytes.as_ptr().addr().is_multiple_of(16) {
            let used = self.run(core, index, bytes);
            input.extend(&bytes[used..], &mut self.io.inputs);
        } else if !bytes.is_empty() {
            input.extend(bytes, &mut self.io.inputs);
            if !waiting {
                let used = self.run(core, index, input.bytes());
                input.consume(used, &mut self.io.inputs);
            }
        }
        self.keep(core, index, input);
    }

    /// Puts a connection's unread bytes back, where there are any.
    fn keep(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, mut input: crate::input::Input) {
        let Io { connections, inputs, limits, .. } = &mut self.io;
        let Some(connection) = connections[index].as_mut() else { return input.clear(inputs) };
        if input.is_empty() || connection.phase == Phase::Refused {
            return input.clear(inputs);
        }
        connection.input = input;
        if inputs.held() > limits.max_input {
            let message = format!(
                "this core's connections already hold {} bytes of unfinished frames, the limit; send smaller frames or try again",
                limits.max_input
            );
            return self.break_off(core, index, 0, Status::Busy, message);
        }
        self.keep_house(core);
    }

    /// Offers frame after frame to the service until the bytes, or the room, end. Returns how many bytes are done with.
    fn run(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let Some(connection) = self.io.connections[index].as_mut() else { return bytes.len() };
            if connection.phase == Phase::Refused {
                return bytes.len();
            }
            let full = connection.in_flight >= self.io.limits.max_in_flight
                || connection.output_bytes() >= self.io.limits.max_output;
            let (frame, used) = match sutra_wire::parse(&bytes[at..], self.io.limits.max_payload) {
                Ok(Parsed::Frame(frame, used)) => (frame, used),
                Ok(Parsed::Partial(_)) => return at,
                Err(error) => {
                    self.break_off(core, index, error.request(), error.status(), error.to_string());
                    return bytes.len();
                }
            };
            if full || self.offer(core, index, frame.header, frame.payload) == Flow::Wait {
                self.wait(core, index);
                return at;
            }
            at += used;
        }
    }

    fn offer(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, header: Header, payload: &[u8]) -> Flow {
        let Some(connection) = self.io.connections[index].as_mut() else { return Flow::Taken };
        connection.in_flight += 1;
        let reply_to = self.io.in_flight.insert(Pending {
            connection: index,
            serial: connection.serial,
            request: header.request,
            opcode: header.opcode,
            flags: header.flags & sutra_wire::CHECKSUM,
            deadline: (header.extra != 0).then(|| core.now().checked_add(Duration::from_micros(header.extra))).flatten(),
        });
        let mut cx = Context { io: &mut self.io, core };
        let flow = self.service.request(&mut cx, &Request { reply_to, header, payload });
        match flow {
            Flow::Taken => {
                self.io.counters.request(header.opcode);
                if header.extra != 0 {
                    self.io.in_flight.watch(reply_to);
                }
            }
            Flow::Wait => {
                self.io.in_flight.remove(reply_to);
                if let Some(connection) = self.io.connections[index].as_mut() {
                    connection.in_flight -= 1;
                }
            }
        }
        flow
    }

    /// Reads no further from a connection until there is room for its next request.
    fn wait(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize) {
        let Some(connection) = self.io.connections[index].as_mut() else { return };
        if !connection.waiting {
            connection.waiting = true;
            self.io.waiting.push(index);
            self.io.counters.waits += 1;
        }
        if connection.receiving == Receiving::On {
            connection.receiving = Receiving::Pausing;
            core.pause(connection.socket);
        }
    }

    fn listen_to(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize) {
        let Some(connection) = self.io.connections[index].as_mut() else { return };
        if connection.receiving == Receiving::Off && connection.phase == Phase::Open && !connection.waiting {
            connection.receiving = Receiving::On;
            core.receive(connection.socket);
        }
    }

    /// Tries the requests again that had to wait.
    fn retry(&mut self, core: &mut Core<Envelope<S::Message>>) {
        if std::mem::take(&mut self.io.resume) {
            self.io.retry.clear();
            let Io { retry, waiting, .. } = &mut self.io;
            retry.extend_from_slice(waiting);
        }
        while let Some(index) = self.io.retry.pop() {
            let Some(connection) = self.io.connections[index].as_mut().filter(|connection| connection.waiting) else {
                continue;
            };
            connection.waiting = false;
            let mut input = std::mem::take(&mut connection.input);
            self.io.waiting.retain(|waiting| *waiting != index);
            let used = self.run(core, index, input.bytes());
            input.consume(used, &mut self.io.inputs);
            self.keep(core, index, input);
            self.listen_to(core, index);
            self.finish(core, index);
        }
    }

    fn receive_ended(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket, reason: ReceiveEnd) {
        let Some(connection) = self.io.get(socket) else { return };
        connection.receiving = Receiving::Off;
        let index = socket.index();
        match reason {
            ReceiveEnd::Paused => {
                self.listen_to(core, index);
                self.finish(core, index);
            }
            ReceiveEnd::PeerClosed => {
                if connection.phase == Phase::Hello {
                    return self.drop_connection(core, index);
                }
                if connection.phase == Phase::Open {
                    connection.phase = Phase::Ending;
                }
                self.finish(core, index);
            }
            ReceiveEnd::Failed(error) => {
                debug!(peer = %connection.peer, %error, "connection lost");
                self.drop_connection(core, index);
            }
        }
    }

    fn sent(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket, outgoing: Box<Outgoing>, result: io::Result<()>) {
        let bytes = outgoing.len() as u64;
        core.recycle(outgoing);
        let now = core.now();
        let Some(connection) = self.io.get(socket) else { return };
        connection.sending = false;
        connection.active = now;
        let waiting = connection.waiting;
        let index = socket.index();
        if let Err(error) = result {
            debug!(peer = %connection.peer, %error, "connection lost");
            return self.drop_connection(core, index);
        }
        let more = connection.output.is_some();
        self.io.counters.bytes_sent += bytes;
        if waiting {
            self.io.retry.push(index);
        }
        if more {
            self.io.mark(index);
        } else {
            self.finish(core, index);
        }
    }

    /// Sends what was gathered this turn: one send a connection.
    fn flush(&mut self, core: &mut Core<Envelope<S::Message>>) {
        if !self.io.dirty.is_empty() {
            self.keep_house(core);
        }
        while let Some(index) = self.io.dirty.pop() {
            let Some(connection) = self.io.connections[index].as_mut() else { continue };
            connection.dirty = false;
            if connection.sending {
                continue;
            }
            let Some(output) = connection.output.take() else { continue };
            connection.sending = true;
            connection.active = core.now();
            core.send(connection.socket, output);
            self.io.counters.sends += 1;
        }
    }

    /// Closes a connection that has nothing left to do.
    fn finish(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize) {
        if self.io.connections[index].as_ref().is_some_and(Connection::is_finished) {
            self.drop_connection(core, index);
        }
    }

    pub(crate) fn drop_connection(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize) {
        let Some(mut connection) = self.io.connections[index].take() else { return };
        debug!(peer = %connection.peer, "connection closed");
        connection.input.clear(&mut self.io.inputs);
        if connection.in_flight > 0 {
            self.io.in_flight.forget(index, connection.serial);
        }
        if let Some(output) = connection.output {
            core.recycle(output);
        }
        self.io.waiting.retain(|waiting| *waiting != index);
        self.io.counters.connections -= 1;
        core.close(connection.socket);
    }

    fn deadlines(&mut self, core: &mut Core<Envelope<S::Message>>) {
        let mut expired = std::mem::take(&mut self.io.expired);
        self.io.in_flight.expired(core.now(), &mut expired);
        let mut cx = Context { io: &mut self.io, core };
        for to in expired.drain(..) {
            cx.refuse(to, Status::DeadlineExceeded, "the deadline passed before the request was done; a write may still take effect");
        }
        self.io.expired = expired;
    }

    pub(crate) fn parts(&mut self) -> (&mut Io, &mut S) {
        (&mut self.io, &mut self.service)
    }

    pub(crate) fn keep_house(&mut self, core: &mut Core<Envelope<S::Message>>) {
        if !std::mem::replace(&mut self.io.housekeeping, true) {
            core.set_timer(HOUSEKEEPING, Some(core.now() + crate::housekeeping::PERIOD));
        }
    }

    pub(crate) fn house_kept(&mut self) {
        self.io.housekeeping = false;
    }

}

impl<S: Service> Handler for Net<S> {
    type Message = Envelope<S::Message>;

    fn event(&mut self, core: &mut Core<Self::Message>, event: Event<'_>) {
        match event {
            Event::Accepted { socket, peer, .. } => self.accepted(core, socket, peer),
            Event::Received { socket, bytes } => self.received(core, socket, bytes),
            Event::ReceiveEnded { socket, reason } => self.receive_ended(core, socket, reason),
            Event::Sent { socket, outgoing, result } => self.sent(core, socket, outgoing, result),
            Event::Written { token, result } => {
                let mut cx = Context { io: &mut self.io, core };
                self.service.written(&mut cx, token, result);
            }
            Event::Closed { .. } => {}
        }
    }

    fn message(&mut self, core: &mut Core<Self::Message>, from: usize, message: Self::Message) {
        match message {
            Envelope::HandOver(hand_over) => self.take_over(core, hand_over),
            Envelope::Service(message) => {
                let mut cx = Context { io: &mut self.io, core };
                self.service.message(&mut cx, from, message);
            }
        }
    }

    fn timer(&mut self, core: &mut Core<Self::Message>, timer: TimerId) {
        match timer {
            HOUSEKEEPING => self.housekeeping(core),
            DEADLINES => self.deadlines(core),
            TimerId(number) => self.service.timer(&mut Context { io: &mut self.io, core }, number.wrapping_sub(SERVICE)),
        }
    }

    fn turn_end(&mut self, core: &mut Core<Self::Message>) -> Next {
        if self.io.resume || !self.io.retry.is_empty() {
            self.retry(core);
        }
        let next = self.service.turn_end(&mut Context { io: &mut self.io, core });
        self.flush(core);
        core.set_timer(DEADLINES, self.io.in_flight.earliest_deadline());
        if self.io.resume { Next::Again } else { next }
    }

    fn shutdown(&mut self, core: &mut Core<Self::Message>) {
        info!(core = core.index(), connections = self.io.counters.connections, "draining");
        self.io.draining = true;
        core.stop_listening();
        for index in 0..self.io.connections.len() {
            let Some(connection) = self.io.connections[index].as_mut() else { continue };
            match connection.phase {
                Phase::Hello => {
                    self.drop_connection(core, index);
                    continue;
                }
                Phase::Open => connection.phase = Phase::Ending,
                Phase::Ending | Phase::Refused => {}
            }
            if connection.receiving == Receiving::On {
                connection.receiving = Receiving::Pausing;
                core.pause(connection.socket);
            } else {
                self.finish(core, index);
            }
        }
        self.keep_house(core);
    }

    fn drained(&self) -> bool {
        self.io.counters.connections == 0 && self.service.is_idle()
    }
}
