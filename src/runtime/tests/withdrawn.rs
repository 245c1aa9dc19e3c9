//! Sockets and listeners that are given away: nothing that was received or was to be sent is lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use sutra_runtime::{Event, Listener, ListenerId, Next};

use crate::support::{Script, config, connect, listener, pattern, serve, stop};

/// Longer than what the kernel holds for a peer that does not read.
const LONG: usize = 64 << 20;

#[test]
fn what_was_not_sent_is_given_away_with_the_socket_byte_for_byte() {
    let (sender, given) = channel();
    let (running, address) = serve(config(1), move |_| {
        let sender = sender.clone();
        let mut socket = None;
        Script::events(move |core, event| match event {
            Event::Accepted { socket: fd, .. } => {
                let adopted = core.adopt(fd).unwrap();
                core.receive(adopted);
                let mut outgoing = core.outgoing();
                outgoing.bytes().extend_from_slice(&pattern(LONG));
                core.send(adopted, outgoing);
                socket = Some(adopted);
            }
            // The client asks for it when it has read something, so the send is under way.
            Event::Received { .. } => core.withdraw(socket.unwrap()),
            Event::Withdrawn { fd, unsent, .. } => {
                let mut rest = Vec::new();
                unsent.unwrap().copy_rest(&mut rest);
                sender.send((fd, rest)).unwrap();
            }
            event => panic!("unexpected {event:?}"),
        })
    });
    let mut client = connect(address);
    client.read_exact(&mut [0; 1]).unwrap();
    client.write_all(b"go").unwrap();
    let (fd, rest) = given.recv().unwrap();
    assert!(!rest.is_empty() && rest.len() < LONG);
    // Whoever has it now sends the rest, and the client sees no seam.
    let next = std::thread::spawn(move || {
        let mut next = TcpStream::from(fd);
        next.set_nonblocking(false).unwrap();
        next.write_all(&rest).unwrap();
    });
    let mut all = vec![0; LONG - 1];
    client.read_exact(&mut all).unwrap();
    assert!(all == pattern(LONG)[1..], "the bytes differ");
    next.join().unwrap();
    stop(running);
}

#[test]
fn a_kept_listener_loses_no_connection_that_waits_for_it() {
    let (socket, address) = listener();
    let socket = Mutex::new(Some(socket));
    let (sender, kept) = channel();
    let (accepted, arrivals) = channel::<OwnedFd>();
    let running = sutra_runtime::start(config(1), move |_, core| {
        core.listen(socket.lock().unwrap().take().unwrap(), ListenerId(3))?;
        core.keep_listeners();
        let (sender, accepted) = (sender.clone(), accepted.clone());
        let script = Script::events(move |_, event| {
            if let Event::Accepted { socket, .. } = event {
                accepted.send(socket).unwrap();
            }
        });
        Ok::<_, sutra_runtime::RuntimeError>(script.with_turns(move |core| {
            for listener in core.take_listeners() {
                sender.send(listener).unwrap();
            }
            Next::Sleep
        }))
    });
    let running = running.unwrap();
    let (id, listener): (ListenerId, Listener) = kept.recv().unwrap();
    assert_eq!((id, listener.is_shared()), (ListenerId(3), false));
    let mut client = connect(address);
    client.write_all(b"early").unwrap();
    stop(running);
    assert!(arrivals.try_recv().is_err(), "nobody accepts it meanwhile");
    let listener = Mutex::new(Some(listener));
    let (told, bytes) = channel();
    let next = sutra_runtime::start(config(1), move |_, core| {
        core.listen(listener.lock().unwrap().take().unwrap(), ListenerId(0))?;
        let told = told.clone();
        Ok::<_, sutra_runtime::RuntimeError>(Script::events(move |core, event| match event {
            Event::Accepted { socket, .. } => {
                let socket = core.adopt(socket).unwrap();
                core.receive(socket);
            }
            Event::Received { bytes, .. } => told.send(bytes.to_vec()).unwrap(),
            _ => {}
        }))
    });
    assert_eq!(bytes.recv().unwrap(), b"early");
    stop(next.unwrap());
}
