//! Clients of the old protocol, byte by byte, against the real server.

mod hostile;
mod ids;
#[path = "../compat/tests/support.rs"]
mod legacy;
mod operations;
mod port;
mod shapes;

use legacy::{json_of, msgpack};
use serde_json::{Value, json};

use crate::support::legacy::Legacy;

/// The 32 digits of the id of "test".
const TEST_ID: &str = "098f6bcd4621d373cade4e832627b4f6";

/// The digits of a name's id.
fn id(name: &str) -> String {
    sutra_client::ConceptId::from_name(name).unwrap().to_string()
}

impl Legacy {
    /// Asks in MessagePack.
    fn json(&mut self, message: &Value) -> Value {
        json_of(&self.ask(&msgpack(message)))
    }

    /// The text of an error that the message gets.
    fn error(&mut self, message: &[u8]) -> String {
        let reply = json_of(&self.ask(message));
        reply["Error"]["message"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    fn is_healthy(&mut self) {
        let reply = self.json(&json!("HealthCheck"));
        assert_eq!(reply["HealthCheckOk"]["status"], "ok", "{reply}");
    }
}

/// A reply in bincode: its variant, and what follows.
fn variant(reply: &[u8]) -> (u32, &[u8]) {
    let (number, rest) = reply.split_first_chunk().unwrap();
    (u32::from_le_bytes(*number), rest)
}
