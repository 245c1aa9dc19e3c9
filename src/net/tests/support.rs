//! A toy service whose every opcode shows one way of answering, and clients that speak frames byte
//! by byte.
#![allow(dead_code, unreachable_pub)]

pub mod toy_protocol;
pub mod watchers;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use sutra_net::{
    Body, Context, Flow, Front, Held, Identity, Limits, Loads, Never, Parted, Passed, Postbox,
    ReplyTo, Request, Service, ServiceMessage, SlowRequests, background_job, listen,
};
use sutra_runtime::{
    Config, Listener, ListenerId, Next, Region, RegionWriter, Running, RuntimeError,
};
use sutra_testing::raw::{self, Raw};
pub use sutra_testing::raw::{Reply, hello};
use sutra_wire::{
    Checked, Durability, FrameBuffer, HEADER_BYTES, Header, NO_CORE, Opcode, SERVER_HELLO_BYTES,
    ServerHello, Status, padded,
};
use toy_protocol::ToyProtocol;
use watchers::Watchers;

/// Answered at once with its payload.
pub const ECHO: u8 = 0x80;
/// Answered at once with so many (u32) bytes of a region: [`pattern`].
pub const STORED: u8 = 0x81;
/// Answered by the next [`RELEASE`] on its core, the last one first; with so many (u32) bytes,
/// where it names a number.
pub const HOLD: u8 = 0x82;
pub const RELEASE: u8 = 0x83;
/// Answered by way of the next core.
pub const ELSEWHERE: u8 = 0x84;
/// Answered by way of the background thread, which waits for the gate.
pub const BACKGROUND: u8 = 0x85;
/// Takes a credit, or waits for one.
pub const GATED: u8 = 0x86;
/// Gives so many (u32) credits.
pub const OPEN: u8 = 0x87;
/// Answered with this core's counters, one a line.
pub const COUNTERS: u8 = 0x88;
/// Answered with what `probe` says.
pub const PROBE: u8 = 0x89;
/// Shows the tests this core's slow requests.
pub const SLOW: u8 = 0x9a;

/// What the tests see of all cores' services.
pub struct Shared {
    /// The requests that took a credit, in order.
    pub credited: Mutex<Vec<u64>>,
    /// Reply bytes handed over by the service, those that the test's client has read, and the most
    /// that ever lay in between.
    pub replied: AtomicU64,
    pub read: AtomicU64,
    pub most_between: AtomicU64,
    /// Background jobs go on when it is open.
    gate: Mutex<bool>,
    gate_moved: Condvar,
    /// The way to the core that was last asked for it.
    pub postbox: watchers::Left,
    pub probe: fn() -> u64,
    pub slow: Mutex<SlowRequests>,
}

impl Shared {
    pub fn open_gate(&self) {
        *self.gate.lock().unwrap() = true;
        self.gate_moved.notify_all();
    }

    fn note_reply(&self, len: usize) {
        let replied = self.replied.fetch_add(len as u64, Ordering::Relaxed) + len as u64;
        let between = replied.saturating_sub(self.read.load(Ordering::Relaxed));
        self.most_between.fetch_max(between, Ordering::Relaxed);
    }

    fn pass_gate(&self) {
        let mut is_open = self.gate.lock().unwrap();
        while !*is_open {
            is_open = self.gate_moved.wait(is_open).unwrap();
        }
    }
}

impl ServiceMessage for Say {
    type Token = Never;
    type Timer = Never;
}

pub enum Say {
    Ask(ReplyTo),
    Answer(ReplyTo),
    Value(u64),
}

pub struct Toy {
    shared: Arc<Shared>,
    identity: Identity,
    region: Arc<Region>,
    held: Vec<(ReplyTo, usize)>,
    credits: u32,
    elsewhere: usize,
    watchers: Watchers,
}

/// Bytes that tell their position.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Longest stored reply.
pub const STORED_BYTES: usize = 1 << 20;

impl Toy {
    fn new(shared: Arc<Shared>) -> Toy {
        let mut writer = RegionWriter::new(STORED_BYTES).unwrap();
        writer.writable().copy_from_slice(&pattern(STORED_BYTES));
        writer.freeze(STORED_BYTES);
        Toy {
            shared,
            identity: Identity { store: 77, started: 1, durability: Durability::Always },
            region: Arc::clone(writer.region()),
            held: Vec::new(),
            credits: 0,
            elsewhere: 0,
            watchers: Watchers::default(),
        }
    }

