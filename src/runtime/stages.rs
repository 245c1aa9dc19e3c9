//! Where a core's time goes: in one turn of [`EVERY`] or so, a clock is switched from one stage of
//! the work to the next.
//!
//! Promises: each moment of a timed turn is charged to exactly one stage, less what reading the
//! clock takes. In a turn that is not timed a switch costs a predictable branch, some eight a
//! request. The turns are picked at random, so that no rhythm of the load favours any.
//!
//! Relies on the time-stamp counter of x86-64 processors, whose rate has been constant for fifteen
//! years. Elsewhere on the system's monotonic clock.

use std::time::{Duration, Instant};

/// What a core is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Completions, receive buffers, finding the connection.
    Receive,
    /// Frame header, checksum, validation of the archive.
    Parse,
    /// The service itself: a look into the table, an entry in the log.
    LookUp,
    /// Wording replies and gathering them in a connection's send buffer.
    Reply,
    /// Queueing the sends of the turn.
    Send,
    /// Messages from and to other cores.
    Messages,
    /// Slices of long jobs.
    LongWork,
    /// Timers, accepted connections, housekeeping.
    Other,
    /// tokio's share: accepting connections.
    Tokio,
    /// In the ring's system call: sends, receives and writes are made there, and interrupts
    /// handled.
    Kernel,
    /// Submitting writes and syncs of files, in system calls of their own.
    Write,
    /// Asleep, or polling in vain.
    Wait,
}

impl Stage {
    const COUNT: usize = 12;

    /// Every stage with the name of its counter, which counts ns.
    pub const NAMED: [(Stage, &'static str); Stage::COUNT] = [
        (Stage::Receive, "profile_receive_ns"),
        (Stage::Parse, "profile_parse_ns"),
        (Stage::LookUp, "profile_look_up_ns"),
        (Stage::Reply, "profile_reply_ns"),
        (Stage::Send, "profile_send_ns"),
        (Stage::Messages, "profile_messages_ns"),
        (Stage::LongWork, "profile_long_work_ns"),
        (Stage::Other, "profile_other_ns"),
        (Stage::Tokio, "profile_tokio_ns"),
        (Stage::Kernel, "profile_kernel_ns"),
        (Stage::Write, "profile_write_ns"),
        (Stage::Wait, "profile_wait_ns"),
    ];
}

/// One turn of about so many is timed. Some hundred readings of the clock take a few per cent of
/// that turn, so less than a thousandth of all turns' time.
const EVERY: u32 = 64;

/// Reads the clock, in ticks of its own.
type Ticks = fn() -> u64;

/// The clock of one core: where its time goes, stage by stage.
#[derive(Debug)]
pub(crate) struct StageClock {
    is_timing: bool,
    current: Stage,
    /// What the core was doing when it entered the kernel.
    outside: Stage,
    since: u64,
    /// CPU time of the thread when the kernel was entered, in ns.
    cpu_since: u64,
    spent: [u64; Stage::COUNT],
    /// Turns until the next timed one.
    countdown: u32,
    random: u32,
    turns: u64,
    requests: u64,
    read: Ticks,
    /// What one reading takes, in ticks.
    reading: u64,
    started: (Instant, u64),
}

impl StageClock {
    pub(crate) fn new() -> Self {
        Self::reading(ticks)
    }

    fn reading(read: Ticks) -> Self {
        let reading =
            (0..256).map(|_| read().wrapping_neg().wrapping_add(read())).min().unwrap_or(0);
        Self {
            is_timing: false,
            current: Stage::Other,
            outside: Stage::Other,
            since: 0,
            cpu_since: 0,
            spent: [0; Stage::COUNT],
            countdown: EVERY,
            random: 0x9e37_79b9,
            turns: 0,
            requests: 0,
            read,
            reading,
            started: (Instant::now(), read()),
        }
    }

    /// A turn begins: the last one ends, and is charged to its end where it was timed.
    #[inline]
    pub(crate) fn begin_turn(&mut self) {
        self.end_turn();
        self.countdown -= 1;
        if self.countdown == 0 {
            // Marsaglia's xorshift: 1 to 2 EVERY - 1 turns until the next.
            self.random ^= self.random << 13;
            self.random ^= self.random >> 17;
            self.random ^= self.random << 5;
            self.countdown = 1 + self.random % (2 * EVERY - 1);
            self.is_timing = true;
            self.turns += 1;
            self.current = Stage::Receive;
            self.since = (self.read)();
        }
    }

    /// Ends the turn: time until the next one begins is charged to no stage.
    #[inline]
    pub(crate) fn end_turn(&mut self) {
        if self.is_timing {
            self.charge();
            self.is_timing = false;
        }
    }

