//! The backend of a simulation: cores without threads, kernel, network or disk, which one scheduler
//! moves.
//!
//! [`Simulated`] notes what a core asks for, and completes what it is told. [`SimulatedCores`]
//! makes a world of it: connections are queues of bytes in memory, a file is a [`SimulatedFile`],
//! messages and jobs wait until somebody moves them on, and time passes when it is told to. It does
//! nothing by itself. It says which [`Step`]s are possible, and takes the one that its caller
//! chooses. So a caller that chooses by a seed has the same run again for the same seed.
//!
//! Promises: nothing here reads a clock of the host, starts a thread or draws a random number.
//! Whatever the caller chooses, the order of things is one that Linux could have given.

mod clock;
mod cores;
pub(crate) mod files;
mod mail;
mod network;
mod pieces;
mod step;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::net::Shutdown;

pub use clock::VirtualClock;
pub use cores::{SimulatedConfig, SimulatedCores, Simulation};
pub use files::SimulatedFile;
pub(crate) use mail::SimulatedMail;
pub use network::{ConnectionId, Network};
pub(crate) use pieces::Pieces;
pub use step::{Chance, Step};

use crate::RuntimeError;
use crate::data_file::DataFile;
use crate::event::{Event, ListenerId};
use crate::listener::Listener;
use crate::metrics::{CoreMetrics, Features};
use crate::operation::{Completion, Operation, Receive};
use crate::sockets::{Outgoing, Socket};

/// What a core asked for.
#[derive(Clone, Debug)]
pub(crate) enum Submitted {
    /// A socket has this slot from now on.
    Register(u32, RawFd),
    /// The slot's socket has gone elsewhere, or was closed.
    Forget(u32),
    Receive(Socket, Receive),
    /// The bytes that are left.
    Send(Socket, Vec<u8>),
    Cancel(Operation),
    ShutDown(RawFd, Shutdown),
    /// Where, and what.
    Write(u32, Arc<DataFile>, u64, Vec<u8>),
    Sync(u32, Arc<DataFile>),
    StopListening,
}

/// One core's backend.
pub(crate) struct Simulated {
    clock: VirtualClock,
    asked: Vec<Submitted>,
    completed: Vec<Completion>,
    accepted: VecDeque<Event<'static>>,
    is_listening: bool,
}

impl Simulated {
    pub(crate) fn new(clock: VirtualClock) -> Simulated {
        Simulated {
            clock,
            asked: Vec::new(),
            completed: Vec::new(),
            accepted: VecDeque::new(),
            is_listening: false,
        }
    }

    /// The same of a core that takes connections.
    pub(crate) fn listening(self) -> Simulated {
        Simulated { is_listening: true, ..self }
    }

    /// What a core is told that it got.
    pub(crate) fn features() -> Features {
        Features {
            kernel: "none, simulated".into(),
            ring_entries: 1,
            completion_entries: 4,
            registered_files: 0,
            receive_buffers: 1,
            receive_buffer_bytes: 64,
            no_iowait: false,
        }
    }

    /// What was asked for since the last call.
    pub(crate) fn take_asked(&mut self) -> Vec<Submitted> {
        std::mem::take(&mut self.asked)
    }

    /// Has this complete before the next turn.
    pub(crate) fn complete(&mut self, completion: Completion) {
        self.completed.push(completion);
    }

    /// Whether something has completed that no turn has taken yet.
    pub(crate) fn has_completed(&self) -> bool {
        !self.completed.is_empty()
    }

    /// A connection has come; `false` where nothing listens any more.
    pub(crate) fn accept(&mut self, accepted: Event<'static>) -> bool {
        if self.is_listening {
            self.accepted.push_back(accepted);
        }
        self.is_listening
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn register(&mut self, slot: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.asked.push(Submitted::Register(slot, fd.as_raw_fd()));
        Ok(())
    }

    pub(crate) fn forget(&mut self, slot: u32) {
        self.asked.push(Submitted::Forget(slot));
    }

    pub(crate) fn receive(&mut self, socket: Socket, _: BorrowedFd<'_>, wanted: Receive) {
        self.asked.push(Submitted::Receive(socket, wanted));
    }

    /// # Safety
    /// None is needed: the bytes are copied at once.
    pub(crate) unsafe fn send(
        &mut self,
        socket: Socket,
        _: BorrowedFd<'_>,
        outgoing: &mut Outgoing,
    ) {
        let mut rest = Vec::with_capacity(outgoing.len());
        outgoing.copy_rest(&mut rest);
        self.asked.push(Submitted::Send(socket, rest));
    }

    pub(crate) fn cancel(&mut self, operation: Operation) {
        self.asked.push(Submitted::Cancel(operation));
    }

    pub(crate) fn shut_down(&mut self, fd: BorrowedFd<'_>, how: Shutdown) {
        self.asked.push(Submitted::ShutDown(fd.as_raw_fd(), how));
    }

    /// # Safety
    /// None is needed: the bytes are copied at once.
    pub(crate) unsafe fn write(
        &mut self,
        write: u32,
        file: &Arc<DataFile>,
        offset: u64,
        bytes: &[u8],
    ) {
        self.asked.push(Submitted::Write(write, Arc::clone(file), offset, bytes.to_vec()));
    }

    pub(crate) fn sync(&mut self, write: u32, file: &Arc<DataFile>) {
        self.asked.push(Submitted::Sync(write, Arc::clone(file)));
    }

    pub(crate) fn submit(&mut self) -> Result<(), RuntimeError> {
        Ok(())
    }

    pub(crate) fn reap(&mut self, into: &mut Vec<Completion>) {
        into.append(&mut self.completed);
    }

    /// Connections come by [`Simulation::connect`], whatever the socket.
    pub(crate) fn listen(&mut self, _: Listener, _: ListenerId) -> Result<(), RuntimeError> {
        Ok(())
    }

    pub(crate) fn stop_listening(&mut self) {
        self.is_listening = false;
        self.asked.push(Submitted::StopListening);
    }

    /// A simulated server has no listeners to keep.
    pub(crate) fn keep_listeners(&mut self) {
        self.stop_listening();
    }

    pub(crate) fn take_listeners(&mut self) -> Vec<(ListenerId, Listener)> {
        Vec::new()
    }

    pub(crate) fn take_accepted(&mut self) -> Option<Event<'static>> {
        self.accepted.pop_front()
    }

    pub(crate) fn has_accepted(&self) -> bool {
        !self.accepted.is_empty()
    }

    pub(crate) fn is_done_listening(&self) -> bool {
        !self.is_listening && self.accepted.is_empty()
    }

    pub(crate) fn count(&self, _: &mut CoreMetrics) {}
}
