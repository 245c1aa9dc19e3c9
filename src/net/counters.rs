//! What a core's connections did, counted without sharing and read when asked. Bytes, sends and
//! accepted connections are the runtime's to count.

use sutra_wire::{Counter, Opcode, Status};

/// What is counted since the start, in the order in which it is reported.
#[derive(Clone, Copy)]
pub(crate) enum Count {
    HandedOver,
    Refused,
    TimedOutHello,
    TimedOutStalled,
    TimedOutIdle,
    ClosedUnread,
    ClosedSilent,
    ClosedProtocol,
    Waits,
    Translated,
}

const NAMES: [&str; 10] = [
    "connections_handed_over",
    "connections_refused",
    "connections_timed_out_in_hello",
    "connections_timed_out_stalled",
    "connections_timed_out_idle",
    "connections_closed_unread",
    "connections_closed_silent",
    "connections_closed_protocol",
    "waits_for_room",
    "requests_translated",
];

/// Counts since the start, and `connections` as it is now.
#[derive(Default)]
pub(crate) struct Counters {
    connections: u64,
    counts: [u64; NAMES.len()],
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
    /// A connection has come.
    pub(crate) fn opened(&mut self) {
        self.connections += 1;
    }

    /// A connection has gone.
    pub(crate) fn closed(&mut self) {
        self.connections -= 1;
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> u64 {
        self.connections
    }

    pub(crate) fn count(&mut self, what: Count) {
        self.counts[what as usize] += 1;
    }

    /// What was counted did not happen after all.
    pub(crate) fn take_back(&mut self, what: Count) {
        self.counts[what as usize] -= 1;
    }

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
        for (name, count) in NAMES.into_iter().zip(self.counts) {
            add(name.into(), count);
        }
        for opcode in Opcode::ALL {
            add(format!("requests_{}", opcode.name()), self.requests.0[usize::from(opcode as u8)]);
        }
        for status in Status::errors() {
            add(format!("errors_{}", status.name()), self.errors.0[usize::from(status as u8)]);
        }
    }
}
