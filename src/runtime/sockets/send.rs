//! Sending: started, gone on with after a short send, and what its completions mean.

use std::io;

use rustix::io::Errno;

use crate::backend::Backend;
use crate::event::Event;
use crate::metrics::CoreMetrics;
use crate::operation::Outcome;
use crate::sockets::handle::Socket;
use crate::sockets::outgoing::Outgoing;
use crate::sockets::{Pending, Sockets};

impl Sockets {
    /// An empty `Outgoing`, from the pool where it has one.
    pub(crate) fn outgoing(&mut self) -> Box<Outgoing> {
        self.pool.take()
    }

    /// Takes an `Outgoing` back for the next use.
    pub(crate) fn recycle(&mut self, outgoing: Box<Outgoing>) {
        self.pool.give_back(outgoing);
    }

    /// Sends all of `outgoing`.
    pub(crate) fn send(
        &mut self,
        backend: &mut Backend,
        socket: Socket,
        mut outgoing: Box<Outgoing>,
    ) {
        let Some(slot) = self.table.get_open(socket) else {
            self.recycle(outgoing);
            return;
        };
        outgoing.rewind();
        if outgoing.is_empty() && !slot.is_sending() {
            self.pending.push_back(Pending::Sent(socket, outgoing));
            return;
        }
        match slot.begin_send(outgoing) {
            Ok(()) => self.arm_send(backend, socket),
            Err(outgoing) => {
                debug_assert!(false, "a send of this socket is under way");
                tracing::error!("two sends at once on one socket: closing it");
                self.recycle(outgoing);
                self.close(backend, socket);
            }
        }
    }

    fn arm_send(&mut self, backend: &mut Backend, socket: Socket) {
        if let Some((fd, outgoing)) = self.table.get(socket).and_then(|slot| slot.sending()) {
            // SAFETY: the `Outgoing` lies in a box. The slot keeps it unchanged, with the regions
            // that it holds, until the send's completion. A core that ends before drops its backend
            // first.
            unsafe { backend.send(socket, fd, outgoing) };
        }
    }

    /// A send went on, ended or failed.
    pub(crate) fn sent(
        &mut self,
        backend: &mut Backend,
        metrics: &mut CoreMetrics,
        socket: Socket,
        outcome: Outcome,
    ) -> Option<Event<'static>> {
        let slot = self.table.get(socket)?;
        let (_, outgoing) = slot.sending()?;
        let result = match outcome {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => {
                outgoing.advance(taken);
                Ok(!outgoing.is_sent())
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(true),
            Err(errno) => Err(io::Error::from(errno)),
        };
        if slot.is_open() && slot.is_withdrawn() {
            // Whatever stands in the way of the rest, the next process meets it, too.
            let is_sent = slot.end_send_early();
            if let Some(sent) = is_sent {
                metrics.sends += 1;
                metrics.bytes_out += sent.len() as u64;
                self.recycle(sent);
            }
            self.finish_withdrawal(socket);
            return None;
        }
        let is_open = slot.is_open();
        if is_open && matches!(result, Ok(true)) {
            metrics.short_sends += 1;
            self.arm_send(backend, socket);
            return None;
        }
        let outgoing = slot.end_send()?;
        if !is_open {
            self.recycle(outgoing);
            self.finish_close(socket);
            return None;
        }
        metrics.sends += 1;
        metrics.bytes_out += outgoing.sent() as u64;
        Some(Event::Sent { socket, outgoing, result: result.map(|_| ()) })
    }
}
