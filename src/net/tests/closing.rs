//! How connections end: by the peer, by an error, by silence, with the server.

use std::time::Duration;

use crate::support::{
    BACKGROUND, Client, ECHO, GATED, HOLD, OPEN, RELEASE, STORED, Server, frame, hello, run,
};
use sutra_net::Limits;
use sutra_wire::{NO_CORE, Status};

#[test]
fn a_peer_that_sends_no_more_gets_every_reply_it_asked_for() {
    let limits = Limits { max_in_flight: 16, ..Limits::default() };
    let server = Server::start(1, limits);
    for request in [ECHO, GATED] {
        let mut client = Client::connect(&server);
        client.send(&run((0..1_000).map(|number| frame(request, number, b""))));
        client.half_close();
        if request == GATED {
            Client::connect(&server).ask(OPEN, 1, &1_000u32.to_le_bytes());
        }
        for number in 0..1_000 {
            assert_eq!(client.reply().header.request, number);
        }
        client.is_over();
    }
    let mut client = Client::connect(&server);
    client.send(&run([frame(HOLD, 1, b""), frame(ECHO, 2, b"")]));
    client.half_close();
    assert_eq!(client.reply().header.request, 2);
    Client::connect(&server).ask(RELEASE, 3, b"");
    assert_eq!(client.reply().header.request, 1);
    client.is_over();
    server.stop();
}

#[test]
fn half_a_frame_before_the_end_is_dropped_with_its_connection() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&run([frame(ECHO, 1, b""), frame(ECHO, 2, b"never whole")])[..50]);
    client.half_close();
    assert_eq!(client.reply().header.request, 1);
    client.is_over();
    let counters = other.counters();
    assert_eq!((counters["connections"], counters["input_held_bytes"]), (1, 0));
    server.stop();
}

#[test]
fn a_reset_in_the_middle_leaves_nothing_behind_and_its_replies_reach_nobody() {
    let server = Server::start(1, Limits::default());
    let mut other = Client::connect(&server);
    for round in 0..10 {
        let mut client = Client::connect(&server);
        client.send(
            &run([
                frame(HOLD, 1, b""),
                frame(HOLD, 2, b""),
                frame(GATED, 3, b""),
                frame(ECHO, 4, b"half"),
            ])[..120],
        );
        other.until("waits_for_room", |count| count > round);
        client.reset();
        // Seen although it is not read from: the pending receive was paused, so only what follows
        // tells it.
        let mut next = Client::connect(&server);
        other.ask(RELEASE, 5, b"");
        assert_eq!(&next.ask(ECHO, 6, b"mine").payload[..], b"mine");
        drop(next);
        let counters = other.until("connections", |count| count == 1);
        assert_eq!((counters["input_held_bytes"], counters["requests_in_flight"]), (0, 1));
    }
    server.stop();
}

#[test]
fn broken_bytes_are_answered_with_their_error_after_what_came_before_them() {
    let server = Server::start(1, Limits { max_payload: 1_000, ..Limits::default() });
    // A header's byte and what it is changed to.
    let cases = [
        (Status::Malformed, 0, b'G'),
        (Status::UnsupportedVersion, 2, 9),
        (Status::Malformed, 6, 1),
        (Status::TooLarge, 18, 1),
        (Status::ChecksumMismatch, 5, 1),
    ];
    for (status, at, value) in cases {
        let mut client = Client::connect(&server);
        let mut broken = frame(ECHO, 2, b"broken");
        broken[at] = value;
        client.send(&run([frame(ECHO, 1, b"good"), broken, frame(ECHO, 3, b"unread")]));
        client.send(&vec![7; 200_000]);
        assert_eq!(&client.reply().payload[..], b"good");
        let error = client.reply();
        assert_eq!(error.header.status, status as u8, "{}", error.message());
        client.is_over();
    }
    server.stop();
}

#[test]
fn what_was_asked_before_broken_bytes_is_still_answered() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    client.send(&run([frame(HOLD, 1, b""), frame(HOLD, 2, b"")]));
    client.send(b"these bytes are no frame, whatever");
    assert_eq!(client.reply().header.status, Status::Malformed as u8);
    Client::connect(&server).ask(RELEASE, 3, b"");
    assert_eq!([client.reply().header.request, client.reply().header.request], [2, 1]);
    client.is_over();
    server.stop();
}

#[test]
fn a_peer_that_does_not_close_after_its_error_is_closed_in_the_end() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&[0; 32]);
    assert_eq!(client.reply().header.status, Status::Malformed as u8);
    client.is_over();
    other.until("connections", |count| count == 1);
    drop(client);
    server.stop();
}

#[test]
fn a_frame_that_is_never_finished_is_refused() {
    let limits = Limits { stall_timeout: Duration::from_millis(20), ..Limits::default() };
    let server = Server::start(1, limits);
    let mut client = Client::connect(&server);
    let mut idle = Client::connect(&server);
    client.send(&frame(ECHO, 1, b"half")[..40]);
    let error = client.reply();
    assert_eq!(error.header.status, Status::Malformed as u8);
    assert!(
        error.message().starts_with("the rest of a frame did not arrive"),
        "{}",
        error.message()
    );
    client.is_over();
    assert_eq!(idle.counters()["connections_timed_out_stalled"], 1);
    server.stop();
}