    fn show_slow(&self, cx: &mut Context<'_, Say>, to: ReplyTo) {
        *self.shared.slow.lock().unwrap() = cx.slow_requests();
        cx.reply(to, Status::Ok, 0, Body::Empty);
    }
}

fn number(payload: &[u8]) -> u32 {
    u32::from_le_bytes(payload[..4].try_into().unwrap())
}

impl Service for Toy {
    type Message = Say;

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn request(&mut self, cx: &mut Context<'_, Say>, request: &Request<'_>) -> Flow {
        assert!(
            request.payload.is_empty() || request.payload.as_ptr().addr().is_multiple_of(16),
            "payloads are aligned"
        );
        let to = request.reply_to;
        cx.about(to, [request.header.opcode; 16]);
        match request.header.opcode {
            ECHO => cx.reply(to, Status::Ok, request.header.request, Body::Bytes(request.payload)),
            STORED => {
                let len = number(request.payload) as usize;
                let body = self.region.slice(0..len).unwrap();
                self.shared.note_reply(len);
                cx.reply(to, Status::Ok, 0, Body::Stored(body));
            }
            HOLD if request.payload.is_empty() => self.held.push((to, 0)),
            HOLD => self.held.push((to, number(request.payload) as usize)),
            RELEASE => {
                let bytes = [0; 64 << 10];
                while let Some((held, len)) = self.held.pop() {
                    cx.reply(held, Status::Ok, 0, Body::Bytes(&bytes[..len]));
                }
                cx.reply(to, Status::Ok, 0, Body::Empty);
            }
            ELSEWHERE => {
                let next = (cx.index() + 1) % cx.cores();
                if cx.send(next, Say::Ask(to)).is_err() {
                    return Flow::Wait;
                }
                self.elsewhere += 1;
            }
            BACKGROUND => {
                let shared = Arc::clone(&self.shared);
                let job = background_job(move || {
                    shared.pass_gate();
                    Say::Answer(to)
                });
                assert!(cx.background(job).is_ok());
            }
            GATED => {
                if self.credits == 0 {
                    return Flow::Wait;
                }
                self.credits -= 1;
                self.shared.credited.lock().unwrap().push(request.header.request);
                cx.reply(to, Status::Ok, 0, Body::Empty);
            }
            OPEN => {
                self.credits += number(request.payload);
                cx.resume();
                cx.reply(to, Status::Ok, 0, Body::Empty);
            }
            COUNTERS => {
                let mut counters = Vec::new();
                cx.counters(&mut counters);
                self.watchers.report(&mut counters);
                let lines: String = counters
                    .iter()
                    .map(|counter| format!("{} {}\n", counter.name, counter.value))
                    .collect();
                cx.reply(to, Status::Ok, 0, Body::Bytes(lines.as_bytes()));
            }
            SLOW => self.show_slow(cx, to),
            PROBE => cx.reply(to, Status::Ok, (self.shared.probe)(), Body::Empty),
            _ if self.watchers.request(cx, request, &self.shared) => {}
            opcode => cx.refuse(to, Status::UnknownOpcode, format!("no operation {opcode}")),
        }
        Flow::Taken
    }

    fn message(&mut self, cx: &mut Context<'_, Say>, from: usize, message: Say) {
        match message {
            // A toy of three cores with bounded tests never fills a mailbox.
            Say::Ask(to) => assert!(cx.send(from, Say::Answer(to)).is_ok()),
            Say::Answer(to) => {
                cx.reply(to, Status::Ok, 0, Body::Empty);
                self.elsewhere = self.elsewhere.saturating_sub(1);
                cx.resume();
            }
            Say::Value(value) => self.watchers.say(cx, from, value),
        }
    }

    fn written(&mut self, _: &mut Context<'_, Say>, token: Never, _: io::Result<()>) {
        match token {}
    }
    fn timer(&mut self, _: &mut Context<'_, Say>, timer: Never) {
        match timer {}
    }
    fn turn_end(&mut self, cx: &mut Context<'_, Say>) -> Next {
        self.watchers.tell(cx, &self.shared);
        Next::Sleep
    }
    fn is_idle(&self) -> bool {
        self.elsewhere == 0
    }
}

