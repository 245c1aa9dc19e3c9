//! A core that sleeps is woken, however it sleeps and whoever rings.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::doorbell::Doorbell;
use super::sleeper::{self, Rest, Turns};
use crate::Model;

pub(super) fn models() -> [Model; 5] {
    let model = |name, most, run| Model { name, interruptions: Some(most), run };
    [
        model("a_parked_core_hears_every_ring", 6, || rung_by(1, 2, &[Rest::Park])),
        model("a_napping_core_hears_every_ring", 6, || rung_by(1, 2, &[Rest::Nap])),
        model("a_core_that_rests_in_turns_hears_every_ring", 5, || {
            rung_by(1, 2, &[Rest::ShortNap, Rest::Park, Rest::Nap]);
        }),
        model("a_core_hears_two_who_ring_at_once", 3, || {
            rung_by(2, 1, &[Rest::ShortNap, Rest::Park, Rest::Nap])
        }),
        model("a_bell_that_rings_late_hides_no_work_of_a_socket", 3, a_late_bell),
    ]
}

/// Work that is put down for a core, and what it has taken of it.
struct Work {
    put: Arc<AtomicUsize>,
    taken: usize,
    all: usize,
    awaits_socket: bool,
}

impl Turns for Work {
    fn turn(&mut self, is_socket_ready: bool) -> bool {
        self.taken = self.put.load(Ordering::Acquire);
        self.awaits_socket &= !is_socket_ready;
        self.taken == self.all && !self.awaits_socket
    }

    fn has_work(&self) -> bool {
        self.put.load(Ordering::Acquire) != self.taken
    }
}

fn rung_by(threads: usize, times: usize, rests: &[Rest]) {
    let doorbell = Arc::new(Doorbell::new().unwrap());
    let put = Arc::new(AtomicUsize::new(0));
    let ringers: Vec<_> = (0..threads).map(|_| ringer(&doorbell, &put, times)).collect();
    let mut work = Work { put, taken: 0, all: threads * times, awaits_socket: false };
    sleeper::run(&doorbell, rests, &mut work);
    ringers.into_iter().for_each(|ringer| ringer.join().unwrap());
}

fn ringer(
    doorbell: &Arc<Doorbell>,
    put: &Arc<AtomicUsize>,
    times: usize,
) -> thread::JoinHandle<()> {
    let (doorbell, put) = (Arc::clone(doorbell), Arc::clone(put));
    thread::spawn(move || {
        for _ in 0..times {
            put.fetch_add(1, Ordering::Release);
            doorbell.ring();
        }
    })
}

fn a_late_bell() {
    let doorbell = Arc::new(Doorbell::new().unwrap());
    let put = Arc::new(AtomicUsize::new(0));
    let ringer = ringer(&doorbell, &put, 1);
    let bells = Arc::clone(&doorbell);
    let socket = thread::spawn(move || bells.nap_bell().socket_is_ready(bells.park_bell()));
    let mut work = Work { put, taken: 0, all: 1, awaits_socket: true };
    sleeper::run(&doorbell, &[Rest::ShortNap, Rest::Park], &mut work);
    ringer.join().unwrap();
    socket.join().unwrap();
}
