//! The handshake: one frame of fixed length each way, before anything else.
//!
//! Its length is fixed so that a server can take it with one plain receive that reads nothing
//! beyond it, and hand the socket to the core that the client asks for before a single request has
//! been read.

use std::mem::size_of;

use rkyv::{Archive, Deserialize, Serialize};

use crate::{FINGERPRINT, HEADER_BYTES, Payload, PayloadError, VERSION};

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
    /// Milliseconds between syncs where the durability is [`Durability::Interval`].
    pub sync_interval: u32,
    /// How many data cores it has.
    pub cores: u16,
    /// The core that serves this connection.
    pub core: u16,
    /// How a concept's id maps to a core ([`crate::CoreLayout::FUNCTION`]).
    pub owner_function: u8,
    /// A [`Durability`].
    pub durability: u8,
    /// The frame version that the connection goes on with.
    pub version: u8,
}

/// Bytes of a client's Hello frame on the wire.
pub const CLIENT_HELLO_BYTES: usize = HEADER_BYTES + crate::padded(size_of::<ArchivedClientHello>());
/// Bytes of a server's Hello frame on the wire.
pub const SERVER_HELLO_BYTES: usize = HEADER_BYTES + crate::padded(size_of::<ArchivedServerHello>());

impl ClientHello {
    /// What a client of this release says, with no token, to be served by `wanted_core` (or
    /// [`NO_CORE`]).
    pub fn new(wanted_core: u16) -> Self {
        Self {
            fingerprint: FINGERPRINT,
            token: [0; 32],
            wanted_core,
            lowest_version: VERSION,
            highest_version: VERSION,
        }
    }
}

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

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on stable storage.
    #[default]
    Always,
    /// When the operating system has it; stable storage follows within so many milliseconds.
    Interval(u32),
    /// When the operating system has it; stable storage follows when it likes.
    Os,
}

impl Durability {
    /// Its number in the handshake.
    pub fn number(self) -> u8 {
        match self {
            Durability::Always => 0,
            Durability::Interval(_) => 1,
            Durability::Os => 2,
        }
    }

    /// The milliseconds of [`Durability::Interval`], else 0.
    pub fn interval(self) -> u32 {
        if let Durability::Interval(milliseconds) = self { milliseconds } else { 0 }
    }

    /// The durability that a server's Hello states.
    pub fn from_hello(hello: &ArchivedServerHello) -> Option<Self> {
        match hello.durability {
            0 => Some(Durability::Always),
            1 => Some(Durability::Interval(hello.sync_interval.to_native())),
            2 => Some(Durability::Os),
            _ => None,
        }
    }
}

impl std::fmt::Display for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Durability::Always => f.write_str("always"),
            Durability::Interval(milliseconds) => write!(f, "interval={milliseconds}"),
            Durability::Os => f.write_str("os"),
        }
    }
}

impl std::str::FromStr for Durability {
    type Err = PayloadError;

    fn from_str(text: &str) -> Result<Self, PayloadError> {
        match text {
            "always" => Ok(Durability::Always),
            "os" => Ok(Durability::Os),
            _ => text
                .strip_prefix("interval=")
                .and_then(|milliseconds| milliseconds.parse().ok())
                .filter(|milliseconds| (1..=60_000).contains(milliseconds))
                .map(Durability::Interval)
                .ok_or_else(|| {
                    PayloadError::argument(
                        "durability",
                        format!("{text:?} is none of always, interval=MS (1 to 60000) and os"),
                    )
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_prints_as_it_reads() {
        for text in ["always", "interval=10", "os"] {
            assert_eq!(text.parse::<Durability>().expect(text).to_string(), text);
        }
        for text in ["", "interval=", "interval=0", "interval=60001", "fsync"] {
            assert!(text.parse::<Durability>().is_err(), "{text}");
        }
    }
}
