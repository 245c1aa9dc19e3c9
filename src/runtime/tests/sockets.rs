//! The life of a socket: pausing, receiving once, detaching, breaking, and closing with operations
//! under way.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::support::{Script, config, connect, pattern, serve, stop};
use sutra_runtime::{Core, Event, ReceiveEnd, RegionWriter, Running, Socket, TimerId};

/// What the handlers below report to the test.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Bytes(Vec<u8>),
    PeerClosed,
    Paused,
    Failed,
    Sent(bool),
    Closed,
}

fn tell(told: &Sender<Told>, core: &mut Core<u64>, event: Event<'_>) {
    let message = match event {
        Event::Received { bytes, .. } => Told::Bytes(bytes.to_vec()),
        Event::ReceiveEnded { reason: ReceiveEnd::PeerClosed, .. } => Told::PeerClosed,
        Event::ReceiveEnded { reason: ReceiveEnd::Paused, .. } => Told::Paused,
        Event::ReceiveEnded { reason: ReceiveEnd::Failed(_), .. } => Told::Failed,
        Event::Sent { outgoing, result, .. } => {
            core.recycle(outgoing);
            Told::Sent(result.is_ok())
        }
        Event::Closed { .. } => Told::Closed,
        event => panic!("unexpected {event:?}"),
    };
    told.send(message).unwrap();
}

