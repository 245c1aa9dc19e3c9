//! Starts the cores, a thread each, and ends them.
//!
//! All or nothing: handlers run only when every core was set up and all were built, and a start
//! that fails has ended every thread before it returns.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use crate::config::Config;
use crate::core::Core;
use crate::ending::Ending;
use crate::handler::Handler;
use crate::linux::doorbell::{self, Doorbell};
use crate::linux::mail::LinuxMail;
use crate::linux::thread::{self, CoreSetup, Made, Make, Never, Order, Orders};
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
    prepare(config)?.start(make, || {})
}

/// Cores that are set up and have no handlers yet: of what their start needs from the host, nothing
/// is left that could fail. Dropping them ends their threads.
pub struct Prepared<H: Handler, E> {
    ending: Arc<Ending>,
    pulse: Pulse,
    threads: Threads,
    background: Vec<JoinHandle<()>>,
    makers: Vec<Sender<Order<H, E>>>,
    starters: Vec<Sender<()>>,
    settled: Receiver<Never>,
}

type Threads = Vec<JoinHandle<Result<(), RuntimeError>>>;

/// Sets up one core for each of `config.cpus`, on threads of their own, which then wait for their
/// handlers.
///
/// # Errors
/// The first reason why a core could not be set up; no thread is left then.
pub fn prepare<H, E>(config: Config) -> Result<Prepared<H, E>, RuntimeError>
where
    H: Handler,
    E: Send + 'static,
{
    config.check()?;
    let doorbells = config.cpus.iter().map(|_| Doorbell::new()).collect::<Result<Arc<[_]>, _>>()?;
    let wake_all = || {
        let bells = Arc::clone(&doorbells);
        move || doorbell::ring_all(&bells)
    };
    let (mails, background) = LinuxMail::connect(&doorbells, config.mailbox)?;
    let (turning, settled) = channel();
    let mut prepared = Prepared {
        ending: Arc::new(Ending::new(doorbells.len(), wake_all())),
        pulse: Pulse::new(doorbells.len(), wake_all()),
        threads: Vec::with_capacity(doorbells.len()),
        background,
        makers: Vec::with_capacity(doorbells.len()),
        starters: Vec::with_capacity(doorbells.len()),
        settled,
    };
    let config = Arc::new(config);
    let (ready, readiness) = channel();
    let mut failure = None;
    for (index, mail) in mails.into_iter().enumerate() {
        let Prepared { ending, pulse, .. } = &prepared;
        let setup = CoreSetup::new(index, &config, mail, &doorbells, ending, pulse);
        let ((maker, make), (starter, go)) = (channel(), channel());
        let orders = Orders { make, go };
        let (ready, turning) = (ready.clone(), turning.clone());
        let thread = Builder::new().name(format!("core-{index}"));
        match thread.spawn(move || thread::run(setup, ready, orders, turning)) {
            Ok(thread) => prepared.threads.push(thread),
            Err(error) => {
                failure = Some(RuntimeError::thread("starting a core's thread")(error));
            }
        }
        prepared.makers.push(maker);
        prepared.starters.push(starter);
    }
    drop(ready);
    // Ends when every thread has answered or died.
    let answers: Vec<Result<(), RuntimeError>> = readiness.iter().collect();
    if failure.is_none() && answers.len() == prepared.threads.len() {
        failure = answers.into_iter().find_map(Result::err);
        return failure.map_or(Ok(prepared), Err);
    }
    // Where one has panicked, that goes on here.
    drop(prepared);
    let failure = failure.or_else(|| answers.into_iter().find_map(Result::err));
    Err(failure.expect("a thread that reports no failure has panicked, and that went on above"))
}

impl<H, E> Prepared<H, E>
where
    H: Handler,
    E: Send + 'static,
{
    /// Builds the cores' handlers, each by `make` on its core's own thread. When all are there
    /// `begin` is called, and then they begin to run: nothing has been received before that.
    ///
    /// # Errors
    /// The first reason why a handler could not be built; no thread is left then.
    pub fn start<F>(mut self, make: F, begin: impl FnOnce()) -> Result<Running, StartError<E>>
    where
        F: Fn(usize, &mut Core<H::Message>) -> Result<H, E> + Send + Sync + 'static,
    {
        let make: Make<H, E> = Arc::new(make);
        let (made, answers) = channel();
        for maker in self.makers.drain(..) {
            // Refused only by a thread that has just died.
            let _ = maker.send((Arc::clone(&make), made.clone()));
        }
        drop(made);
        // Ends when every thread has answered or died.
        let answers: Vec<Made<E>> = answers.iter().collect();
        if answers.len() == self.threads.len() && answers.iter().all(Result::is_ok) {
            begin();
            for go in self.starters.drain(..) {
                // Refused only by a thread that has just died; `join` tells why.
                let _ = go.send(());
            }
            let (_, nobody) = channel();
            return Ok(Running {
                ending: Arc::clone(&self.ending),
                pulse: self.pulse.clone(),
                threads: std::mem::take(&mut self.threads),
                background: std::mem::take(&mut self.background),
                turning: std::mem::replace(&mut self.settled, nobody),
            });
        }
        // Where one has panicked, that goes on here.
        drop(self);
        let failure = answers.into_iter().find_map(Result::err);
        Err(failure.expect("a thread that reports no failure has panicked, and that went on above"))
    }
}

impl<H: Handler, E> Drop for Prepared<H, E> {
    fn drop(&mut self) {
        self.makers.clear();
        self.starters.clear();
        let mut panicked = None;
        for thread in self.threads.drain(..) {
            panicked = panicked.or(thread.join().err());
        }
        // Their queues are closed now, with nothing in them that anyone waits for.
        for thread in self.background.drain(..) {
            let _ = thread.join();
        }
        if let Some(panic) = panicked.filter(|_| !std::thread::panicking()) {
            std::panic::resume_unwind(panic);
        }
    }
}
