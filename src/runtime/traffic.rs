//! Sockets: adopting, receiving, sending, closing, and what their completions mean.
//!
//! A socket has at most one receive and one send with the kernel. Both are awaited before its
//! descriptor is closed, since close(2) ends no operation and a reused descriptor would inherit it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::{cqueue, opcode, squeue};
use rustix::net::Shutdown;

use crate::RuntimeError;
use crate::buffers::{GROUP, ReceiveBuffers};
use crate::core::{Core, Pending};
use crate::event::{Event, Handler, ReceiveEnd};
use crate::operation::{Kind, encode};
use crate::outgoing::{Outgoing, Parts};
use crate::sockets::{Receive, Socket, Target};

/// The most that one SEND takes: its result is a signed 32-bit number.
const MAX_SEND: usize = i32::MAX as usize;

/// MSG_NOSIGNAL: a closed peer is an error, not a signal. MSG_WAITALL: the kernel itself goes on
/// after a short send.
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;

/// Builds an operation for a registered or a plain descriptor.
macro_rules! for_target {
    ($target:expr, |$fd:ident| $build:expr) => {
        match $target {
            Target::Registered($fd) => $build,
            Target::Plain($fd) => $build,
        }
    };
}

impl<M: Send + 'static> Core<M> {
    /// Takes a connected stream socket into this core's care. Nothing is received before
    /// [`Core::receive`] or [`Core::receive_once`]. One system call where the ring's file table has
    /// room.
    ///
    /// # Errors
    /// When a core has 2^28 sockets, or the kernel refuses the registration for lack of memory; the
    /// descriptor is closed then.
    pub fn adopt(&mut self, fd: OwnedFd) -> Result<Socket, RuntimeError> {
        let raw = fd.as_raw_fd();
        let socket = self.sockets.insert(fd).map_err(|_| RuntimeError::FileLimit { what: "adopting a socket" })?;
        if socket.slot < self.features.registered_files {
            let registered = self.ring.io().submitter().register_files_update(socket.slot, &[raw]);
            if let Err(error) = registered {
                self.sockets.remove(socket);
                return Err(RuntimeError::system("registering a socket with the ring")(error));
            }
            if let Some(slot) = self.sockets.get(socket) {
                slot.registered = true;
            }
        }
        self.metrics.adopted += 1;
        Ok(socket)
    }

    /// Receives whatever comes from now on, as [`Event::Received`], until the peer closes, the
    /// connection fails, or [`Core::pause`]. Called while a pause has not been told yet, it takes
    /// the pause back.
    pub fn receive(&mut self, socket: Socket) {
        self.want(socket, Receive::Always);
    }

    /// Receives once, at most `limit` bytes: a single [`Event::Received`], or
    /// [`Event::ReceiveEnded`]. Bytes beyond the limit stay in the kernel. Not to be called while a
    /// receive is under way.
    pub fn receive_once(&mut self, socket: Socket, limit: u32) {
        self.want(socket, Receive::Once(limit));
    }

    fn want(&mut self, socket: Socket, wanted: Receive) {
        let Some(slot) = self.sockets.get_open(socket) else {
            return;
        };
        slot.wanted = wanted;
        slot.pausing = false;
        if !slot.receiving {
            self.arm_receive(socket);
        }
    }

    /// Stops receiving. Bytes that have arrived by then still come, then [`Event::ReceiveEnded`]
    /// with [`ReceiveEnd::Paused`]; [`Core::receive`] resumes. Ignored when nothing is being
    /// received.
    pub fn pause(&mut self, socket: Socket) {
        let Some(slot) = self.sockets.get_open(socket) else {
            return;
        };
        if slot.wanted == Receive::Nothing || slot.pausing {
            return;
        }
        slot.pausing = true;
        if slot.receiving {
            self.cancel(Kind::Receive, socket);
        } else {
            self.pending.push_back(Pending::Paused(socket));
        }
    }

    /// Sends all of `outgoing`, which comes back in [`Event::Sent`]. At most one send of a socket
    /// is under way: calling it again before `Sent` is a bug, caught in debug builds; the socket is
    /// closed then, as its bytes would be out of order. On a socket that is closed or closing the
    /// `Outgoing` is recycled and nothing is told but [`Event::Closed`]. Costs no system call of
    /// its own.
    pub fn send(&mut self, socket: Socket, mut outgoing: Box<Outgoing>) {
        let Some(slot) = self.sockets.get_open(socket) else {
            self.recycle(outgoing);
            return;
        };
        if slot.outgoing.is_some() {
            debug_assert!(false, "a send of this socket is under way");
            tracing::error!("two sends at once on one socket: closing it");
            self.recycle(outgoing);
            self.close(socket);
            return;
        }
        outgoing.sent = 0;
        if outgoing.is_empty() {
            self.pending.push_back(Pending::Sent(socket, outgoing));
        } else {
            slot.outgoing = Some(outgoing);
            self.arm_send(socket);
        }
    }

    /// Ends the connection: both directions are shut down, operations are cancelled and awaited,
    /// the descriptor is closed, and [`Event::Closed`] is told. After this call nothing else is
    /// told about the socket; an `Outgoing` under way is recycled. What the kernel had taken to
    /// send is still sent, unless bytes lie unread: then TCP resets the connection.
    pub fn close(&mut self, socket: Socket) {
        let Some(slot) = self.sockets.get_open(socket) else {
            return;
        };
        slot.closing = true;
        let (receiving, sending) = (slot.receiving, slot.outgoing.is_some());
        if let Some(fd) = &slot.fd {
            // Fails only if the connection is gone already.
            let _ = rustix::net::shutdown(fd, Shutdown::Both);
        }
        if receiving {
            self.cancel(Kind::Receive, socket);
        }
        if sending {
            self.cancel(Kind::Send, socket);
        }
        if !receiving && !sending {
            self.pending.push_back(Pending::Closed(socket));
        }
    }

    /// Tells the peer that nothing more will be sent (shutdown(2)); receiving goes on. To be called
    /// when no send is under way. One system call.
    pub fn finish_sending(&mut self, socket: Socket) {
        if let Some(fd) = self.sockets.get_open(socket).and_then(|slot| slot.fd.as_ref()) {
            // Fails only where the connection is gone already, which the receive will tell.
            let _ = rustix::net::shutdown(fd, Shutdown::Write);
        }
    }

    /// Gives the descriptor back, to be adopted by another core. `None`, and nothing changed, while
    /// an operation is under way or the socket is closing. The handle is stale then; nothing is
    /// told about it any more.
    pub fn detach(&mut self, socket: Socket) -> Option<OwnedFd> {
        let slot = self.sockets.get_open(socket)?;
        if slot.is_busy() {
            return None;
        }
        self.release(socket)
    }

    /// Frees an idle socket's slot, in the ring's file table too.
    fn release(&mut self, socket: Socket) -> Option<OwnedFd> {
        let registered = self.sockets.get(socket).is_some_and(|slot| slot.registered);
        let fd = self.sockets.remove(socket)?;
        if registered {
            // Emptying a place can't fail: the table has it, and -1 needs no memory.
            let emptied = self.ring.io().submitter().register_files_update(socket.slot, &[-1]);
            debug_assert!(emptied.is_ok(), "{emptied:?}");
        }
        Some(fd)
    }

    fn cancel(&mut self, kind: Kind, socket: Socket) {
        let operation = encode(kind, socket.slot, socket.generation);
        let cancel = opcode::AsyncCancel::new(operation).build().user_data(encode(Kind::Cancel, socket.slot, 0));
        // SAFETY: a cancellation points to nothing.
        unsafe { self.ring.push(cancel) };
    }

    fn arm_receive(&mut self, socket: Socket) {
        let Some(slot) = self.sockets.get(socket) else {
            return;
        };
        let Some(target) = slot.target(socket.slot) else {
            return;
        };
        let entry = match slot.wanted {
            Receive::Nothing => return,
            Receive::Always => for_target!(target, |fd| opcode::RecvMulti::new(fd, GROUP).build()),
            Receive::Once(limit) => {
                for_target!(target, |fd| opcode::Recv::new(fd, std::ptr::null_mut(), limit).buf_group(GROUP).build())
                    .flags(squeue::Flags::BUFFER_SELECT)
            }
        };
        slot.receiving = true;
        let entry = entry.user_data(encode(Kind::Receive, socket.slot, socket.generation));
        // SAFETY: the kernel takes its memory from the provided-buffer ring, which outlives this
        // ring.
        unsafe { self.ring.push(entry) };
    }

    fn arm_send(&mut self, socket: Socket) {
        let Some(slot) = self.sockets.get(socket) else {
            return;
        };
        let (Some(target), Some(outgoing)) = (slot.target(socket.slot), slot.outgoing.as_mut()) else {
            return;
        };
        let entry = match outgoing.parts() {
            Parts::One { start, len } => {
                let len = len.min(MAX_SEND) as u32;
                for_target!(target, |fd| opcode::Send::new(fd, start, len).flags(SEND_FLAGS).build())
            }
            Parts::Many { header } => {
                for_target!(target, |fd| opcode::SendMsg::new(fd, header).flags(SEND_FLAGS as u32).build())
            }
        };
        let entry = entry.user_data(encode(Kind::Send, socket.slot, socket.generation));
        // SAFETY: the parts lie in the boxed `Outgoing` and the regions that it holds, which stay
        // in the slot, unchanged, until the send's completion.
        unsafe { self.ring.push(entry) };
    }

    /// Closes a closing socket that the kernel is done with.
    fn finish_close(&mut self, socket: Socket) {
        if self.sockets.get(socket).is_some_and(|slot| slot.closing && !slot.is_busy()) {
            self.pending.push_back(Pending::Closed(socket));
        }
    }
}

