//! Timers, slices of long jobs, and tokio-uring's share of a busy core.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::support::{Echo, Script, config, connect, exchange, serve, stop};
use sutra_runtime::{Config, Event, Handler, Next, RuntimeError, Spin, TimerId};

#[test]
fn timers_come_when_due_in_order_and_can_be_moved_and_cleared() {
    for spin in [Spin::Off, Spin::Adaptive, Spin::Always] {
        let (sender, told) = channel();
        let running = sutra_runtime::start(Config { spin, ..config(1) }, move |_, core| {
            let sender = sender.clone();
            let start = core.now();
            let at = |ms| Some(start + Duration::from_millis(ms));
            core.set_timer(TimerId(0), at(30));
            core.set_timer(TimerId(1), at(10));
            core.set_timer(TimerId(2), at(1));
            core.set_timer(TimerId(3), at(5));
            core.set_timer(TimerId(2), at(20));
            core.set_timer(TimerId(3), None);
            Ok::<_, RuntimeError>(Script::default().with_timer(move |core, timer| {
                sender.send((timer, core.now().duration_since(start))).unwrap();
            }))
        });
        for (timer, ms) in [(1, 10), (2, 20), (0, 30)] {
            let (told, elapsed) = told.recv().unwrap();
            assert_eq!(told, TimerId(timer));
            assert!(elapsed >= Duration::from_millis(ms), "never early");
        }
        stop(running.unwrap());
    }
}

/// Counts what tokio and tokio-uring get done beside a busy core: a timer that goes off, a file
/// operation.
fn let_tokio_count(turns: &Rc<Cell<u32>>) {
    let turns = Rc::clone(turns);
    tokio_uring::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio_uring::fs::File::open("/dev/null").await.unwrap().close().await.unwrap();
            turns.set(turns.get() + 1);
        }
    });
}

#[test]
fn tokio_gets_its_share_while_the_core_never_sleeps() {
    let (sender, told) = channel();
    let running = sutra_runtime::start(config(1), move |_, _| {
        let sender = sender.clone();
        let turns = Rc::new(Cell::new(0));
        let_tokio_count(&turns);
        Ok::<_, RuntimeError>(Script::default().with_turns(move |_| {
            if turns.get() == 20 {
                turns.set(21);
                sender.send(()).unwrap();
            }
            Next::Again
        }))
    });
    told.recv().unwrap();
    stop(running.unwrap());
}

#[test]
fn tokio_and_new_connections_get_their_share_beside_constant_traffic() {
    for spin in [Spin::Off, Spin::Always] {
        let (sender, told) = channel();
        let (running, address) = serve(Config { spin, ..config(1) }, move |_| {
            let turns = Rc::new(Cell::new(0));
            let_tokio_count(&turns);
            let (mut echo, mut sender) = (Echo::default(), Some(sender.clone()));
            Script::events(move |core, event| {
                echo.event(core, event);
                // There may have been several since the last event.
                if turns.get() >= 20
                    && let Some(sender) = sender.take()
                {
                    sender.send(()).unwrap();
                }
            })
        });
        let mut client = connect(address);
        // Never a pause in this traffic; and others come and go meanwhile.
        loop {
            exchange(&mut client, &[1; 64]);
            if told.try_recv().is_ok() {
                break;
            }
        }
        for _ in 0..5 {
            exchange(&mut connect(address), b"newcomer");
            exchange(&mut client, &[2; 64]);
        }
        stop(running);
    }
}

#[test]
fn a_long_job_in_slices_lets_requests_through_between_them() {
    // The job ends only when a request has been answered meanwhile.
    let (sender, told) = channel();
    let (running, address) = serve(config(1), move |_| {
        let sender = sender.clone();
        let answered = Rc::new(Cell::new(false));
        let seen = Rc::clone(&answered);
        let mut slices = 0u64;
        Script::events(move |core, event| match event {
            Event::Accepted { socket, .. } => {
                let socket = core.adopt(socket).unwrap();
                core.receive(socket);
            }
            Event::Received { .. } => seen.set(true),
            Event::ReceiveEnded { .. } => {}
            event => panic!("unexpected {event:?}"),
        })
        .with_turns(move |_| {
            if answered.get() {
                sender.send(slices).ok();
                return Next::Sleep;
            }
            slices += 1;
            Next::Again
        })
    });
    connect(address).write_all(b"request").unwrap();
    assert!(told.recv().unwrap() > 0);
    stop(running);
}

#[test]
fn an_idle_core_sleeps() {
    // A core that is held up for longer than its timer runs has no time to sleep: it waits longer
    // the next time.
    let (sender, told) = channel();
    let running = sutra_runtime::start(config(1), move |_, core| {
        let sender = sender.clone();
        let mut patience = Duration::from_millis(10);
        let mut timers = 1;
        core.set_timer(TimerId(0), Some(core.now() + patience));
        Ok::<_, RuntimeError>(Script::default().with_timer(move |core, _| {
            if core.metrics().sleeps > 0 {
                sender.send((core.metrics().clone(), timers)).unwrap();
                return;
            }
            patience *= 2;
            timers += 1;
            core.set_timer(TimerId(0), Some(core.now() + patience));
        }))
    });
    let (metrics, timers) = told.recv().unwrap();
    assert!(
        metrics.turns < 50 * timers,
        "a core with nothing to do does next to nothing: {metrics:?}"
    );
    stop(running.unwrap());
}
