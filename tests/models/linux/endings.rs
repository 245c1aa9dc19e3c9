//! What all cores are told, to end or to give a sign of life, reaches those that sleep.

use std::sync::Arc;

use loom::thread;

use super::doorbell::{Doorbell, ring_all};
use super::sleeper::{self, Rest, Turns};
use crate::Model;
use crate::ending::{Ending, Leaving};
use crate::pulse::{Beat, Pulse};

pub(super) fn models() -> [Model; 2] {
    let model = |name, most, run| Model { name, interruptions: Some(most), run };
    [
        model("cores_that_sleep_end_together", 3, end),
        model("a_core_that_sleeps_gives_a_sign_of_life", 5, pulse),
    ]
}

/// A core that has nothing to do but to end.
struct Idle(Leaving);

impl Turns for Idle {
    fn turn(&mut self, _: bool) -> bool {
        self.0.take_call();
        self.0.is_over(|| true)
    }

    fn has_work(&self) -> bool {
        self.0.is_news()
    }
}

fn end() {
    let doorbells: Arc<[Doorbell]> = (0..2).map(|_| Doorbell::new().unwrap()).collect();
    let bells = Arc::clone(&doorbells);
    let ending = Arc::new(Ending::new(2, move || ring_all(&bells)));
    let cores = [0, 1].map(|core| {
        let (doorbells, ending) = (Arc::clone(&doorbells), Arc::clone(&ending));
        thread::spawn(move || {
            sleeper::run(&doorbells[core], &[Rest::Park], &mut Idle(Leaving::new(ending)));
        })
    });
    ending.stop();
    cores.into_iter().for_each(|core| core.join().unwrap());
}

/// A core that ends once it has answered so many questions.
struct Asked {
    pulse: Pulse,
    beat: Beat,
    last: u64,
}

impl Turns for Asked {
    fn turn(&mut self, _: bool) -> bool {
        self.beat.answer();
        self.pulse.silent(self.last).is_empty()
    }

    fn has_work(&self) -> bool {
        self.beat.is_asked()
    }
}

fn pulse() {
    let doorbells: Arc<[Doorbell]> = [Doorbell::new().unwrap()].into_iter().collect();
    let bells = Arc::clone(&doorbells);
    let pulse = Pulse::new(1, move || ring_all(&bells));
    let asking = pulse.clone();
    let asker = thread::spawn(move || {
        asking.ask();
        asking.ask();
    });
    let mut core = Asked { beat: pulse.beat(0), pulse: pulse.clone(), last: 2 };
    sleeper::run(&doorbells[0], &[Rest::Park], &mut core);
    asker.join().unwrap();
    drop(core);
    assert!(pulse.silent(u64::MAX).is_empty(), "one that has ended is not asked");
}
