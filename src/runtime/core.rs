//! What a handler works with: one core's sockets, writes, timers and messages.
//!
//! Every method only queues; the kernel is entered once a turn. What concerns sockets is in
//! `core/sockets.rs`, files in `core/files.rs`, and what the loop asks in `core/drive.rs`.

mod drive;
mod files;
mod sockets;

use std::sync::Arc;
use std::time::Instant;

use crate::RuntimeError;
use crate::backend::{Backend, Mail};
use crate::ending::{Ending, Leaving};
use crate::event::ListenerId;
use crate::listener::Listener;
use crate::metrics::{CoreMetrics, Features};
use crate::postbox::{Job, Postbox};
use crate::pulse::{Beat, Pulse};
use crate::sockets::Sockets;
use crate::stages::{Stage, StageClock};
use crate::timers::{TimerId, Timers};
use crate::writes::Writes;

/// One core, as its handler sees it. `M` is what cores send each other.
pub struct Core<M> {
    // First, so that it is dropped first: it waits for the kernel to let go of what the other
    // fields own.
    backend: Backend,
    mail: Mail<M>,
    sockets: Sockets,
    writes: Writes,
    timers: Timers,
    leaving: Leaving,
    beat: Beat,
    now: Instant,
    /// When something last arrived.
    active: Instant,
    metrics: CoreMetrics,
    stages: StageClock,
    features: Features,
    index: usize,
}

impl<M: Send + 'static> Core<M> {
    pub(crate) fn new(
        index: usize,
        backend: Backend,
        features: Features,
        mail: Mail<M>,
        ending: Arc<Ending>,
        pulse: &Pulse,
    ) -> Core<M> {
        let now = backend.now();
        Core {
            backend,
            mail,
            sockets: Sockets::default(),
            writes: Writes::default(),
            timers: Timers::default(),
            leaving: Leaving::new(ending),
            beat: pulse.beat(index),
            now,
            active: now,
            metrics: CoreMetrics::default(),
            stages: StageClock::new(),
            features,
            index,
        }
    }

    /// This core's number.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many cores there are.
    pub fn cores(&self) -> usize {
        self.mail.cores()
    }

    /// The time, read once a turn.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The time at this moment. Costs a reading of the clock, some 20 ns.
    pub fn read_clock(&self) -> Instant {
        self.backend.now()
    }

    /// This core's counters.
    pub fn metrics(&self) -> &CoreMetrics {
        &self.metrics
    }

    /// The handler begins something else; returns what the core was doing. A branch, but in the
    /// turns that are timed.
    #[inline]
    pub fn enter_stage(&mut self, stage: Stage) -> Stage {
        self.stages.enter(stage)
    }

    /// A request begins: what the stages' times are told for each of.
    #[inline]
    pub fn count_request(&mut self) {
        self.stages.count_request();
    }

    /// How many turns were timed, the requests in them, and the ns that each stage took in them, by
    /// name.
    pub fn profile(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.stages.named()
    }

    /// What the kernel gave the core's ring.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Sets a timer, in place of its earlier setting, or clears it. It comes due once, to the
    /// millisecond, as [`crate::Handler::timer`].
    pub fn set_timer(&mut self, id: TimerId, at: Option<Instant>) {
        self.timers.set(id, at);
    }

    /// Sends a message to a core (the own one included: it comes in the next turn). Messages from
    /// one core to another arrive in order. `Err` gives it back when the mailbox is full. Costs a
    /// few stores; the target is woken at the end of the turn, once, if it sleeps.
    pub fn send_message(&mut self, to: usize, message: M) -> Result<(), M> {
        let before = self.stages.enter(Stage::Messages);
        let sent = self.mail.send(to, message);
        self.metrics.messages_sent += u64::from(sent.is_ok());
        self.stages.enter(before);
        sent
    }

    /// Has a job run on the process's background thread; its result comes as a message from this
    /// core's own index. `Err` gives the job back when 64 are waiting already.
    pub fn background(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        self.mail.run(job)
    }

    /// Has a job run on this core's own low-priority thread, for what computes for long; otherwise
    /// as [`Core::background`], `Err` when 4 are waiting.
    pub fn compute(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        self.mail.compute(job)
    }

    /// A way for another thread to send this core messages, which come as messages from its own
    /// index.
    pub fn postbox(&self) -> Postbox<M> {
        self.mail.postbox()
    }

    /// Accepts connections from a bound and listening socket, which come as
    /// [`crate::Event::Accepted`]. A failing accept is warned about and tried again.
    ///
    /// # Errors
    /// When the socket can't be watched.
    pub fn listen(
        &mut self,
        listener: impl Into<Listener>,
        id: ListenerId,
    ) -> Result<(), RuntimeError> {
        self.backend.listen(listener.into(), id)
    }

    /// Has every listener take what its backlog holds (those connections still come as
    /// [`crate::Event::Accepted`]) and close. The backlog of one that others share stays as it is.
    pub fn stop_listening(&mut self) {
        self.backend.stop_listening();
    }

    /// Has every listener stop where it is: what its backlog holds stays there.
    /// [`Core::take_listeners`] gives them, for another process to go on with.
    pub fn keep_listeners(&mut self) {
        self.backend.keep_listeners();
    }

    /// The listeners that have stopped since [`Core::keep_listeners`], each with its number.
    pub fn take_listeners(&mut self) -> Vec<(ListenerId, Listener)> {
        self.backend.take_listeners()
    }
}
