//! No core ends while another is at work that somebody waited for.

use std::sync::Arc;

use loom::sync::mpsc::channel;
use loom::thread;

use crate::Model;
use crate::ending::{Ending, Leaving};

pub(super) fn models() -> [Model; 1] {
    let name = "no_core_ends_while_another_is_at_work";
    [Model { name, interruptions: None, run }]
}

/// The part of a core that was told to shut down.
fn told(ending: &Arc<Ending>) -> Leaving {
    let mut leaving = Leaving::new(Arc::clone(ending));
    assert!(leaving.take_call());
    leaving
}

/// One core asks another, which is drained by then. That one answers, and has still something to do
/// then. A third has nothing to do.
fn run() {
    let ending = Arc::new(Ending::new(3, || {}));
    ending.stop();
    let (ask, asked) = channel();
    let (answer, answered) = channel();
    let mut at_work = told(&ending);
    let at_work = thread::spawn(move || {
        assert!(!at_work.is_over(|| true), "one waits for its answer");
        asked.recv().unwrap();
        at_work.note_arrival();
        answer.send(()).unwrap();
        assert!(!at_work.is_over(|| false), "it is at work");
        at_work.is_over(|| true);
        at_work
    });
    let mut idle = told(&ending);
    let idle = thread::spawn(move || {
        idle.is_over(|| true);
        idle
    });
    let mut asking = told(&ending);
    ask.send(()).unwrap();
    assert!(!asking.is_over(|| false), "it waits for an answer");
    answered.recv().unwrap();
    asking.is_over(|| true);
    let (mut at_work, mut idle) = (at_work.join().unwrap(), idle.join().unwrap());
    for core in [&mut at_work, &mut idle, &mut asking] {
        assert!(core.is_over(|| true), "all are drained");
    }
}
