//! What a process says, on its way to standard error and standard output: through a bounded queue
//! to a thread that does nothing else.
//!
//! Promises: a thread that says something never waits for a reader, and never sees a failed write.
//! What has no room, or can't be written, is lost. It is counted, and the count is told once
//! something can be written again. [`flush`] waits for what is queued, and no longer than
//! [`FLUSH`].
//!
//! A library's non-blocking writer (tracing-appender) would leave two things to do. It does not
//! count what the system refuses. And when its queue is stuck at the end, it prints that to
//! standard error, which blocks for ever.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::Value;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::log_line::log_line;
use crate::systemd::journal;

/// Bytes that wait for a reader at most: some thousand lines.
const MOST_BYTES: usize = 1 << 20;
/// Bytes that a pipe takes whole, and at once, where it has room (PIPE_BUF, pipe(7)).
const AT_ONCE: usize = 4096;
/// How long an end waits for what is queued.
const FLUSH: Duration = Duration::from_secs(1);

/// The log and complaints.
pub(crate) static ERRORS: Queue = Queue::new(Stream::Error);
/// A service's answers.
pub(crate) static ANSWERS: Queue = Queue::new(Stream::Output);

/// Waits until all that is queued is written, within a bound.
pub(crate) fn flush() {
    // Lost answers are told in the log, so it comes last.
    ANSWERS.flush(Instant::now() + FLUSH);
    ERRORS.flush(Instant::now() + FLUSH);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Error,
    Output,
}

/// Lines on their way to a stream.
pub(crate) struct Queue {
    stream: Stream,
    state: Mutex<State>,
    /// There is something to write.
    news: Condvar,
    /// All is written.
    quiet: Condvar,
}

struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    has_thread: bool,
    is_writing: bool,
    lost: Lost,
}

/// What was not written and not yet told, and why the last of it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lost {
    lines: u64,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    NobodyReads,
    Refused(Errno),
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::NobodyReads => write!(f, "nobody read it fast enough"),
            Reason::Refused(errno) => write!(f, "{}", io::Error::from(*errno)),
        }
    }
}

impl Queue {
    const fn new(stream: Stream) -> Self {
        let lost = Lost { lines: 0, reason: Reason::NobodyReads };
        let lines = VecDeque::new();
        let state = State { lines, bytes: 0, has_thread: false, is_writing: false, lost };
        Self { stream, state: Mutex::new(state), news: Condvar::new(), quiet: Condvar::new() }
    }

    /// Starts its thread, where there is none yet. A service does so before it has pinned any: a
    /// thread runs on the CPUs of the one that started it.
    pub(crate) fn start(&'static self) {
        let mut state = self.state();
        if !state.has_thread {
            // Where the system has no room for a thread, the next line tries again.
            let name = if self.stream == Stream::Error { "log" } else { "answers" };
            let spawned = thread::Builder::new().name(name.into()).spawn(move || self.write_all());
            state.has_thread = spawned.is_ok();
        }
    }

    /// Queues a line, which has its line end.
    pub(crate) fn push(&'static self, line: Vec<u8>) {
        self.start();
        let mut state = self.state();
        if line.len() > MOST_BYTES - state.bytes {
            state.lost = Lost { lines: state.lost.lines + 1, reason: Reason::NobodyReads };
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line);
        drop(state);
        self.news.notify_one();
    }

