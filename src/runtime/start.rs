//! Starts the cores, a thread each, and ends them.
//!
//! All or nothing: handlers run only when every core was set up, and a start that fails has ended
//! every thread before it returns.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{Builder, JoinHandle};

use crate::config::Config;
use crate::core::Core;
use crate::ending::Ending;
use crate::handler::Handler;
use crate::linux::doorbell::{self, Doorbell};
use crate::linux::mail::LinuxMail;
use crate::linux::thread::{self, Never, Seat};
use crate::pulse::Pulse;
use crate::{RuntimeError, StartError};

/// The running cores. Dropping it leaves them running.
#[derive(Debug)]
pub struct Running {
    ending: Arc<Ending>,
    pulse: Pulse,
    threads: Vec<JoinHandle<Result<(), RuntimeError>>>,
    background: Vec<JoinHandle<()>>,
    turning: Receiver<Never>,
}

impl Running {
    /// Asks every core to finish what it has begun and end. Returns at once; may be repeated.
    pub fn shutdown(&self) {
        self.ending.stop();
    }

    /// The same as [`Running::shutdown`], to be kept where signals are handled.
    pub fn stopper(&self) -> impl Fn() + Clone + Send + Sync + 'static {
        let ending = Arc::clone(&self.ending);
        move || ending.stop()
    }

    /// A way for a thread that is no core's to know whether the cores turn.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Waits until every core has made its last turn. What they hold may still be there, as it may
    /// take long to free.
    pub fn settle(&self) {
        // Nothing is ever sent: this ends when all that could are gone.
        let _ = self.turning.recv();
    }

    /// Waits until every core has ended.
    ///
    /// # Errors
    /// The first error that ended a core before its time. The others ended with it.
    ///
    /// # Panics
    /// If a handler panicked, and panics unwind.
    pub fn join(self) -> Result<(), RuntimeError> {
        let results: Vec<_> = self.threads.into_iter().map(JoinHandle::join).collect();
        let background: Vec<_> = self.background.into_iter().map(JoinHandle::join).collect();
        for result in results {
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        for result in background {
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        Ok(())
    }
}

/// Starts one core for each of `config.cpus`. `make` is called on every core's own thread to build
/// its handler. It may take long: recovery belongs there. The cores begin to run when all have
/// theirs.
///
/// # Errors
/// The first reason why a core could not be set up or its handler built; no thread is left then.
pub fn start<H, E, F>(config: Config, make: F) -> Result<Running, StartError<E>>
where
    H: Handler,
    E: Send + 'static,
    F: Fn(usize, &mut Core<H::Message>) -> Result<H, E> + Send + Sync + 'static,
{
    start_when(config, make, || {})
}

/// The same. `begin` is called when all cores are ready, and before any of them takes its first
/// turn: nothing has been received by then.
///
/// # Errors
/// As [`start`].
pub fn start_when<H, E, F>(
    config: Config,
    make: F,
    begin: impl FnOnce(),
) -> Result<Running, StartError<E>>
where
    H: Handler,
    E: Send + 'static,
    F: Fn(usize, &mut Core<H::Message>) -> Result<H, E> + Send + Sync + 'static,
{
    config.check()?;
    let doorbells = config.cpus.iter().map(|_| Doorbell::new()).collect::<Result<Arc<[_]>, _>>()?;
    let wake_all = || {
        let bells = Arc::clone(&doorbells);
        move || doorbell::ring_all(&bells)
    };
    let ending = Arc::new(Ending::new(doorbells.len(), wake_all()));
    let pulse = Pulse::new(doorbells.len(), wake_all());
    let (mails, background) = LinuxMail::connect(&doorbells, config.mailbox)?;
    let config = Arc::new(config);
    let make = Arc::new(make);

    let (ready, readiness) = channel();
    let (turning, settled) = channel();
    let mut threads = Vec::with_capacity(config.cpus.len());
    let mut starters = Vec::with_capacity(config.cpus.len());
    let mut failure = None;
    for (index, mail) in mails.into_iter().enumerate() {
        let seat = Seat::new(index, &config, mail, &doorbells, &ending, &pulse);
        let (go, starter) = channel();
        let (make, ready, turning) = (Arc::clone(&make), ready.clone(), turning.clone());
        let thread = Builder::new().name(format!("core-{index}"));
        match thread.spawn(move || thread::run(seat, &*make, ready, &starter, turning)) {
            Ok(thread) => {
                threads.push(thread);
                starters.push(go);
            }
            Err(error) => {
                failure = Some(RuntimeError::system("starting a core's thread")(error).into());
            }
        }
    }
    drop((ready, turning));

    // Ends when every thread has answered or died.
    let answers: Vec<Result<(), StartError<E>>> = readiness.iter().collect();
    if failure.is_none() && answers.len() == threads.len() && answers.iter().all(Result::is_ok) {
        begin();
        for go in &starters {
            // Refused only by a thread that has just died; `join` tells why.
            let _ = go.send(());
        }
        return Ok(Running { ending, pulse, threads, background, turning: settled });
    }
    drop(starters);
    for thread in threads {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
    // Their queues are closed now, with nothing in them that anyone waits for.
    for thread in background {
        let _ = thread.join();
    }
    let failure = failure.or_else(|| answers.into_iter().find_map(Result::err));
    Err(failure.expect("a thread that reports no failure has panicked, and that went on above"))
}
