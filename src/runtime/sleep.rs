//! How a core waits: spinning over shared memory, napping in its ring, or sleeping in tokio's
//! driver.
//!
//! tokio-uring's runtime (accept, timers, tasks) runs only while the core's thread is parked in
//! tokio. So while there is traffic the core naps in its own ring, one system call for submitting
//! and waiting, and visits tokio every [`TOKIO_TURN`]; when nothing came for that long it parks
//! there until something does.

use std::future::poll_fn;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::RuntimeError;
use crate::accept::Inbox;
use crate::config::Spin;
use crate::core::Core;
use crate::mailbox::signal;
use crate::stages::Stage;

/// How long tokio's share (accept, timers, tasks) may wait while the core is busy, and how long a
/// core naps before it parks. A visit costs three system calls, some 3 µs: 0.3 % of a busy core.
const TOKIO_TURN: Duration = Duration::from_millis(1);

/// What the loop does next.
pub(crate) enum Wait {
    /// There may be something to do.
    Turn,
    /// tokio is due, and the core is busy.
    Visit,
    /// Nothing was to do for a while: park until something is.
    Park,
}

/// When the core last did what.
pub(crate) struct Pace {
    spin: Spin,
    visited: Instant,
    active: Instant,
}

impl Pace {
    pub(crate) fn new(spin: Spin) -> Pace {
        let now = Instant::now();
        Pace { spin, visited: now, active: now }
    }

    /// Something arrived in this turn.
    pub(crate) fn note_activity(&mut self, now: Instant) {
        self.active = now;
    }

    /// tokio had its share.
    pub(crate) fn note_visit(&mut self) {
        self.visited = Instant::now();
    }

    /// Submits what the turn queued and waits as the configuration and the moment ask; `again`
    /// forbids waiting. One `io_uring_enter`, none where nothing is to submit and nothing is to be
    /// waited for.
    pub(crate) fn wait<M: Send + 'static>(&self, core: &mut Core<M>, again: bool) -> Result<Wait, RuntimeError> {
        let due = self.visited + TOKIO_TURN;
        if again || core.has_work() {
            if core.ring.has_unsubmitted() || core.ring.has_completions() {
                core.stages.enter_kernel(Stage::Kernel);
                if core.ring.has_unsubmitted() {
                    core.ring.submit()?;
                } else {
                    core.ring.make_completions()?;
                }
                core.stages.leave_kernel();
            }
            return Ok(if core.now >= due { Wait::Visit } else { Wait::Turn });
        }
        if self.spin != Spin::Off && self.spins_until_work(core, due)? {
            return Ok(Wait::Turn);
        }
        let idle = self.spin != Spin::Always && core.now.duration_since(self.active) >= TOKIO_TURN;
        if idle || core.now >= due {
            if core.ring.has_unsubmitted() {
                core.stages.enter_kernel(Stage::Kernel);
                core.ring.submit()?;
                core.stages.leave_kernel();
            }
            return Ok(if idle { Wait::Park } else { Wait::Visit });
        }
        self.nap(core, due)?;
        Ok(Wait::Turn)
    }

    /// Looks for work without a system call (once what is queued is submitted). `true` if there is
    /// some, `false` when looking is over.
    fn spins_until_work<M: Send + 'static>(&self, core: &mut Core<M>, due: Instant) -> Result<bool, RuntimeError> {
        if core.ring.has_unsubmitted() {
            core.stages.enter_kernel(Stage::Kernel);
            core.ring.submit()?;
            core.stages.leave_kernel();
        }
        core.stages.enter(Stage::Wait);
        let until = match self.spin {
            Spin::Always => due,
            _ => due.min(self.active + Spin::ADAPTIVE),
        };
        let until = core.timers.earliest().map_or(until, |timer| until.min(timer));
        loop {
            if core.ring.has_completions() {
                core.stages.enter_kernel(Stage::Kernel);
                core.ring.make_completions()?;
                core.stages.leave_kernel();
                if core.ring.is_ready() {
                    return Ok(true);
                }
                core.stages.enter(Stage::Wait);
            }
            if core.has_work() {
                return Ok(true);
            }
            let now = Instant::now();
            if now >= until {
                core.now = now;
                let timer_is_due = core.timers.earliest().is_some_and(|timer| now >= timer);
                return Ok(timer_is_due && now < due);
            }
            std::hint::spin_loop();
        }
    }

    /// Waits in the ring, at most until tokio or a timer is due.
    fn nap<M: Send + 'static>(&self, core: &mut Core<M>, due: Instant) -> Result<(), RuntimeError> {
        let until = core.timers.earliest().map_or(due, |timer| due.min(timer));
        core.stages.enter_kernel(Stage::Kernel);
        core.doorbell().say_napping();
        let result = if core.has_work() || until <= core.now {
            core.ring.submit()
        } else {
            core.metrics.naps += 1;
            core.ring.submit_and_wait(until - core.now)
        };
        core.metrics.wakes_received += u64::from(core.doorbell().say_awake());
        core.stages.leave_kernel();
        result
    }
}

