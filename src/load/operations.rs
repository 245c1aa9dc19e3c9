//! The operations that servers are measured with, by protocol. Each reuses its buffers, so that
//! writing a request allocates nothing ([`Associate`] spells a name for each).

mod echo;
mod grid;
mod legacy;
mod native;
mod values;

pub use echo::Echo;
pub use grid::{AgentHeartbeats, RegisterAgents};
pub use legacy::{GridHeartbeat, LegacyHealth, LegacyLearn, LegacyQuery, LegacySearch, Spelling};
pub use native::{Associate, Health, Learn, Neighbors, Path, Query, Search};
pub use values::{RedisPing, ValueGet, ValueSet, ValueStore};

use std::fmt::{self, Write};

use sutra_wire::{FrameBuffer, Status};

use crate::Reply;

/// Text of `bytes` bytes.
fn text(bytes: usize) -> String {
    "sutra ".chars().cycle().take(bytes).collect()
}

fn append(out: &mut FrameBuffer, text: fmt::Arguments<'_>) {
    struct Appended<'a>(&'a mut FrameBuffer);
    impl Write for Appended<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    Appended(out).write_fmt(text).expect("a buffer takes all");
}

/// Fails unless a value is as long as it was written and begins with its own key. Every value
/// begins with its key, so that a reply to another request is found.
fn check_value(reply: &Reply<'_>, bytes: usize, name: &str) -> Result<(), String> {
    if reply.status == Status::NotFound {
        return Err(format!("{name} is not there; were the values prepared?"));
    }
    let expected = bytes.max(name.len());
    if reply.payload.len() != expected {
        return Err(format!("expected a value of {expected} bytes, got {}", reply.payload.len()));
    }
    if reply.payload.starts_with(name.as_bytes()) {
        Ok(())
    } else {
        Err("got the value of another key".into())
    }
}

/// The first eight bytes of an id: enough to tell the reply to another request.
pub(crate) fn tag(id: &[u8]) -> u64 {
    id.iter().take(8).fold(0, |tag, byte| tag << 8 | u64::from(*byte))
}
