//! Calls at fixed times, whether or not earlier ones were answered. Latencies count from the time
//! at which a call was due.

use std::cell::RefCell;
use std::ops::Range;
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

/// What is called, and what became of it.
struct Calls<'a> {
    channels: &'a Rc<Vec<Channel>>,
    asked: Asked,
    window: Window,
    numbers: Numbers,
    pacing: Pacing,
    shared: Rc<RefCell<Shared>>,
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
    let mut calls = Calls::new(channels, asked, rate, window);
    let mut polled = 0.0;
    loop {
        let now = window.clock.elapsed();
        calls.check()?;
        if now >= window.until {
            break;
        }
        if now >= window.since {
            // What was due in the warm-up and not sent would be answered while measuring, and would
            // not count.
            calls.pacing.pass_over(window.nanoseconds().start);
        }
        let before = (calls.ended(), traffic.bytes());
        let called = calls.send_due(now);
        tokio::task::yield_now().await;
        // A turn in which the connections only wrote or read was not in vain.
        if now >= window.since && !called && (calls.ended(), traffic.bytes()) == before {
            polled += (window.clock.elapsed() - now).as_secs_f64();
        }
    }
    calls.last_answers().await?;
    Ok(calls.measured(polled))
}

impl<'a> Calls<'a> {
    fn new(channels: &'a Rc<Vec<Channel>>, asked: Asked, rate: f64, window: Window) -> Self {
        let shared = Shared {
            measured: Measured::new(),
            in_flight: vec![0; channels.len()],
            ended: 0,
            failed: None,
        };
        Self {
            channels,
            asked,
            window,
            numbers: Numbers::of(asked.operation),
            pacing: Pacing::new(rate, 0),
            shared: Rc::new(RefCell::new(shared)),
        }
    }

    /// Whether a call has failed.
    fn check(&self) -> Outcome {
        match self.shared.borrow_mut().failed.take() {
            Some(failed) => Err(failed.into()),
            None => Ok(()),
        }
    }

    fn ended(&self) -> u64 {
        self.shared.borrow().ended
    }

    /// Calls what is due, as far as there is room for it; whether that was anything. Calls that are
    /// due together go out together: what they write is sent when the runtime has its turn.
    fn send_due(&mut self, now: Duration) -> bool {
        let (mut called, count) = (false, self.channels.len());
        while Duration::from_nanos(self.pacing.next_due()) <= now {
            let room = |at: &usize| self.shared.borrow().in_flight[*at] < self.asked.depth;
            let from = self.pacing.cursor;
            let mut places = (from..from + count).map(|at| at % count);
            let Some(at) = places.find(room) else { break };
            self.pacing.cursor = (at + 1) % count;
            let due = self.pacing.next_due();
            self.pacing.take();
            called = true;
            self.send(at, due);
        }
        called
    }

    fn send(&mut self, at: usize, due: u64) {
        self.shared.borrow_mut().in_flight[at] += 1;
        let (channels, shared) = (Rc::clone(self.channels), Rc::clone(&self.shared));
        let (operation, window) = (self.asked.operation, self.window);
        let number = self.numbers.next();
        tokio::task::spawn_local(async move {
            let answered = call(&channels[at], operation, number).await;
            let now = window.clock.elapsed().as_nanos() as u64;
            let mut shared = shared.borrow_mut();
            shared.in_flight[at] -= 1;
            shared.ended += 1;
            match answered {
                Ok(()) => shared.measured.answer_due(due, now, &window.nanoseconds()),
                Err(words) => shared.failed = Some(words),
            }
        });
    }

    /// Waits for what is in flight.
    async fn last_answers(&self) -> Outcome {
        while self.shared.borrow().in_flight.iter().any(|count| *count > 0) {
            self.check()?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    fn measured(mut self, polled: f64) -> Measured {
        let mut result = std::mem::replace(&mut self.shared.borrow_mut().measured, Measured::new());
        result.polled = polled;
        let Range { start, end } = self.window.nanoseconds();
        result.overdue =
            self.pacing.give_up(start, end, |waited| result.latencies.saturating_record(waited));
        result
    }
}
