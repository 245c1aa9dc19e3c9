//! Bounded mailboxes between cores, and the one wake-up that a sleeping core needs however much
//! lies in them.
//!
//! One single-producer ring for every ordered pair of cores, so sending is a few plain stores. A
//! core that goes to sleep says so first and looks into its mailboxes then; a sender fills first
//! and looks for sleepers then (Dekker, with a full fence on either side), so one of the two sees
//! the other.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering, fence};

use rtrb::{Consumer, Producer, PushError, RingBuffer};
use rustix::event::EventfdFlags;

use crate::RuntimeError;

/// How other threads reach a core. On a cache line of its own, as it is read by all and written by
/// its core at every sleep.
///
/// There are two bells, because one can't do: a core that naps in its ring hears only what the ring
/// polls, and a ring that has its poll fired by an eventfd cannot signal its own eventfd from there
/// (the kernel forbids the recursion and puts the signal off for an RCU grace period, 16 to 20 ms
/// measured on 6.18, or for ever), so a parked core is called through that one directly.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Doorbell {
    state: AtomicU8,
    /// The core's ring polls it. Neither bell is ever read: every write counts as an edge.
    nap: OwnedFd,
    /// The core's ring signals it too, and tokio's driver watches it.
    park: OwnedFd,
}

const AWAKE: u8 = 0;
const NAPPING: u8 = 1;
const PARKED: u8 = 2;

impl Doorbell {
    /// A core's doorbell; the core counts as awake.
    pub(crate) fn new() -> Result<Doorbell, RuntimeError> {
        let bell = || {
            rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(|errno| RuntimeError::system("creating an eventfd")(errno.into()))
        };
        Ok(Doorbell { state: AtomicU8::new(AWAKE), nap: bell()?, park: bell()? })
    }

    /// What the core's ring polls.
    pub(crate) fn nap_bell(&self) -> BorrowedFd<'_> {
        self.nap.as_fd()
    }

    /// What tokio's driver watches, and the ring signals.
    pub(crate) fn park_bell(&self) -> BorrowedFd<'_> {
        self.park.as_fd()
    }

    /// The core is about to wait in its ring: it must look for work once more after this.
    pub(crate) fn say_napping(&self) {
        self.say_asleep(NAPPING);
    }

    /// The core is about to park in tokio's driver: it must look for work once more after this.
    pub(crate) fn say_parked(&self) {
        self.say_asleep(PARKED);
    }

    fn say_asleep(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The core is awake. Returns whether somebody had woken it; a ring in this very moment is not
    /// counted, and harms nothing, as the core looks for work before it sleeps again.
    pub(crate) fn say_awake(&self) -> bool {
        let rung = self.state.load(Ordering::Relaxed) == AWAKE;
        self.state.store(AWAKE, Ordering::Relaxed);
        rung
    }

    /// Wakes the core if it sleeps; whatever was stored before is then seen by it. One system call
    /// if it does, none if not.
    pub(crate) fn ring(&self) -> bool {
        fence(Ordering::SeqCst);
        if self.state.load(Ordering::Relaxed) == AWAKE {
            return false;
        }
        match self.state.swap(AWAKE, Ordering::Relaxed) {
            NAPPING => self.ring_nap_bell(),
            PARKED => signal(self.park_bell()),
            _ => return false, // somebody else was first, or it woke by itself
        }
        true
    }

    /// Signals a core that napped a moment ago. By now it may have parked: this thread can have
    /// stood still since it looked. Then the ring has work that nobody was told of, and tells
    /// nobody of what comes on top of it, so the core would sleep over all its sockets. Who parks
    /// after this signal sees the work, as the signal comes before the look here, and the look
    /// there behind saying so (Dekker once more).
    fn ring_nap_bell(&self) {
        signal(self.nap_bell());
        fence(Ordering::SeqCst);
        if self.state.load(Ordering::Relaxed) == PARKED && self.state.swap(AWAKE, Ordering::Relaxed) == PARKED {
            signal(self.park_bell());
        }
    }
}

/// Signals an eventfd. Refused only when its count is full, after 2^64 - 1 signals.
pub(crate) fn signal(eventfd: BorrowedFd<'_>) {
    let _ = rustix::io::write(eventfd, &1u64.to_ne_bytes());
}

/// One core's ends of all its mailboxes.
pub(crate) struct Mailboxes<M> {
    /// By receiving core.
    to: Vec<Producer<M>>,
    /// By sending core.
    from: Vec<Consumer<M>>,
    doorbells: Arc<[Doorbell]>,
    /// Cores that got something in this turn.
    rung: Vec<bool>,
    any_rung: bool,
}

