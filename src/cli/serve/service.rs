//! What signals do to a server that runs: they end it, or have it read its settings again. Which
//! server that is changes where one comes back that was to be taken over.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sutra_server::{IdleTimeout, Server};

use crate::import::Stop;
use crate::systemd::notify;

/// A server that runs, as signals see it.
#[derive(Default)]
pub(super) struct Service(Mutex<State>);

#[derive(Default)]
struct State {
    /// Drains the server; `None` before there is one.
    stop: Option<Box<dyn Fn() + Send>>,
    idle_timeout: Option<IdleTimeout>,
    /// The last that was set while it ran.
    reloaded: Option<Option<Duration>>,
    import: Stop,
    /// Whether clients are served though `stop` is not there yet.
    serves: bool,
    is_asked: bool,
}

impl Service {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This is the server from here on.
    pub(super) fn serves(&self, server: &Server) {
        let mut state = self.lock();
        state.stop = Some(Box::new(server.stopper()));
        let idle_timeout = server.idle_timeout();
        if let Some(timeout) = state.reloaded {
            idle_timeout.set(timeout);
        }
        state.idle_timeout = Some(idle_timeout);
        if state.is_asked {
            // Before this one was there to be told.
            server.shutdown();
        }
    }

    /// An import begins: how it is told to end.
    pub(super) fn begin_import(&self) -> Stop {
        let mut state = self.lock();
        if !state.is_asked {
            state.import = Stop::default();
        }
        state.import.clone()
    }

    /// A server that takes over begins to serve: from here on it has to end in order.
    pub(super) fn is_about_to_serve(&self) {
        self.lock().serves = true;
    }

    /// The first signal drains the server. One that is still recovering has acknowledged nothing:
    /// it ends at once.
    pub(super) fn end(&self, signal: i32) -> bool {
        let mut state = self.lock();
        if state.is_asked || state.stop.is_none() && !state.serves {
            return false;
        }
        tracing::info!(
            signal,
            "stopping: finishing what was received; a second signal ends at once"
        );
        notify::stopping("finishing what was received");
        state.import.ask(signal);
        if let Some(stop) = &state.stop {
            stop();
        }
        state.is_asked = true;
        true
    }

    /// Connections may be silent for so long from here on.
    pub(super) fn set_idle_timeout(&self, timeout: Option<Duration>) {
        let mut state = self.lock();
        state.reloaded = Some(timeout);
        if let Some(idle_timeout) = &state.idle_timeout {
            idle_timeout.set(timeout);
        }
    }
}
