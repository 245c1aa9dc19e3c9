//! Calls at fixed times, whatever became of earlier ones; latencies count from the time at which a call was due.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sutra_load::{Measured, Pacing};
use tonic::transport::Channel;

use crate::Outcome;
use crate::client::{Numbers, call};
use crate::load::{Options, Window};

struct Shared {
    measured: Measured,
    /// Calls in flight, by connection.
    in_flight: Vec<usize>,
    failed: Option<String>,
}

/// Looks again and again what is due, and lets the runtime have its turn in between: it never sleeps, as a timer's wake-up would be measured.
pub(crate) async fn run(
    channels: &Rc<Vec<Channel>>,
    options: &Options,
    rate: f64,
    window: Window,
) -> Outcome<Measured> {
    let shared =
        Rc::new(RefCell::new(Shared { measured: Measured::new(), in_flight: vec![0; channels.len()], failed: None }));
    let mut numbers = Numbers::of(options.operation);
    let mut pacing = Pacing::new(rate, 0);
    loop {
        let now = window.clock.elapsed();
        if let Some(failed) = shared.borrow_mut().failed.take() {
            return Err(failed.into());
        }
        if now >= window.until {
            break;
        }
        while Duration::from_nanos(pacing.next_due()) <= now {
            let room = |at: &usize| shared.borrow().in_flight[*at] < options.depth;
            let mut places = (pacing.cursor..pacing.cursor + channels.len()).map(|at| at % channels.len());
            let Some(at) = places.find(room) else { break };
            pacing.cursor = (at + 1) % channels.len();
            let due = Duration::from_nanos(pacing.next_due());
            pacing.take();
            shared.borrow_mut().in_flight[at] += 1;
            let (channels, shared, operation) = (Rc::clone(channels), Rc::clone(&shared), options.operation);
            let number = numbers.next();
            tokio::task::spawn_local(async move {
                let answered = call(&channels[at], operation, number).await;
                let now = window.clock.elapsed();
                let mut shared = shared.borrow_mut();
                shared.in_flight[at] -= 1;
                match answered {
                    Ok(()) => {
                        if now >= window.since && now < window.until {
                            shared.measured.answered += 1;
                        }
                        if due >= window.since && due < window.until {
                            shared.measured.latencies.saturating_record((now - due).as_nanos() as u64);
                        }
                    }
                    Err(words) => shared.failed = Some(words),
                }
            });
        }
        tokio::task::yield_now().await;
    }
    while shared.borrow().in_flight.iter().any(|count| *count > 0) {
        if let Some(failed) = shared.borrow_mut().failed.take() {
            return Err(failed.into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut shared = shared.borrow_mut();
    let mut measured = std::mem::replace(&mut shared.measured, Measured::new());
    let (since, until) = (window.since.as_nanos() as u64, window.until.as_nanos() as u64);
    measured.overdue = pacing.give_up(since, until, |waited| measured.latencies.saturating_record(waited));
    Ok(measured)
}
