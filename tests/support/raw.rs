//! A connection that speaks the wire byte by byte, for what no client of ours would send.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use sutra_wire::{
    Checked, ClientHello, ErrorMessage, FINGERPRINT, Frame, FrameBuffer, Header, NO_CORE, Opcode, Parsed, Status,
    VERSION, encode_archive,
};

use super::PATIENCE;

/// A reply as it was received.
pub struct Reply {
    pub header: Header,
    pub payload: FrameBuffer,
}

impl Reply {
    pub fn status(&self) -> Status {
        Status::from_number(self.header.status).unwrap()
    }

    /// The message of an error reply.
    pub fn message(&self) -> String {
        Checked::<ErrorMessage>::new(&self.payload).unwrap().message.to_string()
    }
}

pub struct Raw {
    pub stream: TcpStream,
    received: FrameBuffer,
}

impl Raw {
    /// A connection that has said nothing yet.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, received: FrameBuffer::new() }
    }

    /// A connection that has said Hello, to any core.
    pub fn open(address: SocketAddr) -> Self {
        Self::open_on(address, NO_CORE)
    }

    /// A connection that has said Hello to this core.
    pub fn open_on(address: SocketAddr, core: u16) -> Self {
        let mut raw = Self::connect(address);
        raw.write(&hello(core));
        let reply = raw.reply().expect("the server answers Hello");
        assert_eq!(reply.status(), Status::Ok);
        raw
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame; `None` when the server closed the connection.
    pub fn reply(&mut self) -> Option<Reply> {
        loop {
            if let Parsed::Frame(Frame { header, payload }, used) = sutra_wire::parse(&self.received, u32::MAX).unwrap()
            {
                let mut copy = FrameBuffer::new();
                copy.extend_from_slice(payload);
                let left = self.received.len() - used;
                self.received.copy_within(used.., 0);
                self.received.resize(left, 0);
                return Some(Reply { header, payload: copy });
            }
            let mut chunk = [0; 65536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Sends a frame and returns the next one.
    pub fn ask(&mut self, header: Header, payload: &[u8]) -> Reply {
        let mut frame = FrameBuffer::new();
        sutra_wire::encode_bytes(&mut frame, header, payload);
        self.write(&frame);
        self.reply().expect("the connection goes on")
    }

    /// Whether the connection still answers.
    pub fn is_alive(&mut self) -> bool {
        self.ask(Header { opcode: Opcode::Health as u8, request: 999, ..Header::default() }, &[]).status() == Status::Ok
    }
}

/// A Hello frame.
pub fn hello(core: u16) -> FrameBuffer {
    let hello = ClientHello {
        fingerprint: FINGERPRINT,
        token: [0; 32],
        wanted_core: core,
        lowest_version: VERSION,
        highest_version: VERSION,
    };
    let mut frame = FrameBuffer::new();
    encode_archive(&mut frame, Header { opcode: Opcode::Hello as u8, ..Header::default() }, &hello);
    frame
}