/// A running toy.
pub struct Server {
    pub address: SocketAddr,
    /// Where the toy protocol is spoken.
    pub translated: SocketAddr,
    pub shared: Arc<Shared>,
    cores: Vec<Postbox<Say>>,
    limits: Limits,
    running: Running,
}

/// What a core serves.
#[derive(Default)]
struct Served {
    listeners: Vec<(ListenerId, Listener)>,
    connections: Vec<Passed>,
}

impl Server {
    pub fn start(cores: usize, limits: Limits) -> Server {
        Server::with_probe(cores, limits, || 0)
    }

    /// One that speaks either protocol on either port.
    pub fn of_either(cores: usize, limits: Limits) -> Server {
        Server::build(cores, limits, || 0, true)
    }

    pub fn with_probe(cores: usize, limits: Limits, probe: fn() -> u64) -> Server {
        Server::build(cores, limits, probe, false)
    }

    fn build(cores: usize, limits: Limits, probe: fn() -> u64, speaks_either: bool) -> Server {
        // Which core gets which does not matter; each is in one place only, so that closing it
        // closes it.
        let mut served: Vec<Served> = (0..cores).map(|_| Served::default()).collect();
        for id in [0, 1] {
            let listeners = listen("127.0.0.1:0".parse().unwrap(), cores).unwrap();
            for (core, listener) in served.iter_mut().zip(listeners) {
                core.listeners.push((ListenerId(id), listener.into()));
            }
        }
        Server::serve(served, limits, probe, speaks_either)
    }

    fn serve(
        served: Vec<Served>,
        limits: Limits,
        probe: fn() -> u64,
        speaks_either: bool,
    ) -> Server {
        let cores = served.len();
        let shared = Arc::new(Shared {
            credited: Mutex::new(Vec::with_capacity(10_000)),
            replied: AtomicU64::new(0),
            read: AtomicU64::new(0),
            most_between: AtomicU64::new(0),
            gate: Mutex::new(false),
            gate_moved: Condvar::new(),
            postbox: watchers::Left::default(),
            probe,
            slow: Mutex::default(),
        });
        let address_of = |wanted: u8| {
            let listeners = &served[0].listeners;
            let found = listeners.iter().find(|(id, _)| id.0 == wanted).unwrap();
            found.1.local_addr().unwrap()
        };
        let (address, translated) = (address_of(0), address_of(1));
        let seen = Arc::clone(&shared);
        let postboxes = Arc::new(Mutex::new(Vec::new()));
        let filled = Arc::clone(&postboxes);
        let served: Vec<_> = served.into_iter().map(|served| Mutex::new(Some(served))).collect();
        let kept = limits.clone();
        let loads = Arc::new(Loads::new(cores));
        let config = Config { cpus: vec![0; cores], pin: false, ..Config::default() };
        let running = sutra_runtime::start(config, move |index, core| {
            filled.lock().unwrap().push(Postbox::of(core));
            let served = served[index].lock().unwrap().take().unwrap();
            for (id, listener) in served.listeners {
                core.listen(listener, id)?;
            }
            // Every request is slow, so that whatever they do is done with slow ones.
            let net = Front::new(Toy::new(Arc::clone(&seen)), limits.clone())
                .keeping_slow(Some(Duration::from_nanos(1)));
            let (toy, loads) = (Box::new(ToyProtocol), Arc::clone(&loads));
            let mut net = match speaks_either {
                true => net.speaking_either(toy, loads),
                false => net.with_translator(toy, ListenerId(1), loads),
            };
            net.take_in(core, served.connections);
            Ok::<_, RuntimeError>(net)
        });
        let cores = std::mem::take(&mut *postboxes.lock().unwrap());
        let running = running.unwrap();
        Server { address, translated, shared, cores, limits: kept, running }
    }

    /// Has all cores begin no request. What is returned has the number of each that has none under
    /// way any more.
    pub fn hold(&self) -> Receiver<Held> {
        let (told, held) = channel();
        self.cores.iter().for_each(|core| core.hold(told.clone()));
        held
    }

    /// Has them go on.
    pub fn go_on(&self) {
        self.cores.iter().for_each(Postbox::go_on);
    }

