//! An echo server on our runtime layer: what the frames, the service and the store above it are compared with.

use std::io;
use std::net::TcpListener;

use sutra_runtime::{Config, Core, Event, Handler, ListenerId, Next, Outgoing, RuntimeError, Socket, Spin, TimerId};

use crate::Outcome;

#[derive(Default)]
struct EchoHandler {
    /// By the socket's index: what is to be sent next, and whether a send is under way.
    peers: Vec<Peer>,
    dirty: Vec<Socket>,
}

#[derive(Default)]
struct Peer {
    output: Option<Box<Outgoing>>,
    sending: bool,
}

impl EchoHandler {
    fn peer(&mut self, socket: Socket) -> &mut Peer {
        if socket.index() >= self.peers.len() {
            self.peers.resize_with(socket.index() + 1, Peer::default);
        }
        &mut self.peers[socket.index()]
    }
}

impl Handler for EchoHandler {
    type Message = ();

    fn event(&mut self, core: &mut Core<()>, event: Event<'_>) {
        match event {
            Event::Accepted { socket, .. } => {
                if let Ok(socket) = core.adopt(socket) {
                    *self.peer(socket) = Peer::default();
                    core.receive(socket);
                }
            }
            Event::Received { socket, bytes } => {
                let peer = self.peer(socket);
                if peer.output.is_none() {
                    peer.output = Some(core.outgoing());
                    self.dirty.push(socket);
                }
                if let Some(output) = self.peer(socket).output.as_mut() {
                    output.bytes().extend_from_slice(bytes);
                }
            }
            Event::ReceiveEnded { socket, .. } => core.close(socket),
            Event::Sent { socket, outgoing, .. } => {
                core.recycle(outgoing);
                let peer = self.peer(socket);
                peer.sending = false;
                if peer.output.is_some() {
                    self.dirty.push(socket);
                }
            }
            Event::Written { .. } | Event::Closed { .. } => {}
        }
    }

    fn message(&mut self, _: &mut Core<()>, _: usize, (): ()) {}

    fn timer(&mut self, _: &mut Core<()>, _: TimerId) {}

    fn turn_end(&mut self, core: &mut Core<()>) -> Next {
        while let Some(socket) = self.dirty.pop() {
            let peer = self.peer(socket);
            if peer.sending {
                continue;
            }
            if let Some(output) = peer.output.take() {
                peer.sending = true;
                core.send(socket, output);
            }
        }
        Next::Sleep
    }

    fn shutdown(&mut self, core: &mut Core<()>) {
        core.stop_listening();
    }

    fn drained(&self) -> bool {
        true
    }
}

/// Echoes on one core until the process is killed.
pub(crate) fn run(listener: TcpListener, cpu: usize, spin: bool) -> Outcome {
    let spin = if spin { Spin::Always } else { Spin::Off };
    let listener = std::sync::Mutex::new(Some(listener));
    let running = sutra_runtime::start(Config { cpus: vec![cpu], spin, ..Config::default() }, move |_, core| {
        let listener = listener.lock().map_err(|_| io::Error::other("poisoned")).ok().and_then(|mut slot| slot.take());
        if let Some(listener) = listener {
            listener.set_nonblocking(true).ok();
            core.listen(listener, ListenerId(0))?;
        }
        Ok::<_, RuntimeError>(EchoHandler::default())
    })?;
    Ok(running.join()?)
}
