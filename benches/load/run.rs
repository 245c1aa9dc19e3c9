//! The loop of a run: wait, receive, check, write again.
//!
//! How a thread waits: with one connection it sleeps in the receive itself; with more it sleeps in
//! epoll, level-triggered, so that a connection costs one receive a wake-up; with `spin`, and in an
//! open loop, neither sleeps. Latencies are kept of the requests that are sent and answered while
//! measuring; the rate counts what is answered then. Of an open loop both are of what was due while
//! measuring.

mod open_loop;

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use sutra_wire::{CoreLayout, FrameBuffer, MORE, NO_CORE, Status};

use crate::connection::Connection;
use crate::handshake::{connect, greet, words};
use crate::pacing::Pacing;
use crate::report::Measured;
use crate::scan::{Received, next_reply};
use crate::{Framing, Length, LoadError, Plan, Reply, Report, Routes, ServerCpu, Workload};

/// What one receive takes at most: many small replies of a deep connection, or a good part of a
/// large one.
const RECEIVE_BYTES: usize = 256 << 10;
/// Connections that one wake-up of epoll reports at most; the others follow with the next.
const EVENTS: usize = 256;
/// How long a sleeping thread goes without looking whether the run is to stop.
const LOOK: Duration = Duration::from_millis(100);
/// How long a run that is told to stop waits for the answers that are under way.
const LAST_ANSWERS: Nanoseconds = 1_000_000_000;
/// A time without answers that is called a stall.
const STALL: Nanoseconds = 1_000_000_000;
/// How many empty receives in a row a spinning thread makes before it looks at the clock.
const SPINS: u32 = 1 << 16;

/// Drives one workload a thread as `plan` says, and reports what came of all of them; `cpu` is read
/// when measuring begins and when it ends. Threads share nothing while they run.
pub fn run<W: Workload>(plan: &Plan, workloads: Vec<W>, cpu: Option<ServerCpu>) -> Result<Report, LoadError> {
    let threads = workloads.len();
    plan.check(threads)?;
    let operation = workloads.first().map_or("", |workload| workload.name());
    let (mut cpu, mut cores) = (cpu, 1);
    let runs = workloads
        .into_iter()
        .enumerate()
        .map(|(thread, workload)| Run::open(plan, (thread, threads), workload, cpu.take(), &mut cores))
        .collect::<Result<Vec<_>, _>>()?;
    let measured = std::thread::scope(|scope| {
        let running: Vec<_> = runs.into_iter().map(|run| scope.spawn(move || run.drive())).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<Vec<_>, _>>()
    })?;
    Ok(Report::of(operation, plan, &measured))
}

/// Connections that stay open and silent until they are dropped.
#[derive(Debug)]
pub struct IdleConnections {
    _open: Vec<Connection>,
}

/// Opens the plan's connections and makes one exchange on each, so that the server has done for
/// each what it does for one that is used.
pub fn open_idle<W: Workload>(plan: &Plan, workload: W) -> Result<IdleConnections, LoadError> {
    let once = Plan {
        depth: 1,
        rate: None,
        warm_up: Duration::ZERO,
        length: Length::Requests(plan.connections as u64),
        ..plan.clone()
    };
    once.check(1)?;
    let mut run = Run::open(&once, (0, 1), workload, None, &mut 1)?;
    run.begin_measuring()?;
    for at in 0..run.connections.len() {
        run.begin(at, None);
        run.flush(at)?;
    }
    while run.in_flight > 0 {
        run.wait()?;
    }
    match run.measured.last_refusal {
        Some(words) => Err(LoadError::Wrong { connection: 0, request: 0, problem: format!("it was refused: {words}") }),
        None => Ok(IdleConnections { _open: run.connections }),
    }
}

/// Nanoseconds of the run's clock.
type Nanoseconds = u64;

#[derive(Clone, Copy, Debug)]
enum Phase {
    WarmUp {
        until: Nanoseconds,
    },
    Measuring {
        since: Nanoseconds,
        until: Nanoseconds,
    },
    /// Nothing more is sent. An open loop's last latencies still count: what was due while
    /// measuring.
    Draining {
        since: Nanoseconds,
        ended: Nanoseconds,
    },
}

