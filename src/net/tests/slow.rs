//! Slow requests: each stage takes what it took, and what is kept is bounded. All requests of the
//! toy are slow.

use std::time::{Duration, Instant};

use crate::support::toy_protocol::{LATE, READ, ToyClient, message};
use crate::support::{
    Client, ECHO, GATED, HOLD, OPEN, RELEASE, SLOW, STORED, STORED_BYTES, Server, frame, run,
};
use sutra_net::{Limits, SlowRequest, SlowRequests};
use sutra_wire::{HEADER_BYTES, Status};

/// What the server has kept.
fn slow(server: &Server, client: &mut Client) -> SlowRequests {
    assert!(client.ask(SLOW, 1, b"").is_ok());
    server.shared.slow.lock().unwrap().clone()
}

/// The only slow request of this kind, once it is there.
fn only(server: &Server, client: &mut Client, opcode: u8) -> SlowRequest {
    loop {
        let kept = slow(server, client).kept;
        let mut found = kept.iter().filter(|kept| kept.subject == Some([opcode; 16]));
        if let Some(slow) = found.next() {
            assert!(found.next().is_none(), "{kept:?}");
            assert_eq!(whole(slow), slow.took, "the stages are all of it: {slow:?}");
            return *slow;
        }
        std::thread::yield_now();
    }
}

fn whole(slow: &SlowRequest) -> Duration {
    let stages = slow.stages;
    [stages.receive, stages.wait, stages.execute, stages.commit, stages.send]
        .into_iter()
        .flatten()
        .sum()
}

#[test]
fn a_frame_that_came_in_pieces_took_its_time_to_be_received() {
    let server = Server::start(1, Limits::default());
    let (mut client, mut other) = (Client::connect(&server), Client::connect(&server));
    let mut payload = [0; 100];
    payload[0] = 100;
    let whole = frame(STORED, 7, &payload);
    client.send(&whole[..50]);
    other.until("input_held_bytes", |bytes| bytes == 50);
    let passed = pass(&mut other);
    client.send(&whole[50..]);
    assert!(client.reply().is_ok());
    let slow = only(&server, &mut other, STORED);
    assert!(slow.stages.receive.is_some_and(|took| took >= passed), "{slow:?} {passed:?}");
    assert!(slow.stages.wait.is_none() && slow.stages.commit.is_none(), "{slow:?}");
    assert!(slow.stages.execute.is_some() && slow.stages.send.is_some(), "{slow:?}");
    assert_eq!((slow.bytes_in, slow.bytes_out), (whole.len(), whole.len()));
    assert_eq!(slow.peer, client.stream.local_addr().unwrap());
    assert_eq!((slow.status, slow.opcode), (Status::Ok, STORED));
    server.stop();
}

#[test]
fn a_request_that_found_no_room_waited() {
    let server = Server::start(1, Limits::default());
    let (mut client, mut other) = (Client::connect(&server), Client::connect(&server));
    client.send(&frame(GATED, 1, b""));
    other.until("waits_for_room", |count| count == 1);
    let passed = pass(&mut other);
    other.ask(OPEN, 8, &1u32.to_le_bytes());
    assert!(client.reply().is_ok());
    let slow = only(&server, &mut other, GATED);
    assert!(slow.stages.wait.is_some_and(|took| took >= passed), "{slow:?} {passed:?}");
    assert!(slow.stages.receive.is_none() && slow.stages.execute.is_some(), "{slow:?}");
    server.stop();
}

#[test]
fn a_request_that_is_not_answered_at_once_is_executed_for_so_long() {
    let server = Server::start(1, Limits::default());
    let (mut client, mut other) = (Client::connect(&server), Client::connect(&server));
    client.send(&frame(HOLD, 1, b""));
    other.until("requests_in_flight", |count| count == 2);
    let passed = pass(&mut other);
    other.ask(RELEASE, 8, b"");
    assert!(client.reply().is_ok());
    let slow = only(&server, &mut other, HOLD);
    assert!(slow.stages.execute.is_some_and(|took| took >= passed), "{slow:?} {passed:?}");
    assert!(slow.stages.receive.is_none() && slow.stages.wait.is_none(), "{slow:?}");
    assert_eq!((slow.bytes_in, slow.bytes_out), (HEADER_BYTES, HEADER_BYTES));
    server.stop();
}

#[test]
fn an_answer_that_is_not_read_took_its_time_to_be_sent() {
    let server = Server::start(1, Limits::default());
    let (mut client, mut other) = (Client::connect(&server), Client::connect(&server));
    // More than sockets hold.
    let answers = 64;
    let ask = frame(STORED, 1, &(STORED_BYTES as u32).to_le_bytes());
    client.send(&run((0..answers).map(|_| ask.clone())));
    other.until("waits_for_room", |count| count > 0);
    let passed = pass(&mut other);
    for _ in 0..answers {
        assert!(client.reply().is_ok());
    }
    let kept = until(&server, &mut other, |slow| answers_of(slow, STORED) == answers).kept;
    let longest = kept.iter().filter_map(|kept| kept.stages.send).max();
    assert!(longest.is_some_and(|took| took >= passed), "{kept:?} {passed:?}");
    server.stop();
}

