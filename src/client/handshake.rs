//! The first exchange on a connection: what this side says, and what the server's answer means.

use sutra_wire::{
    Checked, ClientHello, CoreLayout, Durability, FINGERPRINT, FrameBuffer, Header, NO_CORE,
    Opcode, ServerHello, Status, VERSION, encode_archive,
};

use crate::ClientError;
use crate::in_flight::Reply;

/// What a server says of itself when a connection opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// Drawn when the store was made: the same after a restart, different on another store.
    pub store: u64,
    /// When the server started, in µs since 1970.
    pub started: u64,
    /// How many data cores it has.
    pub cores: u16,
    /// When it acknowledges a write.
    pub durability: Durability,
    /// Longest payload that it takes, in bytes.
    pub max_payload: u32,
    /// Requests that one connection may have unanswered; more wait in the client.
    pub max_in_flight: u32,
    /// The frame version that is spoken.
    pub version: u8,
    /// How ids map to cores, where this client knows the server's rule.
    pub(crate) layout: Option<CoreLayout>,
}

/// The number of the Hello request. Requests have numbers of their own only after it.
const HELLO: u64 = 1;

/// Appends a Hello that asks for a core.
pub(crate) fn hello(out: &mut FrameBuffer, wanted_core: Option<u16>) {
    let hello = ClientHello::new(wanted_core.unwrap_or(NO_CORE));
    encode_archive(
        out,
        Header { opcode: Opcode::Hello as u8, request: HELLO, ..Header::default() },
        &hello,
    );
}

/// Reads the server's answer: what it is, and the core that serves the connection.
pub(crate) fn answer(endpoint: &str, reply: &Reply) -> Result<(ServerInfo, u16), ClientError> {
    match Status::from_number(reply.header.status) {
        Some(Status::Ok) if reply.header.opcode == Opcode::Hello as u8 => {}
        Some(Status::UnsupportedVersion) => {
            let refusal = ClientError::refused(Status::UnsupportedVersion, reply.payload.clone());
            return Err(ClientError::Incompatible {
                endpoint: endpoint.to_owned(),
                problem: refusal.to_string(),
            });
        }
        Some(status) if status.is_error() => {
            return Err(ClientError::refused(status, reply.payload.clone()));
        }
        _ => {
            let problem = format!(
                "the answer to Hello has opcode 0x{:02x} and status {}",
                reply.header.opcode, reply.header.status
            );
            return Err(ClientError::protocol(endpoint, problem));
        }
    }
    let hello = Checked::<ServerHello>::new(reply.payload.as_deref().unwrap_or_default())
        .map_err(|error| ClientError::payload(endpoint, &error))?;
    let fingerprint = hello.fingerprint.to_native();
    if fingerprint != FINGERPRINT || hello.version != VERSION {
        let problem = format!(
            "the server speaks version {} with schema {fingerprint:016x}, \
             this client version {VERSION} with schema {FINGERPRINT:016x}",
            hello.version
        );
        return Err(ClientError::Incompatible { endpoint: endpoint.to_owned(), problem });
    }
    let cores = hello.cores.to_native();
    let durability = Durability::from_hello(&hello).ok_or_else(|| {
        ClientError::protocol(endpoint, format!("durability {} is not known", hello.durability))
    })?;
    let info = ServerInfo {
        store: hello.store.to_native(),
        started: hello.started.to_native(),
        cores,
        durability,
        max_payload: hello.max_payload.to_native(),
        max_in_flight: hello.max_in_flight.to_native(),
        version: hello.version,
        layout: (hello.owner_function == CoreLayout::FUNCTION).then(|| CoreLayout::new(cores)),
    };
    Ok((info, hello.core.to_native()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sutra_wire::ErrorMessage;

    use super::*;
    use crate::receive::ReceiveBuffer;

    fn server_hello() -> ServerHello {
        ServerHello {
            fingerprint: FINGERPRINT,
            store: 7,
            started: 8,
            max_payload: 9,
            max_in_flight: 10,
            sync_interval: 11,
            cores: 4,
            core: 3,
            owner_function: CoreLayout::FUNCTION,
            durability: 1,
            version: VERSION,
        }
    }

    fn read(encode: impl FnOnce(&mut FrameBuffer)) -> Result<(ServerInfo, u16), ClientError> {
        let mut bytes = FrameBuffer::new();
        encode(&mut bytes);
        let mut buffer = ReceiveBuffer::new(1000);
        buffer.space()[..bytes.len()].copy_from_slice(&bytes);
        buffer.received(bytes.len());
        answer("server", &buffer.next_reply().unwrap().unwrap())
    }

    fn read_hello(change: impl FnOnce(&mut ServerHello)) -> Result<(ServerInfo, u16), ClientError> {
        let mut hello = server_hello();
        change(&mut hello);
        let header = Header { opcode: Opcode::Hello as u8, request: HELLO, ..Header::default() };
        read(|out| encode_archive(out, header, &hello))
    }

    #[test]
    fn a_server_says_what_it_is_and_which_core_serves() {
        let (info, core) = read_hello(|_| ()).unwrap();
        assert_eq!((info.store, info.started, info.max_payload, info.max_in_flight), (7, 8, 9, 10));
        assert_eq!((info.cores, core, info.durability), (4, 3, Durability::Interval(11)));
        assert_eq!(info.layout, Some(CoreLayout::new(4)));
    }

    #[test]
    fn another_schema_or_version_is_refused_with_both_sides_named() {
        for error in [
            read_hello(|hello| hello.fingerprint = 0xabc).unwrap_err(),
            read_hello(|hello| hello.version = 9).unwrap_err(),
        ] {
            let ClientError::Incompatible { problem, .. } = error else { panic!("{error}") };
            assert!(
                problem.contains(&format!("{FINGERPRINT:016x}")) && problem.contains("version 1"),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_rule_for_owners_that_is_not_known_leaves_the_choice_to_the_server() {
        assert_eq!(read_hello(|hello| hello.owner_function = 9).unwrap().0.layout, None);
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let refusal = |status: Status| {
            let header =
                Header { status: status as u8, opcode: Opcode::Hello as u8, ..Header::default() };
            read(|out| encode_archive(out, header, &ErrorMessage { message: "not today".into() }))
                .unwrap_err()
        };
        assert!(matches!(
            refusal(Status::Unauthorized),
            ClientError::Refused { message, .. } if message == "not today"
        ));
        assert!(matches!(
            refusal(Status::UnsupportedVersion),
            ClientError::Incompatible { problem, .. } if problem.contains("not today")
        ));
    }
}