struct Run<'p, W> {
    plan: &'p Plan,
    cpu_to_pin: Option<usize>,
    workload: W,
    framing: Framing,
    connections: Vec<Connection>,
    epoll: Option<OwnedFd>,
    scratch: FrameBuffer,
    in_flight: usize,
    /// Requests that may still be sent.
    budget: u64,
    phase: Phase,
    /// Of an open loop.
    pacing: Option<Pacing>,
    /// The thread's own CPU time when measuring began, in seconds.
    cpu_before: f64,
    measured: Measured,
    cpu: Option<ServerCpu>,
    clock: Instant,
    now: Nanoseconds,
    /// When anything came last.
    heard: Nanoseconds,
}

impl<'p, W: Workload> Run<'p, W> {
    /// Opens the thread's connections and says Hello on each, asking for the cores in turn; `cores`
    /// is how many the server has, as far as is known.
    fn open(
        plan: &'p Plan,
        (thread, threads): (usize, usize),
        mut workload: W,
        cpu: Option<ServerCpu>,
        cores: &mut u16,
    ) -> Result<Self, LoadError> {
        let framing = workload.framing();
        let (count, first) = plan.share(thread, threads);
        let mut streams = Vec::with_capacity(count);
        let mut depth = plan.depth;
        for number in first..first + count {
            let stream = connect(plan.address, plan.timeout)?;
            let mut core = 0;
            if framing == Framing::Native {
                let wanted = u16::try_from(number % usize::from(*cores)).unwrap_or(NO_CORE);
                let greeting = greet(&stream, plan.address, wanted)?;
                (core, *cores) = (greeting.core, greeting.cores.max(1));
                depth = depth.min(greeting.max_in_flight as usize);
            }
            let look = Some(plan.timeout.min(LOOK));
            stream.set_read_timeout(look).map_err(|source| LoadError::system("setting a socket option", source))?;
            streams.push((stream, number, core));
        }
        if depth < plan.depth {
            let problem = format!("a depth of {} is over the server's limit of {depth} requests in flight", plan.depth);
            return Err(LoadError::Plan { problem });
        }
        let cores = *cores;
        let covered = plan.layout_aware && (0..cores).all(|core| streams.iter().any(|(.., has)| *has == core));
        let routes = if covered { Routes::per_core(CoreLayout::new(cores)) } else { Routes::single() };
        workload.open(&routes);
        let depth = u32::try_from(depth).expect("the plan was checked");
        let connections: Vec<_> = streams
            .into_iter()
            .map(|(stream, number, core)| {
                let lane = if covered { usize::from(core) } else { 0 };
                let connection = Connection::new(stream, plan.address, number, lane, depth);
                if framing.is_in_order() { connection.in_order() } else { connection }
            })
            .collect();
        let epoll = if connections.len() > 1 { Some(watch(&connections)?) } else { None };
        let mut scratch = FrameBuffer::new();
        scratch.resize(RECEIVE_BYTES, 0);
        Ok(Self {
            plan,
            cpu_to_pin: plan.pin.get(thread).copied(),
            workload,
            framing,
            connections,
            epoll,
            scratch,
            in_flight: 0,
            budget: u64::MAX,
            phase: Phase::WarmUp { until: Nanoseconds::MAX },
            pacing: plan.rate.map(|rate| Pacing::new(rate / threads as f64, 0)),
            cpu_before: 0.0,
            measured: Measured::new(),
            cpu,
            clock: Instant::now(),
            now: 0,
            heard: 0,
        })
    }

    fn drive(mut self) -> Result<Measured, LoadError> {
        if let Some(id) = self.cpu_to_pin
            && !core_affinity::set_for_current(core_affinity::CoreId { id })
        {
            return Err(LoadError::Plan { problem: format!("can't pin to CPU {id}; is it one of this process's?") });
        }
        self.clock = Instant::now();
        self.phase = Phase::WarmUp { until: nanoseconds(self.plan.warm_up) };
        if self.plan.warm_up.is_zero() {
            self.begin_measuring()?;
        }
        if self.pacing.is_some() {
            return self.drive_open_loop();
        }
        (0..self.connections.len()).try_for_each(|at| self.write(at))?;
        loop {
            self.advance()?;
            if self.in_flight == 0 || self.gives_up() {
                self.measured.unanswered = self.in_flight as u64;
                return Ok(self.measured);
            }
            self.wait()?;
        }
    }

    fn is_stopped(&self) -> bool {
        self.plan.stop.load(Ordering::Relaxed)
    }

    /// Whether what is still under way is waited for no longer.
    fn gives_up(&self) -> bool {
        match self.phase {
            Phase::Draining { ended, .. } => self.is_stopped() && self.time() > ended.saturating_add(LAST_ANSWERS),
            _ => false,
        }
    }

