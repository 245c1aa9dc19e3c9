//! A bell that loom hears, in the place of the product's eventfd, and of what a core's ring makes
//! of it.
//!
//! As the nap bell it stands for the ring's list of work, too. The kernel puts on it that the bell
//! was rung, and that something has come on a socket. Whoever enters the ring takes all of it. Of
//! the first work on the list alone the kernel tells a parked core, by its park bell, and never of
//! a nap bell: that is what was seen of it (`src/runtime/README.md`).

use loom::sync::{Condvar, Mutex, MutexGuard};

use crate::RuntimeError;

#[derive(Debug, Default)]
struct State {
    /// It was rung, or there is work.
    is_rung: bool,
    /// Something has come on a socket.
    is_socket_ready: bool,
    /// The core is parked, and wants to be told.
    is_armed: bool,
}

#[derive(Debug)]
pub(crate) struct Bell {
    state: Mutex<State>,
    changed: Condvar,
}

impl Bell {
    pub(super) fn new() -> Result<Bell, RuntimeError> {
        Ok(Bell { state: Mutex::new(State::default()), changed: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn ring(&self) {
        self.state().is_rung = true;
        self.changed.notify_one();
    }

    /// Waits until it is rung. It stays so.
    pub(super) fn wait(&self) {
        let mut state = self.state();
        while !state.is_rung {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Takes what there is: whether it was rung, and whether something has come on a socket.
    pub(super) fn take(&self) -> (bool, bool) {
        let mut state = self.state();
        (std::mem::take(&mut state.is_rung), std::mem::take(&mut state.is_socket_ready))
    }

    /// Of a nap bell: the core is to be told of work by its park bell, unless there is some.
    pub(super) fn arm(&self) -> bool {
        let mut state = self.state();
        state.is_armed = !state.is_rung;
        state.is_armed
    }

    pub(super) fn disarm(&self) {
        self.state().is_armed = false;
    }

    /// Of a nap bell: something has come on a socket.
    pub(super) fn socket_is_ready(&self, park: &Bell) {
        let mut state = self.state();
        state.is_socket_ready = true;
        let is_first = !std::mem::replace(&mut state.is_rung, true);
        let is_told = is_first && state.is_armed;
        drop(state);
        self.changed.notify_one();
        if is_told {
            park.ring();
        }
    }
}
