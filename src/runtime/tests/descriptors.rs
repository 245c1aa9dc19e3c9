//! Accepting while there are no descriptors left. A file, and so a process, of its own: it takes
//! them all.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Resource, getrlimit, setrlimit};
use support::{Script, config, serve, stop};
use sutra_runtime::{Event, Next};

#[test]
fn a_connection_that_found_no_descriptor_is_accepted_when_there_is_one() {
    let failures = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&failures);
    let (running, address) = serve(config(1), move |_| {
        let counted = Arc::clone(&counted);
        Script::events(|core, event| match event {
            Event::Accepted { socket, .. } => {
                let socket = core.adopt(socket).unwrap();
                core.receive(socket);
            }
            Event::Received { socket, bytes } => {
                let mut outgoing = core.outgoing();
                outgoing.bytes().extend_from_slice(bytes);
                core.send(socket, outgoing);
            }
            Event::Sent { outgoing, .. } => core.recycle(outgoing),
            _ => {}
        })
        .with_turns(move |core| {
            counted.store(core.metrics().accept_failures, Ordering::Relaxed);
            Next::Again
        })
    });
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(limit.current.unwrap_or(256).min(256));
    setrlimit(Resource::Nofile, limit).unwrap();

    let client: OwnedFd =
        rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    rustix::net::connect(&client, &address).unwrap();
    while failures.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    drop(taken);
    let mut client = TcpStream::from(client);
    client.write_all(b"at last").unwrap();
    let mut back = [0; 7];
    client.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"at last");
    stop(running);
}
