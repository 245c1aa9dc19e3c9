//! Back-pressure: what there is no room for waits in its socket, nothing is lost, and nobody else
//! waits with it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{
    Client, ECHO, GATED, HOLD, OPEN, RELEASE, STORED, Server, frame, pattern, run,
};
use sutra_net::Limits;
use sutra_wire::{HEADER_BYTES, Status};

#[test]
fn what_the_service_has_no_room_for_is_offered_again() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&run([frame(GATED, 1, b""), frame(ECHO, 2, b"behind"), frame(GATED, 3, b"")]));
    other.until("waits_for_room", |count| count == 1);
    assert!(other.ask(ECHO, 7, b"not held up").is_ok());
    // What comes while it waits stays behind it.
    client.send(&frame(ECHO, 4, b"late"));
    other.ask(OPEN, 8, &1u32.to_le_bytes());
    assert_eq!([client.reply().header.request, client.reply().header.request], [1, 2]);
    other.ask(OPEN, 9, &1u32.to_le_bytes());
    assert_eq!([client.reply().header.request, client.reply().header.request], [3, 4]);
    server.stop();
}

#[test]
fn connections_that_wait_for_the_service_take_turns() {
    let server = Server::start(1, Limits::default());
    let mut clients =
        [Client::connect(&server), Client::connect(&server), Client::connect(&server)];
    let mut other = Client::connect(&server);
    for (client, base) in clients.iter_mut().zip([100, 200, 300]) {
        client.send(&run((0..50).map(|number| frame(GATED, base + number, b""))));
    }
    other.until("waits_for_room", |count| count == 3);
    for round in 0..30 {
        other.ask(OPEN, round, &1u32.to_le_bytes());
    }
    let credited = server.shared.credited.lock().unwrap().clone();
    let share = |base: u64| credited.iter().filter(|number| **number / 100 * 100 == base).count();
    assert_eq!([share(100), share(200), share(300)], [10, 10, 10]);
    other.ask(OPEN, 1, &120u32.to_le_bytes());
    server.stop();
}

#[test]
fn hundreds_of_waiting_connections_all_get_their_turn_even_if_others_leave() {
    let server = Server::start(1, Limits::default());
    let mut other = Client::connect(&server);
    let mut clients: Vec<_> = (0..300)
        .map(|number| {
            let mut client = Client::connect(&server);
            client.send(&frame(GATED, number, b""));
            client
        })
        .collect();
    other.until("waits_for_room", |count| count >= 300);
    let mut number = 0..;
    clients.retain(|_| number.next().unwrap() % 3 != 0);
    // Their places are taken by others, who are not mistaken for them. Two thirds wait still,
    // having paused.
    let newcomers: Vec<_> = (0..50).map(|_| Client::connect(&server)).collect();
    other.ask(OPEN, 1, &300u32.to_le_bytes());
    for client in &mut clients {
        assert!(client.reply().is_ok());
    }
    for mut newcomer in newcomers {
        assert!(newcomer.ask(ECHO, 1, b"").is_ok());
    }
    server.stop();
}

#[test]
fn no_more_requests_are_in_flight_than_the_limit_and_the_rest_follow() {
    let server = Server::start(1, Limits { max_in_flight: 4, ..Limits::default() });
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&run((0..10).map(|number| frame(HOLD, number, b""))));
    let mut answered = Vec::new();
    for batch in [4, 4, 2] {
        // Besides the request that asks.
        other.until("requests_in_flight", |count| count == batch + 1);
        other.ask(RELEASE, 1, b"");
        answered.extend((0..batch).map(|_| client.reply().header.request));
    }
    assert_eq!(answered, [3, 2, 1, 0, 7, 6, 5, 4, 9, 8]);
    server.stop();
}

#[test]
fn a_connection_of_one_request_at_a_time_gets_through_thousands() {
    let limits = Limits { max_in_flight: 1, max_output: 1, ..Limits::default() };
    let server = Server::start(1, limits);
    let mut client = Client::connect(&server);
    let mut writer = client.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        let all = run((0..5_000).map(|number| frame(ECHO, number, b"one at a time")));
        std::io::Write::write_all(&mut writer, &all).unwrap();
    });
    for number in 0..5_000 {
        assert_eq!(client.reply().header.request, number);
    }
    writing.join().unwrap();
    assert!(client.counters()["waits_for_room"] > 0);
    server.stop();
}

const REPLY: usize = 32 << 10;
const REPLIES: u64 = 3_000;

