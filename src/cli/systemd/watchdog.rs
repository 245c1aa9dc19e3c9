//! The watchdog: the service manager hears that the service lives for as long as it does its work,
//! and restarts it where it hears nothing (`WatchdogSec=`).
//!
//! A thread that did nothing but report itself would prove nothing. So each sign of life is sent
//! only when every data core has begun another turn, or the agent's loop another round.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::Duration;

use sutra_server::Pulse;

use super::notify;
use crate::exit::Failure;

/// Signs of life in the time after which the manager takes the service for dead: one may come late,
/// and the next one too.
const SIGNS: u32 = 4;

/// Starts a thread that reports the cores' turns, where the manager wants to hear of them. It ends
/// with the process. `status` is how the service is while they turn.
pub(crate) fn watch(pulse: Pulse, status: String) -> Result<Watched, Failure> {
    let watched = Watched(Arc::new(Mutex::new(pulse)));
    let Some(pause) = pause() else { return Ok(watched) };
    let pulse = Watched(Arc::clone(&watched.0));
    let watching = move || report(&pulse, pause, &status);
    let spawned = Builder::new().name("watchdog".into()).spawn(watching);
    let spawned = spawned.map(|_| watched);
    spawned.map_err(|error| Failure::no_thread(&error))
}

/// The cores that are watched.
pub(crate) struct Watched(Arc<Mutex<Pulse>>);

impl Watched {
    /// These are, from here on.
    pub(crate) fn watch(&self, pulse: Pulse) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pulse;
    }

    fn pulse(&self) -> Pulse {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How long from one sign of life to the next; `None` where nobody waits for them.
fn pause() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / SIGNS).filter(|pause| !pause.is_zero())
}

fn report(watched: &Watched, pause: Duration, status: &str) {
    loop {
        let pulse = watched.pulse();
        let question = pulse.ask();
        thread::sleep(pause);
        let silent = pulse.silent(question);
        if !silent.is_empty() {
            wait(&pulse, question, pause, &silent);
            notify::status(status);
        }
        notify::alive();
    }
}

/// Waits until the silent cores have answered.
fn wait(pulse: &Pulse, question: u64, pause: Duration, silent: &[usize]) {
    let cores = silent.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    tracing::error!(
        cores,
        for_ms = pause.as_millis(),
        "cores do not turn; the service manager ends this process if that goes on"
    );
    notify::status(&format!("core {cores} does not turn: what it is asked is not answered"));
    while !pulse.silent(question).is_empty() {
        thread::sleep(pause);
    }
    tracing::info!(cores, "all cores turn again");
}

/// Reports the rounds of the loop that runs this, where the manager wants to hear of them; for
/// ever.
pub(crate) async fn report_rounds() {
    let Some(pause) = pause() else { return std::future::pending().await };
    loop {
        notify::alive();
        tokio::time::sleep(pause).await;
    }
}