    /// A connection that has requests in flight.
    fn waiting_connection(&self) -> usize {
        self.connections.iter().position(|connection| connection.in_flight() > 0).unwrap_or(0)
    }

    /// Nothing came between the two. What is drained is not measured.
    fn polled(&mut self, began: Nanoseconds, ended: Nanoseconds) {
        if matches!(self.phase, Phase::Measuring { .. }) {
            self.measured.polled += ended.saturating_sub(began) as f64 / 1e9;
        }
    }

    fn time(&self) -> Nanoseconds {
        nanoseconds(self.clock.elapsed())
    }

    /// Goes on to the next phase when its time has come, or when there is nothing left to send.
    fn advance(&mut self) -> Result<(), LoadError> {
        if let Phase::WarmUp { until } = self.phase
            && (self.now >= until || self.has_nothing_to_do() || self.is_stopped())
        {
            self.begin_measuring()?;
        }
        if let Phase::Measuring { since, until } = self.phase
            && (self.now >= until || self.has_nothing_to_do() || self.is_stopped())
        {
            let ended = self.time();
            self.measured.seconds = ended.saturating_sub(since) as f64 / 1e9;
            self.measured.load_cpu = thread_cpu() - self.cpu_before;
            if let (Some(cpu), Some((_, after))) = (&mut self.cpu, &mut self.measured.cpu) {
                *after = cpu.read()?;
            }
            let Measured { latencies, overdue, .. } = &mut self.measured;
            if let Some(pacing) = &mut self.pacing {
                *overdue = pacing.give_up(since, ended, |waited| latencies.saturating_record(waited));
            }
            self.phase = Phase::Draining { since, ended };
        }
        Ok(())
    }

    /// Nothing is in flight; of an open loop: and nothing will be due.
    fn has_nothing_to_do(&self) -> bool {
        self.in_flight == 0
            && (self.pacing.is_none()
                || self.budget == 0
                || self.connections.iter().all(|connection| connection.exhausted))
    }

    fn begin_measuring(&mut self) -> Result<(), LoadError> {
        if let Some(cpu) = &mut self.cpu {
            let before = cpu.read()?;
            self.measured.cpu = Some((before, before));
        }
        self.cpu_before = thread_cpu();
        self.measured.polled = 0.0;
        let since = self.time();
        if let Some(pacing) = &mut self.pacing {
            // What the warm-up left unsent would be answered while measuring and not count; only
            // what is in flight is carried over.
            pacing.pass_over(since);
        }
        let until = match self.plan.length {
            Length::Duration(duration) => since.saturating_add(nanoseconds(duration)),
            Length::Requests(count) => {
                self.budget = count.saturating_sub(self.in_flight as u64);
                Nanoseconds::MAX
            }
        };
        self.phase = Phase::Measuring { since, until };
        Ok(())
    }

    /// Waits until something has arrived and deals with it, or until the run is to stop. Sleeps for
    /// the plan's timeout at most.
    fn wait(&mut self) -> Result<(), LoadError> {
        let many = self.epoll.is_some();
        match (many, self.connections[0].has_unsent(), self.plan.spin) {
            (true, _, false) => self.until_heard(|run, turn| run.take_ready(turn)),
            (true, _, true) => self.spin_over_many(),
            (false, true, _) => self.until_heard(Self::receive_or_send),
            (false, false, false) => self.until_heard(|run, _| run.receive(0, true)),
            (false, false, true) => self.spin_over_one(),
        }
    }

    /// Waits turn by turn until something was there.
    fn until_heard(
        &mut self,
        mut look: impl FnMut(&mut Self, Duration) -> Result<bool, LoadError>,
    ) -> Result<(), LoadError> {
        let turn = self.plan.timeout.min(LOOK);
        let mut waited = Duration::ZERO;
        while !look(self, turn)? {
            waited += turn;
            if self.is_stopped() {
                break;
            }
            if waited >= self.plan.timeout {
                return Err(self.silent(self.waiting_connection()));
            }
        }
        Ok(())
    }

