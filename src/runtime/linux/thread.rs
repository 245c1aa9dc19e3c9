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
use crate::linux::buffers::ReceiveBuffers;
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
pub(crate) struct CoreSetup<M> {
    index: usize,
    config: Arc<Config>,
    mail: LinuxMail<M>,
    doorbells: Arc<[Doorbell]>,
    ending: Arc<Ending>,
    pulse: Pulse,
}

impl<M: Send + 'static> CoreSetup<M> {
    pub(crate) fn new(
        index: usize,
        config: &Arc<Config>,
        mail: LinuxMail<M>,
        doorbells: &Arc<[Doorbell]>,
        ending: &Arc<Ending>,
        pulse: &Pulse,
    ) -> CoreSetup<M> {
        let (config, doorbells, ending) =
            (Arc::clone(config), Arc::clone(doorbells), Arc::clone(ending));
        CoreSetup { index, config, mail, doorbells, ending, pulse: pulse.clone() }
    }

    fn pin(&self) -> Result<(), RuntimeError> {
        let cpu = self.config.cpus[self.index];
        if self.config.pin && !core_affinity::set_for_current(CoreId { id: cpu }) {
            return Err(RuntimeError::Pin { cpu });
        }
        Ok(())
    }
}

/// Builds a core's handler.
pub(crate) type Make<H, E> =
    Arc<dyn Fn(usize, &mut Core<<H as Handler>::Message>) -> Result<H, E> + Send + Sync>;

/// What came of it.
pub(crate) type Made<E> = Result<(), StartError<E>>;

/// How a core's handler is built, and whom to tell.
pub(crate) type Order<H, E> = (Make<H, E>, Sender<Made<E>>);

/// What a core's thread is told, in this order. Where nobody can tell it any more, it ends.
pub(crate) struct Orders<H: Handler, E> {
    /// To build its handler, and say what came of it.
    pub(crate) make: Receiver<Order<H, E>>,
    /// To begin its turns.
    pub(crate) go: Receiver<()>,
}

/// A core's thread from beginning to end. Whether it was set up goes to `ready`, what ends its
/// turns early is returned.
pub(crate) fn run<H, E>(
    setup: CoreSetup<H::Message>,
    ready: Sender<Result<(), RuntimeError>>,
    orders: Orders<H, E>,
    turning: Sender<Never>,
) -> Result<(), RuntimeError>
where
    H: Handler,
{
    let _end_all = EndAll::new(&setup.ending);
    let runtime = match setup.pin().and_then(|()| build_runtime()) {
        Ok(runtime) => runtime,
        Err(error) => {
            // Unheard only if `prepare` itself has died.
            let _ = ready.send(Err(error));
            return Ok(());
        }
    };
    runtime.block_on(async {
        let pace = Pace::new(setup.config.spin);
        let (buffers, core, parking) = match set_up(setup) {
            Ok(set_up) => set_up,
            Err(error) => {
                let _ = ready.send(Err(error));
                return Ok(());
            }
        };
        let _ = ready.send(Ok(()));
        drop(ready);
        match make(buffers, core, &orders) {
            Some(turns) => run_turns(turns, pace, &parking, turning).await,
            None => Ok(()),
        }
    })
}

/// Builds a core's handler when that is asked for, and waits until its turns are to begin. `None`
/// where they never do.
fn make<H: Handler, E>(
    buffers: ReceiveBuffers,
    mut core: Core<H::Message>,
    orders: &Orders<H, E>,
) -> Option<Turns<H>> {
    let (make, made) = orders.make.recv().ok()?;
    // It may have waited for long.
    core.note_time();
    let index = core.index();
    match make(index, &mut core) {
        Ok(handler) => {
            let turns = Turns::new(handler, core, Buffers::Linux(buffers));
            // Unheard only if `start` itself has died.
            let _ = made.send(Ok(()));
            drop((make, made));
            orders.go.recv().ok()?;
            Some(turns)
        }
        Err(error) => {
            let _ = made.send(Err(StartError::Handler { core: index, error }));
            None
        }
    }
}

/// tokio-uring's runtime, whose ring is set up for one thread that reaps when it comes by.
fn build_runtime() -> Result<tokio_uring::Runtime, RuntimeError> {
    let mut builder = tokio_uring::builder();
    let mut ring = tokio_uring::uring_builder();
    ring.setup_coop_taskrun().setup_single_issuer();
    builder.entries(TOKIO_URING_ENTRIES).uring_builder(&ring);
    tokio_uring::Runtime::new(&builder).map_err(explain_setup_failure)
}

/// Builds a core's ring, inside its runtime. The buffers are to be dropped after the core: its ring
/// writes to them until it is gone.
fn set_up<M: Send + 'static>(
    setup: CoreSetup<M>,
) -> Result<(ReceiveBuffers, Core<M>, Parking), RuntimeError> {
    let CoreSetup { index, config, mail, doorbells, ending, pulse } = setup;
    let parking = Parking::new(&doorbells[index])?;
    let (buffers, linux, features) = Linux::new(&config, doorbells, index)?;
    let core = Core::new(index, Backend::Linux(linux), features, Mail::Linux(mail), ending, &pulse);
    Ok((buffers, core, parking))
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