#[test]
fn bytes_that_trickle_in_do_not_keep_a_half_frame_alive() {
    let limits = Limits { stall_timeout: Duration::from_millis(50), ..Limits::default() };
    let server = Server::start(1, limits);
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    let large = frame(ECHO, 1, &vec![0; 1 << 20]);
    // A byte at a time, as fast as the server takes them: it gives up long before a megabyte.
    let mut bytes = large.iter();
    while other.counters()["connections_timed_out_stalled"] == 0 {
        client.send(&[*bytes.next().unwrap()]);
    }
    assert!(bytes.len() > 0);
    assert_eq!(client.reply().header.status, Status::Malformed as u8);
    server.stop();
}

#[test]
fn idle_connections_are_closed_where_that_is_asked_for_and_busy_ones_are_not() {
    let limits = Limits { idle_timeout: Some(Duration::from_millis(50)), ..Limits::default() };
    let server = Server::start(1, limits);
    let mut busy = Client::connect(&server);
    busy.send(&frame(HOLD, 1, b""));
    let mut waiting = Client::connect(&server);
    waiting.send(&frame(GATED, 2, b""));
    let mut idle = Client::connect(&server);
    idle.is_over();
    let mut other = Client::connect(&server);
    other.ask(RELEASE, 3, b"");
    assert_eq!(busy.reply().header.request, 1);
    other.ask(OPEN, 4, &1u32.to_le_bytes());
    assert_eq!(waiting.reply().header.request, 2);
    server.stop();
}

#[test]
fn a_drain_answers_what_has_arrived_and_then_closes() {
    for cores in 1..=3 {
        let server = Server::start(cores, Limits { max_in_flight: 8, ..Limits::default() });
        let mut clients: Vec<_> =
            (0..cores).map(|core| Client::to_core(&server, core as u16)).collect();
        let mut idle: Vec<_> =
            (0..cores).map(|core| Client::to_core(&server, core as u16)).collect();
        let mut unfinished = Client::silent(server.address);
        unfinished.send(&hello(NO_CORE)[..20]);
        for client in &mut clients {
            client.send(&run((0..10).map(|number| frame(BACKGROUND, number, b""))));
        }
        for (client, idle) in clients.iter_mut().zip(&mut idle) {
            idle.until("waits_for_room", |count| count == 1);
            // Arrived, and nothing of it answered.
            client.stream.set_nonblocking(true).unwrap();
            assert_eq!(client.receive().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
            client.stream.set_nonblocking(false).unwrap();
        }
        server.shutdown();
        // Those with nothing under way go first, which shows that the drain has begun.
        for idle in &mut idle {
            idle.is_over();
        }
        // In whatever way, as part of its Hello may lie unread.
        assert!(!matches!(unfinished.receive(), Ok(Some(_))));
        server.shared.open_gate();
        for client in &mut clients {
            for number in 0..10 {
                assert_eq!(client.reply().header.request, number);
            }
            client.is_over();
        }
        drop(clients);
        server.join();
    }
}

#[test]
fn a_drain_under_load_ends_every_connection_in_an_orderly_way() {
    let server = Server::start(2, Limits::default());
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let mut client = Client::to_core(&server, number % 2);
            std::thread::spawn(move || {
                let burst = run((0..32).map(|number| frame(ECHO, number, &[1; 100])));
                let mut answered = 0;
                // Until the server closes: whole replies in order, and no reset among them.
                let mut writer = client.stream.try_clone().unwrap();
                loop {
                    if std::io::Write::write_all(&mut writer, &burst).is_err() {
                        return answered;
                    }
                    for number in 0..32 {
                        match client.receive() {
                            Ok(Some(reply)) => assert_eq!(reply.header.request, number),
                            Ok(None) => return answered,
                            // A burst that was not read at all may be answered by a reset: no reply
                            // was lost.
                            Err(_) if number == 0 => return answered,
                            Err(error) => panic!("{error} before reply {number}"),
                        }
                        answered += 1;
                    }
                }
            })
        })
        .collect();
    let mut other = Client::connect(&server);
    other.until("sends", |count| count > 500);
    server.shutdown();
    for thread in threads {
        assert!(thread.join().unwrap() > 0);
    }
    server.join();
}

#[test]
fn a_drain_does_not_wait_for_ever_for_a_client_that_does_not_read() {
    let limits = Limits { drain_timeout: Duration::from_millis(50), ..Limits::default() };
    let server = Server::start(1, limits);
    let mut client = Client::connect(&server);
    client.send(&run((0..500).map(|number| frame(STORED, number, &(1u32 << 20).to_le_bytes()))));
    Client::connect(&server).until("waits_for_room", |count| count > 0);
    server.stop();
    drop(client);
}
