//! A core's sockets, as its handler uses them. The work is done in `sockets.rs`.

use std::os::fd::OwnedFd;

use crate::RuntimeError;
use crate::core::Core;
use crate::operation::Receive;
use crate::sockets::{Outgoing, Socket};

impl<M: Send + 'static> Core<M> {
    /// How many sockets the core has, those that are closing included.
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Takes a connected stream socket into this core's care. Nothing is received before
    /// [`Core::receive`] or [`Core::receive_once`]. One system call where the ring's file table has
    /// room.
    ///
    /// # Errors
    /// When a core has 2^28 sockets, or the kernel refuses the registration for lack of memory; the
    /// descriptor is closed then.
    pub fn adopt(&mut self, fd: OwnedFd) -> Result<Socket, RuntimeError> {
        self.sockets.adopt(&mut self.backend, &mut self.metrics, fd)
    }

    /// Receives whatever comes from now on, as [`crate::Event::Received`], until the peer closes,
    /// the connection fails, or [`Core::pause`]. Called while a pause has not been told yet, it
    /// takes the pause back.
    pub fn receive(&mut self, socket: Socket) {
        self.sockets.receive(&mut self.backend, socket, Receive::Always);
    }

    /// Receives once, at most `limit` bytes: a single [`crate::Event::Received`], or
    /// [`crate::Event::ReceiveEnded`]. Bytes beyond the limit stay in the kernel. Not to be called
    /// while a receive is under way.
    pub fn receive_once(&mut self, socket: Socket, limit: u32) {
        self.sockets.receive(&mut self.backend, socket, Receive::Once(limit));
    }

    /// Stops receiving. Bytes that have arrived by then still come, then
    /// [`crate::Event::ReceiveEnded`] with [`crate::ReceiveEnd::Paused`]; [`Core::receive`]
    /// resumes. Ignored when nothing is being received.
    pub fn pause(&mut self, socket: Socket) {
        self.sockets.pause(&mut self.backend, socket);
    }

    /// An empty `Outgoing`, from the pool where it has one.
    pub fn outgoing(&mut self) -> Box<Outgoing> {
        self.sockets.outgoing()
    }

    /// Gives an `Outgoing` back for the next use, its regions let go.
    pub fn recycle(&mut self, outgoing: Box<Outgoing>) {
        self.sockets.recycle(outgoing);
    }

    /// Sends all of `outgoing`, which comes back in [`crate::Event::Sent`]. At most one send of a
    /// socket is under way. Calling it again before `Sent` is a bug: debug builds panic, others
    /// close the socket, as its bytes would be out of order. On a socket that is closed or closing
    /// the `Outgoing` is recycled and nothing is told but [`crate::Event::Closed`]. Costs no system
    /// call of its own.
    pub fn send(&mut self, socket: Socket, outgoing: Box<Outgoing>) {
        self.sockets.send(&mut self.backend, socket, outgoing);
    }

    /// Ends the connection: both directions are shut down, operations are cancelled and awaited,
    /// the descriptor is closed, and [`crate::Event::Closed`] is told. After this call nothing else
    /// is told about the socket; an `Outgoing` under way is recycled. What the kernel had taken to
    /// send is still sent, unless bytes lie unread: then TCP resets the connection.
    pub fn close(&mut self, socket: Socket) {
        self.sockets.close(&mut self.backend, socket);
    }

    /// Tells the peer that nothing more will be sent (shutdown(2)); receiving goes on. To be called
    /// when no send is under way. One system call.
    pub fn finish_sending(&mut self, socket: Socket) {
        self.sockets.finish_sending(&mut self.backend, socket);
    }

    /// Has a socket end what is under way on it, to be gone on with by another process: receiving
    /// is paused, and a send ends where it is. Bytes that have arrived by then still come, then
    /// [`crate::Event::Withdrawn`], and nothing else. That the peer has closed, or the connection
    /// broke, is left for the other process to find.
    pub fn withdraw(&mut self, socket: Socket) {
        self.sockets.withdraw(&mut self.backend, socket);
    }

    /// Gives the descriptor back, to be adopted by another core. `None`, and nothing changed, while
    /// an operation is under way or the socket is closing. The handle is stale then; nothing is
    /// told about it any more.
    pub fn detach(&mut self, socket: Socket) -> Option<OwnedFd> {
        self.sockets.detach(&mut self.backend, socket)
    }
}
