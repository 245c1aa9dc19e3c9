//! How a core waits between two turns: spinning (reading shared memory again and again), napping in
//! its ring, or sleeping in tokio's driver.
//!
//! tokio's runtime awaits connections and timers. It runs only while the core's thread is parked in
//! it. While there is traffic the core naps in its own ring: one system call submits and waits. It
//! visits tokio every [`TOKIO_TURN`]. When nothing came for that long it parks there until
//! something does.

use std::time::{Duration, Instant};

use crate::RuntimeError;
use crate::config::Spin;
use crate::core::Core;
use crate::event::Next;
use crate::linux::ring::Enter;
use crate::stages::Stage;

/// How long tokio's share (new connections, timers) may wait while the core is busy, and how long a
/// core naps before it parks. A visit costs three system calls, some 3 µs: 0.3 % of a busy core.
const TOKIO_TURN: Duration = Duration::from_millis(1);

/// What the loop does next.
pub(super) enum Wait {
    /// There may be something to do.
    Turn,
    /// tokio is due, and the core is busy.
    Visit,
    /// Nothing was to do for a while: park until something is.
    Park,
}

/// What came of looking for work.
enum Spun {
    Work,
    /// None came until then.
    Nothing(Instant),
}

/// When the core is to do what.
pub(super) struct Pace {
    spin: Spin,
    /// When tokio last had its share.
    visited: Instant,
}

impl Pace {
    pub(super) fn new(spin: Spin) -> Pace {
        Pace { spin, visited: Instant::now() }
    }

    /// tokio had its share.
    pub(super) fn note_visit(&mut self) {
        self.visited = Instant::now();
    }

    /// Submits what the turn queued, and waits as the configuration and the moment ask. One
    /// `io_uring_enter`, none where nothing is to submit and nothing is to be waited for.
    pub(super) fn wait<M: Send + 'static>(
        &self,
        core: &mut Core<M>,
        next: Next,
    ) -> Result<Wait, RuntimeError> {
        let due = self.visited + TOKIO_TURN;
        if next == Next::Again || core.has_work() {
            enter_ring(core, Enter::Complete)?;
            return Ok(if core.now() >= due { Wait::Visit } else { Wait::Turn });
        }
        let mut now = core.now();
        if self.spin != Spin::Off {
            match self.spin(core, due)? {
                Spun::Work => return Ok(Wait::Turn),
                Spun::Nothing(until) => now = until,
            }
        }
        let is_idle =
            self.spin != Spin::Always && now.duration_since(core.last_active()) >= TOKIO_TURN;
        if is_idle || now >= due {
            enter_ring(core, Enter::Submit)?;
            return Ok(if is_idle { Wait::Park } else { Wait::Visit });
        }
        nap(core, now, due)?;
        Ok(Wait::Turn)
    }

    /// Looks for work without a system call (once what is queued is submitted).
    fn spin<M: Send + 'static>(
        &self,
        core: &mut Core<M>,
        due: Instant,
    ) -> Result<Spun, RuntimeError> {
        enter_ring(core, Enter::Submit)?;
        core.enter_stage(Stage::Wait);
        let until = match self.spin {
            Spin::Always => due,
            _ => due.min(core.last_active() + Spin::ADAPTIVE),
        };
        let until = core.earliest_timer().map_or(until, |timer| until.min(timer));
        loop {
            if core.backend().linux().ring.has_completions() {
                enter_ring(core, Enter::Complete)?;
                if core.backend().linux().ring.is_ready() {
                    return Ok(Spun::Work);
                }
                core.enter_stage(Stage::Wait);
            }
            if core.has_work() {
                return Ok(Spun::Work);
            }
            let now = Instant::now();
            if now >= until {
                let timer_is_due = core.earliest_timer().is_some_and(|timer| now >= timer);
                return Ok(if timer_is_due && now < due { Spun::Work } else { Spun::Nothing(now) });
            }
            std::hint::spin_loop();
        }
    }
}

/// Waits in the ring, at most until tokio or a timer is due.
fn nap<M: Send + 'static>(
    core: &mut Core<M>,
    now: Instant,
    due: Instant,
) -> Result<(), RuntimeError> {
    let until = core.earliest_timer().map_or(due, |timer| due.min(timer));
    core.backend().linux().doorbell().say_napping();
    let result = if core.has_work() || until <= now {
        enter_ring(core, Enter::Complete)
    } else {
        core.backend().linux().naps += 1;
        enter_ring(core, Enter::Wait(until - now))
    };
    core.backend().linux().say_awake();
    result
}

/// The one way into a core's ring between its turns: the kernel's time is charged to its stage.
fn enter_ring<M: Send + 'static>(core: &mut Core<M>, what: Enter) -> Result<(), RuntimeError> {
    if !core.backend().linux().ring.is_due(what) {
        return Ok(());
    }
    core.enter_kernel(Stage::Kernel);
    let result = core.backend().linux().ring.enter(what);
    core.leave_kernel();
    result
}