impl<M> Mailboxes<M> {
    /// The mailboxes of all cores, each with room for `capacity` messages from each core.
    pub(crate) fn connect(doorbells: &Arc<[Doorbell]>, capacity: usize) -> Vec<Mailboxes<M>> {
        let cores = doorbells.len();
        let mut all: Vec<Mailboxes<M>> = (0..cores)
            .map(|_| Mailboxes {
                to: Vec::with_capacity(cores),
                from: Vec::with_capacity(cores),
                doorbells: Arc::clone(doorbells),
                rung: vec![false; cores],
                any_rung: false,
            })
            .collect();
        for sender in 0..cores {
            for receiver in 0..cores {
                let (producer, consumer) = RingBuffer::new(capacity);
                all[sender].to.push(producer);
                all[receiver].from.push(consumer);
            }
        }
        all
    }

    /// How many cores there are.
    pub(crate) fn cores(&self) -> usize {
        self.to.len()
    }

    /// Puts a message into the mailbox of core `to`; gives it back when that is full or there is no
    /// such core.
    pub(crate) fn send(&mut self, to: usize, message: M) -> Result<(), M> {
        let Some(mailbox) = self.to.get_mut(to) else {
            return Err(message);
        };
        match mailbox.push(message) {
            Ok(()) => {
                self.rung[to] = true;
                self.any_rung = true;
                Ok(())
            }
            Err(PushError::Full(message)) => Err(message),
        }
    }

    /// Wakes those sleeping cores that got something since the last call. Returns how many it woke.
    pub(crate) fn flush(&mut self) -> u64 {
        if !std::mem::take(&mut self.any_rung) {
            return 0;
        }
        let rung = self.rung.iter_mut().zip(self.doorbells.iter());
        rung.map(|(rung, doorbell)| u64::from(std::mem::take(rung) && doorbell.ring())).sum()
    }

    /// How many messages from that core have arrived.
    pub(crate) fn arrived(&self, from: usize) -> usize {
        self.from.get(from).map_or(0, Consumer::slots)
    }

    /// Takes the next message from that core.
    pub(crate) fn take(&mut self, from: usize) -> Option<M> {
        self.from.get_mut(from)?.pop().ok()
    }

    /// Whether nothing has arrived from any core.
    pub(crate) fn is_empty(&self) -> bool {
        self.from.iter().all(Consumer::is_empty)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pair(capacity: usize) -> (Mailboxes<u32>, Mailboxes<u32>, Arc<[Doorbell]>) {
        let doorbells: Arc<[Doorbell]> = (0..2).map(|_| Doorbell::new().unwrap()).collect();
        let mut both = Mailboxes::connect(&doorbells, capacity);
        let second = both.pop().unwrap();
        (both.pop().unwrap(), second, doorbells)
    }

    #[test]
    fn a_full_mailbox_gives_the_message_back() {
        let (mut a, mut b, _) = pair(2);
        a.send(1, 10).unwrap();
        a.send(1, 11).unwrap();
        assert_eq!(a.send(1, 12), Err(12));
        assert_eq!(b.take(0), Some(10));
        a.send(1, 12).unwrap();
        assert_eq!((b.take(0), b.take(0), b.take(0)), (Some(11), Some(12), None));
        assert_eq!(a.send(2, 1), Err(1), "there is no core 2");
    }

    #[test]
    fn many_messages_ring_a_sleeping_core_once() {
        let (mut a, b, doorbells) = pair(8);
        doorbells[1].say_parked();
        for message in 0..5 {
            a.send(1, message).unwrap();
        }
        assert_eq!(a.flush(), 1);
        a.send(1, 5).unwrap();
        assert_eq!(a.flush(), 0, "it was woken and has not said that it sleeps again");
        assert_eq!(b.arrived(0), 6);
    }

    #[test]
    fn a_core_that_has_parked_while_its_nap_bell_was_reached_for_is_called_by_the_other_one_too() {
        let doorbell = Doorbell::new().unwrap();
        let count = |bell: BorrowedFd<'_>| {
            let mut bytes = [0; 8];
            rustix::io::read(bell, &mut bytes).map_or(0, |_| u64::from_ne_bytes(bytes))
        };
        doorbell.say_parked();
        doorbell.ring_nap_bell();
        assert_eq!((count(doorbell.nap_bell()), count(doorbell.park_bell())), (1, 1));
        assert!(!doorbell.ring(), "it was woken");
        doorbell.say_napping();
        doorbell.ring_nap_bell();
        assert_eq!((count(doorbell.nap_bell()), count(doorbell.park_bell())), (1, 0));
    }

    #[test]
    fn a_core_that_is_awake_is_not_rung() {
        let (mut a, _, doorbells) = pair(8);
        a.send(1, 1).unwrap();
        assert_eq!(a.flush(), 0);
        doorbells[0].say_napping();
        assert!(doorbells[0].ring());
        assert!(!doorbells[0].ring());
        assert!(doorbells[0].say_awake(), "it was rung");
        doorbells[0].say_napping();
        assert!(!doorbells[0].say_awake(), "it woke by itself");
    }
}
