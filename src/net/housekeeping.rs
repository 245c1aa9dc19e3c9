//! The look that a core takes at its connections now and then while any of them could be stuck, and
//! not otherwise.

use std::time::{Duration, Instant};

use sutra_runtime::Core;
use sutra_wire::Status;
use tracing::{debug, info};

use crate::connection::{Connection, Phase, Waiting};
use crate::io::{Envelope, HOUSEKEEPING};
use crate::limits::Limits;
use crate::net::Net;
use crate::service::Service;

/// The slowest that a peer may be at sending a long frame or reading a long reply.
const BYTES_PER_SECOND: u64 = 64 << 10;

/// How long a peer may take to close its side after ours: more than a round trip round the world,
/// so its last replies have arrived by then, or never will. A drain may have to wait for it.
const LINGER: Duration = Duration::from_millis(500);

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivenUp {
    NoHello,
    HalfFrame,
    NotReading,
    NotClosing,
    Idle,
}

/// How long a peer may take over so many bytes.
fn patience(limits: &Limits, bytes: usize) -> Duration {
    limits.stall_timeout + Duration::from_micros(bytes as u64 * 1_000_000 / BYTES_PER_SECOND)
}

/// `drain_end` is when a drain waits no longer for readers.
fn given_up(connection: &Connection, limits: &Limits, now: Instant, drain_end: Option<Instant>) -> Option<GivenUp> {
    let since = |then: Instant| now.saturating_duration_since(then);
    let is_drained = drain_end.is_some_and(|end| now > end);
    match connection.phase {
        Phase::Hello => return (since(connection.began) > limits.hello_timeout).then_some(GivenUp::NoHello),
        Phase::Lingering => {
            return (is_drained || since(connection.began) > LINGER).then_some(GivenUp::NotClosing);
        }
        Phase::Open | Phase::Ending | Phase::Refused => {}
    }
    if connection.sending > 0 {
        let late = since(connection.sent) > patience(limits, connection.sending);
        if late || is_drained {
            return Some(GivenUp::NotReading);
        }
    }
    if connection.has_half_a_frame() {
        let late = since(connection.began) > patience(limits, connection.input.bytes().len());
        return late.then_some(GivenUp::HalfFrame);
    }
    let under_way = connection.sending > 0 || connection.in_flight > 0 || connection.waiting != Waiting::No;
    let silent = since(connection.received.max(connection.sent));
    (!under_way && limits.idle_timeout.is_some_and(|timeout| silent > timeout)).then_some(GivenUp::Idle)
}

/// Whether time alone can change what becomes of it.
fn must_be_watched(connection: &Connection, limits: &Limits) -> bool {
    limits.idle_timeout.is_some()
        || connection.phase == Phase::Hello
        || connection.sending > 0
        || connection.has_half_a_frame()
}

impl<S: Service> Net<S> {
    /// Has the core look at its connections before long.
    pub(crate) fn keep_house(&mut self, core: &mut Core<Envelope<S::Message>>) {
        self.look_within(core, self.io.period);
    }

    /// The same for a connection that lingers, which nobody else's timeout shall delay.
    pub(crate) fn watch_lingering(&mut self, core: &mut Core<Envelope<S::Message>>) {
        self.look_within(core, self.io.period.min(LINGER / 4));
    }

    fn look_within(&mut self, core: &mut Core<Envelope<S::Message>>, delay: Duration) {
        let at = core.now() + delay;
        if self.io.next_look.is_none_or(|next| at < next) {
            self.io.next_look = Some(at);
            core.set_timer(HOUSEKEEPING, Some(at));
        }
    }

    /// Gives up the connections whose peers have let a time pass. Cost: a look at every connection.
    pub(crate) fn housekeeping(&mut self, core: &mut Core<Envelope<S::Message>>) {
        self.io.next_look = None;
        let now = core.now();
        let (mut needed, mut lingering) = (false, false);
        for index in 0..self.io.connections.slots() {
            let io = &mut self.io;
            let Some(connection) = io.connections.get(index) else { continue };
            let Some(reason) = given_up(connection, &io.limits, now, io.drain_end) else {
                needed |= must_be_watched(connection, &io.limits);
                lingering |= connection.phase == Phase::Lingering;
                continue;
            };
            debug!(peer = %connection.peer, ?reason, "connection given up");
            match reason {
                GivenUp::NoHello => io.counters.timed_out_hello += 1,
                GivenUp::HalfFrame | GivenUp::NotReading => io.counters.timed_out_stall += 1,
                GivenUp::Idle => io.counters.timed_out_idle += 1,
                GivenUp::NotClosing => {}
            }
            if reason == GivenUp::NotReading
                && let Some(left_out) = io.log_limit.admit(now)
            {
                info!(peer = %connection.peer, left_out, "a client does not read its replies; its connection is closed");
            }
            if reason == GivenUp::HalfFrame {
                let waited = now.saturating_duration_since(connection.began);
                let message =
                    format!("the rest of a frame did not arrive within {waited:.0?}; the connection is closed");
                self.break_off(core, index, 0, Status::Malformed, message);
            } else {
                self.drop_connection(core, index);
            }
        }
        if lingering {
            self.watch_lingering(core);
        } else if needed {
            self.keep_house(core);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_frame_may_take_longer_than_a_short_one() {
        let limits = Limits { stall_timeout: Duration::from_secs(30), ..Limits::default() };
        assert_eq!(patience(&limits, 16 << 20), Duration::from_secs(30 + 256));
    }
}
