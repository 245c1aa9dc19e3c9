//! The loop of a run: wait, receive, check, write again.
//!
//! How a thread waits: with one connection it sleeps in the receive itself. With more it sleeps in
//! epoll, level-triggered, so that a ready connection costs one receive. With `spin`, and in an
//! open loop, it never sleeps. A closed loop keeps the latencies of requests that are sent and
//! answered while measuring, and its rate counts what is answered then. An open loop counts what
//! was due while measuring.

mod open_loop;
mod sockets;
mod tally;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use sutra_wire::{FrameBuffer, MORE, Status};

use crate::connection::Connection;
use crate::handshake::words;
use crate::measured::Measured;
use crate::pacing::Pacing;
use crate::scan::{Received, next_reply};
use crate::{Framing, Length, LoadError, Plan, Reply, Report, ServerCpu, Workload};
use sockets::{Failed, LOOK, Sockets};
use tally::{Clock, Nanoseconds, Tally, nanoseconds};

/// The most bytes that one receive takes: many small replies of a deep connection, or a good part
/// of a large one.
const RECEIVE_BYTES: usize = 256 << 10;
/// How many empty receives in a row a spinning thread makes before it looks at the clock.
const SPINS: u32 = 1 << 16;

/// Drives one workload on each thread as `plan` says, and reports the results of all together.
/// `cpu` is read when measuring begins and when it ends. Threads share nothing while they run.
pub fn run<W: Workload>(
    plan: &Plan,
    workloads: Vec<W>,
    cpu: Option<ServerCpu>,
) -> Result<Report, LoadError> {
    let threads = workloads.len();
    plan.check(threads)?;
    let operation = workloads.first().map_or("", |workload| workload.name());
    let (mut cpu, mut cores) = (cpu, 1);
    let runs = workloads
        .into_iter()
        .enumerate()
        .map(|(thread, workload)| {
            Run::open(plan, (thread, threads), workload, cpu.take(), &mut cores)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let measured = std::thread::scope(|scope| {
        let running: Vec<_> =
            runs.into_iter().map(|run| scope.spawn(move || run.drive())).collect();
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

/// Opens the plan's connections and makes one exchange on each, so that the server has set up for
/// each what it sets up for one that is used.
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
    for at in 0..run.sockets.count() {
        run.begin(at, None);
        run.flush(at)?;
    }
    while run.in_flight > 0 {
        run.wait()?;
    }
    match run.tally.last_refusal() {
        Some(words) => Err(LoadError::Wrong {
            connection: 0,
            request: 0,
            problem: format!("it was refused: {words}"),
        }),
        None => Ok(IdleConnections { _open: run.sockets.into_connections() }),
    }
}

/// One thread of a run.
struct Run<'p, W> {
    plan: &'p Plan,
    cpu_to_pin: Option<usize>,
    workload: W,
    framing: Framing,
    sockets: Sockets,
    scratch: FrameBuffer,
    in_flight: usize,
    /// Requests that may still be sent.
    budget: u64,
    /// When the requests of an open loop are due; `None` in a closed loop.
    pacing: Option<Pacing>,
    tally: Tally,
    clock: Clock,
    now: Nanoseconds,
}

impl<'p, W: Workload> Run<'p, W> {
    /// Opens the thread's connections. `cores` is how many the server has, as far as is known; its
    /// Hello corrects it.
    fn open(
        plan: &'p Plan,
        (thread, threads): (usize, usize),
        mut workload: W,
        cpu: Option<ServerCpu>,
        cores: &mut u16,
    ) -> Result<Self, LoadError> {
        let framing = workload.framing();
        let (sockets, routes) = Sockets::open(plan, (thread, threads), framing, cores)?;
        workload.open(&routes);
        let mut scratch = FrameBuffer::new();
        scratch.resize(RECEIVE_BYTES, 0);
        Ok(Self {
            plan,
            cpu_to_pin: plan.pin.get(thread).copied(),
            workload,
            framing,
            sockets,
            scratch,
            in_flight: 0,
            budget: u64::MAX,
            pacing: plan.rate.map(|rate| Pacing::new(rate / threads as f64, 0)),
            tally: Tally::new(cpu, plan.rate.is_some()),
            clock: Clock::start(),
            now: 0,
        })
    }

    fn drive(mut self) -> Result<Measured, LoadError> {
        if let Some(id) = self.cpu_to_pin
            && !core_affinity::set_for_current(core_affinity::CoreId { id })
        {
            return Err(LoadError::Plan {
                problem: format!("can't pin to CPU {id}; is it one of this process's?"),
            });
        }
        self.clock = Clock::start();
        self.tally.warm_up(nanoseconds(self.plan.warm_up));
        if self.plan.warm_up.is_zero() {
            self.begin_measuring()?;
        }
        if self.pacing.is_some() {
            return self.drive_open_loop();
        }
        (0..self.sockets.count()).try_for_each(|at| self.write(at))?;
        loop {
            self.advance()?;
            if self.in_flight == 0 || self.is_stopped() && self.tally.gives_up(self.clock.now()) {
                return Ok(self.tally.finish(self.in_flight));
            }
            self.wait()?;
        }
    }

    fn is_stopped(&self) -> bool {
        self.plan.stop.load(Ordering::Relaxed)
    }

    /// Goes on to the next phase when its time has come, or when there is nothing left to send.
    fn advance(&mut self) -> Result<(), LoadError> {
        if self.tally.is_warming_up() && self.is_phase_over() {
            self.begin_measuring()?;
        }
        if self.tally.is_measuring() && self.is_phase_over() {
            self.tally.end(self.clock.now(), self.pacing.as_mut())?;
        }
        Ok(())
    }

    fn is_phase_over(&self) -> bool {
        self.tally.is_over(self.now) || self.has_nothing_to_do() || self.is_stopped()
    }

    /// Whether nothing is in flight and, in an open loop, nothing more will be sent.
    fn has_nothing_to_do(&self) -> bool {
        self.in_flight == 0
            && (self.pacing.is_none() || self.budget == 0 || self.sockets.are_exhausted())
    }

    fn begin_measuring(&mut self) -> Result<(), LoadError> {
        self.tally.read_before()?;
        let since = self.clock.now();
        if let Some(pacing) = &mut self.pacing {
            // What was due in the warm-up and not sent would be answered while measuring, and would
            // not count. Only what is in flight is carried over.
            pacing.pass_over(since);
        }
        let until = match self.plan.length {
            Length::Duration(duration) => since.saturating_add(nanoseconds(duration)),
            Length::Requests(count) => {
                self.budget = count.saturating_sub(self.in_flight as u64);
                Nanoseconds::MAX
            }
        };
        self.tally.begin(since, until);
        Ok(())
    }

    /// Waits until something has arrived and handles it, or until the run is to stop. Waits for the
    /// plan's timeout at most.
    fn wait(&mut self) -> Result<(), LoadError> {
        match (self.sockets.are_many(), self.sockets.at(0).has_unsent(), self.plan.spin) {
            (true, _, false) => self.until_heard(Self::take_ready),
            (true, _, true) => self.spin_over_many(),
            (false, true, _) => self.until_heard(Self::receive_or_send),
            (false, false, false) => self.until_heard(|run, _| run.receive(0, true)),
            (false, false, true) => self.spin_over_one(),
        }
    }

    /// Calls `look` again and again until it finds something or the run is to stop. Fails when
    /// nothing was there for the plan's timeout.
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
                return Err(self.silent());
            }
        }
        Ok(())
    }

    /// Waits at most `turn` until the only connection has bytes, or room for more. Returns whether
    /// it has.
    fn receive_or_send(&mut self, turn: Duration) -> Result<bool, LoadError> {
        if !self.sockets.poll_only(turn)? {
            return Ok(false);
        }
        self.receive(0, false)?;
        self.write(0)?;
        Ok(true)
    }

    fn spin_over_one(&mut self) -> Result<(), LoadError> {
        let (since, began) = (Instant::now(), self.clock.now());
        while !self.is_stopped() {
            for _ in 0..SPINS {
                if self.receive(0, false)? {
                    self.tally.polled(began, self.now);
                    return Ok(());
                }
            }
            if since.elapsed() > self.plan.timeout {
                return Err(self.silent());
            }
        }
        Ok(())
    }

    fn spin_over_many(&mut self) -> Result<(), LoadError> {
        let (since, began) = (Instant::now(), self.clock.now());
        while !self.take_ready(Duration::ZERO)? && !self.is_stopped() {
            if since.elapsed() >= self.plan.timeout {
                return Err(self.silent());
            }
            self.tally.polled(began.max(self.now), self.clock.now());
            self.now = self.clock.now();
        }
        Ok(())
    }

    /// Waits at most `patience` until any connection is ready, and serves those that are. Returns
    /// whether there was any.
    fn take_ready(&mut self, patience: Duration) -> Result<bool, LoadError> {
        let ready = self.sockets.wait(patience)?;
        for (at, flags) in &ready {
            if flags.contains(EventFlags::OUT) {
                self.write(*at)?;
            }
            if !(*flags & (EventFlags::IN | EventFlags::HUP | EventFlags::ERR)).is_empty() {
                self.receive(*at, false)?;
            }
        }
        let any = !ready.is_empty();
        self.sockets.give_back(ready);
        Ok(any)
    }

    /// Receives what is there, checks the replies in it, and sends the next requests. Returns
    /// whether anything was there.
    fn receive(&mut self, at: usize, wait: bool) -> Result<bool, LoadError> {
        let received = self
            .sockets
            .receive(at, &mut self.scratch, wait)
            .map_err(|failed| self.error(at, failed))?;
        let Some(count) = received else { return Ok(false) };
        self.now = self.clock.now();
        self.tally.received(count, self.now);
        // Replies are read in the receive buffer, unless the first one began in an earlier receive.
        let scratch = std::mem::take(&mut self.scratch);
        let mut held = std::mem::take(&mut self.sockets.at_mut(at).partial);
        let joined = !held.is_empty();
        if joined {
            held.extend_from_slice(&scratch[..count]);
        }
        let bytes = if joined { &held[..] } else { &scratch[..count] };
        let mut used = 0;
        loop {
            let found = next_reply(self.framing, &bytes[used..]).map_err(|source| {
                LoadError::Frame { connection: self.sockets.at(at).number, source }
            })?;
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
        self.sockets.at_mut(at).partial = held;
        self.scratch = scratch;
        self.write(at)?;
        Ok(true)
    }

    fn complete(&mut self, at: usize, received: &Received<'_>) -> Result<(), LoadError> {
        let Received { header, key, payload, is_refusal, .. } = received;
        let connection = self.sockets.at_mut(at);
        let number = connection.number;
        let wrong = |problem: String| LoadError::Wrong {
            connection: number,
            request: header.request,
            problem,
        };
        let answered = connection.answered(header.request);
        let Some(request) = connection.complete(answered) else {
            return Err(wrong("no request in flight has this number".into()));
        };
        self.in_flight -= 1;
        let Some(status) = Status::from_number(header.status) else {
            return Err(wrong(format!("status {} is unknown", header.status)));
        };
        if *is_refusal {
            self.tally.refused("error", String::from_utf8_lossy(payload).into_owned());
            return Ok(());
        }
        if status.is_error() {
            self.tally.refused(status.name(), words(payload));
            return Ok(());
        }
        if header.flags & MORE != 0 {
            return Err(wrong(
                "says that more parts follow, which this operation does not have".into(),
            ));
        }
        self.workload
            .check(request.tag, &Reply { status, sequence: header.extra, key: *key, payload })
            .map_err(wrong)?;
        self.tally.answered(request.sent, self.now);
        Ok(())
    }

    /// Fills the connection up to its depth and sends. In an open loop it only sends: there
    /// requests have times of their own.
    fn write(&mut self, at: usize) -> Result<(), LoadError> {
        if !self.tally.is_draining() && self.pacing.is_none() {
            while self.budget > 0 && self.begin(at, None) {}
        }
        self.flush(at)
    }

    /// Writes the connection's next request. Returns `false` if it has no room, or nothing to send.
    fn begin(&mut self, at: usize, due: Option<Nanoseconds>) -> bool {
        let connection = self.sockets.at_mut(at);
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
        if self.sockets.at(at).has_unsent() {
            let sent = self
                .sockets
                .flush(at, self.clock.now())
                .map_err(|failed| self.error(at, failed))?;
            self.tally.sent(sent);
        }
        Ok(())
    }

    fn silent(&self) -> LoadError {
        self.error(self.sockets.waiting(), Failed::Silent)
    }

    fn error(&self, at: usize, failed: Failed) -> LoadError {
        self.sockets.error(at, failed, self.tally.last_refusal())
    }
}
