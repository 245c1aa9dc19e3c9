//! The backend that serves: a thread a core, its data ring, tokio-uring, the system's clock.
//!
//! Everything that knows io_uring or tokio-uring is in this folder. [`Linux`] carries out
//! operations; `linux/thread.rs` is a core's thread, from its runtime to its end; `linux/pace.rs`
//! decides how the thread waits between two turns.

mod background;
mod bell;
pub(crate) mod buffers;
pub(crate) mod doorbell;
mod entries;
mod listeners;
pub(crate) mod mail;
mod mailboxes;
mod pace;
mod parking;
mod ring;
pub(crate) mod thread;
mod user_data;

use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::RuntimeError;
use crate::config::Config;
use crate::event::{Event, ListenerId};
use crate::linux::buffers::ReceiveBuffers;
use crate::linux::doorbell::Doorbell;
use crate::linux::listeners::Inbox;
use crate::linux::ring::{Enter, Ring};
use crate::listener::Listener;
use crate::metrics::{CoreMetrics, Features};

/// One core's backend. Used on the core's own thread only, inside its runtime.
pub(crate) struct Linux {
    // First, so that it is dropped first: that ends every operation.
    ring: Ring,
    /// Sockets whose slots are below are registered with the ring.
    registered_files: u32,
    inbox: Rc<Inbox>,
    doorbells: Arc<[Doorbell]>,
    core: usize,
    naps: u64,
    sleeps: u64,
    wakes_received: u64,
}

impl Linux {
    /// Sets up the ring of a core on the calling thread, with what the kernel gave it. The caller
    /// keeps the buffers until the backend is gone: the ring writes to them.
    fn new(
        config: &Config,
        doorbells: Arc<[Doorbell]>,
        core: usize,
    ) -> Result<(ReceiveBuffers, Linux, Features), RuntimeError> {
        let ring = Ring::new(config.ring_entries, doorbells[core].park_bell().as_fd())?;
        let buffers = ReceiveBuffers::register(
            ring.io(),
            config.receive_buffers,
            config.receive_buffer_bytes,
        )?;
        let registered_files = ring.register_files(config.registered_files);
        let features = Features {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            ring_entries: ring.io().params().sq_entries(),
            completion_entries: ring.io().params().cq_entries(),
            registered_files,
            receive_buffers: buffers.count(),
            receive_buffer_bytes: buffers.size(),
            no_iowait: ring.no_iowait(),
        };
        let inbox = Rc::<Inbox>::default();
        inbox.reserve(config.reserved_files);
        let mut linux = Linux {
            ring,
            registered_files,
            inbox,
            doorbells,
            core,
            naps: 0,
            sleeps: 0,
            wakes_received: 0,
        };
        linux.watch_doorbell();
        Ok((buffers, linux, features))
    }

    /// This core's doorbell.
    fn doorbell(&self) -> &Doorbell {
        &self.doorbells[self.core]
    }

    /// The core is awake; counts whether somebody had woken it.
    fn say_awake(&mut self) {
        self.wakes_received += u64::from(self.doorbell().say_awake());
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::now()
    }

    pub(crate) fn submit(&mut self) -> Result<(), RuntimeError> {
        self.ring.enter(Enter::Submit)
    }

    pub(crate) fn listen(
        &mut self,
        listener: Listener,
        id: ListenerId,
    ) -> Result<(), RuntimeError> {
        listeners::listen(&self.inbox, listener, id)
    }

    pub(crate) fn stop_listening(&mut self) {
        self.inbox.stop_listening();
    }

    pub(crate) fn keep_listeners(&mut self) {
        self.inbox.keep_listeners();
    }

    pub(crate) fn take_listeners(&mut self) -> Vec<(ListenerId, Listener)> {
        self.inbox.take_kept()
    }

    pub(crate) fn take_accepted(&mut self) -> Option<Event<'static>> {
        self.inbox.take()
    }

    pub(crate) fn has_accepted(&self) -> bool {
        !self.inbox.is_empty()
    }

    pub(crate) fn is_done_listening(&self) -> bool {
        self.inbox.is_finished()
    }

    pub(crate) fn count(&self, metrics: &mut CoreMetrics) {
        metrics.ring_enters = self.ring.enters();
        metrics.naps = self.naps;
        metrics.sleeps = self.sleeps;
        metrics.wakes_received = self.wakes_received;
        metrics.accept_failures = self.inbox.failures();
    }
}
