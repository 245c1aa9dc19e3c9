//! How a sleeping core is woken.
//!
//! A core that goes to sleep says so first and then looks for work. Whoever has work for it puts
//! that down first and then looks whether it sleeps (Dekker's algorithm, with a full fence on
//! either side). So one of the two sees the other.

use crate::RuntimeError;
use crate::linux::bell::Bell;
use crate::shared::{AtomicU8, Ordering, fence};

/// How other threads reach a core. On a cache line of its own, as it is read by all and written by
/// its core at every sleep.
///
/// There are two bells, because one can't do. A core that naps in its ring hears only what the ring
/// polls. But a poll that an eventfd has fired can't signal the ring's own eventfd: the kernel
/// forbids the recursion, and puts the signal off for an RCU grace period (16 to 20 ms measured on
/// 6.18) or for ever. So a parked core is called through the ring's own eventfd directly.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Doorbell {
    state: AtomicU8,
    /// The core's ring polls it.
    nap: Bell,
    /// The core's ring signals it too, and tokio's driver watches it.
    park: Bell,
}

const AWAKE: u8 = 0;
const NAPPING: u8 = 1;
const PARKED: u8 = 2;

impl Doorbell {
    /// A core's doorbell; the core counts as awake.
    pub(crate) fn new() -> Result<Doorbell, RuntimeError> {
        Ok(Doorbell { state: AtomicU8::new(AWAKE), nap: Bell::new()?, park: Bell::new()? })
    }

    /// What the core's ring polls.
    pub(super) fn nap_bell(&self) -> &Bell {
        &self.nap
    }

    /// What tokio's driver watches, and the ring signals.
    pub(super) fn park_bell(&self) -> &Bell {
        &self.park
    }

    /// The core is about to wait in its ring: it must look for work once more after this.
    pub(super) fn say_napping(&self) {
        self.say_asleep(NAPPING);
    }

    /// The core is about to park in tokio's driver: it must look for work once more after this.
    pub(super) fn say_parked(&self) {
        self.say_asleep(PARKED);
    }

    fn say_asleep(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The core is awake. Returns whether somebody had woken it.
    pub(super) fn say_awake(&self) -> bool {
        self.state.swap(AWAKE, Ordering::Relaxed) == AWAKE
    }

    /// Wakes the core if it sleeps; whatever was stored before is then seen by it. One system call
    /// if it does, none if not.
    pub(super) fn ring(&self) -> bool {
        fence(Ordering::SeqCst);
        match self.take_for_awake() {
            NAPPING => self.ring_nap_bell(),
            PARKED => self.park.ring(),
            _ => return false,
        }
        true
    }

    /// Takes a core that sleeps for awake, and whoever does so rings. Returns how it slept; awake
    /// where it does not, or somebody was first. What a core says of itself is never overwritten
    /// unseen.
    fn take_for_awake(&self) -> u8 {
        let mut state = self.state.load(Ordering::Relaxed);
        while state != AWAKE {
            let (before, after) = (Ordering::Relaxed, Ordering::Relaxed);
            match self.state.compare_exchange(state, AWAKE, before, after) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        state
    }

    /// Signals a core that napped a moment ago. It may have parked by now, as this thread can have
    /// stood still since it looked. Then the ring has work that it told nobody of, and it tells of
    /// no later work while the first is there. So the core would sleep through everything on its
    /// sockets: it is called by the other bell, too. A core that parks only after this signal sees
    /// the work: the signal comes before the look here, and the core looks after saying that it is
    /// parked.
    fn ring_nap_bell(&self) {
        self.nap.ring();
        fence(Ordering::SeqCst);
        let (before, after) = (Ordering::Relaxed, Ordering::Relaxed);
        if self.state.compare_exchange(PARKED, AWAKE, before, after).is_ok() {
            self.park.ring();
        }
    }
}

/// Wakes every core that sleeps.
pub(crate) fn ring_all(doorbells: &[Doorbell]) {
    for doorbell in doorbells {
        doorbell.ring();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_core_that_has_parked_while_its_nap_bell_was_reached_for_is_called_by_the_other_one_too() {
        let doorbell = Doorbell::new().unwrap();
        let count = |bell: &Bell| {
            let mut bytes = [0; 8];
            rustix::io::read(bell.as_fd(), &mut bytes).map_or(0, |_| u64::from_ne_bytes(bytes))
        };
        doorbell.say_parked();
        doorbell.ring_nap_bell();
        assert_eq!((count(doorbell.nap_bell()), count(doorbell.park_bell())), (1, 1));
        assert!(!doorbell.ring(), "it was woken");
        doorbell.say_napping();
        doorbell.ring_nap_bell();
        assert_eq!((count(doorbell.nap_bell()), count(doorbell.park_bell())), (1, 0));
    }
}
