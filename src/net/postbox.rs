//! The ways on which other threads reach a core of the service.

use sutra_runtime::{Core, Job};

use crate::envelope::Envelope;

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
}

impl<M: Send + 'static> Clone for Postbox<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
