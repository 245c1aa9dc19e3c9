//! What a service may do: answer requests, speak to the other cores, write to files, ask to be
//! woken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rkyv::api::high::HighSerializer;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Serialize};
use sutra_runtime::{Core, DataFile, Histogram, RegionSlice, Stage};
use sutra_wire::{Counter, ErrorMessage, FrameBuffer, Opcode, Status};

use crate::envelope::Envelope;
use crate::in_flight::ReplyTo;
use crate::io::{Io, PartSent};
use crate::names::{self, ServiceMessage};
use crate::output::Body;
use crate::postbox::{BackgroundJob, Postbox};
use crate::slow::SlowRequests;

/// A service's hands, lent to it for one call.
pub struct Context<'a, M: Send + 'static> {
    io: &'a mut Io,
    core: &'a mut Core<Envelope<M>>,
}

impl<'a, M: Send + 'static> Context<'a, M> {
    pub(crate) fn new(io: &'a mut Io, core: &'a mut Core<Envelope<M>>) -> Self {
        Self { io, core }
    }

    /// This core's number, 0 to [`Context::cores`] - 1.
    pub fn index(&self) -> usize {
        self.core.index()
    }

    /// How many cores the service runs on.
    pub fn cores(&self) -> usize {
        self.core.cores()
    }

    /// The time at which this turn of the core's loop began.
    pub fn now(&self) -> Instant {
        self.core.now()
    }

    /// The time at this moment. Costs a reading of the clock.
    pub fn read_clock(&self) -> Instant {
        self.core.read_clock()
    }

    /// Whether anybody still waits for the answer: the request's deadline has not passed and its
    /// connection is not gone. Work that nobody waits for may stop, and has to [`Context::refuse`]
    /// the request all the same, which gives its slot back.
    pub fn is_waiting(&self, to: ReplyTo) -> bool {
        self.io.is_waiting(to)
    }

    /// Whether the client has closed its side, broken the protocol, or gone: it asks nothing more,
    /// and hardly reads on. For answers without end, which would keep its connection.
    pub fn has_left(&self, to: ReplyTo) -> bool {
        self.io.has_left(to)
    }

    /// Where a request came from that is not answered yet and whose connection is not gone.
    pub fn peer(&self, to: ReplyTo) -> Option<SocketAddr> {
        self.io.peer(to)
    }

    /// Says by its id what a request is about, for whoever looks at slow ones. Costs a store.
    pub fn about(&mut self, to: ReplyTo, subject: [u8; 16]) {
        self.io.about(to, subject);
    }

    /// Says since when the write that a request asked for has been in the log: what it waits for
    /// from then on is its commit. To be called before it is answered.
    pub fn logged(&mut self, to: ReplyTo, since: Instant) {
        self.io.logged(to, since);
    }

    /// Answers a request. Cost: a copy of header and body into the connection's next send, except
    /// for long stored bodies, which are sent from where they lie. A request that is no longer
    /// waiting is ignored.
    pub fn reply(&mut self, to: ReplyTo, status: Status, sequence: u64, body: Body<'_>) {
        let before = self.core.enter_stage(Stage::Reply);
        self.io.reply(self.core, to, status, sequence, body);
        self.core.enter_stage(before);
    }

    /// Answers a request with an archive built for it. Cost: one serialization and one copy.
    pub fn reply_archive<T>(&mut self, to: ReplyTo, status: Status, sequence: u64, value: &T)
    where
        T: Archive + for<'b> Serialize<HighSerializer<AlignedVec<16>, ArenaHandle<'b>, Error>>,
    {
        let archive = self.archive(value);
        self.reply(to, status, sequence, Body::Bytes(&archive));
        self.io.pools().keep_scratch(archive);
    }

    /// Sends one more part of the answer to a request that has no end: it goes on waiting. Only
    /// where its connection has not more unread than it may, for whoever does not read must not
    /// have the parts pile up. Cost: one serialization and two copies.
    pub fn reply_part<T>(&mut self, to: ReplyTo, sequence: u64, value: &T) -> PartSent
    where
        T: Archive + for<'b> Serialize<HighSerializer<AlignedVec<16>, ArenaHandle<'b>, Error>>,
    {
        let sent = self.io.has_room_for_part(to);
        if sent == PartSent::Sent {
            let archive = self.archive(value);
            self.io.reply_part(self.core, to, sequence, &archive);
            self.io.pools().keep_scratch(archive);
        }
        sent
    }

    /// The archive of a reply, in the buffer that is kept for it.
    fn archive<T>(&mut self, value: &T) -> FrameBuffer
    where
        T: Archive + for<'b> Serialize<HighSerializer<AlignedVec<16>, ArenaHandle<'b>, Error>>,
    {
        let scratch = self.io.pools().scratch();
        rkyv::api::high::to_bytes_in::<_, Error>(value, scratch)
            .expect("archiving plain data into memory can't fail")
    }

    /// A way for another thread to send this core the service's messages.
    pub fn postbox(&self) -> Postbox<M> {
        Postbox::of(self.core)
    }

    /// Refuses a request with its reason.
    pub fn refuse(&mut self, to: ReplyTo, status: Status, message: impl Into<String>) {
        self.reply_archive(to, status, 0, &ErrorMessage { message: message.into() });
    }

    /// Offers the requests that [`crate::Flow::Wait`] held back again, at the end of this turn.
    /// Cost: one call of the service for each connection that waits, so not without reason.
    pub fn resume(&mut self) {
        self.io.resume();
    }

    /// Sends a message to a core (its own included); gives it back where that core's mailbox is
    /// full.
    pub fn send(&mut self, core: usize, message: M) -> Result<(), M> {
        self.core.send_message(core, Envelope::Service(message)).map_err(
            |envelope| match envelope {
                Envelope::Service(message) => message,
                Envelope::HandOver(_) | Envelope::Step(_) | Envelope::IdleTimeout(_) => {
                    unreachable!("the mailbox gives back what it was given")
                }
            },
        )
    }

    /// Has something that may block run on the background thread; its result comes back as a
    /// message from this core. Gives it back where too much waits there already.
    pub fn background(&mut self, job: BackgroundJob<M>) -> Result<(), BackgroundJob<M>> {
        self.core.background(job)
    }

    /// The same for what computes for long and blocks nobody but its own thread, of which every
    /// core has one. Gives it back where too much waits there already.
    pub fn compute(&mut self, job: BackgroundJob<M>) -> Result<(), BackgroundJob<M>> {
        self.core.compute(job)
    }

    /// The service begins something else. A branch, but in the turns that are timed.
    #[inline]
    pub fn enter_stage(&mut self, stage: Stage) {
        self.core.enter_stage(stage);
    }

    /// Whether no request is begun, as connections are to be passed on to another process.
    pub fn is_holding(&self) -> bool {
        self.io.is_holding()
    }

    /// Whether the process was asked to stop.
    pub fn is_draining(&self) -> bool {
        self.io.is_draining()
    }

    /// Adds this core's counts of connections, requests and runtime to `out`.
    pub fn counters(&self, out: &mut Vec<Counter>) {
        self.io.report(out);
        for (name, value) in self.core.metrics().named().into_iter().chain(self.core.profile()) {
            out.push(Counter { name: name.into(), value });
        }
    }

    /// How long requests took on this core since the start, by operation.
    pub fn latencies(&self) -> impl Iterator<Item = (Opcode, &Histogram)> {
        self.io.latencies().by_operation()
    }

    /// The last requests of this core that took long.
    pub fn slow_requests(&self) -> SlowRequests {
        self.io.slow_requests()
    }

    /// An empty aligned buffer from this core's pool.
    pub fn buffer(&mut self) -> FrameBuffer {
        self.io.pools().buffer()
    }

    /// Gives a buffer back to the pool.
    pub fn give_back(&mut self, buffer: FrameBuffer) {
        self.io.pools().give_back(buffer);
    }
}

impl<M: ServiceMessage> Context<'_, M> {
    /// Writes to a file; the service's `written` hears of the end.
    pub fn write(
        &mut self,
        file: &Arc<DataFile>,
        offset: u64,
        bytes: RegionSlice,
        token: M::Token,
    ) {
        self.core.write(file, offset, bytes, names::token_number(token));
    }

    /// Makes what was written to a file durable; the service's `written` hears of the end.
    pub fn sync(&mut self, file: &Arc<DataFile>, token: M::Token) {
        self.core.sync(file, names::token_number(token));
    }

    /// Calls the service's `timer` after so long, in place of an earlier setting of the same one.
    pub fn wake_in(&mut self, timer: M::Timer, delay: Duration) {
        let at = self.now() + delay;
        self.core.set_timer(names::timer_id(timer), Some(at));
    }
}
