//! Sends requests at fixed times, whether or not earlier ones were answered.

use std::time::Duration;

use super::Run;
use super::tally::{Nanoseconds, nanoseconds};
use crate::measured::Measured;
use crate::{LoadError, Workload};

impl<W: Workload> Run<'_, W> {
    /// Sends what is due, takes what has arrived, and looks again.
    pub(super) fn drive_open_loop(mut self) -> Result<Measured, LoadError> {
        let mut heard: Nanoseconds = 0;
        loop {
            let began = self.clock.now();
            self.now = began;
            let answered = self.tally.completed();
            self.advance()?;
            let sent = self.write_due()?;
            if self.is_over() {
                return Ok(self.tally.finish(0));
            }
            let received = self.poll()?;
            if self.in_flight == 0 || received {
                heard = self.now;
            } else if self.now.saturating_sub(heard) > nanoseconds(self.plan.timeout) {
                return Err(self.silent());
            }
            if !sent && self.tally.completed() == answered {
                self.tally.polled(began, self.clock.now());
            }
        }
    }

    fn is_over(&self) -> bool {
        self.in_flight == 0 && self.tally.is_draining()
    }

    /// Sends the requests that are due, spread in turn over the connections that have room. All of
    /// one connection go out in one send, so that a load that has fallen behind does not pay a
    /// system call for each. Returns whether there was any.
    fn write_due(&mut self) -> Result<bool, LoadError> {
        let mut any = false;
        let count = self.sockets.count();
        while let Some(pacing) = self.pacing.as_mut()
            && !self.tally.is_draining()
            && self.budget > 0
        {
            let due = pacing.next_due();
            if due > self.now {
                break;
            }
            let has_room = |at: &usize| {
                let connection = self.sockets.at(*at);
                !connection.exhausted && connection.next_number().is_some()
            };
            let Some(at) =
                (pacing.cursor..pacing.cursor + count).map(|at| at % count).find(has_room)
            else {
                break;
            };
            pacing.cursor = (at + 1) % count;
            if self.begin(at, Some(due)) {
                self.pacing.as_mut().expect("an open loop").take();
                any = true;
            }
        }
        if any {
            for at in 0..count {
                // A full socket is sent to when epoll reports that it has room.
                if !self.sockets.at(at).is_watched_for_room {
                    self.flush(at)?;
                }
            }
        }
        Ok(any)
    }

    /// Handles what has arrived on any connection, without sleeping. Returns whether there was
    /// anything.
    fn poll(&mut self) -> Result<bool, LoadError> {
        if self.sockets.are_many() {
            return self.take_ready(Duration::ZERO);
        }
        self.flush(0)?;
        self.receive(0, false)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};

    use super::*;
    use crate::{Echo, Plan};

    #[test]
    fn all_that_is_due_on_a_connection_goes_out_in_one_send() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let plan = Plan { connections: 2, depth: 64, rate: Some(20_000.0), ..Plan::new(address) };
        let mut run = Run::open(&plan, (0, 1), Echo::new(64, 64), None, &mut 1).expect("opened");
        // Sockets that keep separate sends apart, which TCP does not.
        let mut far = Vec::new();
        for at in 0..2 {
            let pair =
                socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None);
            let (near, end) = pair.expect("a pair");
            run.sockets.at_mut(at).stream = TcpStream::from(near);
            far.push(end);
        }
        run.now = 499_000;
        assert!(run.write_due().expect("sent"), "ten are due by now");
        let mut bytes = [0; 4096];
        for end in far {
            let (_, count) = recv(&end, &mut bytes[..], RecvFlags::DONTWAIT).expect("sent");
            assert_eq!(count, 5 * 64);
            assert!(recv(&end, &mut bytes[..], RecvFlags::DONTWAIT).is_err(), "one send");
        }
        assert!(!run.write_due().expect("nothing to send"), "nothing more is due");
    }
}