    /// The core begins something else; returns what it was doing. A branch where the turn is not
    /// timed.
    #[inline]
    pub(crate) fn enter(&mut self, stage: Stage) -> Stage {
        let before = self.current;
        if self.is_timing {
            self.charge();
            self.current = stage;
        }
        before
    }

    /// The core enters the kernel for this stage, and may sleep there.
    #[inline]
    pub(crate) fn enter_kernel(&mut self, stage: Stage) {
        if self.is_timing {
            self.charge();
            self.cpu_since = thread_cpu_ns();
            self.since = (self.read)();
            self.outside = self.current;
            self.current = stage;
        }
    }

    /// It is back, and goes on with what it was doing: what was no CPU time it has slept.
    #[inline]
    pub(crate) fn leave_kernel(&mut self) {
        if self.is_timing {
            let elapsed = (self.read)().saturating_sub(self.since);
            let worked = self.ticks_of(thread_cpu_ns().saturating_sub(self.cpu_since)).min(elapsed);
            self.spent[self.current as usize] += worked;
            self.spent[Stage::Wait as usize] += elapsed - worked;
            self.current = self.outside;
            self.since = (self.read)();
        }
    }

    /// A request is handed to the service.
    #[inline]
    pub(crate) fn count_request(&mut self) {
        self.requests += u64::from(self.is_timing);
    }

    fn charge(&mut self) {
        let now = (self.read)();
        // The counters of two CPUs may differ by some ticks, should an unpinned core's thread move.
        self.spent[self.current as usize] +=
            now.saturating_sub(self.since).saturating_sub(self.reading);
        self.since = now;
    }

    /// Ticks a ns, from the time that has passed since the start.
    fn rate(&self) -> f64 {
        let elapsed = self.started.0.elapsed().max(Duration::from_nanos(1)).as_nanos() as f64;
        (self.read)().saturating_sub(self.started.1) as f64 / elapsed
    }

    fn ticks_of(&self, ns: u64) -> u64 {
        (ns as f64 * self.rate()) as u64
    }

    /// Every counter with its name: timed turns, the requests in them, and the ns of each stage.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let rate = self.rate();
        let ns = move |ticks: u64| if rate > 0.0 { (ticks as f64 / rate) as u64 } else { 0 };
        let stages = Stage::NAMED.map(|(stage, name)| (name, ns(self.spent[stage as usize])));
        [("profile_turns", self.turns), ("profile_requests", self.requests)]
            .into_iter()
            .chain(stages)
    }
}

#[cfg(target_arch = "x86_64")]
fn ticks() -> u64 {
    // SAFETY: RDTSC is there on every x86-64, reads a counter, and touches no memory. Where a
    // kernel forbids it (prctl(2), PR_SET_TSC), which nothing does to itself by accident, the
    // process would get SIGSEGV.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// CPU time of this thread. A system call of some 0.1 µs: only in timed turns.
fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
    }

    fn fake() -> u64 {
        NOW.get()
    }

    fn pass(ticks: u64) {
        NOW.set(NOW.get() + ticks);
    }

    /// A clock in a timed turn.
    fn timed() -> StageClock {
        let mut clock = StageClock::reading(fake);
        clock.countdown = 1;
        clock.begin_turn();
        assert!(clock.is_timing);
        clock
    }

    #[test]
    fn each_moment_of_a_timed_turn_is_one_stages() {
        let mut clock = timed();
        pass(5);
        clock.enter(Stage::Parse);
        pass(7);
        let before = clock.enter(Stage::Reply);
        pass(11);
        clock.enter(before);
        pass(13);
        clock.begin_turn();
        let spent = |stage: Stage| clock.spent[stage as usize];
        assert_eq!((spent(Stage::Receive), spent(Stage::Parse), spent(Stage::Reply)), (5, 20, 11));
        assert_eq!(clock.spent.iter().sum::<u64>(), 36);
    }

    #[test]
    fn a_turn_that_is_not_timed_is_charged_to_nobody() {
        let mut clock = StageClock::reading(fake);
        clock.begin_turn();
        clock.enter(Stage::LookUp);
        pass(100);
        clock.count_request();
        clock.end_turn();
        assert_eq!((clock.turns, clock.requests, clock.spent.iter().sum::<u64>()), (0, 0, 0));
    }

    #[test]
    fn about_one_turn_of_so_many_is_timed() {
        let mut clock = StageClock::reading(fake);
        (0..EVERY * 1000).for_each(|_| clock.begin_turn());
        assert!((900..1100).contains(&clock.turns), "{}", clock.turns);
    }

    #[test]
    fn the_clock_goes_on_at_a_known_rate() {
        let clock = StageClock::new();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        assert!(clock.rate() > 0.0);
        let named: Vec<_> = clock.named().map(|(name, _)| name).collect();
        assert_eq!((named.len(), named[1], named[13]), (14, "profile_requests", "profile_wait_ns"));
    }
}
