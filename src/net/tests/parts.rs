//! Answers without end: their parts arrive in order while the request goes on waiting, whoever does
//! not read has nothing piled up for it, and who is gone gives its place back.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::watchers::{END, PART, TELL, WATCH, WATCH_ON, WORDS};
use crate::support::{Client, ECHO, HOLD, RELEASE, Reply, Server, frame, run, urgent};
use sutra_net::Limits;
use sutra_testing::raw;
use sutra_wire::{CHECKSUM, HEADER_BYTES, Header, MORE, Status};

/// Says so many values more.
fn tell(client: &mut Client, count: u32) {
    assert!(client.ask(TELL, 1, &count.to_le_bytes()).is_ok());
}

/// What was read is the part of this request that tells this value, the one of this number.
fn is_part(reply: &Reply, request: u64, number: u64) {
    let Header { status, flags, extra, .. } = reply.header;
    assert_eq!(
        (reply.header.request, status, extra),
        (request, Status::Ok as u8, number),
        "{:?}",
        reply.header
    );
    assert_eq!(flags & MORE, MORE);
    assert!(reply.payload[..] == number.to_le_bytes().repeat(WORDS), "part {number}");
}

/// Waits until nobody watches any more; nothing of those who did is left but the connection that
/// asks.
fn nothing_is_left(other: &mut Client) -> HashMap<String, u64> {
    other.until("watching", |count| count == 0);
    let counters = other.until("connections", |count| count == 1);
    assert_eq!(counters["requests_in_flight"], 1, "{counters:?}");
    other.until("output_held_bytes", |count| count == 0)
}

#[test]
fn parts_arrive_in_order_and_marked_and_the_last_answer_is_not() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    // The second time round what has been said before comes at once.
    for (flags, before) in [(0, 0), (CHECKSUM, 10)] {
        client.send(&raw::frame(
            Header { opcode: WATCH, request: 7, flags, ..Header::default() },
            b"",
        ));
        for number in 0..before + 10 {
            if number >= before {
                tell(&mut other, 1);
            }
            let part = client.reply();
            is_part(&part, 7, number);
            assert_eq!((part.header.opcode, part.header.flags), (WATCH, flags | MORE));
        }
        other.ask(END, 2, b"");
        let last = client.reply();
        assert_eq!((last.header.request, last.header.flags, last.payload.len()), (7, flags, 0));
        assert!(last.is_ok());
    }
    server.stop();
}

#[test]
fn the_connection_serves_other_requests_while_one_of_them_gets_parts() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&run([frame(WATCH, 7, b""), frame(HOLD, 8, b""), frame(ECHO, 9, b"served")]));
    assert_eq!(&client.reply().payload[..], b"served");
    for number in 0..20 {
        tell(&mut other, 1);
        is_part(&client.reply(), 7, number);
        assert_eq!(&client.ask(ECHO, 100 + number, b"meanwhile").payload[..], b"meanwhile");
    }
    other.ask(RELEASE, 2, b"");
    assert_eq!(client.reply().header.request, 8);
    // In one frame run with its own values: they come at the end of the turn, after the replies.
    client.send(&run([frame(TELL, 10, &3u32.to_le_bytes()), frame(ECHO, 11, b"")]));
    assert_eq!([client.reply().header.request, client.reply().header.request], [10, 11]);
    for number in 20..23 {
        is_part(&client.reply(), 7, number);
    }
    server.stop();
}

#[test]
fn a_request_keeps_its_place_whatever_parts_it_gets_and_gives_it_back_with_its_answer() {
    let server = Server::start(1, Limits { max_in_flight: 1, ..Limits::default() });
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&run([frame(WATCH, 7, b""), frame(ECHO, 8, b"behind it")]));
    other.until("waits_for_room", |count| count == 1);
    tell(&mut other, 5);
    for number in 0..5 {
        is_part(&client.reply(), 7, number);
    }
    other.ask(END, 2, b"");
    let last = client.reply();
    assert_eq!((last.header.request, last.header.flags), (7, 0));
    assert_eq!(&client.reply().payload[..], b"behind it");
    assert!(client.ask(ECHO, 9, b"").is_ok());
    server.stop();
}