/// A core that adopts one connection, calls `begin` with it, and reports every event, after `also`
/// has seen it.
fn serve_one(
    begin: fn(&mut Core<u64>, Socket),
    also: fn(&mut Core<u64>, &Event<'_>),
) -> (Running, TcpStream, Receiver<Told>) {
    let (sender, told) = channel();
    let (running, address) = serve(config(1), move |_| {
        let sender = sender.clone();
        Script::events(move |core, event| match event {
            Event::Accepted { socket, .. } => {
                let socket = core.adopt(socket).unwrap();
                begin(core, socket);
            }
            event => {
                also(core, &event);
                tell(&sender, core, event);
            }
        })
    });
    (running, connect(address), told)
}

#[test]
fn a_receive_of_limited_length_leaves_the_rest_in_the_kernel() {
    let (running, mut client, told) = serve_one(
        |core, socket| core.receive_once(socket, 5),
        |core, event| {
            if let Event::Received { socket, bytes } = event
                && *bytes == b"hello"
            {
                core.receive_once(*socket, 3);
            }
        },
    );
    client.write_all(b"helloworld").unwrap();
    assert_eq!(told.recv().unwrap(), Told::Bytes(b"hello".to_vec()));
    assert_eq!(told.recv().unwrap(), Told::Bytes(b"wor".to_vec()));
    stop(running);
    assert!(told.try_recv().is_err(), "nothing was received that was not asked for");
}

#[test]
fn a_receive_once_tells_that_the_peer_closed() {
    let (running, client, told) = serve_one(|core, socket| core.receive_once(socket, 5), |_, _| {});
    drop(client);
    assert_eq!(told.recv().unwrap(), Told::PeerClosed);
    stop(running);
}

#[test]
fn pausing_and_resuming_loses_nothing_and_keeps_the_order() {
    let (sender, told) = channel();
    let (running, address) = serve(config(1), move |_| {
        let sender = sender.clone();
        let mut pauses = 0;
        Script::events(move |core, event| match event {
            Event::Accepted { socket, .. } => {
                let socket = core.adopt(socket).unwrap();
                core.receive(socket);
            }
            // Pauses at every piece, resumes at every pause.
            Event::Received { socket, .. } => {
                tell(&sender, core, event);
                core.pause(socket);
            }
            Event::ReceiveEnded { socket, reason: ReceiveEnd::Paused } => {
                pauses += 1;
                core.receive(socket);
            }
            Event::ReceiveEnded { reason: ReceiveEnd::PeerClosed, .. } => {
                assert!(pauses > 0);
                tell(&sender, core, event);
            }
            event => panic!("unexpected {event:?}"),
        })
    });
    let mut client = connect(address);
    let all = pattern(3 << 20);
    for piece in all.chunks(50_000) {
        client.write_all(piece).unwrap();
    }
    drop(client);
    let mut back = Vec::new();
    loop {
        match told.recv().unwrap() {
            Told::Bytes(bytes) => back.extend(bytes),
            end => {
                assert_eq!(end, Told::PeerClosed);
                break;
            }
        }
    }
    assert!(back == all);
    stop(running);
}

#[test]
fn a_paused_socket_receives_nothing_until_it_is_resumed() {
    let (sender, told) = channel();
    let (go, gone) = channel::<()>();
    let gone = std::sync::Mutex::new(Some(gone));
    let (running, address) = serve(config(1), move |_| {
        let (sender, mut gone) = (sender.clone(), gone.lock().unwrap().take());
        let resume = std::rc::Rc::new(std::cell::Cell::new(None));
        let resumed = resume.clone();
        Script::events(move |core, event| match event {
            Event::Accepted { socket, .. } => {
                let socket = core.adopt(socket).unwrap();
                core.receive(socket);
                core.pause(socket);
            }
            Event::ReceiveEnded { socket, reason: ReceiveEnd::Paused } => {
                tell(&sender, core, event);
                // The test decides when to go on: the job's result brings its decision.
                let gone = gone.take().unwrap();
                assert!(core.background(Box::new(move || gone.recv().map_or(0, |()| 1))).is_ok());
                resume.set(Some(socket));
            }
            event => tell(&sender, core, event),
        })
        .with_messages(move |core, _, _| core.receive(resumed.get().unwrap()))
    });
    let mut client = connect(address);
    assert_eq!(told.recv().unwrap(), Told::Paused);
    client.write_all(b"while paused").unwrap();
    assert!(told.try_recv().is_err());
    go.send(()).unwrap();
    assert_eq!(told.recv().unwrap(), Told::Bytes(b"while paused".to_vec()));
    stop(running);
}

#[test]
fn a_pause_that_is_taken_back_at_once_changes_nothing() {
    let (running, mut client, told) = serve_one(
        |core, socket| {
            core.receive(socket);
            core.pause(socket);
            core.receive(socket);
        },
        |_, _| {},
    );
    client.write_all(b"here").unwrap();
    assert_eq!(told.recv().unwrap(), Told::Bytes(b"here".to_vec()));
    drop(client);
    assert_eq!(told.recv().unwrap(), Told::PeerClosed);
    stop(running);
}

#[test]
fn a_peer_that_resets_ends_the_receive_with_an_error() {
    let (running, client, told) = serve_one(|core, socket| core.receive(socket), |_, _| {});
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: a valid descriptor, and an option value of the type and size that SO_LINGER takes.
    let set = unsafe {
        libc::setsockopt(
            std::os::fd::AsRawFd::as_raw_fd(&client),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    assert_eq!(set, 0);
    drop(client);
    assert_eq!(told.recv().unwrap(), Told::Failed);
    stop(running);
}

#[test]
fn a_send_to_a_peer_that_is_gone_fails_and_gives_the_bytes_back() {
    let (running, client, told) = serve_one(
        |core, socket| core.receive(socket),
        |core, event| {
            if let Event::ReceiveEnded { socket, .. } = event {
                let mut outgoing = core.outgoing();
                // More than the socket buffers take: without a reader it can't be sent whole.
                outgoing.bytes().resize(64 << 20, 7);
                core.send(*socket, outgoing);
            }
        },
    );
    drop(client);
    assert_eq!(told.recv().unwrap(), Told::PeerClosed);
    assert_eq!(told.recv().unwrap(), Told::Sent(false));
    stop(running);
}

#[test]
fn an_empty_send_is_over_at_once() {
    let (running, _client, told) = serve_one(
        |core, socket| {
            let outgoing = core.outgoing();
            core.send(socket, outgoing);
        },
        |_, _| {},
    );
    assert_eq!(told.recv().unwrap(), Told::Sent(true));
    stop(running);
}

#[test]
fn shared_pieces_are_sent_from_where_they_lie() {
    let (running, mut client, told) = serve_one(
        |core, socket| {
            let mut region = RegionWriter::new(1 << 20).unwrap();
            region.writable().copy_from_slice(&pattern(1 << 20));
            region.freeze(1 << 20);
            let mut outgoing = core.outgoing();
            for at in (0..1 << 20).step_by(512) {
                outgoing.bytes().extend_from_slice(b"head");
                outgoing.push_shared(region.region().slice(at..at + 512).unwrap());
            }
            core.send(socket, outgoing);
        },
        |_, _| {},
    );
    let mut expected = Vec::new();
    for piece in pattern(1 << 20).chunks(512) {
        expected.extend_from_slice(b"head");
        expected.extend_from_slice(piece);
    }
    let mut back = vec![0; expected.len()];
    client.read_exact(&mut back).unwrap();
    assert!(back == expected);
    assert_eq!(told.recv().unwrap(), Told::Sent(true));
    stop(running);
}

#[test]
fn closing_with_a_receive_and_a_send_under_way_tells_only_closed() {
    let (running, mut client, told) = serve_one(
        |core, socket| {
            core.receive(socket);
            let mut outgoing = core.outgoing();
            // The client does not read, so this send cannot end by itself.
            outgoing.bytes().resize(64 << 20, 1);
            core.send(socket, outgoing);
        },
        |core, event| {
            if let Event::Received { socket, .. } = event {
                core.close(*socket);
                core.close(*socket);
                core.receive(*socket);
                core.pause(*socket);
                assert!(core.detach(*socket).is_none());
            }
        },
    );
    client.write_all(b"x").unwrap();
    assert_eq!(told.recv().unwrap(), Told::Bytes(b"x".to_vec()));
    assert_eq!(told.recv().unwrap(), Told::Closed);
    let mut rest = Vec::new();
    let end = client.read_to_end(&mut rest);
    assert!(
        end.is_ok() || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    );
    stop(running);
    assert!(told.try_recv().is_err());
}

#[test]
fn a_closed_slot_is_used_again_and_gets_nothing_of_its_former_owner() {
    let (sender, told) = channel();
    let (running, address) = serve(config(1), move |_| {
        let sender = sender.clone();
        Script::events(move |core, event| match event {
            Event::Accepted { socket, .. } => {
                let socket = core.adopt(socket).unwrap();
                assert!(core.sockets() <= 2, "slots are freed");
                core.receive(socket);
            }
            Event::Received { socket, bytes } => {
                assert!(bytes.iter().all(|byte| *byte == bytes[0]));
                let mut outgoing = core.outgoing();
                outgoing.bytes().push(bytes[0]);
                core.send(socket, outgoing);
            }
            // The receive is still with the kernel when the socket is closed.
            Event::Sent { socket, outgoing, .. } => {
                core.recycle(outgoing);
                core.close(socket);
            }
            Event::Closed { .. } => sender.send(()).unwrap(),
            event => panic!("unexpected {event:?}"),
        })
    });
    for round in 0..200u32 {
        let mut client = connect(address);
        client.write_all(&[round as u8; 10]).unwrap();
        let mut back = [0];
        client.read_exact(&mut back).unwrap();
        assert_eq!(back[0], round as u8);
        told.recv().unwrap();
    }
    stop(running);
}

#[test]
fn a_stale_handle_is_ignored_by_every_call() {
    let (sender, told) = channel();
    let (running, address) = serve(config(1), move |_| {
        let sender = sender.clone();
        Script::events(move |core, event| match event {
            Event::Accepted { socket, .. } => {
                let stale = core.adopt(socket).unwrap();
                let descriptor = core.detach(stale).unwrap();
                let socket = core.adopt(descriptor).unwrap();
                assert_ne!(stale, socket);
                core.receive(stale);
                core.pause(stale);
                core.close(stale);
                let mut outgoing = core.outgoing();
                outgoing.bytes().extend_from_slice(b"never sent");
                core.send(stale, outgoing);
                core.set_timer(TimerId(0), Some(core.now()));
                core.receive(socket);
            }
            Event::Received { .. } => tell(&sender, core, event),
            event => panic!("unexpected {event:?}"),
        })
        .with_timer(|_, _| {})
    });
    let mut client = connect(address);
    client.write_all(b"alive").unwrap();
    assert_eq!(told.recv().unwrap(), Told::Bytes(b"alive".to_vec()));
    stop(running);
}
