//! A backend for tests. It notes what it is asked for. It completes what the test says, in the
//! order and by the clock of the test.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::Shutdown;

use crate::RuntimeError;
use crate::data_file::DataFile;
use crate::event::{Event, ListenerId};
use crate::listener::Listener;
use crate::metrics::{CoreMetrics, Features};
use crate::operation::{Completion, Operation, Receive};
use crate::postbox::{Job, Postbox};
use crate::sockets::{Outgoing, Socket};

/// What a core asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Receive(Socket, Receive),
    /// With how many bytes are left.
    Send(Socket, usize),
    Cancel(Operation),
    /// Where, and how many bytes.
    Write(u32, u64, usize),
    Sync(u32),
}

/// What a test's core stands on.
pub(crate) struct Scripted {
    now: Instant,
    asked: Vec<Asked>,
    completed: Vec<Completion>,
}

impl Scripted {
    pub(crate) fn new() -> Scripted {
        Scripted { now: Instant::now(), asked: Vec::new(), completed: Vec::new() }
    }

    /// What a core is told that it got.
    pub(crate) fn features() -> Features {
        Features {
            kernel: "scripted".into(),
            ring_entries: 1,
            completion_entries: 4,
            registered_files: 0,
            receive_buffers: 1,
            receive_buffer_bytes: 64,
            no_iowait: false,
        }
    }

    /// What was asked for since the last call.
    pub(crate) fn take_asked(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.asked)
    }

    /// Has this complete before the next turn.
    pub(crate) fn complete(&mut self, completion: Completion) {
        self.completed.push(completion);
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn register(&mut self, _: u32, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn forget(&mut self, _: u32) {}

    pub(super) fn receive(&mut self, socket: Socket, _: BorrowedFd<'_>, wanted: Receive) {
        self.asked.push(Asked::Receive(socket, wanted));
    }

    /// # Safety
    /// None is needed: nothing is kept.
    pub(super) unsafe fn send(
        &mut self,
        socket: Socket,
        _: BorrowedFd<'_>,
        outgoing: &mut Outgoing,
    ) {
        self.asked.push(Asked::Send(socket, outgoing.len() - outgoing.sent()));
    }

    pub(super) fn cancel(&mut self, operation: Operation) {
        self.asked.push(Asked::Cancel(operation));
    }

    pub(super) fn shut_down(&mut self, _: BorrowedFd<'_>, _: Shutdown) {}

    /// # Safety
    /// None is needed: nothing is kept.
    pub(super) unsafe fn write(
        &mut self,
        write: u32,
        _: &Arc<DataFile>,
        offset: u64,
        bytes: &[u8],
    ) {
        self.asked.push(Asked::Write(write, offset, bytes.len()));
    }

    pub(super) fn sync(&mut self, write: u32, _: &Arc<DataFile>) {
        self.asked.push(Asked::Sync(write));
    }

    pub(super) fn submit(&mut self) -> Result<(), RuntimeError> {
        Ok(())
    }

    pub(super) fn reap(&mut self, into: &mut Vec<Completion>) {
        into.append(&mut self.completed);
    }

    pub(super) fn listen(&mut self, _: Listener, _: ListenerId) -> Result<(), RuntimeError> {
        Ok(())
    }

    pub(super) fn stop_listening(&mut self) {}

    pub(super) fn keep_listeners(&mut self) {}

    pub(super) fn take_listeners(&mut self) -> Vec<(ListenerId, Listener)> {
        Vec::new()
    }

    pub(super) fn take_accepted(&mut self) -> Option<Event<'static>> {
        None
    }

    pub(super) fn has_accepted(&self) -> bool {
        false
    }

    pub(super) fn is_done_listening(&self) -> bool {
        true
    }

    pub(super) fn count(&self, _: &mut CoreMetrics) {}
}

/// The mail of a core that is alone: it reaches itself, and other threads reach it.
pub(crate) struct Letters<M> {
    own: VecDeque<M>,
    postbox: Postbox<M>,
}

impl<M: Send + 'static> Letters<M> {
    pub(crate) fn new() -> Letters<M> {
        // Nobody has to wake a core whose turns a test calls.
        Letters { own: VecDeque::new(), postbox: Postbox::new(|| {}) }
    }

    pub(super) fn cores(&self) -> usize {
        1
    }

    pub(super) fn send(&mut self, to: usize, message: M) -> Result<(), M> {
        if to > 0 {
            return Err(message);
        }
        self.own.push_back(message);
        Ok(())
    }

    pub(super) fn flush(&mut self) -> u64 {
        0
    }

    pub(super) fn arrived(&self, sender: usize) -> usize {
        if sender == 0 { self.own.len() } else { self.postbox.posted().waiting() }
    }

    pub(super) fn take(&mut self, sender: usize) -> Option<M> {
        if sender == 0 { self.own.pop_front() } else { self.postbox.posted().take() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.arrived(0) + self.arrived(1) == 0
    }

    pub(super) fn is_idle(&self) -> bool {
        self.own.is_empty()
    }

    /// No thread is there to run it.
    pub(super) fn run(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        Err(job)
    }

    /// Nor this.
    pub(super) fn compute(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        Err(job)
    }

    pub(super) fn postbox(&self) -> Postbox<M> {
        self.postbox.clone()
    }
}

/// Received bytes, by their buffers' numbers; none is given back to anyone.
pub(crate) struct Pieces(pub(crate) Vec<&'static [u8]>);

impl Pieces {
    pub(super) fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        &self.0[usize::from(buffer)][..len]
    }

    pub(super) fn recycle(&mut self, _: u16) {}
}
