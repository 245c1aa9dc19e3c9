//! Receiving: started, paused, and what its completions mean.

use rustix::io::Errno;

use crate::backend::Backend;
use crate::event::Event;
use crate::metrics::CoreMetrics;
use crate::operation::{Operation, Outcome, Receive};
use crate::sockets::handle::Socket;
use crate::sockets::slot::{AfterReceive, Pause};
use crate::sockets::{Pending, Sockets};

impl Sockets {
    /// Receives so from now on; takes a pause back.
    pub(crate) fn receive(&mut self, backend: &mut Backend, socket: Socket, wanted: Receive) {
        if self.table.get_open(socket).is_some_and(|slot| slot.want(wanted)) {
            self.arm_receive(backend, socket);
        }
    }

    /// Stops receiving; the end of the receive tells it.
    pub(crate) fn pause(&mut self, backend: &mut Backend, socket: Socket) {
        match self.table.get_open(socket).map_or(Pause::Nothing, |slot| slot.pause()) {
            Pause::Nothing => {}
            Pause::Cancel => backend.cancel(Operation::Receive(socket)),
            Pause::Tell => self.pending.push_back(Pending::Paused(socket)),
        }
    }

    fn arm_receive(&mut self, backend: &mut Backend, socket: Socket) {
        if let Some(slot) = self.table.get(socket)
            && let Some(wanted) = slot.begin_receive()
        {
            backend.receive(socket, slot.fd(), wanted);
        }
    }

    /// A receive went on, or ended where there is no `more`. Returns how many bytes are to be told.
    pub(crate) fn received(
        &mut self,
        metrics: &mut CoreMetrics,
        socket: Socket,
        outcome: Outcome,
        more: bool,
    ) -> Option<usize> {
        let slot = self.table.get(socket)?;
        if !more {
            slot.end_receive();
        }
        let len = outcome.ok().filter(|len| *len > 0 && slot.is_open())?;
        metrics.receives += 1;
        metrics.bytes_in += len as u64;
        Some(len)
    }

    /// What follows from a receive that ended, after its bytes were told.
    pub(crate) fn receive_ended(
        &mut self,
        backend: &mut Backend,
        metrics: &mut CoreMetrics,
        socket: Socket,
        outcome: Outcome,
    ) -> Option<Event<'static>> {
        let slot = self.table.get(socket)?;
        metrics.receive_buffers_exhausted +=
            u64::from(outcome == Err(Errno::NOBUFS) && slot.is_open());
        match slot.after_receive(outcome) {
            AfterReceive::Nothing => None,
            AfterReceive::Close => {
                self.finish_close(socket);
                None
            }
            AfterReceive::Withdraw => {
                self.finish_withdrawal(socket);
                None
            }
            // Every buffer of this turn is back when the backend gets to it, so there is one for
            // this receive.
            AfterReceive::Again => {
                self.arm_receive(backend, socket);
                None
            }
            AfterReceive::End(reason) => Some(Event::ReceiveEnded { socket, reason }),
        }
    }
}
