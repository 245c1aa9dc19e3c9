//! A server on our runtime layer that gives each received run of bytes an answer: what the frames,
//! the service and the store above it are compared with.

use std::io;
use std::net::TcpListener;

use sutra_runtime::{Config, Core, Event, Handler, ListenerId, Next, Outgoing, Socket, Spin, TimerId};

use crate::Outcome;
use crate::sizes::Sizes;

/// What a server answers.
pub(crate) trait Answer: Send + 'static {
    /// Appends the answers to what a connection has sent. `partial` is the connection's own: what
    /// an earlier call has left in it came before `bytes`. An error closes the connection.
    fn answer(&mut self, partial: &mut Vec<u8>, bytes: &[u8], out: &mut Outgoing)
    -> Result<(), sutra_wire::FrameError>;
}

/// Gives each request of a fixed size a reply of a fixed size without reading more of it than its
/// number.
pub(crate) struct Echo(pub(crate) Sizes);

impl Answer for Echo {
    fn answer(
        &mut self,
        partial: &mut Vec<u8>,
        bytes: &[u8],
        out: &mut Outgoing,
    ) -> Result<(), sutra_wire::FrameError> {
        self.0.answer(partial, bytes, |reply| out.bytes().extend_from_slice(reply));
        Ok(())
    }
}

struct Answering<A> {
    answer: A,
    /// By the socket's index: what is to be sent next, and whether a send is under way.
    peers: Vec<Peer>,
    dirty: Vec<Socket>,
}

#[derive(Default)]
struct Peer {
    partial: Vec<u8>,
    output: Option<Box<Outgoing>>,
    sending: bool,
}

impl<A> Answering<A> {
    fn peer(&mut self, socket: Socket) -> &mut Peer {
        if socket.index() >= self.peers.len() {
            self.peers.resize_with(socket.index() + 1, Peer::default);
        }
        &mut self.peers[socket.index()]
    }
}

impl<A: Answer> Handler for Answering<A> {
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
                if self.peer(socket).output.is_none() {
                    self.peer(socket).output = Some(core.outgoing());
                    self.dirty.push(socket);
                }
                let peer = &mut self.peers[socket.index()];
                let answered = peer
                    .output
                    .as_mut()
                    .is_some_and(|output| self.answer.answer(&mut peer.partial, bytes, output).is_ok());
                if !answered {
                    core.close(socket);
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

/// Answers on one core until the process is killed.
pub(crate) fn run<A: Answer>(answer: A, listener: TcpListener, cpu: usize, spin: bool) -> Outcome {
    let spin = if spin { Spin::Always } else { Spin::Off };
    let parts = std::sync::Mutex::new(Some((answer, listener)));
    let running = sutra_runtime::start(Config { cpus: vec![cpu], spin, ..Config::default() }, move |_, core| {
        let parts = parts.lock().ok().and_then(|mut parts| parts.take());
        let (answer, listener) = parts.ok_or_else(|| io::Error::other("the one core is built once"))?;
        listener.set_nonblocking(true)?;
        core.listen(listener, ListenerId(0)).map_err(io::Error::other)?;
        Ok::<_, io::Error>(Answering { answer, peers: Vec::new(), dirty: Vec::new() })
    })?;
    Ok(running.join()?)
}
