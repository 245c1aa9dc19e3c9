//! Cores among each other: messages, wake-ups, background jobs, starting and ending together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Message, Script, config, stop};
use sutra_runtime::{
    Config, Core, Event, Handler, Next, Postbox, Running, RuntimeError, StartError, TimerId,
    available_cpus,
};

/// How many messages each core sends to each core.
const EACH: u64 = 20_000;

/// Sends numbered messages to all cores as the mailboxes take them, and checks those that come.
struct Chatter {
    sent: Vec<u64>,
    got: Vec<u64>,
    refused: u64,
    stopping: bool,
}

impl Handler for Chatter {
    type Message = Message;
    fn event(&mut self, _: &mut Core<Message>, event: Event<'_>) {
        panic!("unexpected {event:?}");
    }
    fn message(&mut self, _: &mut Core<Message>, from: usize, message: Message) {
        assert_eq!(message, self.got[from], "messages of one core arrive in order");
        self.got[from] += 1;
    }
    fn timer(&mut self, _: &mut Core<Message>, _: TimerId) {}
    fn turn_end(&mut self, core: &mut Core<Message>) -> Next {
        for (to, sent) in self.sent.iter_mut().enumerate() {
            while *sent < EACH {
                if let Err(message) = core.send_message(to, *sent) {
                    assert_eq!(message, *sent);
                    self.refused += 1;
                    break;
                }
                *sent += 1;
            }
        }
        if self.sent.iter().all(|sent| *sent == EACH) { Next::Sleep } else { Next::Again }
    }
    fn shutdown(&mut self, _: &mut Core<Message>) {
        self.stopping = true;
    }
    fn drained(&self) -> bool {
        let done = |counts: &[u64]| counts.iter().all(|count| *count == EACH);
        self.stopping && done(&self.sent) && done(&self.got)
    }
}

#[test]
fn messages_among_four_cores_all_arrive_in_order_through_small_mailboxes() {
    let running = sutra_runtime::start(Config { mailbox: 8, ..config(4) }, |_, core| {
        let none = vec![0; core.cores()];
        Ok::<_, RuntimeError>(Chatter {
            sent: none.clone(),
            got: none,
            refused: 0,
            stopping: false,
        })
    });
    // The cores end only when every message was sent and received.
    stop(running.unwrap());
}

#[test]
fn a_full_mailbox_gives_the_message_back_and_an_unknown_core_too() {
    let (sender, told) = channel();
    let running = sutra_runtime::start(Config { mailbox: 2, ..config(1) }, move |_, core| {
        assert_eq!(core.send_message(0, 1), Ok(()));
        assert_eq!(core.send_message(0, 2), Ok(()));
        assert_eq!(core.send_message(0, 3), Err(3));
        assert_eq!(core.send_message(1, 4), Err(4));
        let sender = sender.clone();
        Ok::<_, RuntimeError>(Script::default().with_messages(move |_, from, message| {
            sender.send((from, message)).unwrap();
        }))
    });
    assert_eq!(told.recv().unwrap(), (0, 1));
    assert_eq!(told.recv().unwrap(), (0, 2));
    stop(running.unwrap());
}

#[test]
fn a_sleeping_core_is_woken_by_a_message() {
    // Two cores play a ball back and forth. Each waits longer and longer before it returns it, so
    // that the other naps and then sleeps. They play until one has slept, however busy the host is.
    const ROUNDS: u64 = 24;
    let (sender, told) = channel();
    let sleeps = Arc::new(AtomicU64::new(0));
    let running = sutra_runtime::start(config(2), move |index, core| {
        let (sender, sleeps) = (sender.clone(), Arc::clone(&sleeps));
        if index == 0 {
            core.set_timer(TimerId(0), Some(core.now()));
        }
        let ball = std::rc::Rc::new(std::cell::Cell::new(0));
        let caught = ball.clone();
        Ok::<_, RuntimeError>(
            Script::default()
                .with_messages(move |core, _, message| {
                    caught.set(message);
                    core.set_timer(
                        TimerId(0),
                        Some(core.now() + Duration::from_micros(200 * message)),
                    );
                })
                .with_timer(move |core, _| {
                    sleeps.fetch_max(core.metrics().sleeps, Ordering::Relaxed);
                    if ball.get() < ROUNDS || sleeps.load(Ordering::Relaxed) == 0 {
                        core.send_message(1 - index, ball.get() + 1).unwrap();
                    } else {
                        sender.send(()).unwrap();
                    }
                }),
        )
    });
    told.recv().unwrap();
    stop(running.unwrap());
}

#[test]
fn a_background_jobs_result_comes_as_a_message_from_the_own_core() {
    let (sender, told) = channel();
    let running = sutra_runtime::start(config(2), move |index, core| {
        let sender = sender.clone();
        let own_thread = std::thread::current().id();
        let job = move || {
            assert_ne!(std::thread::current().id(), own_thread);
            index as u64 + 100
        };
        assert!(core.background(Box::new(job)).is_ok());
        Ok::<_, RuntimeError>(Script::default().with_messages(move |core, from, message| {
            assert_eq!(from, core.index());
            sender.send(message).unwrap();
        }))
    });
    let mut both = [told.recv().unwrap(), told.recv().unwrap()];
    both.sort_unstable();
    assert_eq!(both, [100, 101]);
    stop(running.unwrap());
}

