//! A socket's life: adopted, handed on to another core or process, or closed once the kernel is
//! done with it.

use std::os::fd::OwnedFd;

use rustix::net::Shutdown;

use crate::RuntimeError;
use crate::backend::Backend;
use crate::event::{Event, ReceiveEnd};
use crate::metrics::CoreMetrics;
use crate::operation::Operation;
use crate::sockets::handle::Socket;
use crate::sockets::{Pending, Sockets};

impl Sockets {
    /// Takes a connected stream socket into care.
    pub(crate) fn adopt(
        &mut self,
        backend: &mut Backend,
        metrics: &mut CoreMetrics,
        fd: OwnedFd,
    ) -> Result<Socket, RuntimeError> {
        let socket = self
            .table
            .insert(fd)
            .map_err(|_| RuntimeError::FileLimit { what: "adopting a socket" })?;
        if let Some(slot) = self.table.get(socket)
            && let Err(error) = backend.register(socket.slot(), slot.fd())
        {
            self.table.remove(socket);
            return Err(RuntimeError::system("registering a socket with the ring")(error));
        }
        metrics.adopted += 1;
        Ok(socket)
    }

    /// Shuts the connection down and ends its operations; it is closed when they have ended.
    pub(crate) fn close(&mut self, backend: &mut Backend, socket: Socket) {
        let Some(slot) = self.table.get_open(socket) else {
            return;
        };
        slot.close();
        backend.shut_down(slot.fd(), Shutdown::Both);
        if slot.is_receiving() {
            backend.cancel(Operation::Receive(socket));
        }
        if slot.is_sending() {
            backend.cancel(Operation::Send(socket));
        }
        self.finish_close(socket);
    }

    /// Has a closing socket closed that the kernel is done with.
    pub(super) fn finish_close(&mut self, socket: Socket) {
        if self.table.get(socket).is_some_and(|slot| !slot.is_open() && !slot.is_busy()) {
            self.pending.push_back(Pending::Closed(socket));
        }
    }

    /// Ends a socket's operations; it is given away when they have ended.
    pub(crate) fn withdraw(&mut self, backend: &mut Backend, socket: Socket) {
        let Some(slot) = self.table.get_open(socket) else {
            return;
        };
        slot.withdraw();
        if slot.is_receiving() {
            backend.cancel(Operation::Receive(socket));
        }
        if slot.is_sending() {
            backend.cancel(Operation::Send(socket));
        }
        self.finish_withdrawal(socket);
    }

    /// Has a socket given away that is withdrawn and that the kernel is done with.
    pub(super) fn finish_withdrawal(&mut self, socket: Socket) {
        if self.table.get_open(socket).is_some_and(|slot| slot.is_withdrawn() && !slot.is_busy()) {
            self.pending.push_back(Pending::Withdrawn(socket));
        }
    }

    /// Tells the peer that nothing more will be sent.
    pub(crate) fn finish_sending(&mut self, backend: &mut Backend, socket: Socket) {
        if let Some(slot) = self.table.get_open(socket) {
            backend.shut_down(slot.fd(), Shutdown::Write);
        }
    }

    /// Gives the descriptor back, unless an operation is under way.
    pub(crate) fn detach(&mut self, backend: &mut Backend, socket: Socket) -> Option<OwnedFd> {
        self.table.get_open(socket)?;
        self.release(backend, socket)
    }

    /// Frees an idle socket's slot, with the backend too.
    fn release(&mut self, backend: &mut Backend, socket: Socket) -> Option<OwnedFd> {
        let fd = self.table.remove(socket)?;
        backend.forget(socket.slot());
        Some(fd)
    }

    /// Takes an event that needed no completion; `None` where there is nothing to tell by now.
    pub(crate) fn next_pending(
        &mut self,
        backend: &mut Backend,
        metrics: &mut CoreMetrics,
    ) -> Option<Event<'static>> {
        match self.pending.pop_front()? {
            Pending::Closed(socket) => {
                // Closing the descriptor here, after the backend has let go of it, is what closes
                // the connection.
                self.release(backend, socket)?;
                metrics.closed += 1;
                Some(Event::Closed { socket })
            }
            Pending::Withdrawn(socket) => {
                let unsent = self.table.get_open(socket)?.take_unsent();
                let fd = self.release(backend, socket)?;
                Some(Event::Withdrawn { socket, fd, unsent })
            }
            Pending::Paused(socket) => {
                // Not where it was closed or taken back, or where a later receive will tell it.
                let is_due = self.table.get_open(socket).is_some_and(|slot| slot.take_pause());
                is_due.then_some(Event::ReceiveEnded { socket, reason: ReceiveEnd::Paused })
            }
            Pending::Sent(socket, outgoing) => {
                if self.table.get_open(socket).is_some() {
                    return Some(Event::Sent { socket, outgoing, result: Ok(()) });
                }
                self.recycle(outgoing);
                None
            }
        }
    }
}
