//! The data ring: set-up with fallbacks, submission, waiting, and the count of what the kernel
//! still holds.
//!
//! Built with SINGLE_ISSUER, DEFER_TASKRUN and TASKRUN_FLAG. Completions are made only inside our
//! own `io_uring_enter`. A flag in shared memory says when there are some to make, so looking for
//! work costs no system call. The registered eventfd is signalled only while armed: while the
//! thread sleeps in tokio's driver.
//!
//! Promises: dropping the ring first ends every operation, so what they point to may be freed
//! afterwards.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};

use crate::RuntimeError;
use crate::error::explain_setup_failure;
use crate::linux::user_data::{Kind, encode};

/// Below this many entries a ring is not worth having: the fallback on ENOMEM stops there.
const FEWEST_ENTRIES: u32 = 64;

/// What the kernel is entered for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Enter {
    /// To submit what is queued, if anything is; returns at once.
    Submit,
    /// To submit as well, and to have completions made of the work that the kernel tells of, unless
    /// some are ready; returns at once.
    Complete,
    /// To submit what is queued and wait for a completion, at most for so long.
    Wait(Duration),
}

/// One core's data ring.
pub(super) struct Ring {
    io: IoUring,
    /// Entries that found the submission queue full; they go first with the next submission.
    waiting: VecDeque<squeue::Entry>,
    /// Operations whose last completion has not been seen.
    in_flight: usize,
    no_iowait: bool,
    enters: u64,
}

impl Ring {
    /// Sets up a ring for the calling thread, which must be the one that uses it.
    /// Armed, it signals `eventfd` when there is something to reap.
    pub(super) fn new(entries: u32, eventfd: BorrowedFd<'_>) -> Result<Ring, RuntimeError> {
        let io = build(entries)?;
        io.submitter()
            .register_eventfd(eventfd.as_raw_fd())
            .map_err(RuntimeError::system("registering the ring's eventfd"))?;
        let no_iowait = io.params().is_feature_no_iowait();
        let mut ring = Ring { io, waiting: VecDeque::new(), in_flight: 0, no_iowait, enters: 0 };
        ring.disarm_eventfd();
        Ok(ring)
    }

    /// The ring itself, for registrations.
    pub(super) fn io(&self) -> &IoUring {
        &self.io
    }

    /// Whether waits are kept out of the I/O-wait accounting.
    pub(super) fn no_iowait(&self) -> bool {
        self.no_iowait
    }

    /// Makes the ring's file table. It has as many places as asked for, fewer where the limit on
    /// open files is lower, none where the kernel refuses. Returns how many.
    pub(super) fn register_files(&self, wanted: u32) -> u32 {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
            .current
            .unwrap_or(u64::MAX);
        let places = u32::try_from(limit).unwrap_or(u32::MAX).min(wanted);
        if places == 0 {
            return 0;
        }
        match self.io.submitter().register_files_sparse(places) {
            Ok(()) => places,
            Err(error) => {
                tracing::warn!(
                    %error,
                    places,
                    "the kernel refuses to register files: operations are a little slower"
                );
                0
            }
        }
    }

    /// How often the kernel was entered.
    pub(super) fn enters(&self) -> u64 {
        self.enters
    }

