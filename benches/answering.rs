//! An echo on our runtime layer. It shows what the frames, the service and the store on top of that
//! layer cost.
//!
//! A reply is the request's number and some bytes. These are written for each reply, or they are a
//! piece of a region. A piece is copied, or sent from where it lies: a stored record can go out in
//! both ways.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use clap::ValueEnum;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use sutra_runtime::{
    Config, Core, Event, Handler, ListenerId, Next, Outgoing, Region, RegionWriter, Socket, Spin,
    TimerId,
};

use crate::Outcome;
use crate::sizes::{NUMBER, Sizes};

/// Bytes of the region: far more than a processor's caches hold, as a store's segments are.
const REGION_BYTES: usize = 256 << 20;

/// How a piece of the region goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// Copied behind the reply's number.
    Copied,
    /// Sent from where it lies.
    Shared,
}

/// A region whose pieces are sent.
struct Pieces {
    region: Arc<Region>,
    way: Way,
    random: SmallRng,
}

impl Pieces {
    fn new(way: Way) -> Outcome<Self> {
        let mut writer = RegionWriter::new(REGION_BYTES)?;
        writer.writable().fill(0x5a);
        writer.freeze(REGION_BYTES);
        Ok(Self { region: Arc::clone(writer.region()), way, random: SmallRng::seed_from_u64(1) })
    }

    /// Appends a reply as long as `reply`, with its number. The piece starts where archives in a
    /// log can start: at any multiple of 16.
    fn reply(&mut self, reply: &[u8], out: &mut Outgoing) {
        let (number, rest) = reply.split_at(NUMBER);
        out.bytes().extend_from_slice(number);
        let place = self.random.random_range(0..REGION_BYTES - rest.len()) & !15;
        let slice =
            self.region.slice(place..place + rest.len()).expect("all of the region is frozen");
        match self.way {
            Way::Copied => out.bytes().extend_from_slice(&slice),
            Way::Shared => out.push_shared(slice),
        }
    }
}

struct Answering {
    sizes: Sizes,
    pieces: Option<Pieces>,
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

impl Answering {
    fn peer(&mut self, socket: Socket) -> &mut Peer {
        if socket.index() >= self.peers.len() {
            self.peers.resize_with(socket.index() + 1, Peer::default);
        }
        &mut self.peers[socket.index()]
    }
}

impl Handler for Answering {
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
                let Self { sizes, pieces, peers, .. } = self;
                let Peer { partial, output, .. } = &mut peers[socket.index()];
                if let Some(out) = output {
                    sizes.answer(partial, bytes, |reply| match pieces {
                        Some(pieces) => pieces.reply(reply, out),
                        None => out.bytes().extend_from_slice(reply),
                    });
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
            Event::Written { .. } | Event::Closed { .. } | Event::Withdrawn { .. } => {}
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

/// Answers on one core until the process is killed. With `way`, replies are pieces of a region that
/// go out in that way.
pub(crate) fn run(
    sizes: Sizes,
    way: Option<Way>,
    listener: TcpListener,
    cpu: usize,
    spin: bool,
) -> Outcome {
    let spin = if spin { Spin::Always } else { Spin::Off };
    let pieces = way.map(Pieces::new).transpose()?;
    let parts = std::sync::Mutex::new(Some((sizes, pieces, listener)));
    let running = sutra_runtime::start(
        Config { cpus: vec![cpu], spin, ..Config::default() },
        move |_, core| {
            let parts = parts.lock().ok().and_then(|mut parts| parts.take());
            let (sizes, pieces, listener) =
                parts.ok_or_else(|| io::Error::other("the one core is built once"))?;
            listener.set_nonblocking(true)?;
            core.listen(listener, ListenerId(0)).map_err(io::Error::other)?;
            Ok::<_, io::Error>(Answering { sizes, pieces, peers: Vec::new(), dirty: Vec::new() })
        },
    )?;
    Ok(running.join()?)
}