#[test]
fn everyone_who_watches_gets_every_part_and_an_end_with_the_server() {
    let server = Server::start(1, Limits::default());
    let mut clients: Vec<_> = (0..20).map(|_| Client::connect(&server)).collect();
    let mut other = Client::connect(&server);
    for client in &mut clients {
        client.send(&run([frame(WATCH, 1, b""), frame(WATCH, 2, b"")]));
    }
    other.until("watching", |count| count == 40);
    tell(&mut other, 100);
    for client in &mut clients {
        let mut next = [0, 0];
        for _ in 0..200 {
            let part = client.reply();
            let next = &mut next[part.header.request as usize - 1];
            is_part(&part, part.header.request, *next);
            *next += 1;
        }
        assert_eq!(next, [100, 100]);
    }
    server.shutdown();
    for client in &mut clients {
        for _ in 0..2 {
            let last = client.reply();
            assert_eq!((last.header.status, last.header.flags), (Status::ShuttingDown as u8, 0));
        }
        client.is_over();
    }
    server.join();
}

#[test]
fn who_does_not_read_has_no_parts_pile_up_and_gets_all_of_them_when_it_reads_on() {
    const PARTS: u32 = 48 << 10;
    let limits = Limits { max_output: 64 << 10, ..Limits::default() };
    // Gathered and with the kernel; and what the others are answered.
    let most_held = 2 * (limits.max_output + HEADER_BYTES + PART) as u64 + (16 << 10);
    let server = Server::start(1, limits);
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&frame(WATCH, 7, b""));
    other.until("watching", |count| count == 1);
    tell(&mut other, PARTS);
    // Each of these is a turn in which it could not be told more. What its socket takes, it has
    // taken by the end of them.
    loop {
        let counters = other.counters();
        assert!(counters["output_held_bytes"] <= most_held, "{counters:?}");
        if counters["parts_full"] > 2_000 {
            break;
        }
    }
    assert!(other.ask(ECHO, 3, b"").is_ok(), "others are served");
    for number in 0..u64::from(PARTS) {
        is_part(&client.reply(), 7, number);
        server.shared.read.fetch_add(PART as u64, Ordering::Relaxed);
    }
    let most = server.shared.most_between.load(Ordering::Relaxed);
    // The kernel's buffers hold up to 10 MiB by default.
    assert!(
        most < 24 << 20,
        "{most} of {} bytes were under way at once",
        u64::from(PARTS) * PART as u64
    );
    tell(&mut other, 1);
    is_part(&client.reply(), 7, u64::from(PARTS));
    server.stop();
}

#[test]
fn who_never_reads_is_closed_and_its_request_given_back() {
    // One part a send, which may take 20 ms longer.
    let limits =
        Limits { stall_timeout: Duration::from_millis(20), max_output: 1, ..Limits::default() };
    let server = Server::start(1, limits);
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&frame(WATCH_ON, 7, b""));
    tell(&mut other, 48 << 10);
    other.until("connections_timed_out_stalled", |count| count == 1);
    assert_eq!(nothing_is_left(&mut other)["parts_gone"], 1);
    drop(client);
    server.stop();
}

#[test]
fn a_client_that_closes_or_breaks_down_is_found_to_have_left_before_there_is_a_part_for_it() {
    let server = Server::start(1, Limits::default());
    let mut other = Client::connect(&server);
    for round in 1..=10 {
        let mut client = Client::connect(&server);
        client.send(&run([frame(WATCH, 7, b""), frame(ECHO, 8, b"")]));
        client.reply();
        if round % 2 == 0 {
            client.reset();
        } else {
            drop(client);
        }
        let counters = nothing_is_left(&mut other);
        assert_eq!((counters["watchers_left"], counters["parts_sent"]), (round, 0));
    }
    server.stop();
}

