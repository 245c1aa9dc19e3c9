//! The look that a core takes at its connections now and then while any of them could be stuck, and
//! not otherwise.

use std::time::{Duration, Instant};

use sutra_runtime::Core;
use sutra_wire::Status;
use tracing::{debug, info};

use super::{HOUSEKEEPING, Io, Refusal};
use crate::connection::{Connection, Phase, Waiting};
use crate::counters::Count;
use crate::envelope::Envelope;
use crate::limits::Limits;

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

/// `is_drained`: a drain waits no longer for readers.
fn given_up(
    connection: &Connection,
    limits: &Limits,
    now: Instant,
    is_drained: bool,
) -> Option<GivenUp> {
    let since = |then: Instant| now.saturating_duration_since(then);
    match connection.phase() {
        Phase::Hello => {
            return (since(connection.began()) > limits.hello_timeout).then_some(GivenUp::NoHello);
        }
        Phase::Lingering => {
            return (is_drained || since(connection.began()) > LINGER)
                .then_some(GivenUp::NotClosing);
        }
        Phase::Open | Phase::Ending | Phase::Refused => {}
    }
    let outbox = connection.outbox();
    if outbox.is_sending() {
        let late = since(outbox.moved()) > patience(limits, outbox.sending());
        if late || is_drained {
            return Some(GivenUp::NotReading);
        }
    }
    if connection.has_half_a_frame() {
        let late = since(connection.began()) > patience(limits, connection.input_bytes().len());
        return late.then_some(GivenUp::HalfFrame);
    }
    let under_way =
        outbox.is_sending() || connection.in_flight() > 0 || connection.waiting() != Waiting::No;
    let silent = since(connection.received().max(outbox.moved()));
    (!under_way && limits.idle_timeout.is_some_and(|timeout| silent > timeout))
        .then_some(GivenUp::Idle)
}

/// Whether time alone can change what becomes of it.
fn must_be_watched(connection: &Connection, limits: &Limits) -> bool {
    limits.idle_timeout.is_some()
        || connection.phase() == Phase::Hello
        || connection.outbox().is_sending()
        || connection.has_half_a_frame()
}

impl Io {
    /// Connections may be silent for so long from here on.
    pub(crate) fn set_idle_timeout<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        timeout: Option<Duration>,
    ) {
        self.limits.idle_timeout = timeout;
        self.watch.set_period(&self.limits);
        self.keep_house(core);
    }

    /// Has the core look at its connections before long.
    pub(crate) fn keep_house<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>) {
        self.look_within(core, self.watch.period());
    }

    /// The same for a connection that lingers, which nobody else's timeout shall delay.
    pub(crate) fn watch_lingering<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>) {
        self.look_within(core, self.watch.period().min(LINGER / 4));
    }

    fn look_within<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, delay: Duration) {
        let at = core.now() + delay;
        if self.watch.look_by(at) {
            core.set_timer(HOUSEKEEPING, Some(at));
        }
    }

    /// Gives up the connections whose peers have let a time pass. Cost: a look at every connection.
    pub(crate) fn housekeeping<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>) {
        self.watch.looks();
        let now = core.now();
        let is_drained = self.watch.is_drained(now);
        let (mut needed, mut lingering) = (false, false);
        for index in 0..self.connections.len() {
            let Some(connection) = self.connections.get(index) else { continue };
            let Some(reason) = given_up(connection, &self.limits, now, is_drained) else {
                needed |= must_be_watched(connection, &self.limits);
                lingering |= connection.phase() == Phase::Lingering;
                continue;
            };
            debug!(peer = %connection.peer(), ?reason, "connection given up");
            match reason {
                GivenUp::NoHello => self.counters.count(Count::TimedOutHello),
                GivenUp::HalfFrame | GivenUp::NotReading => {
                    self.counters.count(Count::TimedOutStalled);
                }
                GivenUp::Idle => self.counters.count(Count::TimedOutIdle),
                GivenUp::NotClosing => {}
            }
            if reason == GivenUp::NotReading
                && let Some(left_out) = self.log_limit.admit(now)
            {
                info!(
                    peer = %connection.peer(),
                    left_out,
                    "a client does not read its replies; its connection is closed"
                );
            }
            if reason == GivenUp::HalfFrame {
                let waited = now.saturating_duration_since(connection.began());
                let message = format!(
                    "the rest of a frame did not arrive within {waited:.0?}; \
                     the connection is closed"
                );
                self.break_off(
                    core,
                    index,
                    Refusal { request: 0, status: Status::Malformed, message },
                );
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