/// Asks for 96 MiB and reads none of it.
fn greedy(server: &Server) -> Client {
    let mut client = Client::connect(server);
    client.send(&run(
        (0..REPLIES).map(|number| frame(STORED, number, &(REPLY as u32).to_le_bytes()))
    ));
    client
}

#[test]
fn a_client_that_does_not_read_costs_a_bounded_amount_and_loses_nothing_when_it_reads_on() {
    let server = Server::start(1, Limits::default());
    let mut client = greedy(&server);
    let mut other = Client::connect(&server);
    other.until("waits_for_room", |count| count > 0);
    // Others are served, and the client is free to send until its socket is full.
    assert!(other.ask(ECHO, 1, b"").is_ok());
    client.stream.set_nonblocking(true).unwrap();
    let more = run((0..1_000).map(|number| frame(ECHO, number, &[0; 1000])));
    let mut sent = 0;
    while let Ok(count) = std::io::Write::write(&mut client.stream, &more[sent % more.len()..]) {
        sent += count;
    }
    client.stream.set_nonblocking(false).unwrap();
    let held = other.counters()["input_held_bytes"];
    for number in 0..REPLIES {
        let reply = client.reply();
        server.shared.read.fetch_add(REPLY as u64, Ordering::Relaxed);
        assert_eq!(reply.header.request, number);
        assert!(reply.payload[..] == pattern(REPLY));
    }
    let most = server.shared.most_between.load(Ordering::Relaxed);
    // The kernel's buffers hold up to 10 MiB by default, ours half a megabyte.
    assert!(most < 24 << 20, "{most} of {} bytes were under way at once", REPLIES * REPLY as u64);
    assert!(held < 8 << 20, "{held} bytes held, {sent} sent");
    for _ in 0..sent / (HEADER_BYTES + 1008) {
        assert!(client.reply().is_ok());
    }
    server.stop();
}

#[test]
fn a_client_that_never_reads_is_closed_and_nobody_else() {
    // One reply a send, which may take half a second longer.
    let limits =
        Limits { stall_timeout: Duration::from_millis(20), max_output: 1, ..Limits::default() };
    let server = Server::start(1, limits);
    let mut other = Client::connect(&server);
    let client = greedy(&server);
    other.until("connections_timed_out_stalled", |count| count == 1);
    assert_eq!(other.counters()["connections"], 1);
    drop(client);
    server.stop();
}

#[test]
fn late_replies_that_nobody_reads_are_bounded_for_all_connections_together() {
    const LATE: u32 = 64 << 10;
    let limits = Limits { max_output: 1 << 20, max_output_held: 16 << 20, ..Limits::default() };
    let server = Server::start(1, limits);
    let mut reader = Client::connect(&server);
    let mut idler = Client::connect(&server);
    let mut other = Client::connect(&server);
    idler.send(&run((0..1_000).map(|number| frame(HOLD, number, &LATE.to_le_bytes()))));
    other.until("requests_in_flight", |count| count == 1_001);
    reader.send(&frame(HOLD, 7, &LATE.to_le_bytes()));
    other.until("requests_in_flight", |count| count == 1_002);
    // Some 62 MiB at once for somebody who reads nothing: more than its socket takes, and more than
    // the core holds.
    other.ask(RELEASE, 1, b"");
    let counters = other.until("connections_closed_unread", |count| count == 1);
    assert_eq!(reader.reply().payload.len(), LATE as usize, "who reads loses nothing");
    assert_eq!(counters["connections"], 2);
    assert!(counters["output_held_bytes"] < 18 << 20, "{counters:?}");
    drop(idler);
    reader.ask(ECHO, 8, b"");
    assert!(
        other.until("output_held_bytes", |count| count < 1 << 10)["output_held_bytes"] < 1 << 10
    );
    server.stop();
}

#[test]
fn too_many_bytes_of_unfinished_frames_are_refused_as_busy() {
    let server = Server::start(1, Limits { max_input: 100_000, ..Limits::default() });
    let mut first = Client::connect(&server);
    let mut second = Client::connect(&server);
    let mut other = Client::connect(&server);
    let large = frame(ECHO, 1, &pattern(90_000));
    first.send(&large[..large.len() - 1]);
    other.until("input_held_bytes", |count| count == large.len() as u64 - 1);
    second.send(&large[..large.len() - 1]);
    assert_eq!(second.reply().header.status, Status::Busy as u8);
    second.is_over();
    first.send(&large[large.len() - 1..]);
    assert!(first.reply().payload[..] == pattern(90_000));
    assert_eq!(other.counters()["input_held_bytes"], 0);
    server.stop();
}
