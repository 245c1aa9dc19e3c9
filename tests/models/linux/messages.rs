//! Messages arrive, in order and once, at cores that sleep when they have none.

use std::sync::Arc;

use loom::thread;

use super::doorbell::Doorbell;
use super::mailboxes::Mailboxes;
use super::sleeper::{self, Rest, Turns};
use crate::Model;
use crate::postbox::Postbox;

pub(super) fn models() -> [Model; 3] {
    let model = |name, most, run| Model { name, interruptions: Some(most), run };
    [
        model("messages_reach_a_core_that_sleeps", 4, one_way),
        model("two_cores_that_sleep_answer_each_other", 5, there_and_back),
        model("what_is_posted_reaches_a_core_that_sleeps", 2, posted),
    ]
}

/// A core that takes messages from the other one until it has had so many.
struct Receiver {
    mailboxes: Mailboxes<usize>,
    from: usize,
    taken: usize,
    all: usize,
    answers: bool,
}

impl Receiver {
    fn new(mailboxes: Mailboxes<usize>, from: usize, all: usize, answers: bool) -> Self {
        Self { mailboxes, from, taken: 0, all, answers }
    }

    fn send(&mut self, message: usize) {
        self.mailboxes.send(self.from, message).unwrap();
    }
}

impl Turns for Receiver {
    fn turn(&mut self, _: bool) -> bool {
        for _ in 0..self.mailboxes.arrived(self.from) {
            assert_eq!(self.mailboxes.take(self.from), Some(self.taken));
            if self.answers {
                self.send(self.taken);
            }
            self.taken += 1;
        }
        self.mailboxes.flush();
        self.taken == self.all
    }

    fn has_work(&self) -> bool {
        !self.mailboxes.is_empty()
    }
}

fn two_cores(capacity: usize) -> (Arc<[Doorbell]>, Mailboxes<usize>, Mailboxes<usize>) {
    let doorbells: Arc<[Doorbell]> = (0..2).map(|_| Doorbell::new().unwrap()).collect();
    let mut both = Mailboxes::connect(&doorbells, capacity);
    let second = both.pop().unwrap();
    (doorbells, both.pop().unwrap(), second)
}

/// One in a turn, two in the next.
fn one_way() {
    let (doorbells, mut sender, receiver) = two_cores(3);
    let sender = thread::spawn(move || {
        for turn in [&[0][..], &[1, 2]] {
            turn.iter().for_each(|message| sender.send(1, *message).unwrap());
            sender.flush();
        }
    });
    let mut receiver = Receiver::new(receiver, 0, 3, false);
    sleeper::run(&doorbells[1], &[Rest::Park], &mut receiver);
    sender.join().unwrap();
}

fn there_and_back() {
    let (doorbells, asking, answering) = two_cores(1);
    let bells = Arc::clone(&doorbells);
    let answering = thread::spawn(move || {
        let mut core = Receiver::new(answering, 0, 1, true);
        sleeper::run(&bells[1], &[Rest::ShortNap, Rest::Park], &mut core);
    });
    let mut core = Receiver::new(asking, 1, 1, false);
    core.send(0);
    sleeper::run(&doorbells[0], &[Rest::Park], &mut core);
    answering.join().unwrap();
}

/// A core that takes what other threads post.
struct Posted {
    postbox: Postbox<usize>,
    taken: Vec<usize>,
    all: usize,
}

impl Turns for Posted {
    fn turn(&mut self, _: bool) -> bool {
        for _ in 0..self.postbox.posted().waiting() {
            self.taken.push(self.postbox.posted().take().expect("it is the only one who takes"));
        }
        self.taken.len() == self.all
    }

    fn has_work(&self) -> bool {
        self.postbox.posted().waiting() > 0
    }
}

fn posted() {
    let doorbell = Arc::new(Doorbell::new().unwrap());
    let bell = Arc::clone(&doorbell);
    let postbox = Postbox::new(move || {
        bell.ring();
    });
    let posters: Vec<_> = [&[0, 1][..], &[10]]
        .into_iter()
        .map(|messages| {
            let postbox = postbox.clone();
            thread::spawn(move || messages.iter().for_each(|message| postbox.post(*message)))
        })
        .collect();
    let mut core = Posted { postbox, taken: Vec::new(), all: 3 };
    sleeper::run(&doorbell, &[Rest::Park], &mut core);
    posters.into_iter().for_each(|poster| poster.join().unwrap());
    let of_first: Vec<_> = core.taken.iter().filter(|message| **message < 10).collect();
    assert_eq!((of_first, core.taken.len()), (vec![&0, &1], 3));
}