    fn flush(&self, until: Instant) {
        let mut state = self.state();
        if !state.has_thread {
            return self.write_here(&mut state, until);
        }
        while state.has_thread && (state.is_writing || !state.lines.is_empty()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.quiet.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Writes what is queued where the system had no room for a thread, as why the process ends is
    /// among it. Waits for a reader until then.
    fn write_here(&self, state: &mut State, until: Instant) {
        let (error, output) = (io::stderr(), io::stdout());
        let stream = if self.stream == Stream::Error { error.as_fd() } else { output.as_fd() };
        let lines = std::mem::take(&mut state.lines);
        let pieces = lines.iter().flat_map(|line| line.chunks(AT_ONCE));
        for piece in pieces {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(wait) = Timespec::try_from(left) else { return };
            let has_room = poll(&mut [PollFd::new(&stream, PollFlags::OUT)], Some(&wait));
            // What can't be written now never will be.
            if !has_room.is_ok_and(|ready| ready > 0) || rustix::io::write(stream, piece).is_err() {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic is done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's work: one line after the other, for ever.
    fn write_all(&self) {
        let (error, output) = (io::stderr(), io::stdout());
        // The descriptors themselves: the standard library's locks may be held by a thread that is
        // stuck.
        let stream = if self.stream == Stream::Error { error.as_fd() } else { output.as_fd() };
        let mut writer = Lines { stream, is_torn: false };
        loop {
            let mut state = self.state();
            while state.lines.is_empty() {
                state.is_writing = false;
                self.quiet.notify_all();
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let line = state.lines.pop_front().expect("it was not empty");
            state.bytes -= line.len();
            state.is_writing = true;
            let lost = state.lost;
            drop(state);
            let told = lost.lines > 0 && self.tell(lost, &mut writer);
            let written = writer.write(&line);
            let mut state = self.state();
            if told {
                state.lost.lines -= lost.lines;
            }
            let Err(errno) = written else { continue };
            state.lost.reason = Reason::Refused(errno);
            if self.stream == Stream::Error {
                state.lost.lines += 1;
            } else {
                drop(state);
                tracing::warn!(error = %io::Error::from(errno), "an answer could not be written");
            }
        }
    }

    /// Tells in the log what was lost; whether that worked.
    fn tell(&self, lost: Lost, writer: &mut Lines<'_>) -> bool {
        if self.stream == Stream::Error {
            return writer.write(&notice(lost)).is_ok();
        }
        tracing::warn!(lost = lost.lines, reason = %lost.reason, "answers were lost");
        true
    }
}

/// The log line that tells of lost lines, in the form of the others.
fn notice(lost: Lost) -> Vec<u8> {
    let fields = [("lost", lost.lines.into()), ("reason", lost.reason.to_string().into())];
    let fields = fields.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value));
    log_line(Level::WARN, "log lines were lost", fields.collect())
}

/// Whole lines to a descriptor.
struct Lines<'fd> {
    stream: BorrowedFd<'fd>,
    /// Whether the last line was cut off: the next one begins on a line of its own.
    is_torn: bool,
}

impl Lines<'_> {
    fn write(&mut self, line: &[u8]) -> Result<(), Errno> {
        if self.is_torn {
            self.write_bytes(b"\n").map_err(|(errno, _)| errno)?;
            self.is_torn = false;
        }
        self.write_bytes(line).map_err(|(errno, done)| {
            self.is_torn |= done > 0;
            errno
        })
    }

    /// The error comes with how much was written.
    fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), (Errno, usize)> {
        let mut done = 0;
        while done < bytes.len() {
            match rustix::io::write(self.stream, &bytes[done..]) {
                Ok(0) => return Err((Errno::IO, done)),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                // The process may have been started with a non-blocking stream.
                Err(Errno::AGAIN) => wait_for_room(self.stream).map_err(|errno| (errno, done))?,
                Err(errno) => return Err((errno, done)),
            }
        }
        Ok(())
    }
}

fn wait_for_room(stream: BorrowedFd<'_>) -> Result<(), Errno> {
    match poll(&mut [PollFd::new(&stream, PollFlags::OUT)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Where `tracing` writes: the queue of the log.
pub(crate) struct LogLines;

impl<'a> MakeWriter<'a> for LogLines {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine(Level::INFO)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LogLine {
        LogLine(*metadata.level())
    }
}

/// A line of this level on its way to the queue.
pub(crate) struct LogLine(Level);

impl Write for LogLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        ERRORS.push(journal::prefixed(self.0, line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read;

    use super::*;

    #[test]
    fn what_has_no_room_is_counted_and_keeps_nobody() {
        static QUEUE: Queue = Queue::new(Stream::Error);
        // No thread writes here; a push does not notice.
        QUEUE.state().has_thread = true;
        for _ in 0..40 {
            QUEUE.push(vec![b'x'; MOST_BYTES / 32]);
        }
        let state = QUEUE.state();
        assert_eq!((state.lines.len(), state.bytes, state.lost.lines), (32, MOST_BYTES, 8));
        drop(state);
        QUEUE.flush(Instant::now());
    }

    #[test]
    fn a_stream_that_refuses_is_an_error_with_its_reason() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut lines = Lines { stream: full.as_fd(), is_torn: false };
        assert_eq!(lines.write(b"a\n"), Err(Errno::NOSPC));
        assert!(!lines.is_torn);
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        assert_eq!(
            Lines { stream: writer.as_fd(), is_torn: false }.write(b"a\n"),
            Err(Errno::PIPE)
        );
    }

    #[test]
    fn a_line_behind_one_that_was_cut_off_begins_anew() {
        let (mut reader, writer) = io::pipe().unwrap();
        Lines { stream: writer.as_fd(), is_torn: true }.write(b"whole\n").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "\nwhole\n");
    }

    #[test]
    fn a_stream_that_does_not_block_is_waited_for() {
        let (mut reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let long = vec![b'x'; 1 << 20];
        let reading = thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all.len()
        });
        Lines { stream: writer.as_fd(), is_torn: false }.write(&long).unwrap();
        drop(writer);
        assert_eq!(reading.join().unwrap(), long.len());
    }
}
