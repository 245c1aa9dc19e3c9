//! The ways on which other threads reach a core of the service.

use std::sync::mpsc::Sender;
use std::time::Duration;

use sutra_runtime::{Core, Job};

use crate::envelope::Envelope;
use crate::passing::{Held, Parted, Step};

/// Something for the background thread, or for a core's worker.
pub type BackgroundJob<M> = Job<Envelope<M>>;

/// A job for another thread; its result comes back as a message.
pub fn background_job<M: Send + 'static>(
    job: impl FnOnce() -> M + Send + 'static,
) -> BackgroundJob<M> {
    Box::new(move || Envelope::Service(job()))
}

/// A thread's way to a core of the service that is not its own.
pub struct Postbox<M: Send + 'static>(sutra_runtime::Postbox<Envelope<M>>);

impl<M: Send + 'static> Postbox<M> {
    /// The way to this core.
    pub fn of(core: &Core<Envelope<M>>) -> Self {
        Self(core.postbox())
    }

    /// Sends the service's core a message, which comes as from itself.
    pub fn post(&self, message: M) {
        self.0.post(Envelope::Service(message));
    }

    /// Has the core close connections that are silent for so long; none for that where it is
    /// `None`.
    pub fn set_idle_timeout(&self, timeout: Option<Duration>) {
        self.0.post(Envelope::IdleTimeout(timeout));
    }

    /// Has the core begin no request, as its connections are to be passed on. `told` gets its
    /// number when none is under way, or why it goes on; nothing where the core drains.
    pub fn hold(&self, told: Sender<Held>) {
        self.0.post(Envelope::Step(Step::Hold(told)));
    }

    /// Has a core that holds requests go on.
    pub fn go_on(&self) {
        self.0.post(Envelope::Step(Step::GoOn));
    }

    /// Has a core that holds requests give up its listeners and connections, one by one. All have
    /// been given up when the cores have ended ([`sutra_runtime::Running::shutdown`]), which is to
    /// be asked for when each has begun.
    pub fn part(&self, to: Sender<Parted>) {
        self.0.post(Envelope::Step(Step::Part(to)));
    }
}

impl<M: Send + 'static> Clone for Postbox<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
