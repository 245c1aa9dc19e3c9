//! A connection that speaks the wire byte by byte, for what no client of ours would send.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sutra_wire::{
    CHECKSUM, Checked, ClientHello, ErrorMessage, FrameBuffer, HEADER_BYTES, Header, NO_CORE,
    Opcode, Status, encode_archive, encode_bytes, padded,
};

/// How long anything may take before a test gives up: far longer than anything takes, so that only
/// a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A reply as it was received.
#[derive(Debug)]
pub struct Reply {
    /// Its header.
    pub header: Header,
    /// Its payload, without padding.
    pub payload: FrameBuffer,
}

impl Reply {
    /// What it says of the request.
    pub fn status(&self) -> Status {
        Status::from_number(self.header.status).unwrap()
    }

    /// Whether the request was done.
    pub fn is_ok(&self) -> bool {
        self.status() == Status::Ok
    }

    /// The message of an error reply.
    pub fn message(&self) -> String {
        assert!(self.status().is_error(), "{:?}", self.header);
        Checked::<ErrorMessage>::new(&self.payload).unwrap().message.to_string()
    }
}

/// A connection that sends what it is given. What it reads is read frame by frame and nothing
/// beyond.
pub struct Raw {
    /// Its socket.
    pub stream: TcpStream,
}

impl Raw {
    /// A connection that has said nothing yet.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    /// A connection that has said Hello, to any core.
    pub fn open(address: SocketAddr) -> Self {
        Self::open_on(address, NO_CORE)
    }

    /// A connection that has said Hello to this core.
    pub fn open_on(address: SocketAddr, core: u16) -> Self {
        let mut raw = Self::connect(address);
        raw.say_hello(core);
        raw
    }

    /// Says Hello to this core, and hears it answered.
    pub fn say_hello(&mut self, core: u16) {
        self.send(&hello(core));
        let reply = self.reply();
        assert!(reply.is_ok(), "{}", reply.message());
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame, or `None` where the server has closed in an orderly way.
    pub fn receive(&mut self) -> io::Result<Option<Reply>> {
        let mut head = [0; HEADER_BYTES];
        let first = self.stream.read(&mut head)?;
        if first == 0 {
            return Ok(None);
        }
        self.stream.read_exact(&mut head[first..])?;
        let header = Header::decode(&head).unwrap();
        let length = header.length as usize;
        let mut payload = FrameBuffer::new();
        payload.resize(padded(length), 0xff);
        self.stream.read_exact(&mut payload)?;
        assert!(payload[length..].iter().all(|byte| *byte == 0), "padding is zeros");
        payload.resize(length, 0);
        if header.flags & CHECKSUM != 0 {
            assert_eq!(header.checksum, crc32c::crc32c(&payload));
        }
        Ok(Some(Reply { header, payload }))
    }

    /// The next frame, which must come.
    pub fn reply(&mut self) -> Reply {
        self.receive().unwrap().expect("a reply before the end")
    }

    /// Whether the connection ends here: closed, or reset because not all that was sent had been
    /// read.
    pub fn has_ended(&mut self) -> bool {
        match self.receive() {
            Ok(reply) => reply.is_none(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends a frame and returns the next one.
    pub fn ask(&mut self, header: Header, payload: &[u8]) -> Reply {
        self.send(&frame(header, payload));
        self.reply()
    }

    /// Whether the server still answers on this connection.
    pub fn is_alive(&mut self) -> bool {
        self.ask(Header { opcode: Opcode::Health as u8, request: 999, ..Header::default() }, &[])
            .is_ok()
    }
}

/// A Hello that asks for a core.
pub fn hello(core: u16) -> FrameBuffer {
    let mut frame = FrameBuffer::new();
    let header = Header { opcode: Opcode::Hello as u8, ..Header::default() };
    encode_archive(&mut frame, header, &ClientHello::new(core));
    frame
}

/// A frame of these bytes.
pub fn frame(header: Header, payload: &[u8]) -> FrameBuffer {
    let mut frame = FrameBuffer::new();
    encode_bytes(&mut frame, header, payload);
    frame
}
