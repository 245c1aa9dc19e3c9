//! What a core's connections did, counted without sharing and read when asked. Bytes, sends and
//! accepted connections are the runtime's to count.

use sutra_wire::{Counter, Opcode, Status};

/// Counts since the start, and `connections` as it is now.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) connections: u64,
    pub(crate) handed_over: u64,
    pub(crate) refused_connections: u64,
    pub(crate) timed_out_hello: u64,
    pub(crate) timed_out_stall: u64,
    pub(crate) timed_out_idle: u64,
    pub(crate) closed_unread: u64,
    pub(crate) closed_silent: u64,
    pub(crate) waits: u64,
    pub(crate) translated: u64,
    requests: Numbers,
    errors: Numbers,
}

/// One count for each value of a byte.
struct Numbers(Box<[u64; 256]>);

impl Default for Numbers {
    fn default() -> Self {
        Self(Box::new([0; 256]))
    }
}

impl Counters {
    pub(crate) fn request(&mut self, opcode: u8) {
        self.requests.0[usize::from(opcode)] += 1;
    }

    pub(crate) fn error(&mut self, status: Status) {
        self.errors.0[usize::from(status as u8)] += 1;
    }

    /// Adds the counts to `out` under their names.
    pub(crate) fn report(&self, out: &mut Vec<Counter>) {
        let mut add = |name: String, value: u64| out.push(Counter { name, value });
        add("connections".into(), self.connections);
        add("connections_handed_over".into(), self.handed_over);
        add("connections_refused".into(), self.refused_connections);
        add("connections_timed_out_in_hello".into(), self.timed_out_hello);
        add("connections_timed_out_stalled".into(), self.timed_out_stall);
        add("connections_timed_out_idle".into(), self.timed_out_idle);
        add("connections_closed_unread".into(), self.closed_unread);
        add("connections_closed_silent".into(), self.closed_silent);
        add("waits_for_room".into(), self.waits);
        add("requests_translated".into(), self.translated);
        for opcode in Opcode::ALL {
            add(format!("requests_{}", opcode.name()), self.requests.0[usize::from(opcode as u8)]);
        }
        for status in Status::errors() {
            add(format!("errors_{}", status.name()), self.errors.0[usize::from(status as u8)]);
        }
    }
}
