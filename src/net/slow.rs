//! The last requests of a core that took long, with what each stage took.
//!
//! A request takes from the turn in which its first bytes came until the turn in which the kernel
//! has taken all of its answer. All times are those of turns: no clock is read for a request.
//!
//! What is known of an answer goes with the send that carries it ([`leaving`]), and is looked at
//! when that has ended. Of several slow answers in one send the one that began first is kept, of
//! several of one operation in one turn the one that took longest. The others are counted. So
//! neither a client that asks for a thousand things at once nor one slow commit pushes out what was
//! kept before.
//!
//! Cost of a request that is not slow: some stores, and a comparison for each send. No clock, no
//! allocation in steady state. What is kept has its memory from the start.

mod leaving;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sutra_wire::{Counter, Opcode, Status};
use tracing::{Level, debug};

use crate::in_flight::Unanswered;
use crate::log_limit::LogLimit;
use crate::outbox::LeavingKey;
pub(crate) use leaving::Answered;
use leaving::Leaving;

/// Requests that a core keeps: 24 KiB, and more than a person reads.
const KEPT: usize = 128;
/// Lines that a core logs in a second, where the log's level is `debug`.
const LINES: u32 = 5;

/// A request that took long.
#[derive(Clone, Copy, Debug)]
pub struct SlowRequest {
    /// When it was done with.
    pub ended: Instant,
    /// The number of the operation that it asked for; any number may be asked for.
    pub opcode: u8,
    /// What it was answered.
    pub status: Status,
    /// Who asked.
    pub peer: SocketAddr,
    /// The id that the service has named ([`crate::Context::about`]).
    pub subject: Option<[u8; 16]>,
    /// Its length as it came.
    pub bytes_in: usize,
    /// The same of its answer.
    pub bytes_out: usize,
    /// From its first bytes to its end.
    pub took: Duration,
    /// What of that each stage took; together they are all of it.
    pub stages: SlowStages,
    /// Others that were slow together with it, and are not kept.
    pub others: u32,
}

/// How long a request was in each stage. A stage that it did not go through, or that is not known,
/// is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowStages {
    /// From its first bytes until it was whole; where it came in more than one turn.
    pub receive: Option<Duration>,
    /// Until the service took it; where that had no room at once.
    pub wait: Option<Duration>,
    /// Until it was answered, or its write was in the log.
    pub execute: Option<Duration>,
    /// From then until the write was answered.
    pub commit: Option<Duration>,
    /// From the end of the turn that answered until the kernel had taken the answer, or the
    /// connection had gone.
    pub send: Option<Duration>,
}

/// What a core knows of its slow requests.
#[derive(Clone, Debug, Default)]
pub struct SlowRequests {
    /// How long a request must take to be slow; `None` where none is looked for.
    pub threshold: Option<Duration>,
    /// How many there were since the start.
    pub seen: u64,
    /// The last of them, the newest last.
    pub kept: Vec<SlowRequest>,
}

/// Looks for slow requests, and keeps the last ones.
pub(crate) struct Slow {
    threshold: Option<Duration>,
    seen: u64,
    /// Up to [`KEPT`], the newest last.
    kept: VecDeque<SlowRequest>,
    leaving: Leaving,
    /// Answers of this turn that are in no send yet, with who gets them.
    unsent: Vec<(Answered, SocketAddr)>,
    log_limit: LogLimit,
}

impl Slow {
    /// Looks for requests that take at least so long.
    pub(crate) fn new(threshold: Option<Duration>) -> Self {
        Self {
            threshold,
            seen: 0,
            kept: VecDeque::with_capacity(if threshold.is_some() { KEPT } else { 0 }),
            leaving: Leaving::default(),
            unsent: Vec::new(),
            log_limit: LogLimit::new(LINES),
        }
    }

    /// An answer was added to what leaves by a connection's next send, whose other answers go by
    /// this key.
    pub(crate) fn leaves(&mut self, key: &mut Option<LeavingKey>, answered: Answered) {
        if let Some(threshold) = self.threshold {
            self.leaving.add(key, answered, threshold);
        }
    }

