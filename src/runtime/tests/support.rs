//! A handler made of closures, an echo service, and clients for the runtime's tests.
#![allow(dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use sutra_runtime::{
    Config, Core, Event, Handler, ListenerId, Next, Outgoing, ReceiveEnd, Running, Socket, TimerId,
};

pub type Message = u64;
type OnEvent = Box<dyn FnMut(&mut Core<Message>, Event<'_>)>;
type OnMessage = Box<dyn FnMut(&mut Core<Message>, usize, Message)>;
type OnTimer = Box<dyn FnMut(&mut Core<Message>, TimerId)>;
type OnTurn = Box<dyn FnMut(&mut Core<Message>) -> Next>;

/// A handler whose every part is a closure; it is drained as soon as it was asked to stop.
pub struct Script {
    pub on_event: OnEvent,
    pub on_message: OnMessage,
    pub on_timer: OnTimer,
    pub on_turn: OnTurn,
    stopping: bool,
}

impl Default for Script {
    fn default() -> Self {
        Script {
            on_event: Box::new(|_, event| panic!("unexpected {event:?}")),
            on_message: Box::new(|_, from, message| panic!("unexpected {message} from {from}")),
            on_timer: Box::new(|_, timer| panic!("unexpected {timer:?}")),
            on_turn: Box::new(|_| Next::Sleep),
            stopping: false,
        }
    }
}

impl Script {
    pub fn events(on_event: impl FnMut(&mut Core<Message>, Event<'_>) + 'static) -> Script {
        Script { on_event: Box::new(on_event), ..Script::default() }
    }

    pub fn with_messages(
        self,
        on_message: impl FnMut(&mut Core<Message>, usize, Message) + 'static,
    ) -> Script {
        Script { on_message: Box::new(on_message), ..self }
    }

    pub fn with_timer(self, on_timer: impl FnMut(&mut Core<Message>, TimerId) + 'static) -> Script {
        Script { on_timer: Box::new(on_timer), ..self }
    }

    pub fn with_turns(self, on_turn: impl FnMut(&mut Core<Message>) -> Next + 'static) -> Script {
        Script { on_turn: Box::new(on_turn), ..self }
    }
}

impl Handler for Script {
    type Message = Message;
    fn event(&mut self, core: &mut Core<Message>, event: Event<'_>) {
        (self.on_event)(core, event);
    }
    fn message(&mut self, core: &mut Core<Message>, from: usize, message: Message) {
        (self.on_message)(core, from, message);
    }
    fn timer(&mut self, core: &mut Core<Message>, timer: TimerId) {
        (self.on_timer)(core, timer);
    }
    fn turn_end(&mut self, core: &mut Core<Message>) -> Next {
        (self.on_turn)(core)
    }
    fn shutdown(&mut self, core: &mut Core<Message>) {
        core.stop_listening();
        self.stopping = true;
    }
    fn drained(&self) -> bool {
        self.stopping
    }
}

/// Sends everything back; what arrives during a send goes out with the next.
#[derive(Default)]
pub struct Echo {
    connections: HashMap<Socket, Connection>,
    stopping: bool,
}

struct Connection {
    sending: bool,
    ended: bool,
    queued: Option<Box<Outgoing>>,
}

impl Echo {
    fn go_on(core: &mut Core<Message>, socket: Socket, connection: &mut Connection) {
        if connection.sending {
            return;
        }
        if let Some(outgoing) = connection.queued.take() {
            connection.sending = true;
            core.send(socket, outgoing);
        } else if connection.ended {
            core.close(socket);
        }
    }
}

impl Handler for Echo {
    type Message = Message;

    fn event(&mut self, core: &mut Core<Message>, event: Event<'_>) {
        match event {
            Event::Accepted { socket, .. } => {
                let socket = core.adopt(socket).unwrap();
                self.connections
                    .insert(socket, Connection { sending: false, ended: false, queued: None });
                core.receive(socket);
            }
            Event::Received { socket, bytes } => {
                assert_eq!(bytes.as_ptr() as usize % 64, 0, "buffers are aligned");
                let connection = self.connections.get_mut(&socket).unwrap();
                let queued = connection.queued.get_or_insert_with(|| core.outgoing());
                queued.bytes().extend_from_slice(bytes);
                Echo::go_on(core, socket, connection);
            }
            Event::Sent { socket, outgoing, result } => {
                core.recycle(outgoing);
                let connection = self.connections.get_mut(&socket).unwrap();
                connection.sending = false;
                connection.ended |= result.is_err();
                Echo::go_on(core, socket, connection);
            }
            Event::ReceiveEnded { socket, reason } => {
                assert!(!matches!(reason, ReceiveEnd::Paused));
                let connection = self.connections.get_mut(&socket).unwrap();
                connection.ended = true;
                Echo::go_on(core, socket, connection);
            }
            Event::Closed { socket } => {
                self.connections.remove(&socket).unwrap();
            }
            Event::Written { .. } | Event::Withdrawn { .. } => {
                unreachable!("an echo writes no file and gives nothing away")
            }
        }
    }

    fn message(&mut self, _: &mut Core<Message>, _: usize, _: Message) {}
    fn timer(&mut self, _: &mut Core<Message>, _: TimerId) {}
    fn turn_end(&mut self, _: &mut Core<Message>) -> Next {
        Next::Sleep
    }
    fn shutdown(&mut self, core: &mut Core<Message>) {
        core.stop_listening();
        self.stopping = true;
    }
    fn drained(&self) -> bool {
        self.stopping
    }
}

/// So many unpinned cores, as tests run beside each other.
pub fn config(cores: usize) -> Config {
    Config { cpus: vec![0; cores], pin: false, ..Config::default() }
}

/// A listening socket on a free port, and where it listens.
pub fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// One core that serves `make`'s handler on a free port.
pub fn serve<H, F>(config: Config, make: F) -> (Running, SocketAddr)
where
    H: Handler,
    F: Fn(&mut Core<H::Message>) -> H + Send + Sync + 'static,
{
    let (listener, address) = listener();
    let running = sutra_runtime::start(config, move |_, core| {
        core.listen(listener.try_clone().unwrap(), ListenerId(7))?;
        Ok::<_, sutra_runtime::RuntimeError>(make(core))
    });
    (running.unwrap(), address)
}

/// A client whose reads fail after a long while instead of hanging the test.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Sends, and asserts that the same comes back.
pub fn exchange(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    assert!(back == bytes, "the echo differs");
}

pub fn stop(running: Running) {
    running.shutdown();
    running.join().unwrap();
}

/// Bytes that tell their position.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}
