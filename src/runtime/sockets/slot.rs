//! One socket: what its owner wants of it, and what it has with the kernel.
//!
//! Says what follows from a call or a completion, and does none of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::event::ReceiveEnd;
use crate::operation::{Outcome, Receive};
use crate::sockets::outgoing::Outgoing;

/// One socket.
#[derive(Debug)]
pub(super) struct Slot {
    fd: OwnedFd,
    /// What is to be received, until that has come or a pause was told.
    wanted: Option<Receive>,
    /// Whether a receive is with the kernel.
    receiving: bool,
    /// Whether the end of that receive shall be told as `Paused`.
    pausing: bool,
    closing: bool,
    /// Whether it is given away once nothing is with the kernel.
    withdrawn: bool,
    /// What was being sent then, where some of it was not.
    unsent: Option<Box<Outgoing>>,
    /// What is being sent; the kernel reads from it.
    outgoing: Option<Box<Outgoing>>,
}

/// What a pause asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// Nothing: nothing is being received, or a pause is on its way.
    Nothing,
    /// The receive is to be cancelled; its end tells the pause.
    Cancel,
    /// No receive is with the kernel: the pause can be told.
    Tell,
}

/// What the end of a receive asks for.
#[derive(Debug)]
pub(super) enum AfterReceive {
    /// Nothing to tell, nothing to start.
    Nothing,
    /// The socket may be closed now.
    Close,
    /// The socket may be given away now.
    Withdraw,
    /// Another receive.
    Again,
    /// Receiving is over, for this reason.
    End(ReceiveEnd),
}

impl Slot {
    pub(super) fn new(fd: OwnedFd) -> Slot {
        Slot {
            fd,
            wanted: None,
            receiving: false,
            pausing: false,
            closing: false,
            withdrawn: false,
            unsent: None,
            outgoing: None,
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Whether its owner may still use it.
    pub(super) fn is_open(&self) -> bool {
        !self.closing
    }

    /// Whether the kernel still has an operation of it.
    pub(super) fn is_busy(&self) -> bool {
        self.receiving || self.outgoing.is_some()
    }

    /// Notes what is wanted from now on, and takes a pause back. Whether a receive is to be
    /// started for it.
    pub(super) fn want(&mut self, wanted: Receive) -> bool {
        self.wanted = Some(wanted);
        self.pausing = false;
        !self.receiving && !self.withdrawn
    }

    /// A receive goes to the kernel: which one, if any is wanted.
    pub(super) fn begin_receive(&mut self) -> Option<Receive> {
        let wanted = self.wanted?;
        self.receiving = true;
        Some(wanted)
    }

    /// Whether a receive is with the kernel.
    pub(super) fn is_receiving(&self) -> bool {
        self.receiving
    }

    /// Nothing more is to be received.
    pub(super) fn pause(&mut self) -> Pause {
        if self.wanted.is_none() || self.pausing {
            return Pause::Nothing;
        }
        self.pausing = true;
        if self.receiving { Pause::Cancel } else { Pause::Tell }
    }

    /// Whether a pause is still to be told, by whoever asks.
    pub(super) fn take_pause(&mut self) -> bool {
        let is_due = self.pausing && !self.receiving && !self.withdrawn;
        if is_due {
            self.stop_wanting();
        }
        is_due
    }

    fn stop_wanting(&mut self) {
        self.wanted = None;
        self.pausing = false;
    }

    /// The kernel has no receive of it any more.
    pub(super) fn end_receive(&mut self) {
        self.receiving = false;
    }

    /// What follows from a receive that ended so.
    pub(super) fn after_receive(&mut self, outcome: Outcome) -> AfterReceive {
        if self.closing {
            return AfterReceive::Close;
        }
        if self.withdrawn {
            return AfterReceive::Withdraw;
        }
        if self.receiving {
            return AfterReceive::Nothing; // The handler has started the next one already.
        }
        let reason = match outcome {
            Ok(0) => ReceiveEnd::PeerClosed,
            Ok(_) if matches!(self.wanted, Some(Receive::Once(_))) && !self.pausing => {
                self.wanted = None;
                return AfterReceive::Nothing;
            }
            Err(errno) if !is_passing(errno) => ReceiveEnd::Failed(io::Error::from(errno)),
            _ if self.pausing => ReceiveEnd::Paused,
            _ => return AfterReceive::Again,
        };
        self.stop_wanting();
        AfterReceive::End(reason)
    }

    /// Begins a send; gives it back where another is under way.
    pub(super) fn begin_send(&mut self, outgoing: Box<Outgoing>) -> Result<(), Box<Outgoing>> {
        if self.outgoing.is_some() {
            return Err(outgoing);
        }
        self.outgoing = Some(outgoing);
        Ok(())
    }

    /// Whether a send is with the kernel.
    pub(super) fn is_sending(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Its descriptor, with what is being sent.
    pub(super) fn sending(&mut self) -> Option<(BorrowedFd<'_>, &mut Outgoing)> {
        Some((self.fd.as_fd(), self.outgoing.as_deref_mut()?))
    }

    /// The send is over.
    pub(super) fn end_send(&mut self) -> Option<Box<Outgoing>> {
        self.outgoing.take()
    }

    /// The send of a withdrawn socket is over. Gives it back where all of it was sent.
    pub(super) fn end_send_early(&mut self) -> Option<Box<Outgoing>> {
        let outgoing = self.outgoing.take()?;
        if outgoing.is_sent() {
            return Some(outgoing);
        }
        self.unsent = Some(outgoing);
        None
    }

    /// From now on nothing is begun on it.
    pub(super) fn withdraw(&mut self) {
        self.withdrawn = true;
    }

    /// Whether it is given away once nothing is with the kernel.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.withdrawn
    }

    /// What was not sent of what was being sent when it was withdrawn.
    pub(super) fn take_unsent(&mut self) -> Option<Box<Outgoing>> {
        self.unsent.take()
    }

    /// From now on it is only closed.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }
}

/// Whether a receive that ended with this errno is simply started again: no buffer was free, or it
/// was cancelled for a pause.
fn is_passing(errno: Errno) -> bool {
    matches!(errno, Errno::NOBUFS | Errno::CANCELED | Errno::INTR | Errno::AGAIN)
}
