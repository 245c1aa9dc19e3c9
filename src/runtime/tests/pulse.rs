//! Whether cores turn, as a thread outside sees it.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use sutra_runtime::{Next, Pulse, RuntimeError};

use crate::support::{Script, config, stop};

/// Waits until exactly these cores owe an answer to a question.
fn wait_for_silence(pulse: &Pulse, question: u64, of: &[usize]) {
    while pulse.silent(question) != of {
        thread::yield_now();
    }
}

#[test]
fn cores_that_sleep_answer_and_those_that_have_ended_owe_nothing() {
    let running =
        sutra_runtime::start(config(3), |_, _| Ok::<_, RuntimeError>(Script::default())).unwrap();
    let pulse = running.pulse();
    for _ in 0..100 {
        wait_for_silence(&pulse, pulse.ask(), &[]);
    }
    stop(running);
    assert_eq!(pulse.silent(pulse.ask()), [0; 0]);
}

#[test]
fn a_core_that_is_stuck_is_named_and_the_others_answer() {
    let (release, held) = channel::<()>();
    let (stuck, is_stuck) = channel();
    let ends = Mutex::new(Some((stuck, held)));
    let running = sutra_runtime::start(config(2), move |index, core| {
        // Both turn at once, to take this.
        core.send_message(index, 0).unwrap();
        let ends = (index == 1).then(|| ends.lock().unwrap().take().unwrap());
        let script = Script::default().with_messages(|_, _, _| {});
        Ok::<_, RuntimeError>(script.with_turns(move |_| {
            if let Some((stuck, held)) = &ends {
                // Both are closed later on: then it turns as any other.
                let _ = stuck.send(());
                let _ = held.recv();
            }
            Next::Sleep
        }))
    })
    .unwrap();
    is_stuck.recv().unwrap();
    let pulse = running.pulse();
    let question = pulse.ask();
    wait_for_silence(&pulse, question, &[1]);
    drop(release);
    wait_for_silence(&pulse, question, &[]);
    stop(running);
}
