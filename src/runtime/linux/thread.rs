//! A core's thread: pinned, its tokio-uring runtime, its set-up, and its turns until the cores end.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use core_affinity::CoreId;

use crate::backend::{Backend, Buffers, Mail};
use crate::config::Config;
use crate::core::Core;
use crate::ending::{EndAll, Ending};
use crate::error::explain_setup_failure;
use crate::handler::Handler;
use crate::linux::Linux;
use crate::linux::doorbell::Doorbell;
use crate::linux::mail::LinuxMail;
use crate::linux::pace::{Pace, Wait};
use crate::linux::parking::Parking;
use crate::pulse::Pulse;
use crate::stages::Stage;
use crate::turn::Turns;
use crate::{RuntimeError, StartError};

/// Entries of tokio-uring's own ring, which carries no operation of ours.
const TOKIO_URING_ENTRIES: u32 = 64;

/// What nobody sends: that all senders have gone is what is told.
pub(crate) type Never = std::convert::Infallible;

/// What a core's thread starts with.
pub(crate) struct Seat<M> {
    index: usize,
    config: Arc<Config>,
    mail: LinuxMail<M>,
    doorbells: Arc<[Doorbell]>,
    ending: Arc<Ending>,
    pulse: Pulse,
}

impl<M: Send + 'static> Seat<M> {
    pub(crate) fn new(
        index: usize,
        config: &Arc<Config>,
        mail: LinuxMail<M>,
        doorbells: &Arc<[Doorbell]>,
        ending: &Arc<Ending>,
        pulse: &Pulse,
    ) -> Seat<M> {
        let (config, doorbells, ending) =
            (Arc::clone(config), Arc::clone(doorbells), Arc::clone(ending));
        Seat { index, config, mail, doorbells, ending, pulse: pulse.clone() }
    }

    fn pin(&self) -> Result<(), RuntimeError> {
        let cpu = self.config.cpus[self.index];
        if self.config.pin && !core_affinity::set_for_current(CoreId { id: cpu }) {
            return Err(RuntimeError::Pin { cpu });
        }
        Ok(())
    }
}

/// A core's thread from beginning to end. Set-up errors go to `ready`, later ones are returned. The
/// turns begin when `starter` says so.
pub(crate) fn run<H, E, F>(
    seat: Seat<H::Message>,
    make: &F,
    ready: Sender<Result<(), StartError<E>>>,
    starter: &Receiver<()>,
    turning: Sender<Never>,
) -> Result<(), RuntimeError>
where
    H: Handler,
    F: Fn(usize, &mut Core<H::Message>) -> Result<H, E>,
{
    let _end_all = EndAll::new(&seat.ending);
    let runtime = match seat.pin().and_then(|()| build_runtime()) {
        Ok(runtime) => runtime,
        Err(error) => {
            // Unheard only if `start` itself has died.
            let _ = ready.send(Err(error.into()));
            return Ok(());
        }
    };
    runtime.block_on(async {
        let pace = Pace::new(seat.config.spin);
        match set_up(seat, make) {
            Ok((turns, parking)) => {
                let _ = ready.send(Ok(()));
                drop(ready);
                match starter.recv() {
                    Ok(()) => run_turns(turns, pace, &parking, turning).await,
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
    let Seat { index, config, mail, doorbells, ending, pulse } = seat;
    let parking = Parking::new(&doorbells[index])?;
    // The buffers are declared before the core, so dropped after it: the core's ring writes to them
    // until it is gone.
    let (buffers, linux, features) = Linux::new(&config, doorbells, index)?;
    let mut core =
        Core::new(index, Backend::Linux(linux), features, Mail::Linux(mail), ending, &pulse);
    let handler =
        make(index, &mut core).map_err(|error| StartError::Handler { core: index, error })?;
    Ok((Turns::new(handler, core, Buffers::Linux(buffers)), parking))
}

/// Runs turns until the cores end together. `turning` is dropped after the last, and before what
/// the core holds.
async fn run_turns<H: Handler>(
    mut turns: Turns<H>,
    mut pace: Pace,
    parking: &Parking,
    turning: Sender<Never>,
) -> Result<(), RuntimeError> {
    let _turning = turning;
    while let Some(next) = turns.turn() {
        let core = turns.core();
        match pace.wait(core, next)? {
            Wait::Turn => {}
            Wait::Visit => {
                core.enter_stage(Stage::Tokio);
                parking.visit().await;
                pace.note_visit();
            }
            Wait::Park => {
                parking.park(core).await?;
                pace.note_visit();
            }
        }
    }
    Ok(())
}
