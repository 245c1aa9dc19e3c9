//! Operations as entries of the data ring, and its completions as a core knows them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use io_uring::types::{Fd, Fixed, FsyncFlags};
use io_uring::{cqueue, opcode, squeue};
use rustix::io::Errno;
use rustix::net::Shutdown;

use crate::data_file::DataFile;
use crate::linux::Linux;
use crate::linux::buffers::GROUP;
use crate::linux::user_data::{Kind, decode, encode};
use crate::operation::{Completion, Operation, Receive};
use crate::sockets::{Outgoing, Parts, Socket};

/// The most that one SEND takes: its result is a signed 32-bit number.
const MAX_SEND: usize = i32::MAX as usize;

/// The most that one WRITE takes; a multiple of every alignment, below 2 GiB.
const MAX_WRITE: usize = 1 << 30;

/// MSG_NOSIGNAL: a closed peer is an error, not a signal. MSG_WAITALL: the kernel itself goes on
/// after a short send.
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;

/// How the ring names a socket.
#[derive(Clone, Copy)]
enum Target {
    Registered(Fixed),
    Plain(Fd),
}

/// Builds an operation for a registered or a plain descriptor.
macro_rules! for_target {
    ($target:expr, |$fd:ident| $build:expr) => {
        match $target {
            Target::Registered($fd) => $build,
            Target::Plain($fd) => $build,
        }
    };
}

impl Linux {
    fn is_registered(&self, slot: u32) -> bool {
        slot < self.registered_files
    }

    fn target(&self, socket: Socket, fd: BorrowedFd<'_>) -> Target {
        if self.is_registered(socket.slot()) {
            Target::Registered(Fixed(socket.slot()))
        } else {
            Target::Plain(Fd(fd.as_raw_fd()))
        }
    }

    pub(crate) fn register(&mut self, slot: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
        if self.is_registered(slot) {
            self.ring.io().submitter().register_files_update(slot, &[fd.as_raw_fd()])?;
        }
        Ok(())
    }

    pub(crate) fn forget(&mut self, slot: u32) {
        if self.is_registered(slot) {
            // Emptying a place can't fail: the table has it, and -1 needs no memory.
            let emptied = self.ring.io().submitter().register_files_update(slot, &[-1]);
            debug_assert!(emptied.is_ok(), "{emptied:?}");
        }
    }

    pub(crate) fn receive(&mut self, socket: Socket, fd: BorrowedFd<'_>, wanted: Receive) {
        let target = self.target(socket, fd);
        let entry = match wanted {
            Receive::Always => for_target!(target, |fd| opcode::RecvMulti::new(fd, GROUP).build()),
            Receive::Once(limit) => {
                for_target!(target, |fd| opcode::Recv::new(fd, std::ptr::null_mut(), limit)
                    .buf_group(GROUP)
                    .build())
                .flags(squeue::Flags::BUFFER_SELECT)
            }
        };
        let entry = entry.user_data(encode(Kind::Receive, socket.slot(), socket.generation()));
        // SAFETY: the kernel takes its memory from the provided-buffer ring, which outlives this
        // ring.
        unsafe { self.ring.push(entry) };
    }

    /// # Safety
    /// `outgoing` stays where it is, unchanged, until the send has completed or this was dropped.
    pub(crate) unsafe fn send(
        &mut self,
        socket: Socket,
        fd: BorrowedFd<'_>,
        outgoing: &mut Outgoing,
    ) {
        let target = self.target(socket, fd);
        let entry = match outgoing.parts() {
            Parts::One { start, len } => {
                let len = len.min(MAX_SEND) as u32;
                for_target!(target, |fd| opcode::Send::new(fd, start, len)
                    .flags(SEND_FLAGS)
                    .build())
            }
            Parts::Many { header } => {
                for_target!(target, |fd| opcode::SendMsg::new(fd, header)
                    .flags(SEND_FLAGS as u32)
                    .build())
            }
        };
        let entry = entry.user_data(encode(Kind::Send, socket.slot(), socket.generation()));
        // SAFETY: the parts lie in `outgoing` and in the regions that it holds: the caller's
        // promise.
        unsafe { self.ring.push(entry) };
    }

    pub(crate) fn cancel(&mut self, operation: Operation) {
        let (kind, socket) = match operation {
            Operation::Receive(socket) => (Kind::Receive, socket),
            Operation::Send(socket) => (Kind::Send, socket),
        };
        let operation = encode(kind, socket.slot(), socket.generation());
        let cancel = opcode::AsyncCancel::new(operation).build().user_data(encode(
            Kind::Cancel,
            socket.slot(),
            0,
        ));
        // SAFETY: a cancellation points to nothing.
        unsafe { self.ring.push(cancel) };
    }

    pub(crate) fn shut_down(&mut self, fd: BorrowedFd<'_>, how: Shutdown) {
        // Fails only where the connection is gone already, which its receive tells.
        let _ = rustix::net::shutdown(fd, how);
    }

    /// # Safety
    /// `bytes` stay where they are, unchanged, and `file` stays open, until the write has completed
    /// or this was dropped.
    pub(crate) unsafe fn write(
        &mut self,
        write: u32,
        file: &Arc<DataFile>,
        offset: u64,
        bytes: &[u8],
    ) {
        let len = bytes.len().min(MAX_WRITE) as u32;
        let entry =
            opcode::Write::new(Fd(file.write_fd()), bytes.as_ptr(), len).offset(offset).build();
        // SAFETY: the bytes stay: the caller's promise.
        unsafe { self.ring.push(entry.user_data(encode(Kind::Write, write, 0))) };
    }

    pub(crate) fn sync(&mut self, write: u32, file: &Arc<DataFile>) {
        let entry = opcode::Fsync::new(Fd(file.write_fd())).flags(FsyncFlags::DATASYNC).build();
        // SAFETY: a sync points to no memory; the kernel holds the file.
        unsafe { self.ring.push(entry.user_data(encode(Kind::Write, write, 0))) };
    }

    /// Has the ring watch the doorbell: one operation for many rings, until the kernel ends it.
    pub(super) fn watch_doorbell(&mut self) {
        let bell = Fd(self.doorbell().nap_bell().as_raw_fd());
        let poll = opcode::PollAdd::new(bell, libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(encode(Kind::Wake, 0, 0));
        // SAFETY: a poll points to no memory; the kernel holds the file.
        unsafe { self.ring.push(poll) };
    }

    pub(crate) fn reap(&mut self, into: &mut Vec<Completion>) {
        let mut is_doorbell_watched = true;
        self.ring.reap(|entry| {
            let Some((kind, slot, generation)) = decode(entry.user_data()) else {
                debug_assert!(false, "a completion that nobody asked for");
                return;
            };
            let socket = Socket::new(slot, generation);
            let more = cqueue::more(entry.flags());
            let outcome = usize::try_from(entry.result())
                .map_err(|_| Errno::from_raw_os_error(-entry.result()));
            into.push(match kind {
                Kind::Receive => Completion::Received {
                    socket,
                    outcome,
                    buffer: cqueue::buffer_select(entry.flags()),
                    more,
                },
                Kind::Send => Completion::Sent { socket, outcome },
                Kind::Write => Completion::Written { write: slot, outcome },
                Kind::Wake => {
                    is_doorbell_watched &= more;
                    return;
                }
                Kind::Cancel => return,
            });
        });
        if !is_doorbell_watched {
            self.watch_doorbell();
        }
    }
}