#[test]
fn cores_end_only_when_background_jobs_are_done_and_told() {
    let told = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&told);
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(Some(gone));
    let running = sutra_runtime::start(config(1), move |_, core| {
        let tell = Arc::clone(&tell);
        let gone = gone.lock().unwrap().take().unwrap();
        assert!(core.background(Box::new(move || gone.recv().map_or(0, |()| 42))).is_ok());
        Ok::<_, RuntimeError>(Script::default().with_messages(move |_, _, message| {
            *tell.lock().unwrap() = Some(message);
        }))
    })
    .unwrap();
    running.shutdown();
    running.shutdown();
    go.send(()).unwrap();
    running.join().unwrap();
    assert_eq!(*told.lock().unwrap(), Some(42));
}

/// A postbox of core 0, and what it is told: messages, and how often it had slept by then.
fn posted_to(cores: usize) -> (Running, Postbox<Message>, Receiver<(Message, u64)>) {
    let (sender, told) = channel();
    let (giver, given) = channel();
    let running = sutra_runtime::start(config(cores), move |index, core| {
        let sender = sender.clone();
        if index == 0 {
            giver.send(core.postbox()).unwrap();
        }
        Ok::<_, RuntimeError>(Script::default().with_messages(move |core, from, message| {
            assert_eq!((core.index(), from), (0, 0), "a message from itself");
            sender.send((message, core.metrics().sleeps)).unwrap();
        }))
    });
    (running.unwrap(), given.recv().unwrap(), told)
}

#[test]
fn a_core_is_told_what_another_thread_posts_in_order_whether_it_sleeps_or_not() {
    let (running, postbox, told) = posted_to(2);
    for message in 0..EACH {
        postbox.post(message);
    }
    assert!((0..EACH).all(|message| told.recv().unwrap().0 == message));
    // One that was not woken would never tell.
    let (mut slept, mut met_asleep) = (0, 0);
    for message in 0.. {
        std::thread::sleep(Duration::from_micros(200 * (message % 20)));
        postbox.clone().post(message);
        let (got, sleeps) = told.recv().unwrap();
        assert_eq!(got, message);
        met_asleep += u64::from(sleeps > slept);
        slept = sleeps;
        if message >= 100 && met_asleep >= 10 {
            break;
        }
    }
    stop(running);
}

#[test]
fn a_core_that_is_posted_to_without_end_still_gets_to_the_rest_of_its_turns() {
    const TURNS: u64 = 1_000;
    let (sender, told) = channel();
    let running = sutra_runtime::start(config(1), move |_, core| {
        let (sender, postbox) = (sender.clone(), core.postbox());
        let turns = std::rc::Rc::new(std::cell::Cell::new(0));
        let turned = turns.clone();
        postbox.post(0);
        Ok::<_, RuntimeError>(
            Script::default()
                // Each message brings the next, until there were enough turns.
                .with_messages(move |_, _, message| match turns.get() {
                    TURNS.. => sender.send(message).unwrap(),
                    _ => postbox.post(message + 1),
                })
                .with_turns(move |_| {
                    turned.set(turned.get() + 1);
                    Next::Sleep
                }),
        )
    });
    assert!(told.recv().unwrap() > 0);
    stop(running.unwrap());
}

#[test]
fn what_is_posted_to_a_core_that_has_ended_is_lost_and_does_no_harm() {
    let (running, postbox, told) = posted_to(2);
    postbox.post(1);
    assert_eq!(told.recv().unwrap().0, 1);
    stop(running);
    let thread = std::thread::spawn(move || (0..1_000).for_each(|message| postbox.post(message)));
    thread.join().unwrap();
    assert!(told.recv().is_err(), "the core is gone");
}

#[test]
fn the_stopper_stops_from_another_thread() {
    let running =
        sutra_runtime::start(config(3), |_, _| Ok::<_, RuntimeError>(Script::default())).unwrap();
    let stopper = running.stopper();
    std::thread::spawn(stopper).join().unwrap();
    running.join().unwrap();
}

#[test]
fn a_start_in_which_one_handler_fails_fails_whole_and_leaves_no_thread() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let result = sutra_runtime::start(config(3), move |index, _| {
        let held = Arc::clone(&held);
        if index == 1 {
            return Err("no such folder");
        }
        Ok(Script::default().with_turns(move |_| {
            let _ = &held;
            panic!("no core runs when one could not start");
        }))
    });
    match result.unwrap_err() {
        StartError::Handler { core: 1, error: "no such folder" } => {}
        error => panic!("{error:?}"),
    }
    assert_eq!(Arc::strong_count(&alive), 1, "handlers and threads are gone");
}

#[test]
fn a_cpu_that_is_not_there_is_refused_before_anything_starts() {
    let cpus = vec![100_000];
    let config = Config { cpus, pin: true, ..Config::default() };
    let result = sutra_runtime::start(config, |_, _| -> Result<Script, RuntimeError> {
        panic!("not called")
    });
    assert!(matches!(
        result,
        Err(StartError::Runtime(RuntimeError::CpuNotAvailable { cpu: 100_000, .. }))
    ));
}

#[test]
fn a_pinned_core_runs_on_its_cpu() {
    let cpu = *available_cpus().last().unwrap();
    let (sender, told) = channel();
    let running = sutra_runtime::start(
        Config { cpus: vec![cpu], pin: true, ..Config::default() },
        move |_, _| {
            sender.send(available_cpus()).unwrap();
            Ok::<_, RuntimeError>(Script::default())
        },
    );
    assert_eq!(told.recv().unwrap(), [cpu], "the thread's own mask");
    stop(running.unwrap());
}