    /// An answer does not leave yet: how long that will take is not told.
    pub(crate) fn waits(&mut self, answered: Answered, peer: SocketAddr) {
        if self.threshold.is_some() {
            self.unsent.push((answered, peer));
        }
    }

    /// The turn ends at this moment.
    pub(crate) fn turn_ended(&mut self, now: Instant) {
        self.leaving.turn_ended(now);
        while let Some((mut answered, peer)) = self.unsent.pop() {
            answered.ready = now;
            if self.threshold.is_some_and(|threshold| answered.took(now) >= threshold) {
                self.keep(&answered, 0, peer, now, None);
            }
        }
    }

    /// A send has ended: the kernel has all that was in it. Or its connection has.
    pub(crate) fn left(&mut self, key: LeavingKey, peer: SocketAddr, now: Instant) {
        let Some(threshold) = self.threshold else { return };
        if let Some((first, others)) = self.leaving.ended(key, now, threshold) {
            let send = now.saturating_duration_since(first.ready);
            self.keep(&first, others, peer, now, Some(send));
        }
    }

    fn keep(
        &mut self,
        answered: &Answered,
        others: u32,
        peer: SocketAddr,
        ended: Instant,
        send: Option<Duration>,
    ) {
        let Answered { request, status, ready, bytes_out } = answered;
        let slow = SlowRequest {
            ended,
            opcode: request.opcode(),
            status: *status,
            peer,
            subject: request.subject(),
            bytes_in: request.bytes(),
            bytes_out: *bytes_out,
            took: answered.took(ended),
            stages: SlowStages { send, ..stages(request, *ready) },
            others,
        };
        self.seen += 1 + u64::from(others);
        if let Some(place) = self.together_with(&slow) {
            let kept = &mut self.kept[place];
            let others = kept.others.saturating_add(others).saturating_add(1);
            let longer = if slow.took > kept.took { slow } else { *kept };
            *kept = SlowRequest { others, ..longer };
            return;
        }
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(slow);
        if tracing::enabled!(Level::DEBUG)
            && let Some(left_out) = self.log_limit.admit(ended)
        {
            let operation = Opcode::from_number(slow.opcode).map_or("unknown", Opcode::name);
            let SlowRequest { took, stages, .. } = slow;
            let micros = |time: Option<Duration>| time.map(|time| time.as_micros() as u64);
            debug!(
                %peer,
                operation,
                status = status.name(),
                took_us = took.as_micros() as u64,
                receive_us = micros(stages.receive),
                wait_us = micros(stages.wait),
                execute_us = micros(stages.execute),
                commit_us = micros(stages.commit),
                send_us = micros(stages.send),
                left_out,
                "slow request"
            );
        }
    }

    /// The place of one that was done with in the same turn, asked for the same and got the same.
    /// Those of one turn are the last that were kept, and differ in one of the two.
    fn together_with(&self, slow: &SlowRequest) -> Option<usize> {
        let of_this_turn = self.kept.iter().rev().take_while(|kept| kept.ended == slow.ended);
        let what = |slow: &SlowRequest| (slow.opcode, slow.status);
        let back = of_this_turn.map(what).position(|kept| kept == what(slow))?;
        Some(self.kept.len() - 1 - back)
    }

    /// What is known of them.
    pub(crate) fn requests(&self) -> SlowRequests {
        let kept = self.kept.iter().copied().collect();
        SlowRequests { threshold: self.threshold, seen: self.seen, kept }
    }

    /// Adds their count to `out`.
    pub(crate) fn report(&self, out: &mut Vec<Counter>) {
        out.push(Counter { name: "slow_requests".into(), value: self.seen });
    }
}

/// What each stage took until a request's answer was ready.
fn stages(request: &Unanswered, ready: Instant) -> SlowStages {
    let some = |time: Duration| (!time.is_zero()).then_some(time);
    let taken = request.arrived() + request.wait();
    let executed = request.logged().unwrap_or(ready);
    SlowStages {
        receive: some(request.receive()),
        wait: some(request.wait()),
        execute: Some(executed.saturating_duration_since(taken)),
        commit: request.logged().map(|logged| ready.saturating_duration_since(logged)),
        send: None,
    }
}
