//! How the agent stands with its master: the link says so, and the admin port shows it.

use std::sync::{Mutex, PoisonError};

/// Why the agent is not registered with its master; nothing while it is.
#[derive(Debug)]
pub(crate) struct Standing(Mutex<Option<String>>);

impl Standing {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some("it has not been asked yet".into())))
    }

    /// The master knows this agent.
    pub(crate) fn registered(&self) {
        self.set(None);
    }

    /// The master does not know this agent, or can't be asked.
    pub(crate) fn not_registered(&self, why: String) {
        self.set(Some(why));
    }

    /// Why the agent is not registered, if it is not.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, trouble: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}
