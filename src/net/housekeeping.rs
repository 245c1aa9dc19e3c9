//! The look that a core takes at its connections once a second while any of them could be stuck, and not otherwise.

use std::time::Duration;

use sutra_runtime::Core;
use sutra_wire::Status;
use tracing::{debug, info};

use crate::connection::{Connection, Phase};
use crate::limits::Limits;
use crate::net::{Envelope, Net};
use crate::service::Service;

/// How exact the timeouts are.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivenUp {
    NoHello,
    HalfFrame,
    NotReading,
    Idle,
}

fn given_up(connection: &Connection, limits: &Limits, silent: Duration, draining: bool) -> Option<GivenUp> {
    let stalled = silent > if draining { limits.drain_timeout } else { limits.stall_timeout };
    if connection.phase == Phase::Hello {
        (silent > limits.hello_timeout).then_some(GivenUp::NoHello)
    } else if connection.sending {
        stalled.then_some(GivenUp::NotReading)
    } else if connection.is_stalled_by_peer() {
        stalled.then_some(GivenUp::HalfFrame)
    } else {
        let idle = limits.idle_timeout.is_some_and(|timeout| silent > timeout);
        (idle && connection.in_flight == 0 && !connection.waiting).then_some(GivenUp::Idle)
    }
}

impl<S: Service> Net<S> {
    pub(crate) fn housekeeping(&mut self, core: &mut Core<Envelope<S::Message>>) {
        self.house_kept();
        let mut needed = false;
        for index in 0..self.parts().0.connections.len() {
            let io = self.parts().0;
            let Some(connection) = io.connections[index].as_ref() else { continue };
            let silent = core.now().duration_since(connection.active);
            needed |= connection.phase == Phase::Hello
                || connection.is_stalled_by_peer()
                || io.limits.idle_timeout.is_some()
                || io.draining;
            let Some(reason) = given_up(connection, &io.limits, silent, io.draining) else { continue };
            debug!(peer = %connection.peer, ?reason, ?silent, "connection given up");
            match reason {
                GivenUp::NoHello => io.counters.timed_out_hello += 1,
                GivenUp::HalfFrame | GivenUp::NotReading => io.counters.timed_out_stall += 1,
                GivenUp::Idle => io.counters.timed_out_idle += 1,
            }
            match reason {
                GivenUp::HalfFrame => {
                    let message = format!("the rest of a frame did not arrive within {silent:.0?}; the connection is closed");
                    self.break_off(core, index, 0, Status::Malformed, message);
                }
                GivenUp::NoHello | GivenUp::NotReading | GivenUp::Idle => {
                    if reason == GivenUp::NotReading {
                        info!(?silent, "a client does not read its replies; its connection is closed");
                    }
                    self.drop_connection(core, index);
                }
            }
        }
        if needed {
            self.keep_house(core);
        }
    }
}
