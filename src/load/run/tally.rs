//! What a thread counts in each phase: it warms up, measures, and takes the last answers.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::measured::Measured;
use crate::pacing::Pacing;
use crate::{LoadError, ServerCpu};

/// Nanoseconds of the run's clock.
pub(super) type Nanoseconds = u64;

/// How long a run that is told to stop waits for the answers that are under way.
const LAST_ANSWERS: Nanoseconds = 1_000_000_000;
/// A time without answers from which on it is called a stall.
const STALL: Nanoseconds = 1_000_000_000;

#[derive(Clone, Copy, Debug)]
enum Phase {
    WarmUp {
        until: Nanoseconds,
    },
    Measuring {
        since: Nanoseconds,
        until: Nanoseconds,
    },
    /// Nothing more is sent. In an open loop the last latencies still count: those of requests that
    /// were due while measuring.
    Draining {
        since: Nanoseconds,
        ended: Nanoseconds,
    },
}

/// The phase of a run, and what it has counted.
pub(super) struct Tally {
    phase: Phase,
    measured: Measured,
    /// Where the server's CPU time is read when measuring begins and when it ends.
    cpu: Option<ServerCpu>,
    /// The thread's own CPU time when measuring began, in seconds.
    cpu_before: f64,
    is_open_loop: bool,
    /// When bytes were last received.
    heard: Nanoseconds,
}

impl Tally {
    /// Starts in the warm-up: nothing is measured before [`Tally::begin`].
    pub(super) fn new(cpu: Option<ServerCpu>, is_open_loop: bool) -> Self {
        let phase = Phase::WarmUp { until: Nanoseconds::MAX };
        Self { phase, measured: Measured::new(), cpu, cpu_before: 0.0, is_open_loop, heard: 0 }
    }

    pub(super) fn warm_up(&mut self, until: Nanoseconds) {
        self.phase = Phase::WarmUp { until };
    }

    /// Reads the CPU times that measuring starts from.
    pub(super) fn read_before(&mut self) -> Result<(), LoadError> {
        if let Some(cpu) = &mut self.cpu {
            let before = cpu.read()?;
            self.measured.cpu = Some((before, before));
        }
        self.cpu_before = thread_cpu();
        self.measured.polled = 0.0;
        Ok(())
    }

    pub(super) fn begin(&mut self, since: Nanoseconds, until: Nanoseconds) {
        self.phase = Phase::Measuring { since, until };
    }

    /// Ends measuring. What was due and never sent counts with the time that it has waited.
    pub(super) fn end(
        &mut self,
        ended: Nanoseconds,
        pacing: Option<&mut Pacing>,
    ) -> Result<(), LoadError> {
        let Phase::Measuring { since, .. } = self.phase else { return Ok(()) };
        let Measured { latencies, overdue, cpu, seconds, load_cpu, .. } = &mut self.measured;
        *seconds = ended.saturating_sub(since) as f64 / 1e9;
        *load_cpu = thread_cpu() - self.cpu_before;
        if let (Some(read), Some((_, after))) = (&mut self.cpu, cpu) {
            *after = read.read()?;
        }
        if let Some(pacing) = pacing {
            *overdue = pacing.give_up(since, ended, |waited| latencies.saturating_record(waited));
        }
        self.phase = Phase::Draining { since, ended };
        Ok(())
    }

    pub(super) fn is_warming_up(&self) -> bool {
        matches!(self.phase, Phase::WarmUp { .. })
    }

    pub(super) fn is_measuring(&self) -> bool {
        matches!(self.phase, Phase::Measuring { .. })
    }