/// How the loop parks in tokio's driver.
pub(crate) struct Parking {
    /// The eventfd that the data ring and other threads signal, as tokio sees it.
    bell: AsyncFd<OwnedFd>,
}

impl Parking {
    /// To be called inside the core's runtime.
    pub(crate) fn new<M: Send + 'static>(core: &Core<M>) -> Result<Parking, RuntimeError> {
        const WHAT: &str = "watching the ring's eventfd";
        let bell = core.doorbell().park_bell().try_clone_to_owned().map_err(RuntimeError::system(WHAT))?;
        // SAFETY: an OwnedFd answers with the same descriptor as long as it lives, and it is not
        // taken out of the AsyncFd.
        let bell = unsafe { AsyncFd::register_with_interest(bell, Interest::READABLE) };
        Ok(Parking { bell: bell.map_err(|error| RuntimeError::system(WHAT)(error.into()))? })
    }

    /// Gives tokio its share without sleeping. The thread has to park for it (tokio-uring submits
    /// only then), so it parks with its own eventfd already signalled.
    pub(crate) async fn visit(&self) {
        signal(self.bell.get_ref().as_fd());
        self.until_signalled(None, None).await;
    }

    /// Sleeps until there is something to do for the loop: a completion, another core's ring at the
    /// door (a completion too), an accepted connection, a due timer.
    pub(crate) async fn park<M: Send + 'static>(&self, core: &mut Core<M>) -> Result<(), RuntimeError> {
        core.doorbell().say_parked();
        if !core.has_work() && core.ring.arm_eventfd()? {
            core.metrics.sleeps += 1;
            self.until_signalled(core.timers.earliest(), Some(&core.inbox)).await;
            core.ring.disarm_eventfd();
        }
        core.metrics.wakes_received += u64::from(core.doorbell().say_awake());
        if core.ring.has_completions() {
            core.ring.make_completions()?;
        }
        Ok(())
    }

    async fn until_signalled(&self, timer: Option<Instant>, inbox: Option<&Inbox>) {
        let far = Duration::from_secs(86_400);
        let mut timer = pin!(timer.map(|at| tokio::time::sleep_until(at.min(Instant::now() + far).into())));
        poll_fn(|context| {
            if let Some(timer) = timer.as_mut().as_pin_mut()
                && timer.poll(context).is_ready()
            {
                return Poll::Ready(());
            }
            if let Some(inbox) = inbox {
                if inbox.take_news() {
                    return Poll::Ready(());
                }
                inbox.wake_on_arrival(context);
            }
            match self.bell.poll_read_ready(context) {
                Poll::Ready(Ok(mut ready)) => {
                    // The eventfd is never read: every signal is an edge, so forgetting this one
                    // loses none.
                    ready.clear_ready();
                    Poll::Ready(())
                }
                Poll::Ready(Err(_)) => Poll::Ready(()), // only while the runtime ends
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
    }
}