/// A receive went on or ended.
pub(crate) fn receive_completed<H: Handler>(
    handler: &mut H,
    core: &mut Core<H::Message>,
    buffers: &mut ReceiveBuffers,
    socket: Socket,
    completion: &cqueue::Entry,
) {
    let result = completion.result();
    let more = cqueue::more(completion.flags());
    if let (false, Some(slot)) = (more, core.sockets.get(socket)) {
        slot.receiving = false;
    }
    if let Some(buffer) = cqueue::buffer_select(completion.flags()) {
        if let (Ok(len @ 1..), Some(_)) = (usize::try_from(result), core.sockets.get_open(socket)) {
            core.metrics.receives += 1;
            core.metrics.bytes_in += len as u64;
            handler.event(core, Event::Received { socket, bytes: buffers.bytes(buffer, len) });
        }
        buffers.recycle(buffer);
    }
    if !more {
        receive_ended(handler, core, socket, result);
    }
}

fn receive_ended<H: Handler>(handler: &mut H, core: &mut Core<H::Message>, socket: Socket, result: i32) {
    let Some(slot) = core.sockets.get(socket) else {
        return;
    };
    if slot.closing {
        core.finish_close(socket);
        return;
    }
    if slot.receiving {
        return; // The handler has started the next one already.
    }
    let reason = match result {
        0 => Some(ReceiveEnd::PeerClosed),
        1.. if matches!(slot.wanted, Receive::Once(_)) && !slot.pausing => {
            slot.wanted = Receive::Nothing;
            return;
        }
        _ if result > 0 || is_passing(-result) => slot.pausing.then_some(ReceiveEnd::Paused),
        _ => Some(ReceiveEnd::Failed(io::Error::from_raw_os_error(-result))),
    };
    if result == -libc::ENOBUFS {
        core.metrics.receive_buffers_exhausted += 1;
    }
    match reason {
        Some(reason) => {
            slot.wanted = Receive::Nothing;
            slot.pausing = false;
            handler.event(core, Event::ReceiveEnded { socket, reason });
        }
        // Every buffer of this turn is back when the ring is entered next, so there is one for this
        // receive.
        None => core.arm_receive(socket),
    }
}

