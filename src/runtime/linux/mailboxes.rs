//! Bounded mailboxes between cores.
//!
//! One single-producer ring for every ordered pair of cores, so sending is a few plain stores. A
//! sleeping core is woken once a turn, however much was put in.

use std::sync::Arc;

use crate::linux::doorbell::Doorbell;
use crate::shared::{Consumer, Producer, PushError, RingBuffer};

/// One core's ends of all its mailboxes.
pub(super) struct Mailboxes<M> {
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
    pub(super) fn cores(&self) -> usize {
        self.to.len()
    }

    /// Puts a message into the mailbox of core `to`; gives it back when that is full or there is no
    /// such core.
    pub(super) fn send(&mut self, to: usize, message: M) -> Result<(), M> {
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
    pub(super) fn flush(&mut self) -> u64 {
        if !std::mem::take(&mut self.any_rung) {
            return 0;
        }
        let rung = self.rung.iter_mut().zip(self.doorbells.iter());
        rung.map(|(rung, doorbell)| u64::from(std::mem::take(rung) && doorbell.ring())).sum()
    }

    /// How many messages from that core have arrived.
    pub(super) fn arrived(&self, from: usize) -> usize {
        self.from.get(from).map_or(0, Consumer::slots)
    }

    /// Takes the next message from that core.
    pub(super) fn take(&mut self, from: usize) -> Option<M> {
        self.from.get_mut(from)?.pop().ok()
    }

    /// Whether nothing has arrived from any core.
    pub(super) fn is_empty(&self) -> bool {
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
