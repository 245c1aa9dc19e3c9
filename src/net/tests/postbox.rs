//! A thread that is no core has things to say: they reach the service of the core whose postbox it
//! has, in order, also while that core sleeps.

use crate::support::watchers::{POSTBOX, WATCH, WORDS};
use crate::support::{Client, ECHO, Reply, Say, Server, frame};
use sutra_net::{Limits, Postbox};

/// The postbox of a client's core.
fn postbox(server: &Server, client: &mut Client) -> Postbox<Say> {
    client.ask(POSTBOX, 1, b"");
    server.shared.postbox.lock().unwrap().take().unwrap()
}

/// The value that a part tells.
fn value(part: &Reply) -> u64 {
    let (value, _) = part.payload.split_first_chunk().unwrap();
    assert!(part.payload[..] == value.repeat(WORDS));
    u64::from_le_bytes(*value)
}

#[test]
fn what_threads_post_reaches_the_service_each_ones_in_its_order() {
    let server = Server::start(2, Limits::default());
    for core in 0..2 {
        let mut client = Client::to_core(&server, core);
        let postbox = postbox(&server, &mut client);
        client.send(&frame(WATCH, 7, b""));
        let threads = [0, 1_000_000].map(|base| {
            let postbox = postbox.clone();
            std::thread::spawn(move || {
                (base..base + 5_000).for_each(|number| postbox.post(Say::Value(number)));
            })
        });
        let mut next = [0, 1_000_000];
        for number in 0..10_000 {
            let part = client.reply();
            assert_eq!((part.header.request, part.header.extra), (7, number));
            let value = value(&part);
            let next = &mut next[usize::from(value >= 1_000_000)];
            assert_eq!(value, *next);
            *next += 1;
        }
        for thread in threads {
            thread.join().unwrap();
        }
    }
    server.stop();
}

#[test]
fn what_is_posted_wakes_the_core_whenever_it_comes() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let postbox = postbox(&server, &mut client);
    client.send(&frame(WATCH, 7, b""));
    let before = Client::connect(&server).counters()["sleeps"];
    // Nothing else moves the core, so one that is not woken would leave this waiting.
    let mut posted = 0;
    loop {
        for _ in 0..20 {
            postbox.post(Say::Value(posted));
            assert_eq!(value(&client.reply()), posted);
            posted += 1;
            // So that it is met awake, napping and asleep.
            std::thread::sleep(std::time::Duration::from_micros(100 * (posted % 20)));
        }
        if Client::connect(&server).counters()["sleeps"] > before {
            break;
        }
    }
    server.stop();
}

#[test]
fn what_is_posted_after_the_core_has_ended_is_lost_and_does_no_harm() {
    let server = Server::start(2, Limits::default());
    let mut client = Client::to_core(&server, 1);
    let postbox = postbox(&server, &mut client);
    client.ask(ECHO, 2, b"");
    let posting = postbox.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    // Before, while and after it ends.
    let thread = std::thread::spawn(move || {
        for number in 0.. {
            posting.post(Say::Value(number));
            if stopped.try_recv().is_ok() {
                break;
            }
            std::thread::yield_now();
        }
    });
    drop(client);
    server.stop();
    for number in 0..1_000 {
        postbox.post(Say::Value(number));
    }
    stop.send(()).unwrap();
    thread.join().unwrap();
    postbox.post(Say::Value(0));
}
