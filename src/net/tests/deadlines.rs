//! Deadlines: a request is answered once, by the service or by the clock.

use crate::support::{Client, ECHO, GATED, HOLD, OPEN, RELEASE, Server, frame, run, urgent};
use sutra_net::Limits;
use sutra_wire::Status;

/// Long enough for any test to end before.
const AN_HOUR: u64 = 3_600_000_000;

#[test]
fn a_request_past_its_deadline_is_refused_once_and_its_late_answer_dropped() {
    let server = Server::start(1, Limits { max_in_flight: 1, ..Limits::default() });
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    for round in 0..3 {
        client.send(&urgent(HOLD, round, 1_000, b""));
        let refused = client.reply();
        assert_eq!(
            (refused.header.status, refused.header.request),
            (Status::DeadlineExceeded as u8, round)
        );
        other.ask(RELEASE, 1, b"");
        // One request in flight is all it may have: the count is right.
        assert!(client.ask(ECHO, 100 + round, b"").is_ok());
        assert_eq!(other.counters()["requests_in_flight"], 1);
    }
    assert_eq!(other.counters()["errors_deadline_exceeded"], 3);
    server.stop();
}

#[test]
fn only_the_requests_whose_deadline_has_passed_are_refused() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let held = [
        urgent(HOLD, 1, AN_HOUR, b""),
        urgent(HOLD, 2, 2_000, b""),
        frame(HOLD, 3, b""),
        urgent(HOLD, 4, 1, b""),
    ];
    client.send(&run(held.into_iter().chain([urgent(HOLD, 5, u64::MAX, b"")])));
    for number in [4, 2] {
        let refused = client.reply();
        assert_eq!(
            (refused.header.status, refused.header.request),
            (Status::DeadlineExceeded as u8, number)
        );
    }
    client.send(&frame(RELEASE, 6, b""));
    for number in [5, 3, 1, 6] {
        let reply = client.reply();
        assert!(reply.is_ok());
        assert_eq!(reply.header.request, number);
    }
    server.stop();
}

#[test]
fn a_request_that_waits_for_room_has_its_deadline_from_when_it_arrived() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&run([
        urgent(GATED, 1, 1_000, b""),
        urgent(GATED, 2, AN_HOUR, b""),
        frame(ECHO, 3, b""),
    ]));
    // Nobody makes room.
    let refused = client.reply();
    assert_eq!(
        (refused.header.status, refused.header.request),
        (Status::DeadlineExceeded as u8, 1)
    );
    other.ask(OPEN, 4, &1u32.to_le_bytes());
    assert_eq!([client.reply().header.request, client.reply().header.request], [2, 3]);
    assert_eq!(
        *server.shared.credited.lock().unwrap(),
        [2],
        "the one that was refused took nothing"
    );
    server.stop();
}

#[test]
fn hundreds_that_wait_are_refused_each_at_its_own_deadline() {
    let server = Server::start(1, Limits::default());
    let mut other = Client::connect(&server);
    let mut clients: Vec<_> = (0..200)
        .map(|number| {
            let mut client = Client::connect(&server);
            let deadline = if number % 2 == 0 { 20_000 + 97 * number } else { AN_HOUR };
            client.send(&urgent(GATED, number, deadline, b""));
            client
        })
        .collect();
    for client in clients.iter_mut().step_by(2) {
        assert_eq!(client.reply().header.status, Status::DeadlineExceeded as u8);
    }
    other.ask(OPEN, 1, &100u32.to_le_bytes());
    for client in clients.iter_mut().skip(1).step_by(2) {
        assert!(client.reply().is_ok());
    }
    server.stop();
}
