//! What can change while a server runs, when its settings are read again.

use std::sync::{Arc, Mutex, PoisonError};

use super::arguments::Serve;
use super::service::Service;

/// What came of settings that were read again.
#[derive(Default)]
pub(crate) struct Reloaded {
    /// Settings that were taken over, with what they are now.
    pub(crate) changed: Vec<String>,
    /// Those that wait for the next start.
    pub(crate) waiting: Vec<&'static str>,
}

/// Takes over what can change of settings that were read again.
pub(crate) type TakeOver = Box<dyn Fn(Serve) -> Reloaded + Send + Sync>;

/// Takes over what can change while the server runs that was started with these.
pub(super) fn reloading(service: &Arc<Service>, started: &Serve) -> TakeOver {
    let (service, current) = (Arc::clone(service), Mutex::new(started.idle_timeout));
    let started = started.fixed();
    Box::new(move |now| {
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Vec::new();
        if *current != now.idle_timeout {
            *current = now.idle_timeout;
            service.set_idle_timeout(now.idle_timeout);
            let words = now.idle_timeout.map_or("never".to_owned(), |time| format!("{time:?}"));
            changed.push(format!("idle-timeout: {words}"));
        }
        let pairs = started.iter().zip(now.fixed());
        let waiting = pairs.filter(|(before, now)| **before != *now);
        Reloaded { changed, waiting: waiting.map(|((name, _), _)| *name).collect() }
    })
}
