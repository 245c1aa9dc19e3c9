//! The first exchange on a connection, and single requests that are not part of a run. All of it
//! blocks, with a bound on each wait.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::io::Errno;
use sutra_wire::{
    Checked, ClientHello, ErrorMessage, FINGERPRINT, Frame, FrameBuffer, HEADER_BYTES, Header,
    Opcode, Parsed, ServerHello, Status, encode_archive, limits, parse,
};

use crate::LoadError;

/// What a run needs of the server's Hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) cores: u16,
    pub(crate) core: u16,
    pub(crate) max_in_flight: u32,
}

/// Opens a socket that waits at most `timeout` for a reply.
pub(crate) fn connect(address: SocketAddr, timeout: Duration) -> Result<TcpStream, LoadError> {
    let stream =
        TcpStream::connect_timeout(&address, timeout).map_err(
            |source| match Errno::from_io_error(&source) {
                Some(Errno::MFILE | Errno::NFILE) => LoadError::FileLimit,
                _ => LoadError::Connect { address, source },
            },
        )?;
    stream
        .set_nodelay(true)
        .and_then(|()| stream.set_read_timeout(Some(timeout)))
        .map_err(|source| LoadError::system("setting socket options", source))?;
    Ok(stream)
}

/// Sends Hello, asking to be served by `wanted_core`, and reads the server's Hello.
pub(crate) fn greet(
    stream: &TcpStream,
    address: SocketAddr,
    wanted_core: u16,
) -> Result<Greeting, LoadError> {
    let mut buffer = FrameBuffer::new();
    let header = Header { opcode: Opcode::Hello as u8, ..Header::default() };
    encode_archive(&mut buffer, header, &ClientHello::new(wanted_core));
    let frame = exchange(stream, address, &mut buffer)?;
    let schema = |problem: String| LoadError::Schema { address, problem };
    let hello =
        Checked::<ServerHello>::new(frame.payload).map_err(|error| schema(error.to_string()))?;
    if hello.fingerprint.to_native() != FINGERPRINT {
        return Err(schema(format!(
            "its fingerprint is {:016x}, ours {FINGERPRINT:016x}",
            hello.fingerprint
        )));
    }
    Ok(Greeting {
        cores: hello.cores.to_native(),
        core: hello.core.to_native(),
        max_in_flight: hello.max_in_flight.to_native(),
    })
}

/// Sends what `buffer` holds, and replaces it by the reply. A refusal is an error.
pub(crate) fn exchange<'b>(
    mut stream: &TcpStream,
    address: SocketAddr,
    buffer: &'b mut FrameBuffer,
) -> Result<Frame<'b>, LoadError> {
    let lost = |source: std::io::Error| match source.kind() {
        // A socket's read timeout shows as this error.
        std::io::ErrorKind::WouldBlock => LoadError::NoAnswer { address },
        _ => LoadError::system(format!("an exchange with {address}"), source),
    };
    stream.write_all(buffer).map_err(lost)?;
    buffer.clear();
    let mut missing = HEADER_BYTES;
    while missing > 0 {
        let have = buffer.len();
        buffer.resize(have + missing, 0);
        stream.read_exact(&mut buffer[have..]).map_err(lost)?;
        missing = match parse(buffer, limits::MAX_PAYLOAD)
            .map_err(|error| LoadError::Frame { connection: 0, source: error.into() })?
        {
            Parsed::Frame(..) => 0,
            Parsed::Partial(whole) => whole - buffer.len(),
        };
    }
    let Ok(Parsed::Frame(frame, _)) = parse(buffer, limits::MAX_PAYLOAD) else {
        unreachable!("the loop above ends with a whole frame in the buffer")
    };
    match Status::from_number(frame.header.status) {
        Some(status) if status.is_error() => {
            Err(LoadError::Refused { address, status, message: words(frame.payload) })
        }
        _ => Ok(frame),
    }
}

/// The message of a refusal.
pub(crate) fn words(payload: &[u8]) -> String {
    Checked::<ErrorMessage>::new(payload)
        .map_or_else(|_| "no message".into(), |error| error.message.to_string())
}
