//! The first exchange on a connection: the client's Hello is checked, answered, and the connection
//! put on the core that it asks for.

use sutra_wire::{
    CLIENT_HELLO_BYTES, Checked, ClientHello, CoreLayout, Durability, FINGERPRINT, Frame,
    FrameError, MAGIC, NO_CORE, Opcode, Parsed, ServerHello, Status, VERSION,
};

use crate::limits::Limits;

/// What the handshake says of a service.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Drawn when the store was made.
    pub store: u64,
    /// When the server started, in µs since 1970.
    pub started: u64,
    /// When a write is acknowledged.
    pub durability: Durability,
}

/// What the bytes received so far amount to.
pub(crate) enum Greeting {
    /// Not yet a whole Hello.
    Partial,
    /// An acceptable one.
    Hello { request: u64, wanted_core: Option<usize> },
    /// To be answered with an error, and closed.
    Refused { status: Status, request: u64, message: String },
}

/// Whether what a connection begins with is no native frame. Two bytes tell.
pub(crate) fn is_other_protocol(bytes: &[u8]) -> bool {
    matches!(*bytes, [first, second, ..] if u16::from_le_bytes([first, second]) != MAGIC)
}

/// Reads a Hello. Exactly [`CLIENT_HELLO_BYTES`] are looked at; a stranger is recognized by its
/// first two bytes.
pub(crate) fn read(bytes: &[u8], limits: &Limits, cores: usize) -> Greeting {
    if let ([first, second, ..], true) = (bytes, is_other_protocol(bytes)) {
        return refused(FrameError::Magic { found: u16::from_le_bytes([*first, *second]) });
    }
    match sutra_wire::parse(bytes, limits.max_payload) {
        Err(error) => refused(error),
        Ok(Parsed::Partial(whole)) if whole > CLIENT_HELLO_BYTES => not_hello(0),
        Ok(Parsed::Partial(_)) => Greeting::Partial,
        Ok(Parsed::Frame(frame, _)) => check(&frame, cores),
    }
}

fn check(frame: &Frame<'_>, cores: usize) -> Greeting {
    let request = frame.header.request;
    if frame.header.opcode != Opcode::Hello as u8 {
        return not_hello(request);
    }
    let hello = match Checked::<ClientHello>::new(frame.payload) {
        Ok(hello) => hello,
        Err(error) => {
            return Greeting::Refused {
                status: error.status(),
                request,
                message: error.to_string(),
            };
        }
    };
    if !(hello.lowest_version..=hello.highest_version).contains(&VERSION)
        || hello.fingerprint != FINGERPRINT
    {
        let message = format!(
            "client speaks versions {} to {} with schema {:016x}, server speaks version {VERSION} \
             with schema {FINGERPRINT:016x}; use a client and a server of the same release",
            hello.lowest_version, hello.highest_version, hello.fingerprint
        );
        return Greeting::Refused { status: Status::UnsupportedVersion, request, message };
    }
    let wanted = hello.wanted_core.to_native();
    Greeting::Hello {
        request,
        wanted_core: (wanted != NO_CORE).then_some(usize::from(wanted) % cores),
    }
}

fn refused(error: FrameError) -> Greeting {
    Greeting::Refused {
        status: error.status(),
        request: error.request(),
        message: error.to_string(),
    }
}

fn not_hello(request: u64) -> Greeting {
    let message = "the first frame of a connection must be Hello".to_owned();
    Greeting::Refused { status: Status::Malformed, request, message }
}

/// The server's answer.
pub(crate) fn answer(
    identity: &Identity,
    limits: &Limits,
    cores: usize,
    core: usize,
) -> ServerHello {
    let number = |core: usize| u16::try_from(core).expect("fewer than 65,536 cores");
    ServerHello {
        fingerprint: FINGERPRINT,
        store: identity.store,
        started: identity.started,
        max_payload: limits.max_payload,
        max_in_flight: limits.max_in_flight,
        sync_interval: identity.durability.interval(),
        cores: number(cores),
        core: number(core),
        owner_function: CoreLayout::FUNCTION,
        durability: identity.durability.number(),
        version: VERSION,
    }
}

#[cfg(test)]
mod tests {
    use sutra_wire::{FrameBuffer, Header, encode_archive, encode_empty};

    use super::*;

    fn hello(change: impl FnOnce(&mut ClientHello)) -> FrameBuffer {
        let mut hello = ClientHello::new(5);
        change(&mut hello);
        let mut out = FrameBuffer::new();
        encode_archive(
            &mut out,
            Header { opcode: Opcode::Hello as u8, request: 7, ..Header::default() },
            &hello,
        );
        out
    }

    fn refusal(bytes: &[u8]) -> (Status, String) {
        match read(bytes, &Limits::default(), 4) {
            Greeting::Refused { status, message, .. } => (status, message),
            _ => panic!("accepted"),
        }
    }

    #[test]
    fn a_hello_is_read_at_its_full_length_and_its_core_wraps_round() {
        let bytes = hello(|_| ());
        assert_eq!(bytes.len(), CLIENT_HELLO_BYTES);
        assert!(matches!(
            read(&bytes[..bytes.len() - 1], &Limits::default(), 4),
            Greeting::Partial
        ));
        assert!(matches!(
            read(&bytes, &Limits::default(), 4),
            Greeting::Hello { request: 7, wanted_core: Some(1) }
        ));
        let any = hello(|hello| hello.wanted_core = NO_CORE);
        assert!(matches!(
            read(&any, &Limits::default(), 4),
            Greeting::Hello { wanted_core: None, .. }
        ));
    }

    #[test]
    fn another_protocol_is_recognized_by_two_bytes() {
        assert_eq!(refusal(b"GE").0, Status::Malformed);
    }

    #[test]
    fn other_versions_and_schemas_are_refused_with_both_sides_named() {
        let (status, message) =
            refusal(&hello(|hello| (hello.lowest_version, hello.highest_version) = (2, 3)));
        assert_eq!(status, Status::UnsupportedVersion);
        assert!(message.contains("versions 2 to 3") && message.contains("version 1"), "{message}");
        assert_eq!(refusal(&hello(|hello| hello.fingerprint ^= 1)).0, Status::UnsupportedVersion);
    }

    #[test]
    fn a_request_before_hello_is_refused() {
        let mut out = FrameBuffer::new();
        encode_empty(&mut out, Header { opcode: Opcode::Stats as u8, ..Header::default() });
        assert_eq!(refusal(&out).0, Status::Malformed);
        let long =
            Header { opcode: Opcode::Learn as u8, length: 1000, ..Header::default() }.encode();
        assert_eq!(refusal(&long).0, Status::Malformed);
    }
}
