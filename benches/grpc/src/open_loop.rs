//! Calls at fixed times, whether or not earlier ones were answered. Latencies count from the time
//! at which a call was due.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sutra_load::{Measured, Pacing};
use tonic::transport::Channel;

use crate::Outcome;
use crate::client::{Numbers, call};
use crate::transport::Traffic;
use crate::window::{Asked, Window};

struct Shared {
    measured: Measured,
    /// Calls in flight, by connection.
    in_flight: Vec<usize>,
    /// Calls that have ended, with an answer or an error.
    ended: u64,
    failed: Option<String>,
}

/// Checks again and again what is due, and lets the runtime work in between. It never sleeps: a
/// timer's wake-up would be measured as latency.
pub(crate) async fn run(
    channels: &Rc<Vec<Channel>>,
    asked: Asked,
    rate: f64,
    window: Window,
    traffic: &Traffic,
) -> Outcome<Measured> {
    let in_flight = vec![0; channels.len()];
    let shared = Rc::new(RefCell::new(Shared {
        measured: Measured::new(),
        in_flight,
        ended: 0,
        failed: None,
    }));
    let measured = window.nanoseconds();
    let mut numbers = Numbers::of(asked.operation);
    let mut pacing = Pacing::new(rate, 0);
    let mut polled = 0.0;
    loop {
        let now = window.clock.elapsed();
        if let Some(failed) = shared.borrow_mut().failed.take() {
            return Err(failed.into());
        }
        if now >= window.until {
            break;
        }
        if now >= window.since {
            // What was due in the warm-up and not sent would be answered while measuring, and would
            // not count.
            pacing.pass_over(measured.start);
        }
        let (mut called, before) = (false, (shared.borrow().ended, traffic.bytes()));
        // Calls that are due together go out together: the runtime sends them when it has its turn.
        while Duration::from_nanos(pacing.next_due()) <= now {
            let room = |at: &usize| shared.borrow().in_flight[*at] < asked.depth;
            let mut places =
                (pacing.cursor..pacing.cursor + channels.len()).map(|at| at % channels.len());
            let Some(at) = places.find(room) else { break };
            pacing.cursor = (at + 1) % channels.len();
            let due = pacing.next_due();
            pacing.take();
            called = true;
            shared.borrow_mut().in_flight[at] += 1;
            let (channels, shared, operation) =
                (Rc::clone(channels), Rc::clone(&shared), asked.operation);
            let measured = measured.clone();
            let number = numbers.next();
            tokio::task::spawn_local(async move {
                let answered = call(&channels[at], operation, number).await;
                let now = window.clock.elapsed().as_nanos() as u64;
                let mut shared = shared.borrow_mut();
                shared.in_flight[at] -= 1;
                shared.ended += 1;
                match answered {
                    Ok(()) => shared.measured.answer_due(due, now, &measured),
                    Err(words) => shared.failed = Some(words),
                }
            });
        }
        tokio::task::yield_now().await;
        // A turn in which the connections wrote or read anything did some work.
        if now >= window.since && !called && (shared.borrow().ended, traffic.bytes()) == before {
            polled += (window.clock.elapsed() - now).as_secs_f64();
        }
    }
    while shared.borrow().in_flight.iter().any(|count| *count > 0) {
        if let Some(failed) = shared.borrow_mut().failed.take() {
            return Err(failed.into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut shared = shared.borrow_mut();
    let mut result = std::mem::replace(&mut shared.measured, Measured::new());
    result.polled = polled;
    result.overdue = pacing
        .give_up(measured.start, measured.end, |waited| result.latencies.saturating_record(waited));
    Ok(result)
}
