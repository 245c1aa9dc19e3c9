//! A server that does what it is told: for the faults that a real one never shows. Each connection
//! is handled by a script on a thread of its own; scripts and tests meet at requests and replies,
//! never at times.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use sutra_client::ConceptRecord;
use sutra_wire::{
    CLIENT_HELLO_BYTES, Checked, ClientHello, ConceptKey, CoreLayout, ErrorMessage, FINGERPRINT,
    FrameBuffer, Header, Opcode, Parsed, ServerHello, Status, VERSION, encode_archive,
    encode_empty, limits, parse,
};

/// A request as it came.
pub(crate) struct Request {
    pub(crate) header: Header,
    pub(crate) payload: FrameBuffer,
}

impl Request {
    pub(crate) fn is(&self, opcode: Opcode) -> bool {
        self.header.opcode == opcode as u8
    }
}

/// One connection, seen from the server.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    received: FrameBuffer,
}

/// What a well-behaved server of one core says.
pub(crate) fn server_hello() -> ServerHello {
    ServerHello {
        fingerprint: FINGERPRINT,
        store: 1,
        started: 1,
        max_payload: limits::MAX_PAYLOAD,
        max_in_flight: limits::MAX_IN_FLIGHT,
        sync_interval: 0,
        cores: 1,
        core: 0,
        owner_function: CoreLayout::FUNCTION,
        durability: 0,
        version: VERSION,
    }
}

/// A running server. Dropped after its clients, it fails the test if a script has failed.
pub(crate) struct Server {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<Vec<JoinHandle<()>>>>,
}

/// Starts a server whose n-th connection (from 0) is handled by `script`.
pub(crate) fn serve(script: impl Fn(usize, Peer) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stopping = Arc::new(AtomicBool::new(false));
    let stop = stopping.clone();
    let script = Arc::new(script);
    let accepting = std::thread::spawn(move || {
        let mut connections = Vec::new();
        for (number, stream) in listener.incoming().enumerate() {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let (script, stream) = (script.clone(), stream.unwrap());
            let handle = move || script(number, Peer { stream, received: FrameBuffer::new() });
            connections.push(std::thread::spawn(handle));
        }
        connections
    });
    Server { address, stopping, accepting: Some(accepting) }
}

impl Server {
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return; // The client may still be there, and the test has failed already.
        }
        self.stopping.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).unwrap();
        let connections = self.accepting.take().unwrap().join().unwrap();
        let failed = connections.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        assert_eq!(failed, 0, "scripts of the server that failed");
    }
}

impl Peer {
    /// Takes the client's Hello and returns the core that it would like.
    pub(crate) fn take_hello(&mut self) -> u16 {
        let mut bytes = FrameBuffer::new();
        bytes.resize(CLIENT_HELLO_BYTES, 0);
        self.stream.read_exact(&mut bytes).unwrap();
        let Ok(Parsed::Frame(frame, _)) = parse(&bytes, 1000) else { panic!("no hello") };
        Checked::<ClientHello>::new(frame.payload).unwrap().wanted_core.to_native()
    }

    pub(crate) fn say_hello(&mut self, hello: &ServerHello) {
        let mut out = FrameBuffer::new();
        encode_archive(
            &mut out,
            Header { opcode: Opcode::Hello as u8, request: 1, ..Header::default() },
            hello,
        );
        self.send(&out);
    }

    /// A handshake as it should be.
    pub(crate) fn greet(mut self) -> Self {
        self.take_hello();
        self.say_hello(&server_hello());
        self
    }

    /// The next request; `None` when the client has closed.
    pub(crate) fn request(&mut self) -> Option<Request> {
        loop {
            let parsed = parse(&self.received, limits::MAX_PAYLOAD).unwrap();
            if let Parsed::Frame(frame, used) = parsed {
                let mut payload = FrameBuffer::new();
                payload.extend_from_slice(frame.payload);
                let header = frame.header;
                let rest = self.received[used..].to_vec();
                self.received.clear();
                self.received.extend_from_slice(&rest);
                return Some(Request { header, payload });
            }
            let mut bytes = vec![0; 1 << 20];
            match self.stream.read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
            }
        }
    }

    /// The next request, which must be of this kind.
    pub(crate) fn expect(&mut self, opcode: Opcode) -> Request {
        let request = self.request().expect("a request");
        assert!(request.is(opcode), "{:?}", request.header);
        request
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // A client that has closed is no concern of the server's.
        let _ = self.stream.write_all(bytes);
    }

    /// Answers as a server would whose every concept has its id as content.
    pub(crate) fn answer(&mut self, request: &Request) {
        self.send(&answer(request));
    }

    pub(crate) fn refuse(&mut self, request: &Request, status: Status, message: &str) {
        let mut out = FrameBuffer::new();
        let header = Header { status: status as u8, ..request.header };
        encode_archive(&mut out, header, &ErrorMessage { message: message.into() });
        self.send(&out);
    }

    /// Answers every request until the client closes.
    pub(crate) fn answer_all(&mut self) {
        while let Some(request) = self.request() {
            self.answer(&request);
        }
    }
}

/// The frame that answers a request.
pub(crate) fn answer(request: &Request) -> FrameBuffer {
    let mut out = FrameBuffer::new();
    let header = Header { extra: request.header.request, ..request.header };
    if request.is(Opcode::Query) {
        let id = Checked::<ConceptKey>::new(&request.payload).unwrap().id;
        encode_archive(&mut out, header, &record(id));
    } else if request.is(Opcode::Health) {
        let health = sutra_wire::Health { healthy: true, status: "ok".into(), uptime: 1 };
        encode_archive(&mut out, header, &health);
    } else {
        encode_empty(&mut out, header);
    }
    out
}

/// The record that [`answer`] gives for an id.
pub(crate) fn record(id: [u8; 16]) -> ConceptRecord {
    let content = sutra_wire::ConceptId(id).to_string();
    ConceptRecord { id, content, strength: 1.0, confidence: 1.0, ..ConceptRecord::default() }
}
