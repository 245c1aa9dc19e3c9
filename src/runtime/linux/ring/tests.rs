//! The data ring, on the kernel that is there.
#![allow(clippy::unwrap_used)]
use std::os::fd::AsFd;

use super::*;

fn ring(entries: u32) -> Result<Ring, RuntimeError> {
    Ring::new(entries, crate::linux::bell::Bell::new().unwrap().as_fd())
}

/// Has io_uring_setup(2) answer `errno` in the calling thread, as a container's seccomp profile
/// does.
fn forbid_io_uring(errno: i32) {
    let filter = [
        // Load the system call's number (seccomp_data.nr lies at offset 0).
        libc::sock_filter {
            code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16,
            jt: 0,
            jf: 0,
            k: 0,
        },
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
        libc::sock_filter {
            code: (libc::BPF_RET | libc::BPF_K) as u16,
            jt: 0,
            jf: 0,
            k: libc::SECCOMP_RET_ALLOW,
        },
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: both calls concern this thread only; the filter and the program live through
    // them, and the kernel copies them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program),
            0
        );
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

/// Raises the kernel's flag for work over an empty list. The kernel does so where another thread
/// lists work, is held up, and raises the flag only when that work has been done.
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
    let words = unsafe {
        std::slice::from_raw_parts(start.cast::<std::sync::atomic::AtomicU32>(), length / 4)
    };
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
    let before = ring.enters();
    ring.enter(Enter::Complete).unwrap();
    assert_eq!(ring.enters(), before + 1);
    assert!(ring.has_completions() && !ring.is_ready(), "entering does not take the flag down");
    assert!(ring.arm_eventfd().unwrap(), "and the core goes to sleep all the same");
    ring.disarm_eventfd();
    // Real work is found under such a flag as well, and takes it down.
    let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    let poll =
        opcode::PollAdd::new(io_uring::types::Fd(reader.as_raw_fd()), libc::POLLIN as u32).build();
    // SAFETY: a poll points to no memory.
    unsafe { ring.push(poll) };
    ring.enter(Enter::Submit).unwrap();
    rustix::io::write(&writer, b"x").unwrap();
    assert!(!ring.arm_eventfd().unwrap());
    let mut completions = Vec::new();
    ring.reap(|completion| completions.push(completion));
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
        ring.enter(Enter::Wait(Duration::from_secs(10))).unwrap();
        ring.reap(|completion| completions.push(completion));
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
    let receive =
        opcode::Recv::new(io_uring::types::Fd(reader.as_raw_fd()), buffer.as_mut_ptr(), 16).build();
    // SAFETY: the buffer lives until after the ring is dropped.
    unsafe { ring.push(receive) };
    ring.enter(Enter::Submit).unwrap();
    assert_eq!(ring.in_flight, 1);
    drop(ring);
    assert_eq!(buffer, [0; 16]);
}
