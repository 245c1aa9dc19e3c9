//! A protocol of bytes for the toy service: a length, an operation, a payload; replies are a length
//! and their bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sutra_net::{Answer, Manner, Overlap, Translated, Translator, Wording};
use sutra_wire::FrameBuffer;

use super::{ECHO, GATED, HOLD};

/// Longest message, the length byte not counted.
pub const LONGEST: u8 = 100;

/// Answered without the service.
pub const HELLO: u8 = b'?';
/// Echoed.
pub const READ: u8 = b'r';
/// Held until a native client releases it.
pub const LATE: u8 = b'l';
/// The same, of the other kind.
pub const LATE_WRITE: u8 = b'w';
/// Takes a credit.
pub const PAID: u8 = b'p';
/// Echoed as often as its first byte says, in one reply.
pub const PARTS: u8 = b's';

pub struct ToyProtocol;

fn say(text: &[u8], reply: &mut Vec<u8>) {
    reply.push(text.len() as u8);
    reply.extend_from_slice(text);
}

impl Translator for ToyProtocol {
    fn measure(&self, bytes: &[u8]) -> Result<Option<usize>, String> {
        match bytes {
            [] => Ok(None),
            [len, ..] if *len == 0 || *len > LONGEST => Err(format!("{len} bytes are no message")),
            [len, ..] => Ok(Some(1 + usize::from(*len))),
        }
    }

    fn request(
        &mut self,
        message: &[u8],
        payload: &mut FrameBuffer,
        reply: &mut Vec<u8>,
    ) -> Translated {
        assert!(payload.is_empty() && reply.is_empty());
        let (operation, rest) = (message[1], &message[2..]);
        let (opcode, overlap) = match operation {
            HELLO => {
                say(b"hello", reply);
                return Translated::Answered { manner: Manner(operation.into()) };
            }
            READ => (ECHO, Overlap::Reads),
            LATE => (HOLD, Overlap::Reads),
            LATE_WRITE => (HOLD, Overlap::Writes),
            PAID => (GATED, Overlap::Writes),
            PARTS => (ECHO, Overlap::Alone),
            _ => (0, Overlap::Reads),
        };
        payload.extend_from_slice(rest);
        Translated::Request { opcode, manner: Manner(operation.into()), overlap }
    }

    fn reply(
        &mut self,
        manner: Manner,
        answer: Answer<'_>,
        gathered: &mut Vec<u8>,
        payload: &mut FrameBuffer,
        reply: &mut Vec<u8>,
    ) -> Wording {
        if answer.status.is_error() {
            say(b"error", reply);
            return Wording::Complete;
        }
        if manner.0 != u32::from(PARTS) {
            say(answer.payload, reply);
            return Wording::Complete;
        }
        gathered.extend_from_slice(&answer.payload[1..]);
        assert_eq!(payload[..], *answer.payload, "what was asked");
        payload[0] -= 1;
        if payload[0] == 0 {
            say(gathered, reply);
            return Wording::Complete;
        }
        Wording::Ask { opcode: ECHO }
    }

    fn error(&mut self, manner: Manner, message: &str, reply: &mut Vec<u8>) {
        say(format!("broken after {}: {message}", manner.0).as_bytes(), reply);
    }
}

/// A connection that speaks it.
pub struct ToyClient {
    pub stream: TcpStream,
}

/// A message.
pub fn message(operation: u8, payload: &[u8]) -> Vec<u8> {
    [&[1 + payload.len() as u8, operation], payload].concat()
}

impl ToyClient {
    pub fn connect(address: SocketAddr) -> ToyClient {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        ToyClient { stream }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn reply(&mut self) -> String {
        let mut len = [0];
        self.stream.read_exact(&mut len).unwrap();
        let mut text = vec![0; len[0].into()];
        self.stream.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    pub fn is_over(&mut self) {
        assert_eq!(self.stream.read(&mut [0]).unwrap(), 0);
    }
}