    /// Waits until the only connection has something, or takes more.
    fn receive_or_send(&mut self, turn: Duration) -> Result<bool, LoadError> {
        let interest = PollFlags::IN | PollFlags::OUT;
        let mut sockets = [PollFd::new(&self.connections[0].stream, interest)];
        match rustix::event::poll(&mut sockets, Some(&timeout(turn))) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(LoadError::system("poll", error)),
        }
        self.receive(0, false)?;
        self.write(0)?;
        Ok(true)
    }

    fn spin_over_one(&mut self) -> Result<(), LoadError> {
        let (since, began) = (Instant::now(), self.time());
        while !self.is_stopped() {
            for _ in 0..SPINS {
                if self.receive(0, false)? {
                    self.polled(began, self.now);
                    return Ok(());
                }
            }
            if since.elapsed() > self.plan.timeout {
                return Err(self.silent(0));
            }
        }
        Ok(())
    }

    fn spin_over_many(&mut self) -> Result<(), LoadError> {
        let (since, began) = (Instant::now(), self.time());
        while !self.take_ready(Duration::ZERO)? && !self.is_stopped() {
            if since.elapsed() >= self.plan.timeout {
                return Err(self.silent(self.waiting_connection()));
            }
            self.polled(began.max(self.now), self.time());
            self.now = self.time();
        }
        Ok(())
    }

    /// Waits for so long until any connection is ready, and serves those that are. Whether there
    /// was any.
    fn take_ready(&mut self, patience: Duration) -> Result<bool, LoadError> {
        let Some(epoll) = &self.epoll else { return Ok(false) };
        let mut events = [const { std::mem::MaybeUninit::<epoll::Event>::uninit() }; EVENTS];
        let since = Instant::now();
        let ready = loop {
            match epoll::wait(epoll, &mut events, Some(&timeout(patience))) {
                Ok(([], _)) if since.elapsed() >= patience => return Ok(false),
                Ok(([], _)) | Err(Errno::INTR) => {}
                Ok((ready, _)) => break ready,
                Err(error) => return Err(LoadError::system("epoll_wait", error)),
            }
        };
        for event in ready {
            let (flags, data) = (event.flags, event.data);
            let at = data.u64() as usize;
            if flags.contains(EventFlags::OUT) {
                self.write(at)?;
            }
            if !(flags & (EventFlags::IN | EventFlags::HUP | EventFlags::ERR)).is_empty() {
                self.receive(at, false)?;
            }
        }
        Ok(true)
    }

    /// Receives what is there, checks the replies in it and sends the next requests. Whether
    /// anything was there.
    fn receive(&mut self, at: usize, wait: bool) -> Result<bool, LoadError> {
        let connection = &mut self.connections[at];
        let count = match connection.receive(&mut self.scratch, wait) {
            Ok(Some(count)) if count > 0 => count,
            Ok(None) => return Ok(false),
            Ok(Some(_)) | Err(Errno::CONNRESET | Errno::PIPE) => return Err(self.closed(at)),
            Err(error) => return Err(LoadError::system("recv", error)),
        };
        self.now = nanoseconds(self.clock.elapsed());
        if matches!(self.phase, Phase::Measuring { .. }) {
            self.measured.bytes_received += count as u64;
            let silence = self.now.saturating_sub(self.heard);
            // An open loop may have had nothing to wait for.
            if silence >= STALL && self.pacing.is_none() {
                self.measured.stalls += 1;
                self.measured.longest_stall_ns = self.measured.longest_stall_ns.max(silence);
            }
        }
        self.heard = self.now;
        // Replies are read where they were received, unless the first one began earlier.
        let scratch = std::mem::take(&mut self.scratch);
        let mut held = std::mem::take(&mut self.connections[at].partial);
        let joined = !held.is_empty();
        if joined {
            held.extend_from_slice(&scratch[..count]);
        }
        let bytes = if joined { &held[..] } else { &scratch[..count] };
        let mut used = 0;
        loop {
            let found = next_reply(self.framing, &bytes[used..])
                .map_err(|source| LoadError::Frame { connection: self.connections[at].number, source })?;
            let Some(reply) = found else { break };
            used += reply.used;
            self.complete(at, &reply)?;
        }
        if joined {
            let left = held.len() - used;
            held.copy_within(used.., 0);
            held.resize(left, 0);
        } else {
            held.extend_from_slice(&scratch[used..count]);
        }
        self.connections[at].partial = held;
        self.scratch = scratch;
        self.write(at)?;
        Ok(true)
    }

    fn complete(&mut self, at: usize, received: &Received<'_>) -> Result<(), LoadError> {
        let Received { header, key, payload, is_refusal, .. } = received;
        let connection = &mut self.connections[at];
        let number = connection.number;
        let wrong = |problem: String| LoadError::Wrong { connection: number, request: header.request, problem };
        let answered = connection.answered(header.request);
        let Some(request) = connection.complete(answered) else {
            return Err(wrong("no request in flight has this number".into()));
        };
        self.in_flight -= 1;
        let Some(status) = Status::from_number(header.status) else {
            return Err(wrong(format!("status {} is unknown", header.status)));
        };
        let window = match self.phase {
            Phase::Measuring { since, .. } => since..Nanoseconds::MAX,
            Phase::Draining { since, ended } => since..ended,
            Phase::WarmUp { .. } => Nanoseconds::MAX..Nanoseconds::MAX,
        };
        let is_measuring = matches!(self.phase, Phase::Measuring { .. });
        if status.is_error() || *is_refusal {
            let (kind, words) = if *is_refusal {
                ("error", String::from_utf8_lossy(payload).into_owned())
            } else {
                (status.name(), words(payload))
            };
            if is_measuring {
                *self.measured.refused.entry(kind.to_owned()).or_default() += 1;
            }
            self.measured.last_refusal = Some(words);
            return Ok(());
        }
        if header.flags & MORE != 0 {
            return Err(wrong("says that more parts follow, which this operation does not have".into()));
        }
        self.workload
            .check(request.tag, &Reply { status, sequence: header.extra, key: *key, payload })
            .map_err(wrong)?;
        if self.pacing.is_some() {
            self.measured.answer_due(request.sent, self.now, &window);
        } else if is_measuring {
            self.measured.answered += 1;
            if request.sent >= window.start {
                self.measured.latencies.saturating_record(self.now.saturating_sub(request.sent));
            }
        }
        Ok(())
    }

    /// Fills the connection up to its depth, unless requests are due at times of their own, and
    /// sends.
    fn write(&mut self, at: usize) -> Result<(), LoadError> {
        if !matches!(self.phase, Phase::Draining { .. }) && self.pacing.is_none() {
            while self.budget > 0 && self.begin(at, None) {}
        }
        self.flush(at)
    }

    /// Writes the connection's next request. `false` where it has no room, or nothing to send.
    fn begin(&mut self, at: usize, due: Option<Nanoseconds>) -> bool {
        let connection = &mut self.connections[at];
        if connection.exhausted {
            return false;
        }
        let Some(number) = connection.next_number() else { return false };
        let Some(tag) = self.workload.write(connection.lane, number, &mut connection.out) else {
            connection.exhausted = true;
            return false;
        };
        connection.begin(tag, due);
        self.in_flight += 1;
        self.budget -= 1;
        true
    }

    /// Sends what is written, as far as the socket takes it.
    fn flush(&mut self, at: usize) -> Result<(), LoadError> {
        let connection = &mut self.connections[at];
        if !connection.has_unsent() {
            return Ok(());
        }
        connection.stamp(nanoseconds(self.clock.elapsed()));
        let sent = match connection.send() {
            Ok(sent) => sent,
            Err(Errno::CONNRESET | Errno::PIPE) => return Err(self.closed(at)),
            Err(error) => return Err(LoadError::system("send", error)),
        };
        if matches!(self.phase, Phase::Measuring { .. }) {
            self.measured.bytes_sent += sent as u64;
        }
        let blocks = connection.has_unsent();
        if let Some(epoll) = self.epoll.as_ref().filter(|_| connection.is_watched_for_room != blocks) {
            connection.is_watched_for_room = blocks;
            let interest = if blocks { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(epoll, &connection.stream, EventData::new_u64(at as u64), interest)
                .map_err(|error| LoadError::system("epoll_ctl", error))?;
        }
        Ok(())
    }

    fn closed(&self, at: usize) -> LoadError {
        let connection = &self.connections[at];
        LoadError::Closed {
            address: connection.address,
            connection: connection.number,
            unanswered: connection.in_flight(),
            last_refusal: self.measured.last_refusal.clone(),
        }
    }

    fn silent(&self, at: usize) -> LoadError {
        let connection = &self.connections[at];
        LoadError::Silent {
            address: connection.address,
            connection: connection.number,
            unanswered: connection.in_flight(),
            waited: self.plan.timeout,
        }
    }
}

/// An epoll instance that reports each connection by its place in the list.
fn watch(connections: &[Connection]) -> Result<OwnedFd, LoadError> {
    let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|error| LoadError::system("epoll_create", error))?;
    for (at, connection) in connections.iter().enumerate() {
        epoll::add(&epoll, &connection.stream, EventData::new_u64(at as u64), EventFlags::IN)
            .map_err(|error| LoadError::system("epoll_ctl", error))?;
    }
    Ok(epoll)
}

/// CPU time that this thread has used, in seconds.
fn thread_cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn nanoseconds(duration: Duration) -> Nanoseconds {
    u64::try_from(duration.as_nanos()).unwrap_or(Nanoseconds::MAX)
}

fn timeout(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}