/// Whether a receive that ended with this errno is simply started again: no buffer was free, or it
/// was cancelled for a pause.
fn is_passing(errno: i32) -> bool {
    matches!(errno, libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN)
}

/// A send went on, ended or failed.
pub(crate) fn send_completed<H: Handler>(
    handler: &mut H,
    core: &mut Core<H::Message>,
    socket: Socket,
    completion: &cqueue::Entry,
) {
    let Some(slot) = core.sockets.get(socket) else {
        return;
    };
    let closing = slot.closing;
    let Some(outgoing) = slot.outgoing.as_mut() else {
        return;
    };
    let result = match completion.result() {
        0 => Err(io::ErrorKind::WriteZero.into()),
        taken @ 1.. => {
            outgoing.sent += taken as usize;
            Ok(outgoing.sent < outgoing.len())
        }
        error if matches!(-error, libc::EINTR | libc::EAGAIN) => Ok(true),
        error => Err(io::Error::from_raw_os_error(-error)),
    };
    if let (Ok(true), false) = (&result, closing) {
        core.metrics.short_sends += 1;
        core.arm_send(socket);
        return;
    }
    let Some(outgoing) = slot.outgoing.take() else {
        return;
    };
    if closing {
        core.recycle(outgoing);
        core.finish_close(socket);
        return;
    }
    core.metrics.sends += 1;
    core.metrics.bytes_out += outgoing.sent as u64;
    handler.event(core, Event::Sent { socket, outgoing, result: result.map(|_| ()) });
}

/// Tells an event that needed no completion.
pub(crate) fn tell_pending<H: Handler>(handler: &mut H, core: &mut Core<H::Message>, pending: Pending) {
    match pending {
        Pending::Closed(socket) => {
            // Closing the descriptor here, after the file table let go of it, is what closes the
            // connection.
            if core.release(socket).is_some() {
                core.metrics.closed += 1;
                handler.event(core, Event::Closed { socket });
            }
        }
        Pending::Paused(socket) => {
            let Some(slot) = core.sockets.get_open(socket).filter(|slot| slot.pausing && !slot.receiving) else {
                return; // Closed, taken back, or a later receive will tell it.
            };
            slot.pausing = false;
            slot.wanted = Receive::Nothing;
            handler.event(core, Event::ReceiveEnded { socket, reason: ReceiveEnd::Paused });
        }
        Pending::Sent(socket, outgoing) => {
            if core.sockets.get_open(socket).is_some() {
                handler.event(core, Event::Sent { socket, outgoing, result: Ok(()) });
            } else {
                core.recycle(outgoing);
            }
        }
        Pending::Written(token) => handler.event(core, Event::Written { token, result: Ok(()) }),
    }
}
