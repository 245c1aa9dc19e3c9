//! An echo server on a bare io_uring loop: what the kernel alone costs, and so the floor under
//! everything else.
//!
//! One thread, one ring (SINGLE_ISSUER, DEFER_TASKRUN), multishot accept into registered files,
//! multishot receive into a provided-buffer ring, one send in flight a connection, one
//! `io_uring_enter` a turn. No timers, no other cores, no shutdown: it serves until it is killed.
//! It is the floor only as long as it is the best such loop that we know.

use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};

use core_affinity::CoreId;
use io_uring::types::{BufRingEntry, Fd, Fixed};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::sizes::Sizes;

/// Buffers for received bytes, and the size of each: the runtime's defaults.
const BUFFERS: u16 = 256;
const BUFFER_BYTES: usize = 16 * 1024;
/// The most connections: each is a registered file.
const CONNECTIONS: u32 = 16 * 1024;
const ENTRIES: u32 = 1024;

const ACCEPT: u64 = 0;
const RECEIVE: u64 = 1;
const SEND: u64 = 2;
const CLOSE: u64 = 3;

/// One connection: the replies that are being sent, and those that wait for the next send.
#[derive(Default)]
struct Connection {
    sending: Vec<u8>,
    sent: usize,
    waiting: Vec<u8>,
    /// The beginning of a request whose rest has not arrived.
    partial: Vec<u8>,
    ended: bool,
}

/// Answers messages of `sizes` on `cpu` until the process is killed. With `spin` it never sleeps.
pub(crate) fn run(listener: TcpListener, cpu: usize, spin: bool, sizes: Sizes) -> io::Result<()> {
    if !core_affinity::set_for_current(CoreId { id: cpu }) {
        return Err(io::Error::other(format!("could not pin to CPU {cpu}")));
    }
    rustix::net::sockopt::set_tcp_nodelay(&listener, true)?; // accepted sockets inherit it
    let mut io: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_cqsize(ENTRIES * 4)
        .build(ENTRIES)?;
    let limit =
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    io.submitter()
        .register_files_sparse(CONNECTIONS.min(u32::try_from(limit).unwrap_or(u32::MAX)))?;
    let mut server = Server {
        buffers: Buffers::register(&io)?,
        connections: Vec::new(),
        queued: Vec::new(),
        sizes,
    };
    server
        .queued
        .push(opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).allocate_file_index(true).build());
    let mut completions: Vec<cqueue::Entry> = Vec::with_capacity(ENTRIES as usize * 4);
    loop {
        let mut queue = io.submission();
        while let Some(entry) = server.queued.last() {
            // SAFETY: accept and receive point to nothing of ours but the buffer ring; a send's
            // bytes stay in its connection, unchanged, until its completion. All of it lives as
            // long as the ring: this loop never ends but by an error of the ring itself, which ends
            // the process.
            if unsafe { queue.push(entry) }.is_err() {
                break;
            }
            server.queued.pop();
        }
        drop(queue);
        if spin {
            let mut queue = io.submission();
            let idle = queue.is_empty() && !queue.taskrun();
            queue.sync();
            drop(queue);
            if idle && io.completion().is_empty() {
                std::hint::spin_loop();
                continue;
            }
        }
        match io.submit_and_wait(usize::from(!spin)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        completions.extend(io.completion());
        for completion in completions.drain(..) {
            server.completed(&completion);
        }
    }
}

struct Server {
    buffers: Buffers,
    connections: Vec<Connection>,
    queued: Vec<squeue::Entry>,
    sizes: Sizes,
}

impl Server {
    fn completed(&mut self, completion: &cqueue::Entry) {
        let slot = (completion.user_data() >> 8) as u32;
        match completion.user_data() & 0xff {
            ACCEPT => self.accepted(completion),
            RECEIVE => self.received(slot, completion),
            SEND => self.sent(slot, completion.result()),
            _ => {}
        }
    }

    fn accepted(&mut self, completion: &cqueue::Entry) {
        let Ok(slot) = u32::try_from(completion.result()) else {
            return; // out of descriptors: then the benchmark fails anyway
        };
        if self.connections.len() <= slot as usize {
            self.connections.resize_with(slot as usize + 1, Connection::default);
        }
        self.connections[slot as usize] = Connection::default();
        self.receive(slot);
    }