    /// Passes all connections on, and goes on with them as another process would.
    pub fn pass_on(self) -> Server {
        let held = self.hold();
        assert_eq!(held.iter().take(self.cores.len()).count(), self.cores.len());
        let (to, parted) = channel();
        self.cores.iter().for_each(|core| core.part(to.clone()));
        drop(to);
        let mut served: Vec<Served> = self.cores.iter().map(|_| Served::default()).collect();
        let mut take = |parted: Parted| match parted {
            Parted::Begun(_) => unreachable!("all have begun"),
            Parted::Listener { core, id, listener } => served[core].listeners.push((id, listener)),
            Parted::Connection { core, passed } => {
                let socket = passed.as_fd().try_clone_to_owned().unwrap();
                let passed = Passed::read(socket, &passed.archive()).unwrap();
                served[core].connections.push(passed);
            }
        };
        let mut to_begin = self.cores.len();
        for parted in parted {
            let Parted::Begun(_) = parted else {
                take(parted);
                continue;
            };
            to_begin -= 1;
            if to_begin == 0 {
                self.running.shutdown();
            }
        }
        self.running.settle();
        self.running.join().unwrap();
        Server::serve(served, self.limits, self.shared.probe, false)
    }

    pub fn shutdown(&self) {
        self.running.shutdown();
    }

    pub fn join(self) {
        self.running.join().unwrap();
    }

    pub fn stop(self) {
        self.shutdown();
        self.join();
    }
}

/// A connection to the toy.
pub struct Client {
    raw: Raw,
    pub core: u16,
}

impl Deref for Client {
    type Target = Raw;

    fn deref(&self) -> &Raw {
        &self.raw
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Raw {
        &mut self.raw
    }
}

impl Client {
    /// Connects and says nothing.
    pub fn silent(address: SocketAddr) -> Client {
        Client { raw: Raw::connect(address), core: NO_CORE }
    }

    pub fn connect(server: &Server) -> Client {
        Client::to_core(server, NO_CORE)
    }

    pub fn to_core(server: &Server, wanted: u16) -> Client {
        let mut client = Client::silent(server.address);
        client.send(&hello(wanted));
        client.welcomed();
        client
    }

    /// Reads the server's Hello.
    pub fn welcomed(&mut self) {
        let reply = self.reply();
        assert_eq!(reply.header.opcode, Opcode::Hello as u8, "{reply:?}");
        assert_eq!(HEADER_BYTES + padded(reply.payload.len()), SERVER_HELLO_BYTES);
        let hello = Checked::<ServerHello>::new(&reply.payload).unwrap();
        assert_eq!(hello.store, 77);
        self.core = hello.core.to_native();
    }

    pub fn ask(&mut self, opcode: u8, request: u64, payload: &[u8]) -> Reply {
        self.send(&frame(opcode, request, payload));
        let reply = self.reply();
        assert_eq!(reply.header.request, request, "{reply:?}");
        reply
    }

    /// Nothing but the end of the connection is left.
    pub fn is_over(&mut self) {
        let rest = self.receive().unwrap();
        assert!(rest.is_none(), "{rest:?}");
    }

    /// The server's counters, on this connection's core.
    pub fn counters(&mut self) -> HashMap<String, u64> {
        let reply = self.ask(COUNTERS, 9_999, b"");
        let text = std::str::from_utf8(&reply.payload).unwrap();
        text.lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(name, value)| (name.into(), value.parse().unwrap()))
            .collect()
    }

    /// Asks for the counters again and again until one of them is as it should be.
    pub fn until(&mut self, name: &str, is_so: impl Fn(u64) -> bool) -> HashMap<String, u64> {
        loop {
            let counters = self.counters();
            if is_so(counters[name]) {
                return counters;
            }
            std::thread::yield_now();
        }
    }

    pub fn half_close(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

pub fn frame(opcode: u8, request: u64, payload: &[u8]) -> FrameBuffer {
    raw::frame(Header { opcode, request, ..Header::default() }, payload)
}

/// A request that is to be answered within so many µs.
pub fn urgent(opcode: u8, request: u64, deadline: u64, payload: &[u8]) -> FrameBuffer {
    raw::frame(Header { opcode, request, extra: deadline, ..Header::default() }, payload)
}

/// Frames one after the other.
pub fn run(frames: impl IntoIterator<Item = FrameBuffer>) -> Vec<u8> {
    frames.into_iter().flat_map(|frame| frame.to_vec()).collect()
}