    pub(super) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. })
    }

    /// Whether the present phase has reached its end.
    pub(super) fn is_over(&self, now: Nanoseconds) -> bool {
        match self.phase {
            Phase::WarmUp { until } | Phase::Measuring { until, .. } => now >= until,
            Phase::Draining { .. } => false,
        }
    }

    /// Whether a run that is told to stop has waited long enough for the last answers.
    pub(super) fn gives_up(&self, now: Nanoseconds) -> bool {
        matches!(
            self.phase,
            Phase::Draining { ended, .. } if now > ended.saturating_add(LAST_ANSWERS)
        )
    }

    /// Counts a time in which the thread polled without result, if it is measuring.
    pub(super) fn polled(&mut self, began: Nanoseconds, ended: Nanoseconds) {
        if self.is_measuring() {
            self.measured.polled += ended.saturating_sub(began) as f64 / 1e9;
        }
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        if self.is_measuring() {
            self.measured.bytes_sent += bytes as u64;
        }
    }

    pub(super) fn received(&mut self, bytes: usize, now: Nanoseconds) {
        if self.is_measuring() {
            self.measured.bytes_received += bytes as u64;
            let silence = now.saturating_sub(self.heard);
            // An open loop may have had nothing to wait for.
            if silence >= STALL && !self.is_open_loop {
                self.measured.stalls += 1;
                self.measured.longest_stall_ns = self.measured.longest_stall_ns.max(silence);
            }
        }
        self.heard = now;
    }

    pub(super) fn refused(&mut self, kind: &str, words: String) {
        if self.is_measuring() {
            *self.measured.refused.entry(kind.to_owned()).or_default() += 1;
        }
        self.measured.last_refusal = Some(words);
    }

    /// Counts the answer to a request that was sent, or in an open loop due, at `sent`.
    pub(super) fn answered(&mut self, sent: Nanoseconds, now: Nanoseconds) {
        let window = self.window();
        if self.is_open_loop {
            self.measured.answer_due(sent, now, &window);
        } else if self.is_measuring() {
            self.measured.answered += 1;
            if sent >= window.start {
                self.measured.latencies.saturating_record(now.saturating_sub(sent));
            }
        }
    }

    fn window(&self) -> Range<Nanoseconds> {
        match self.phase {
            Phase::Measuring { since, .. } => since..Nanoseconds::MAX,
            Phase::Draining { since, ended } => since..ended,
            Phase::WarmUp { .. } => Nanoseconds::MAX..Nanoseconds::MAX,
        }
    }

    /// Requests answered or refused so far.
    pub(super) fn completed(&self) -> u64 {
        self.measured.completed()
    }

    pub(super) fn last_refusal(&self) -> Option<String> {
        self.measured.last_refusal.clone()
    }

    /// What was measured; `unanswered` requests were in flight at the end.
    pub(super) fn finish(self, unanswered: usize) -> Measured {
        Measured { unanswered: unanswered as u64, ..self.measured }
    }
}

/// A run's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> Nanoseconds {
        nanoseconds(self.0.elapsed())
    }
}

pub(super) fn nanoseconds(duration: Duration) -> Nanoseconds {
    u64::try_from(duration.as_nanos()).unwrap_or(Nanoseconds::MAX)
}

/// CPU time that this thread has used, in seconds.
fn thread_cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is counted when replies come at these times, in ms. Measuring begins with the first.
    fn heard_at(times: [u64; 4], is_open_loop: bool) -> Measured {
        let mut tally = Tally::new(None, is_open_loop);
        tally.received(64, times[0] * 1_000_000);
        tally.begin(times[0] * 1_000_000, Nanoseconds::MAX);
        for time in &times[1..] {
            tally.received(64, time * 1_000_000);
        }
        tally.finish(0)
    }

    #[test]
    fn a_second_without_answers_is_a_stall_and_the_longest_is_told() {
        let measured = heard_at([5_000, 6_000, 6_999, 9_000], false);
        assert_eq!((measured.stalls, measured.longest_stall_ns), (2, 2_001_000_000));
        assert_eq!(measured.bytes_received, 3 * 64);
    }

    #[test]
    fn an_open_loop_that_has_nothing_to_wait_for_has_no_stalls() {
        assert_eq!(heard_at([0, 5_000, 10_000, 15_000], true).stalls, 0);
    }
}
