//! Starts the cores: a pinned thread each, its tokio-uring runtime, its data ring, its handler; and
//! ends them.
//!
//! All or nothing: handlers run only when every core was set up, and a start that fails has ended
//! every thread before it returns.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use core_affinity::CoreId;

use crate::background::{self, Background};
use crate::buffers::ReceiveBuffers;
use crate::config::Config;
use crate::core::Core;
use crate::ending::Ending;
use crate::error::explain_setup_failure;
use crate::event::Handler;
use crate::mailbox::{Doorbell, Mailboxes};
use crate::metrics::Features;
use crate::ring::{Ring, register_files};
use crate::sleep::{Pace, Parking};
use crate::turn::Turns;
use crate::{RuntimeError, StartError};

/// Entries of tokio-uring's own ring: it carries a core's few control operations.
const TOKIO_URING_ENTRIES: u32 = 64;

/// The running cores. Dropping it leaves them running.
#[derive(Debug)]
pub struct Running {
    control: Control,
    threads: Vec<JoinHandle<Result<(), RuntimeError>>>,
    background: Vec<JoinHandle<()>>,
}

/// What can be done to running cores from any thread.
#[derive(Clone)]
struct Control(Arc<Ending>);

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}

impl Running {
    /// Asks every core to finish what it has begun and end. Returns at once; may be repeated.
    pub fn shutdown(&self) {
        self.control.0.stop();
    }

    /// The same as [`Running::shutdown`], to be kept where signals are handled.
    pub fn stopper(&self) -> impl Fn() + Clone + Send + Sync + 'static {
        let control = self.control.clone();
        move || control.0.stop()
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

/// What a core's thread starts with.
struct Seat<M> {
    index: usize,
    config: Arc<Config>,
    mailboxes: Mailboxes<M>,
    background: Background<M>,
    doorbells: Arc<[Doorbell]>,
    ending: Arc<Ending>,
}

/// Starts one core for each of `config.cpus`. `make` is called on every core's own thread to build
/// its handler (and may take long: recovery belongs there); the cores begin to run when all have
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
    config.check()?;
    let doorbells = config.cpus.iter().map(|_| Doorbell::new()).collect::<Result<Arc<[_]>, _>>()?;
    let ending = Arc::new(Ending::new(Arc::clone(&doorbells)));
    let (backgrounds, background) = background::start(&doorbells)?;
    let mailboxes = Mailboxes::connect(&doorbells, config.mailbox);
    let config = Arc::new(config);
    let make = Arc::new(make);

    let (ready, readiness) = channel();
    let mut threads = Vec::with_capacity(config.cpus.len());
    let mut starters = Vec::with_capacity(config.cpus.len());
    let mut failure = None;
    for (index, (mailboxes, background)) in mailboxes.into_iter().zip(backgrounds).enumerate() {
        let (config, doorbells, ending) = (Arc::clone(&config), Arc::clone(&doorbells), Arc::clone(&ending));
        let seat = Seat { index, config, mailboxes, background, doorbells, ending };
        let (go, starter) = channel();
        let (make, ready) = (Arc::clone(&make), ready.clone());
        let thread = Builder::new().name(format!("core-{index}"));
        match thread.spawn(move || run_core(seat, &*make, ready, &starter)) {
            Ok(thread) => {
                threads.push(thread);
                starters.push(go);
            }
            Err(error) => failure = Some(RuntimeError::system("starting a core's thread")(error).into()),
        }
    }
    drop(ready);

    // Ends when every thread has answered or died.
    let answers: Vec<Result<(), StartError<E>>> = readiness.iter().collect();
    if failure.is_none() && answers.len() == threads.len() && answers.iter().all(Result::is_ok) {
        for go in &starters {
            // Refused only by a thread that has just died; `join` tells why.
            let _ = go.send(());
        }
        return Ok(Running { control: Control(ending), threads, background });
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

/// Ends all cores when one of them ends, in whatever way.
struct EndAll(Arc<Ending>);

impl Drop for EndAll {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A core's thread from beginning to end. Set-up errors go to `ready`, later ones are returned.
fn run_core<H, E, F>(
    seat: Seat<H::Message>,
    make: &F,
    ready: Sender<Result<(), StartError<E>>>,
    starter: &Receiver<()>,
) -> Result<(), RuntimeError>
where
    H: Handler,
    F: Fn(usize, &mut Core<H::Message>) -> Result<H, E>,
{
    let _end_all = EndAll(Arc::clone(&seat.ending));
    let runtime = match pin(&seat).and_then(|()| build_runtime()) {
        Ok(runtime) => runtime,
        Err(error) => {
            // Unheard only if `start` itself has died.
            let _ = ready.send(Err(error.into()));
            return Ok(());
        }
    };
    runtime.block_on(async {
        let mut pace = Pace::new(seat.config.spin);
        match set_up(seat, make) {
            Ok((turns, parking)) => {
                let _ = ready.send(Ok(()));
                drop(ready);
                match starter.recv() {
                    Ok(()) => turns.run(&mut pace, &parking).await,
                    Err(_) => Ok(()), // another core could not start
                }
            }
            Err(error) => {
                let _ = ready.send(Err(error));
                Ok(())
            }
        }
    })
}

fn pin<M>(seat: &Seat<M>) -> Result<(), RuntimeError> {
    let cpu = seat.config.cpus[seat.index];
    if seat.config.pin && !core_affinity::set_for_current(CoreId { id: cpu }) {
        return Err(RuntimeError::Pin { cpu });
    }
    Ok(())
}

/// tokio-uring's runtime, whose ring is set up for one thread that reaps when it comes by.
fn build_runtime() -> Result<tokio_uring::Runtime, RuntimeError> {
    let mut builder = tokio_uring::builder();
    let mut ring = tokio_uring::uring_builder();
    ring.setup_coop_taskrun().setup_single_issuer();
    builder.entries(TOKIO_URING_ENTRIES).uring_builder(&ring);
    tokio_uring::Runtime::new(&builder).map_err(explain_setup_failure)
}

/// Builds a core's ring and its handler, inside its runtime.
fn set_up<H, E, F>(seat: Seat<H::Message>, make: &F) -> Result<(Turns<H>, Parking), StartError<E>>
where
    H: Handler,
    F: Fn(usize, &mut Core<H::Message>) -> Result<H, E>,
{
    let config = &seat.config;
    let ring = Ring::new(config.ring_entries, seat.doorbells[seat.index].park_bell())?;
    // Declared before the core, so dropped after it: the core's ring writes to them until it is
    // gone.
    let buffers = ReceiveBuffers::register(ring.io(), config.receive_buffers, config.receive_buffer_bytes)?;
    let features = Features {
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        ring_entries: ring.io().params().sq_entries(),
        completion_entries: ring.io().params().cq_entries(),
        registered_files: register_files(ring.io(), config.registered_files),
        receive_buffers: buffers.count(),
        receive_buffer_bytes: buffers.size(),
        no_iowait: ring.no_iowait(),
    };
    let mut core = Core::new(seat.index, ring, features, seat.mailboxes, seat.background, seat.doorbells, seat.ending);
    core.reserve_files(config.reserved_files);
    let parking = Parking::new(&core)?;
    let handler = make(seat.index, &mut core).map_err(|error| StartError::Handler { core: seat.index, error })?;
    Ok((Turns::new(handler, core, buffers), parking))
}
