//! The data ring: set-up with fallbacks, submission, waiting, and the count of what the kernel
//! still holds.
//!
//! Built with SINGLE_ISSUER, DEFER_TASKRUN (completions are made only inside our own
//! `io_uring_enter`) and TASKRUN_FLAG (a flag in shared memory says when there are some to make, so
//! looking for work costs no system call). The registered eventfd is signalled only while armed,
//! that is while the thread sleeps in tokio's driver. Promise: dropping the ring first ends every
//! operation, so what they point to may be freed afterwards.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};

use crate::RuntimeError;
use crate::error::explain_setup_failure;
use crate::operation::{Kind, encode};

/// Below this many entries a ring is not worth having: the fallback on ENOMEM stops there.
const FEWEST_ENTRIES: u32 = 64;

/// One core's data ring.
pub(crate) struct Ring {
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
    pub(crate) fn new(entries: u32, eventfd: BorrowedFd<'_>) -> Result<Ring, RuntimeError> {
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
    pub(crate) fn io(&self) -> &IoUring {
        &self.io
    }

    /// Whether waits are kept out of the I/O-wait accounting.
    pub(crate) fn no_iowait(&self) -> bool {
        self.no_iowait
    }

    /// How often the kernel was entered.
    pub(crate) fn enters(&self) -> u64 {
        self.enters
    }

    /// Queues an operation; no system call unless the submission queue is full.
    ///
    /// # Safety
    /// What the entry points to stays valid, and is not changed, until the operation's last
    /// completion was reaped or this ring was dropped.
    pub(crate) unsafe fn push(&mut self, entry: squeue::Entry) {
        self.in_flight += 1;
        // SAFETY: the caller keeps what the entry points to.
        if !self.waiting.is_empty() || unsafe { self.io.submission().push(&entry) }.is_err() {
            self.waiting.push_back(entry);
            // Room is made now, so that the list stays short. A failure shows at the turn's own
            // submission.
            let _ = self.submit();
        }
    }

    /// Whether anything is queued and not submitted.
    pub(crate) fn has_unsubmitted(&mut self) -> bool {
        !self.waiting.is_empty() || !self.io.submission().is_empty()
    }

    /// Whether there are completions, or the kernel says that it has work which [`Ring::enter`]
    /// would turn into some. Two loads.
    ///
    /// The latter is a hint, which may be wrong until the kernel's next work: it lists its work
    /// first and raises the flag then, so where the list is worked off in between the flag stays up
    /// over an empty list, and entering takes it down only where there is something on the list.
    /// Who loops on this looks after entering whether anything [is ready](Ring::is_ready).
    pub(crate) fn has_completions(&mut self) -> bool {
        if self.is_ready() {
            return true;
        }
        let queue = self.io.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Whether there are completions to reap.
    pub(crate) fn is_ready(&mut self) -> bool {
        !self.io.completion().is_empty()
    }

    /// Submits what is queued and has the kernel make completions; returns at once.
    pub(crate) fn submit(&mut self) -> Result<(), RuntimeError> {
        self.enter(0, None)
    }

    /// Makes completions of the kernel's work, unless there are some already. For a loop that looks
    /// with [`Ring::has_completions`].
    pub(crate) fn make_completions(&mut self) -> Result<(), RuntimeError> {
        if self.is_ready() { Ok(()) } else { self.submit() }
    }

    /// Submits what is queued and waits for a completion, at most for `timeout`.
    pub(crate) fn submit_and_wait(&mut self, timeout: Duration) -> Result<(), RuntimeError> {
        self.enter(1, Some(timeout))
    }

    /// One `io_uring_enter`, or more where more than a queue full is waiting.
    fn enter(&mut self, want: u32, timeout: Option<Duration>) -> Result<(), RuntimeError> {
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
                None => unsafe { submitter.enter::<libc::sigset_t>(queued as u32, want, flags.bits(), None) },
            };
            match result {
                Ok(_) => {}
                // The wait timed out, a signal came, or the kernel wants completions reaped first:
                // the next turn goes on.
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)) =>
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

    /// Moves all completions that are there to `into`.
    pub(crate) fn reap(&mut self, into: &mut Vec<cqueue::Entry>) {
        let before = into.len();
        into.extend(self.io.completion());
        let ended = into[before..].iter().filter(|completion| !cqueue::more(completion.flags())).count();
        self.in_flight -= ended;
    }

    /// Arms the eventfd before a sleep; `false` if there is something to reap already, and then
    /// nothing is armed.
    pub(crate) fn arm_eventfd(&mut self) -> Result<bool, RuntimeError> {
        self.io.completion().enable_eventfd();
        // Dekker: the kernel queues its work, then looks whether the eventfd is armed; we arm it,
        // then look for work.
        fence(Ordering::SeqCst);
        // Between raising the work flag and reading ours the kernel has no full barrier where
        // atomic operations are not one; entering looks at the work list itself, which is. It also
        // tells a flag that was left up from one that means something: with an empty list one
        // sleeps well.
        if cfg!(not(target_arch = "x86_64")) || self.has_completions() {
            self.make_completions()?;
        }
        let sleeps = !self.is_ready();
        if !sleeps {
            self.disarm_eventfd();
        }
        Ok(sleeps)
    }

    /// Disarms the eventfd: completions while awake cause no wake-up.
    pub(crate) fn disarm_eventfd(&mut self) {
        self.io.completion().disable_eventfd();
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let mut completions = Vec::new();
        while self.in_flight > 0 {
            let cancel = opcode::AsyncCancel2::new(CancelBuilder::any()).build().user_data(encode(Kind::Cancel, 0, 0));
            // SAFETY: a cancellation points to nothing.
            unsafe { self.push(cancel) };
            if let Err(error) = self.submit_and_wait(Duration::from_millis(10)) {
                tracing::error!(%error, "the data ring can't be drained");
                // A ring that can't be entered can't be drained either: better a dead process than
                // freed memory under the kernel's pen.
                std::process::abort();
            }
            self.reap(&mut completions);
            completions.clear();
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
                        "not enough lockable memory for the data ring as wanted: it is smaller"
                    );
                }
                return Ok(io);
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && entries / 2 >= FEWEST_ENTRIES => {
                entries /= 2;
            }
            Err(error) => return Err(explain_setup_failure(error)),
        }
    }
}