    fn receive(&mut self, slot: u32) {
        let entry = opcode::RecvMulti::new(Fixed(slot), 0).build();
        self.queued.push(entry.user_data(u64::from(slot) << 8 | RECEIVE));
    }

    fn received(&mut self, slot: u32, completion: &cqueue::Entry) {
        let result = completion.result();
        if let Some(buffer) = cqueue::buffer_select(completion.flags()) {
            let bytes = self.buffers.bytes(buffer, usize::try_from(result).unwrap_or(0));
            let Connection { waiting, partial, .. } = &mut self.connections[slot as usize];
            self.sizes.answer(partial, bytes, |reply| waiting.extend_from_slice(reply));
            self.buffers.offer(buffer);
        }
        if !cqueue::more(completion.flags()) {
            if result > 0 || result == -libc::ENOBUFS {
                self.receive(slot);
            } else {
                self.connections[slot as usize].ended = true;
            }
        }
        self.go_on(slot);
    }

    fn sent(&mut self, slot: u32, result: i32) {
        let connection = &mut self.connections[slot as usize];
        match usize::try_from(result) {
            Ok(taken) => connection.sent += taken,
            Err(_) => {
                connection.sent = connection.sending.len();
                connection.waiting.clear();
            }
        }
        if connection.sent < connection.sending.len() {
            self.send(slot);
        } else {
            connection.sending.clear();
            self.go_on(slot);
        }
    }

    /// Sends what waits, or closes a connection that has ended, unless a send is under way.
    fn go_on(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if !connection.sending.is_empty() {
            return;
        }
        if !connection.waiting.is_empty() {
            mem::swap(&mut connection.sending, &mut connection.waiting);
            connection.sent = 0;
            self.send(slot);
        } else if connection.ended {
            self.queued.push(opcode::Close::new(Fixed(slot)).build().user_data(CLOSE));
        }
    }

    fn send(&mut self, slot: u32) {
        let connection = &self.connections[slot as usize];
        let rest = &connection.sending[connection.sent..];
        let entry = opcode::Send::new(Fixed(slot), rest.as_ptr(), rest.len() as u32);
        let entry = entry.flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL).build();
        self.queued.push(entry.user_data(u64::from(slot) << 8 | SEND));
    }
}

/// The provided-buffer ring and its buffers, never unmapped.
struct Buffers {
    memory: *mut u8,
    entries: *mut BufRingEntry,
    tail: u16,
}

impl Buffers {
    fn register(io: &IoUring) -> io::Result<Buffers> {
        let memory = map(usize::from(BUFFERS) * BUFFER_BYTES)?;
        let entries: *mut BufRingEntry =
            map(usize::from(BUFFERS) * size_of::<BufRingEntry>())?.cast();
        // SAFETY: the mapping has room for that many entries, is page-aligned and is never
        // unmapped.
        unsafe { io.submitter().register_buf_ring_with_flags(entries as u64, BUFFERS, 0, 0) }?;
        let mut buffers = Buffers { memory, entries, tail: 0 };
        (0..BUFFERS).for_each(|buffer| buffers.offer(buffer));
        Ok(buffers)
    }

    fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        let at = usize::from(buffer % BUFFERS) * BUFFER_BYTES;
        // SAFETY: inside the mapping, which is initialised; the kernel has handed this buffer out,
        // so it does not write to it.
        unsafe { std::slice::from_raw_parts(self.memory.add(at), len.min(BUFFER_BYTES)) }
    }

    fn offer(&mut self, buffer: u16) {
        let index = usize::from(self.tail % BUFFERS);
        // SAFETY: index and buffer lie inside their mappings; the kernel reads entries only below
        // the published tail.
        unsafe {
            let entry = &mut *self.entries.add(index);
            entry.set_addr(self.memory.add(usize::from(buffer % BUFFERS) * BUFFER_BYTES) as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the first entry's reserved field is the ring's tail, 2-byte aligned, written only
        // here.
        let tail = unsafe { &*BufRingEntry::tail(self.entries).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Maps zeroed memory, which is never unmapped.
fn map(len: usize) -> io::Result<*mut u8> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    // SAFETY: a null hint asks for a new mapping anywhere.
    let start = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            len,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )?
    };
    Ok(start.cast())
}
