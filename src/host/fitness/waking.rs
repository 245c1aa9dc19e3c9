//! How long two threads take to ask and answer over the loopback: once where both are asleep, and
//! once where neither sleeps.
//!
//! Both are cores of the server's runtime. Asleep, a question follows an answer after a pause, by
//! which both cores have parked: what is measured are two wake-ups and the loopback. Spinning, the
//! next question follows at once. The difference is what sleeping costs here: the kernel's wake-up,
//! the CPU's way out of idle, and under a hypervisor its own way back.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use sutra_runtime::{Config, Core, Event, Handler, Next, RuntimeError, Socket, Spin, TimerId};

use crate::fitness::{FitnessError, histogram, micros, outcome_of};

/// Bytes of a question, and of its answer.
const BYTES: usize = 64;
/// Between an answer and the next question, where both shall sleep. A core parks after a
/// millisecond without traffic, and timers come to the millisecond.
const PAUSE: Duration = Duration::from_millis(3);

const TIMER: TimerId = TimerId(0);

/// From question to answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// Half of the answers came no later, in µs.
    pub(crate) p50: f64,
    /// 99 of 100 came no later.
    pub(crate) p99: f64,
}

/// How both ends wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// They sleep before each question.
    Asleep,
    /// They spin until the next answer or question comes, which follows at once.
    Spinning,
}

/// Exchanges for so long between two cores on these CPUs.
pub(crate) fn measure(
    cpus: [usize; 2],
    waiting: Waiting,
    time: Duration,
) -> Result<Exchange, FitnessError> {
    // Adaptive spinning lasts longer than an exchange takes, and ends by itself after the last one.
    let (spin, pause) = match waiting {
        Waiting::Asleep => (Spin::Off, Some(PAUSE)),
        Waiting::Spinning => (Spin::Adaptive, None),
    };
    let (asks, answers) = connected()?;
    let (sender, outcome) = channel();
    let ends = Mutex::new([Some(asks), Some(answers)]);
    let pin = cpus[0] != cpus[1];
    let config = Config { cpus: cpus.to_vec(), pin, spin, ..Config::default() };
    let running = sutra_runtime::start(config, move |index, core| {
        let end = ends.lock().ok().and_then(|mut ends| ends[index].take());
        let socket = core.adopt(end.expect("each core begins once"))?;
        core.receive(socket);
        let asking = (index == 0).then(|| Asking::begin(core, pause, time, sender.clone()));
        Ok::<_, RuntimeError>(End { socket, asking, received: 0, is_closed: false })
    })?;
    let times = outcome_of(running, &outcome, time)?;
    Ok(Exchange { p50: micros(&times, 0.5), p99: micros(&times, 0.99) })
}

/// The two ends of a connection over the loopback.
fn connected() -> io::Result<(OwnedFd, OwnedFd)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    for end in [&near, &far] {
        end.set_nodelay(true)?;
        end.set_nonblocking(true)?;
    }
    Ok((near.into(), far.into()))
}

/// A core's end of the connection.
struct End {
    socket: Socket,
    /// `None` at the end that answers.
    asking: Option<Asking>,
    /// Bytes of a message that have come.
    received: usize,
    is_closed: bool,
}

/// The end that asks, and measures.
struct Asking {
    pause: Option<Duration>,
    until: Instant,
    asked: Instant,
    times: Histogram<u64>,
    outcome: Option<Sender<io::Result<Histogram<u64>>>>,
}

impl Asking {
    fn begin(
        core: &mut Core<()>,
        pause: Option<Duration>,
        time: Duration,
        outcome: Sender<io::Result<Histogram<u64>>>,
    ) -> Self {
        let now = Instant::now();
        // Both cores run by then.
        core.set_timer(TIMER, Some(now + PAUSE));
        let (until, times) = (now + time, histogram());
        Self { pause, until, asked: now, times, outcome: Some(outcome) }
    }

    fn end(&mut self, outcome: io::Result<Histogram<u64>>) {
        if let Some(sender) = self.outcome.take() {
            // Unheard only if the caller is gone.
            let _ = sender.send(outcome);
        }
    }

    /// An answer has come. Whether the next question follows at once.
    fn answered(&mut self, core: &mut Core<()>) -> bool {
        let now = Instant::now();
        let taken = u64::try_from((now - self.asked).as_nanos()).unwrap_or(u64::MAX);
        self.times.saturating_record(taken);
        if now >= self.until {
            let times = self.times.clone();
            self.end(Ok(times));
            return false;
        }
        match self.pause {
            None => true,
            Some(pause) => {
                core.set_timer(TIMER, Some(now + pause));
                false
            }
        }
    }
}

impl End {
    fn say(&mut self, core: &mut Core<()>) {
        let mut outgoing = core.outgoing();
        outgoing.bytes().extend_from_slice(&[0x5a; BYTES]);
        if let Some(asking) = &mut self.asking {
            asking.asked = Instant::now();
        }
        core.send(self.socket, outgoing);
    }

    fn fail(&mut self, problem: &str) {
        if let Some(asking) = &mut self.asking {
            asking.end(Err(io::Error::other(problem.to_owned())));
        }
    }
}

impl Handler for End {
    type Message = ();

    fn event(&mut self, core: &mut Core<()>, event: Event<'_>) {
        match event {
            Event::Received { bytes, .. } => {
                self.received += bytes.len();
                if self.received >= BYTES {
                    self.received -= BYTES;
                    let goes_on = match &mut self.asking {
                        Some(asking) => asking.answered(core),
                        None => true,
                    };
                    if goes_on {
                        self.say(core);
                    }
                }
            }
            Event::Sent { outgoing, result, .. } => {
                core.recycle(outgoing);
                if let Err(error) = result {
                    self.fail(&format!("the loopback: {error}"));
                }
            }
            Event::ReceiveEnded { .. } => self.fail("the loopback's connection broke"),
            Event::Closed { .. } => self.is_closed = true,
            Event::Accepted { .. } | Event::Written { .. } | Event::Withdrawn { .. } => {}
        }
    }

    fn message(&mut self, _: &mut Core<()>, _: usize, (): ()) {}

    fn timer(&mut self, core: &mut Core<()>, _: TimerId) {
        self.say(core);
    }

    fn turn_end(&mut self, _: &mut Core<()>) -> Next {
        Next::Sleep
    }

    fn shutdown(&mut self, core: &mut Core<()>) {
        core.set_timer(TIMER, None);
        core.close(self.socket);
    }

    fn drained(&self) -> bool {
        self.is_closed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn two_cores_ask_and_answer_asleep_and_spinning() {
        let time = Duration::from_millis(60);
        for waiting in [Waiting::Asleep, Waiting::Spinning] {
            let exchange = measure([0, 0], waiting, time).unwrap();
            assert!(exchange.p50 > 0.0 && exchange.p50 <= exchange.p99, "{exchange:?}");
        }
    }
}
