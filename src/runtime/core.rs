//! What a handler works with: one core's sockets, writes, timers and messages.
//!
//! Every method only queues; the kernel is entered once a turn. What concerns sockets is in
//! `traffic`, what concerns files in `writes`.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use io_uring::opcode;
use io_uring::types::Fd;

use crate::RuntimeError;
use crate::accept::{self, Inbox, ListenerId};
use crate::background::{Background, Job, Postbox};
use crate::ending::Ending;
use crate::mailbox::{Doorbell, Mailboxes};
use crate::metrics::{CoreMetrics, Features};
use crate::operation::{Kind, encode};
use crate::outgoing::Outgoing;
use crate::ring::Ring;
use crate::sockets::{Socket, SocketTable};
use crate::stages::{Stage, StageClock};
use crate::timers::{TimerId, Timers};
use crate::under_way::Writes;

/// `Outgoing`s that a core keeps for the next sends: as many as there are sockets with a send in
/// flight in a busy turn.
const POOLED_OUTGOING: usize = 256;

/// One core, as its handler sees it. `M` is what cores send each other.
pub struct Core<M> {
    // First, so that it is dropped first: it waits for the kernel to let go of what the other
    // fields own.
    pub(crate) ring: Ring,
    pub(crate) sockets: SocketTable,
    pub(crate) writes: Writes,
    /// Events that need no completion, told in the same turn or the next.
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) timers: Timers,
    pub(crate) mailboxes: Mailboxes<M>,
    pub(crate) background: Background<M>,
    pub(crate) inbox: Rc<Inbox>,
    pub(crate) now: Instant,
    pub(crate) metrics: CoreMetrics,
    pub(crate) stages: StageClock,
    pub(crate) features: Features,
    pub(crate) ending: Arc<Ending>,
    pub(crate) told_to_stop: bool,
    doorbells: Arc<[Doorbell]>,
    index: usize,
    #[allow(clippy::vec_box, reason = "an `Outgoing` in use lies in a box, which moves in and out whole")]
    pool: Vec<Box<Outgoing>>,
}

/// An event that arises without a completion.
pub(crate) enum Pending {
    Closed(Socket),
    Paused(Socket),
    /// An empty send, or one whose socket is gone: nothing to do.
    Sent(Socket, Box<Outgoing>),
    /// An empty write.
    Written(u64),
}

impl<M: Send + 'static> Core<M> {
    pub(crate) fn new(
        index: usize,
        ring: Ring,
        features: Features,
        mailboxes: Mailboxes<M>,
        background: Background<M>,
        doorbells: Arc<[Doorbell]>,
        ending: Arc<Ending>,
    ) -> Core<M> {
        let mut core = Core {
            ring,
            sockets: SocketTable::default(),
            writes: Writes::default(),
            pending: VecDeque::new(),
            timers: Timers::default(),
            mailboxes,
            background,
            inbox: Rc::default(),
            now: Instant::now(),
            metrics: CoreMetrics::default(),
            stages: StageClock::new(),
            features,
            ending,
            told_to_stop: false,
            doorbells,
            index,
            pool: Vec::new(),
        };
        core.watch_doorbell();
        core
    }

    /// This core's number.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many cores there are.
    pub fn cores(&self) -> usize {
        self.mailboxes.cores()
    }

    /// The time, read once a turn.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// This core's counters.
    pub fn metrics(&self) -> &CoreMetrics {
        &self.metrics
    }

    /// The handler begins something else; returns what the core was doing. A branch, but in the
    /// turns that are timed.
    #[inline]
    pub fn enter_stage(&mut self, stage: Stage) -> Stage {
        self.stages.enter(stage)
    }

    /// A request begins: what the stages' times are told for each of.
    #[inline]
    pub fn count_request(&mut self) {
        self.stages.count_request();
    }

    /// How many turns were timed, the requests in them, and the ns that each stage took in them, by
    /// name.
    pub fn profile(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.stages.named()
    }

    /// What the kernel gave the core's ring.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// How many sockets the core has, those that are closing included.
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Sets a timer, in place of its earlier setting, or clears it. It comes due once, to the
    /// millisecond, as [`crate::Handler::timer`].
    pub fn set_timer(&mut self, id: TimerId, at: Option<Instant>) {
        self.timers.set(id, at);
    }

    /// Sends a message to a core (the own one included: it comes in the next turn). Messages from
    /// one core to another arrive in order. `Err` gives it back when the mailbox is full. Costs a
    /// few stores; the target is woken at the end of the turn, once, if it sleeps.
    pub fn send_message(&mut self, to: usize, message: M) -> Result<(), M> {
        let before = self.stages.enter(Stage::Messages);
        let sent = self.mailboxes.send(to, message);
        self.metrics.messages_sent += u64::from(sent.is_ok());
        self.stages.enter(before);
        sent
    }

    /// Has a job run on the process's background thread; its result comes as a message from this
    /// core's own index. `Err` gives the job back when 64 are waiting already.
    pub fn background(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        self.background.run(job)
    }

    /// Has a job run on this core's own low-priority thread, for what computes for long; otherwise
    /// as [`Core::background`], `Err` when 4 are waiting.
    pub fn compute(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        self.background.compute(job)
    }

    /// A way for another thread to send this core messages, which come as messages from its own
    /// index.
    pub fn postbox(&self) -> Postbox<M> {
        self.background.postbox()
    }

    /// Accepts connections from a bound and listening socket, which come as
    /// [`crate::Event::Accepted`]. A failing accept is warned about and tried again.
    ///
    /// # Errors
    /// When the socket can't be watched.
    pub fn listen(&mut self, listener: TcpListener, id: ListenerId) -> Result<(), RuntimeError> {
        accept::listen(&self.inbox, listener, id)
    }

    /// Has every listener take what its backlog holds (those connections still come as
    /// [`crate::Event::Accepted`]) and close.
    pub fn stop_listening(&mut self) {
        self.inbox.stop_listening();
    }

    /// An empty `Outgoing`, from the pool where it has one.
    pub fn outgoing(&mut self) -> Box<Outgoing> {
        self.pool.pop().unwrap_or_default()
    }

    /// Gives an `Outgoing` back for the next use, its regions let go.
    pub fn recycle(&mut self, mut outgoing: Box<Outgoing>) {
        if self.pool.len() < POOLED_OUTGOING {
            outgoing.reset();
            self.pool.push(outgoing);
        }
    }

    /// This core's doorbell.
    pub(crate) fn doorbell(&self) -> &Doorbell {
        &self.doorbells[self.index]
    }

    /// Has the ring watch the doorbell: one operation for many rings, until the kernel ends it.
    pub(crate) fn watch_doorbell(&mut self) {
        let bell = Fd(self.doorbell().nap_bell().as_raw_fd());
        let poll =
            opcode::PollAdd::new(bell, libc::POLLIN as u32).multi(true).build().user_data(encode(Kind::Wake, 0, 0));
        // SAFETY: a poll points to no memory; the kernel holds the file.
        unsafe { self.ring.push(poll) };
    }

    /// Leaves so many descriptors for files.
    pub(crate) fn reserve_files(&self, files: u64) {
        self.inbox.reserve(files);
    }

    /// Whether something waits that no completion will announce.
    pub(crate) fn has_work(&self) -> bool {
        !self.pending.is_empty()
            || !self.mailboxes.is_empty()
            || self.background.has_result()
            || !self.inbox.is_empty()
            || self.ending.is_news(self.told_to_stop)
    }
}