/// Makes the ring's file table: as many places as asked for, fewer where the limit on open files is
/// lower, none where the kernel refuses. Returns how many.
pub(crate) fn register_files(io: &IoUring, wanted: u32) -> u32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let places = u32::try_from(limit).unwrap_or(u32::MAX).min(wanted);
    if places == 0 {
        return 0;
    }
    match io.submitter().register_files_sparse(places) {
        Ok(()) => places,
        Err(error) => {
            tracing::warn!(%error, places, "the kernel takes no registered files: every operation looks its file up");
            0
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ring(entries: u32) -> Result<Ring, RuntimeError> {
        Ring::new(entries, crate::mailbox::Doorbell::new().unwrap().park_bell())
    }

    /// Has io_uring_setup(2) answer `errno` in the calling thread, as a container's seccomp profile
    /// does.
    fn forbid_io_uring(errno: i32) {
        let filter = [
            // Load the system call's number (seccomp_data.nr lies at offset 0).
            libc::sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k: 0 },
            libc::sock_filter {
                code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
                jt: 0,
                jf: 1,
                k: libc::SYS_io_uring_setup as u32,
            },
            libc::sock_filter {
                code: (libc::BPF_RET | libc::BPF_K) as u16,
                jt: 0,
                jf: 0,
                k: libc::SECCOMP_RET_ERRNO | errno as u32,
            },
            libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
        ];
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        // SAFETY: both calls concern this thread only; the filter and the program live through
        // them, and the kernel copies them.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
        }
    }

    #[test]
    fn a_seccomp_profile_without_io_uring_is_named_as_the_cause() {
        for errno in [libc::EPERM, libc::ENOSYS] {
            let text = std::thread::spawn(move || {
                forbid_io_uring(errno);
                ring(64).map(drop).unwrap_err().to_string()
            });
            let text = text.join().unwrap();
            assert!(text.contains("seccomp"), "{text}");
        }
    }

    /// Raises the kernel's flag for work over an empty list, as it does where another thread lists
    /// work, is held up, and raises the flag when that work has been done.
    fn leave_flag_up(ring: &mut Ring) {
        const TASKRUN: u32 = 1 << 2; // IORING_SQ_TASKRUN, io_uring_enter(2)
        // Head, tail and flags of both queues lie at the start of the region that every ring shares
        // with its process.
        let length = 256;
        // SAFETY: a fresh mapping of the ring's first page, which the kernel gives to whoever has
        // the ring; unmapped below.
        let start = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), length, access, libc::MAP_SHARED, ring.io.as_raw_fd(), 0)
        };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: the mapping is page-aligned and a page long, and everybody changes its words
        // atomically.
        let words = unsafe { std::slice::from_raw_parts(start.cast::<std::sync::atomic::AtomicU32>(), length / 4) };
        let is_flag = |word: &std::sync::atomic::AtomicU32| {
            let before = word.fetch_or(TASKRUN, Ordering::SeqCst);
            let is_it = ring.io.submission().taskrun();
            if !is_it {
                word.store(before, Ordering::SeqCst);
            }
            is_it
        };
        assert!(words.iter().any(is_flag), "the flags lie at the start");
        // SAFETY: nothing refers to the mapping any more.
        unsafe { libc::munmap(start, length) };
    }

    #[test]
    fn a_flag_that_the_kernel_has_left_up_keeps_no_core_awake() {
        let mut ring = ring(8).unwrap();
        leave_flag_up(&mut ring);
        assert!(ring.has_completions(), "it looks as if there were work");
        ring.make_completions().unwrap();
        assert!(ring.has_completions() && !ring.is_ready(), "entering does not take the flag down");
        assert!(ring.arm_eventfd().unwrap(), "and the core goes to sleep all the same");
        ring.disarm_eventfd();
        // Real work is found under such a flag as well, and takes it down.
        let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let poll = opcode::PollAdd::new(io_uring::types::Fd(reader.as_raw_fd()), libc::POLLIN as u32).build();
        // SAFETY: a poll points to no memory.
        unsafe { ring.push(poll) };
        ring.submit().unwrap();
        rustix::io::write(&writer, b"x").unwrap();
        assert!(!ring.arm_eventfd().unwrap());
        let mut completions = Vec::new();
        ring.reap(&mut completions);
        assert!(completions.len() == 1 && !ring.has_completions());
    }

    #[test]
    fn more_operations_than_the_queue_holds_are_all_submitted() {
        let mut ring = ring(8).unwrap();
        for number in 0..1000 {
            // SAFETY: a no-op points to nothing.
            unsafe { ring.push(opcode::Nop::new().build().user_data(number)) };
        }
        let mut completions = Vec::new();
        while completions.len() < 1000 {
            ring.submit_and_wait(Duration::from_secs(10)).unwrap();
            ring.reap(&mut completions);
        }
        let numbers: Vec<u64> = completions.iter().map(cqueue::Entry::user_data).collect();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        assert_eq!(ring.in_flight, 0);
    }

    #[test]
    fn dropping_a_ring_ends_what_is_under_way() {
        let (reader, _writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut buffer = [0u8; 16];
        let mut ring = ring(8).unwrap();
        let receive = opcode::Recv::new(io_uring::types::Fd(reader.as_raw_fd()), buffer.as_mut_ptr(), 16).build();
        // SAFETY: the buffer lives until after the ring is dropped.
        unsafe { ring.push(receive) };
        ring.submit().unwrap();
        assert_eq!(ring.in_flight, 1);
        drop(ring);
        assert_eq!(buffer, [0; 16]);
    }
}
