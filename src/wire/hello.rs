//! The handshake: one frame of fixed length each way, before anything else.
//!
//! Its length is fixed, so a server can take it with one plain receive that reads nothing beyond
//! it. Then it can hand the socket to the core that the client asks for, before a request has been
//! read.

use std::mem::size_of;

use rkyv::{Archive, Deserialize, Serialize};

use crate::{HEADER_BYTES, Payload, PayloadError};

/// In [`ClientHello::wanted_core`]: any core will do.
pub const NO_CORE: u16 = u16::MAX;

/// What a client says first.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[rkyv(derive(Debug))]
pub struct ClientHello {
    /// The schema it was built with ([`crate::FINGERPRINT`]).
    pub fingerprint: u64,
    /// A secret, where the server asks for one; zeros otherwise.
    pub token: [u8; 32],
    /// The core that it would like to be served by, or [`NO_CORE`].
    pub wanted_core: u16,
    /// The lowest frame version that it speaks.
    pub lowest_version: u8,
    /// The highest.
    pub highest_version: u8,
}

/// What a server answers.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[rkyv(derive(Debug))]
pub struct ServerHello {
    /// The schema it was built with.
    pub fingerprint: u64,
    /// Drawn when the store was made: the same after a restart, different on another store.
    pub store: u64,
    /// When the server started, in µs since 1970.
    pub started: u64,
    /// Longest payload that it takes, in bytes.
    pub max_payload: u32,
    /// Requests that a connection may have unanswered.
    pub max_in_flight: u32,
    /// Milliseconds between syncs where the durability is [`crate::Durability::Interval`].
    pub sync_interval: u32,
    /// How many data cores it has.
    pub cores: u16,
    /// The core that serves this connection.
    pub core: u16,
    /// How a concept's id maps to a core ([`crate::CoreLayout::FUNCTION`]).
    pub owner_function: u8,
    /// A [`crate::Durability`].
    pub durability: u8,
    /// The frame version that the connection goes on with.
    pub version: u8,
}

/// Bytes of a client's Hello frame on the wire.
pub const CLIENT_HELLO_BYTES: usize =
    HEADER_BYTES + crate::padded(size_of::<ArchivedClientHello>());
/// Bytes of a server's Hello frame on the wire.
pub const SERVER_HELLO_BYTES: usize =
    HEADER_BYTES + crate::padded(size_of::<ArchivedServerHello>());

impl Payload for ClientHello {
    const NAME: &'static str = "client hello";

    fn check(hello: &ArchivedClientHello) -> Result<(), PayloadError> {
        if hello.lowest_version > hello.highest_version {
            return Err(PayloadError::argument(
                "versions",
                format!("lowest is {}, highest is {}", hello.lowest_version, hello.highest_version),
            ));
        }
        Ok(())
    }
}

impl Payload for ServerHello {
    const NAME: &'static str = "server hello";

    fn check(_: &ArchivedServerHello) -> Result<(), PayloadError> {
        Ok(())
    }
}