    /// Queues an operation; no system call unless the submission queue is full.
    ///
    /// # Safety
    /// What the entry points to stays valid, and is not changed, until the operation's last
    /// completion was reaped or this ring was dropped.
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry) {
        self.in_flight += 1;
        // SAFETY: the caller keeps what the entry points to.
        if !self.waiting.is_empty() || unsafe { self.io.submission().push(&entry) }.is_err() {
            self.waiting.push_back(entry);
            // Room is made now, so that the list stays short. A failure shows at the turn's own
            // submission.
            let _ = self.enter(Enter::Submit);
        }
    }

    /// Whether there are completions, or the kernel says that it has work which entering would turn
    /// into some. Two loads.
    ///
    /// What the kernel says is a hint. It lists its work first, and raises its flag then. Where the
    /// list is worked off in between, the flag stays up over an empty list until the next work, and
    /// entering does not take it down. Whoever loops on this looks after entering whether anything
    /// [is ready](Ring::is_ready).
    pub(super) fn has_completions(&mut self) -> bool {
        if self.is_ready() {
            return true;
        }
        let queue = self.io.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Whether there are completions to reap.
    pub(super) fn is_ready(&mut self) -> bool {
        !self.io.completion().is_empty()
    }

    /// Whether entering the kernel for this would do anything.
    pub(super) fn is_due(&mut self, what: Enter) -> bool {
        match what {
            Enter::Wait(_) => true,
            Enter::Submit => self.has_unsubmitted(),
            Enter::Complete => {
                self.has_unsubmitted() || (!self.is_ready() && self.has_completions())
            }
        }
    }

    fn has_unsubmitted(&mut self) -> bool {
        !self.waiting.is_empty() || !self.io.submission().is_empty()
    }

    /// The one way into the kernel: a system call where it is due, none where not.
    pub(super) fn enter(&mut self, what: Enter) -> Result<(), RuntimeError> {
        match what {
            what if !self.is_due(what) => Ok(()),
            Enter::Submit | Enter::Complete => self.call(0, None),
            Enter::Wait(timeout) => self.call(1, Some(timeout)),
        }
    }

    /// One `io_uring_enter`, or more where more than a queue full is waiting.
    fn call(&mut self, want: u32, timeout: Option<Duration>) -> Result<(), RuntimeError> {
        loop {
            self.refill();
            let (want, timeout) = if self.waiting.is_empty() { (want, timeout) } else { (0, None) };
            let queued = self.io.submission().len();
            let mut flags = EnterFlags::GETEVENTS;
            if self.no_iowait {
                flags |= EnterFlags::NO_IOWAIT;
            }
            self.enters += 1;
            let submitter = self.io.submitter();
            let result = match timeout {
                Some(timeout) => {
                    let timespec = Timespec::from(timeout);
                    let args = SubmitArgs::new().timespec(&timespec);
                    let flags = flags | EnterFlags::EXT_ARG;
                    // SAFETY: EXT_ARG says that the argument is a getevents argument, which
                    // SubmitArgs is, with its size; it and the timespec live through the call. The
                    // entries' pointers were vouched for in `push`.
                    unsafe { submitter.enter(queued as u32, want, flags.bits(), Some(&args)) }
                }
                // SAFETY: no argument; the entries' pointers were vouched for in `push`.
                None => unsafe {
                    submitter.enter::<libc::sigset_t>(queued as u32, want, flags.bits(), None)
                },
            };
            match result {
                Ok(_) => {}
                // The wait timed out, a signal came, or the kernel wants completions reaped first:
                // the next turn goes on.
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)
                    ) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(RuntimeError::system("entering the data ring")(error)),
            }
            if self.waiting.is_empty() {
                return Ok(());
            }
        }
    }

    /// Moves waiting entries into the submission queue while it has room.
    fn refill(&mut self) {
        let mut queue = self.io.submission();
        while let Some(entry) = self.waiting.front() {
            // SAFETY: vouched for in `push`.
            if unsafe { queue.push(entry) }.is_err() {
                break;
            }
            self.waiting.pop_front();
        }
    }

    /// Hands out all completions that are there.
    pub(super) fn reap(&mut self, mut take: impl FnMut(cqueue::Entry)) {
        for completion in self.io.completion() {
            self.in_flight -= usize::from(!cqueue::more(completion.flags()));
            take(completion);
        }
    }

    /// Arms the eventfd before a sleep; `false` if there is something to reap already, and then
    /// nothing is armed.
    pub(super) fn arm_eventfd(&mut self) -> Result<bool, RuntimeError> {
        self.io.completion().enable_eventfd();
        // Dekker: the kernel queues its work, then looks whether the eventfd is armed; we arm it,
        // then look for work.
        fence(Ordering::SeqCst);
        // Between raising the work flag and reading ours the kernel has no full barrier on
        // processors whose atomic operations are no barrier. So there we enter: the kernel looks at
        // the work list itself. Entering also tells whether a flag means something or was left up
        // over an empty list.
        if !self.is_ready() && (cfg!(not(target_arch = "x86_64")) || self.has_completions()) {
            self.call(0, None)?;
        }
        let sleeps = !self.is_ready();
        if !sleeps {
            self.disarm_eventfd();
        }
        Ok(sleeps)
    }

    /// Disarms the eventfd: completions while awake cause no wake-up.
    pub(super) fn disarm_eventfd(&mut self) {
        self.io.completion().disable_eventfd();
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        while self.in_flight > 0 {
            let cancel = opcode::AsyncCancel2::new(CancelBuilder::any()).build().user_data(encode(
                Kind::Cancel,
                0,
                0,
            ));
            // SAFETY: a cancellation points to nothing.
            unsafe { self.push(cancel) };
            if let Err(error) = self.enter(Enter::Wait(Duration::from_millis(10))) {
                tracing::error!(%error, "the data ring can't be drained");
                // A ring that can't be entered can't be drained either. Better a dead process than
                // one whose freed memory the kernel writes to.
                std::process::abort();
            }
            self.reap(drop);
        }
    }
}

/// Builds the ring, with fewer entries where memory for as many as asked is not to be had.
fn build(entries: u32) -> Result<IoUring, RuntimeError> {
    let wanted = entries;
    let mut entries = entries;
    loop {
        let built = IoUring::builder()
            .setup_clamp()
            .setup_submit_all()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(entries * 4)
            .build(entries);
        match built {
            Ok(io) => {
                if entries < wanted {
                    tracing::warn!(
                        wanted,
                        entries,
                        "too little lockable memory for the data ring: \
                         it has fewer entries than asked for"
                    );
                }
                return Ok(io);
            }
            Err(error)
                if error.raw_os_error() == Some(libc::ENOMEM) && entries / 2 >= FEWEST_ENTRIES =>
            {
                entries /= 2;
            }
            Err(error) => return Err(explain_setup_failure(error)),
        }
    }
}

#[cfg(test)]
mod tests;