#[test]
fn a_client_that_closes_with_parts_on_their_way_is_gone_for_those_that_follow() {
    let server = Server::start(1, Limits::default());
    let mut other = Client::connect(&server);
    for round in 1..=10 {
        let mut client = Client::connect(&server);
        client.send(&run([frame(WATCH_ON, 7, b""), frame(ECHO, 8, b"")]));
        while client.reply().header.request != 8 {}
        if round % 2 == 0 {
            client.reset();
        } else {
            drop(client);
        }
        // It is not asked whether the client has left; a send tells, or what comes back for it.
        while other.counters()["watching"] > 0 {
            tell(&mut other, 1);
        }
        let counters = nothing_is_left(&mut other);
        assert_eq!((counters["parts_gone"], counters["watchers_left"]), (round, 0));
    }
    server.stop();
}

#[test]
fn a_client_that_only_sends_no_more_has_left_and_hears_so() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&frame(WATCH, 7, b""));
    tell(&mut other, 1);
    is_part(&client.reply(), 7, 0);
    client.half_close();
    let last = client.reply();
    assert_eq!((last.header.request, last.header.status), (7, Status::ShuttingDown as u8));
    client.is_over();
    assert_eq!(nothing_is_left(&mut other)["watchers_left"], 1);
    server.stop();
}

#[test]
fn a_client_that_only_sends_no_more_gets_parts_where_the_service_goes_on() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&frame(WATCH_ON, 7, b""));
    client.half_close();
    for number in 0..20 {
        tell(&mut other, 1);
        is_part(&client.reply(), 7, number);
    }
    other.ask(END, 2, b"");
    assert!(client.reply().is_ok());
    client.is_over();
    // Answered, which the next part tells.
    tell(&mut other, 1);
    assert_eq!(nothing_is_left(&mut other)["parts_gone"], 1);
    server.stop();
}

#[test]
fn who_breaks_the_protocol_while_it_watches_is_told_so_and_closed() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&frame(WATCH, 7, b""));
    tell(&mut other, 1);
    is_part(&client.reply(), 7, 0);
    client.send(&[0; 32]);
    assert_eq!(client.reply().header.status, Status::Malformed as u8);
    let last = client.reply();
    assert_eq!((last.header.request, last.header.status), (7, Status::ShuttingDown as u8));
    client.is_over();
    drop(client);
    assert_eq!(nothing_is_left(&mut other)["watchers_left"], 1);
    server.stop();
}

#[test]
fn a_part_for_a_request_that_was_answered_reaches_nobody_even_where_another_has_its_place() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    for round in 1..=10 {
        client.send(&frame(WATCH, 7, b""));
        while other.counters()["watching"] == 0 {}
        other.ask(END, 2, b"");
        while client.reply().header.flags == MORE {}
        // These take the places in between.
        client.send(&run((0..5).map(|number| frame(HOLD, number, b""))));
        other.until("requests_in_flight", |count| count == 6);
        tell(&mut other, 1);
        assert_eq!(other.counters()["parts_gone"], round);
        other.ask(RELEASE, 2, b"");
        for number in (0..5).rev() {
            let reply = client.reply();
            assert_eq!(
                (reply.header.request, reply.header.flags, reply.payload.len()),
                (number, 0, 0)
            );
        }
    }
    server.stop();
}

#[test]
fn a_part_after_the_requests_deadline_reaches_nobody() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    client.send(&urgent(WATCH, 7, 1_000, b""));
    assert_eq!(client.reply().header.status, Status::DeadlineExceeded as u8);
    tell(&mut other, 3);
    assert_eq!(other.counters()["parts_gone"], 1);
    assert_eq!(client.ask(ECHO, 8, b"next").header.request, 8);
    drop(client);
    nothing_is_left(&mut other);
    server.stop();
}

#[test]
fn a_connection_that_waits_for_parts_is_not_idle() {
    let limits = Limits { idle_timeout: Some(Duration::from_millis(200)), ..Limits::default() };
    let server = Server::start(1, limits);
    let mut client = Client::connect(&server);
    client.send(&frame(WATCH, 7, b""));
    let mut idle = Client::connect(&server);
    idle.is_over();
    tell(&mut Client::connect(&server), 1);
    is_part(&client.reply(), 7, 0);
    server.stop();
}
