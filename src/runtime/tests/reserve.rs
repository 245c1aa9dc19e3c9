//! Connections leave descriptors for files. A file, and so a process, of its own: it takes nearly
//! all there are.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Resource, getrlimit, setrlimit};
use support::{Script, config, serve, stop};
use sutra_runtime::{Config, Event, Next};

#[test]
fn connections_leave_descriptors_for_files_and_are_accepted_again_when_others_have_gone() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(limit.current.unwrap_or(256).min(256));
    setrlimit(Resource::Nofile, limit).unwrap();
    let (failures, accepted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (counted, served) = (Arc::clone(&failures), Arc::clone(&accepted));
    let (running, address) = serve(Config { reserved_files: 40, ..config(1) }, move |_| {
        let (counted, served) = (Arc::clone(&counted), Arc::clone(&served));
        Script::events(move |core, event| match event {
            Event::Accepted { socket, .. } => {
                served.fetch_add(1, Ordering::Relaxed);
                let socket = core.adopt(socket).unwrap();
                core.receive(socket);
            }
            Event::Received { socket, bytes } => {
                let mut outgoing = core.outgoing();
                outgoing.bytes().extend_from_slice(bytes);
                core.send(socket, outgoing);
            }
            Event::ReceiveEnded { socket, .. } => core.close(socket),
            Event::Sent { outgoing, .. } => core.recycle(outgoing),
            _ => {}
        })
        .with_turns(move |core| {
            counted.store(core.metrics().accept_failures, Ordering::Relaxed);
            Next::Again
        })
    });
    // One after the other, so that no more than one is beyond when the core pauses.
    let mut clients = Vec::new();
    while failures.load(Ordering::Relaxed) == 0 {
        clients.push(TcpStream::connect(address).unwrap());
        while accepted.load(Ordering::Relaxed) < clients.len() as u64
            && failures.load(Ordering::Relaxed) == 0
        {
            std::thread::yield_now();
        }
    }
    let files: Vec<File> = (0..20).map(|_| File::open("/dev/null").unwrap()).collect();
    assert_eq!(files.len(), 20, "files are opened all the same");
    clients.truncate(clients.len() / 2);
    drop(files);
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"here").unwrap();
    let mut back = [0; 4];
    client.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"here");
    stop(running);
}