#[test]
fn an_answer_whose_client_has_gone_is_kept_with_how_long_it_waited() {
    let server = Server::start(1, Limits::default());
    let (mut client, mut other) = (Client::connect(&server), Client::connect(&server));
    let ask = frame(STORED, 1, &(STORED_BYTES as u32).to_le_bytes());
    client.send(&run((0..64).map(|_| ask.clone())));
    other.until("waits_for_room", |count| count > 0);
    let passed = pass(&mut other);
    client.reset();
    let gone = |slow: &SlowRequests| {
        let sends = slow.kept.iter().filter_map(|kept| kept.stages.send);
        sends.max().is_some_and(|took| took >= passed)
    };
    until(&server, &mut other, gone);
    server.stop();
}

#[test]
fn what_is_kept_is_bounded_and_all_are_counted() {
    let server = Server::start(1, Limits::default());
    let (mut client, mut other) = (Client::connect(&server), Client::connect(&server));
    for _ in 0..200 {
        client.ask(ECHO, 1, b"");
    }
    let alone = until(&server, &mut other, |slow| slow.seen >= 200);
    assert_eq!(alone.kept.len(), 128);
    let counted = other.counters()["slow_requests"];
    assert!(counted >= alone.seen, "{counted} {}", alone.seen);
    // What leaves together is kept once.
    client.send(&run((0..50).map(|number| frame(HOLD, number, b""))));
    other.until("requests_in_flight", |count| count == 51);
    let before = other.ask(RELEASE, 8, b"");
    assert!(before.is_ok());
    (0..50).for_each(|_| assert!(client.reply().is_ok()));
    let together = until(&server, &mut other, |slow| answers_of(slow, HOLD) == 50).kept;
    let held = together.iter().filter(|kept| kept.subject == Some([HOLD; 16])).count();
    assert_eq!(held, 1, "{together:?}");
    server.stop();
}

#[test]
fn of_those_that_one_turn_is_done_with_the_one_that_took_longest_is_kept() {
    let server = Server::start(1, Limits::default());
    let mut other = Client::connect(&server);
    let mut clients = [(); 8].map(|()| Client::connect(&server));
    for (client, held) in clients.iter_mut().zip(2..) {
        client.send(&frame(HOLD, 1, b""));
        other.until("requests_in_flight", |count| count == held);
    }
    other.ask(RELEASE, 8, b"");
    let slow = until(&server, &mut other, |slow| answers_of(slow, HOLD) == 8).kept;
    let held: Vec<_> = slow.iter().filter(|kept| kept.subject == Some([HOLD; 16])).collect();
    assert_eq!(held.len(), 1, "{slow:?}");
    assert_eq!(held[0].peer, clients[0].stream.local_addr().unwrap(), "it waited longest");
    server.stop();
}

#[test]
fn requests_of_another_protocol_are_kept_too() {
    let server = Server::start(1, Limits::default());
    let mut client = ToyClient::connect(server.translated);
    let mut other = Client::connect(&server);
    client.send(&message(LATE, b""));
    other.until("requests_in_flight", |count| count == 2);
    other.ask(RELEASE, 1, b"");
    assert_eq!(client.reply(), "");
    let slow = only(&server, &mut other, HOLD);
    assert_eq!((slow.bytes_in, slow.bytes_out), (2, 1), "as they are on the wire: {slow:?}");
    assert!(slow.stages.send.is_some(), "{slow:?}");
    // An answer that waits for the one before it: how long that took is not told.
    client.send(&[message(LATE, b""), message(READ, b"early")].concat());
    other.until("requests_in_flight", |count| count == 2);
    let early = |kept: &&SlowRequest| kept.bytes_in == 7;
    let slow = until(&server, &mut other, |slow| slow.kept.iter().any(|kept| early(&kept)));
    let early = slow.kept.iter().find(early).unwrap();
    assert_eq!((early.stages.send, early.bytes_out), (None, 6), "{early:?}");
    assert_eq!(whole(early), early.took, "{early:?}");
    other.ask(RELEASE, 1, b"");
    assert_eq!([client.reply(), client.reply()], ["", "early"]);
    server.stop();
}

/// Has some time pass on the server in which it does nothing but answer this client. Returns how
/// much, at least.
fn pass(client: &mut Client) -> Duration {
    let began = Instant::now();
    for _ in 0..10 {
        client.ask(ECHO, 1, b"");
    }
    began.elapsed()
}

/// What the server has kept, once that is so.
fn until(
    server: &Server,
    client: &mut Client,
    is_so: impl Fn(&SlowRequests) -> bool,
) -> SlowRequests {
    loop {
        let slow = slow(server, client);
        if is_so(&slow) {
            return slow;
        }
        std::thread::yield_now();
    }
}

/// How many answers of this kind were slow.
fn answers_of(slow: &SlowRequests, opcode: u8) -> u32 {
    let kept = slow.kept.iter().filter(|kept| kept.subject == Some([opcode; 16]));
    kept.map(|kept| 1 + kept.others).sum()
}
