//! The way between a server and its successor: messages, whole and in order, each with the
//! descriptors that belong to it.
//!
//! It is a socket of the host, whose name is made of the data folder's identity. So it is found by
//! the folder, whatever path leads there, leaves nothing behind in it, and is gone with its
//! process. As a name does not keep anyone out, both ends ask the kernel who the other is.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg,
};
use rustix::process::{Pid, getuid};
use sutra_runtime::Folder;

use super::message::Message;

/// Descriptors that one message takes: the kernel's own bound is 253.
pub(super) const MOST_DESCRIPTORS: usize = 250;
/// Bytes of the longest message: what a server says of its ports has some hundred bytes for each.
const MOST_BYTES: usize = 64 << 10;
/// How long descriptors on their way may be too many for the kernel.
const CROWDED: Duration = Duration::from_secs(10);
const CROWDED_PAUSE: Duration = Duration::from_millis(1);
/// How long the other end may take to make room for a message, or to let a process in.
const SENDING: Duration = Duration::from_secs(10);

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) pid: Pid,
    pub(super) user: u32,
}

impl Peer {
    /// Whether it is this process's user.
    pub(super) fn is_own(&self) -> bool {
        self.user == getuid().as_raw()
    }
}

/// One end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

/// A message that has come, or why none did.
pub(super) enum Received {
    Message(Message, Vec<OwnedFd>),
    /// The other end is closed.
    Ended,
    /// Nothing came in time.
    Nothing,
    /// Whoever waits is to wait no longer.
    Called,
}

/// The name by which a folder's server is found.
fn name(folder: &Path) -> io::Result<SocketAddrUnix> {
    let folder = Folder::open(folder)?;
    let identity = folder.identity()?.ok_or(io::ErrorKind::NotFound)?;
    let name = format!("sutra/takeover/{}", identity.in_proc_locks());
    Ok(SocketAddrUnix::new_abstract_name(name.as_bytes())?)
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Where successors are awaited.
#[derive(Debug)]
pub(super) struct Listening(OwnedFd);

impl Listening {
    /// At the server of a folder, which is locked for this process.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let socket = socket()?;
        rustix::net::bind(&socket, &name(folder)?)?;
        rustix::net::listen(&socket, 4)?;
        Ok(Self(socket))
    }

    /// The next that comes; `None` where `call` can be read first.
    pub(super) fn accept(&self, call: BorrowedFd<'_>) -> io::Result<Option<Channel>> {
        if !wait(self.0.as_fd(), Some(call), None)? {
            return Ok(None);
        }
        let socket = rustix::net::accept_with(&self.0, SocketFlags::CLOEXEC)?;
        set_socket_timeout(&socket, Timeout::Send, Some(SENDING))?;
        Ok(Some(Channel(socket)))
    }
}

/// Waits until the first can be read: `false` where the second can be, or the time is over.
fn wait(
    fd: BorrowedFd<'_>,
    call: Option<BorrowedFd<'_>>,
    until: Option<Instant>,
) -> io::Result<bool> {
    loop {
        let mut polled = vec![PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        polled.extend(call.map(|call| PollFd::from_borrowed_fd(call, PollFlags::IN)));
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| left.try_into().unwrap_or_default());
        match poll(&mut polled, timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(!polled[0].revents().is_empty()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Channel {
    /// To the server of a folder; `None` where there is none.
    pub(super) fn connect(folder: &Path) -> io::Result<Option<Self>> {
        let socket = socket()?;
        set_socket_timeout(&socket, Timeout::Send, Some(SENDING))?;
        let name = match name(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            name => name?,
        };
        match rustix::net::connect(&socket, &name) {
            Ok(()) => Ok(Some(Self(socket))),
            Err(Errno::CONNREFUSED) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> io::Result<Peer> {
        let peer = rustix::net::sockopt::socket_peercred(&self.0)?;
        Ok(Peer { pid: peer.pid, user: peer.uid.as_raw() })
    }

    /// Sends a message with its descriptors, of which there are [`MOST_DESCRIPTORS`] at most.
    pub(super) fn send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let since = Instant::now();
        loop {
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
                return Err(io::Error::other("too many descriptors for one message"));
            }
            match sendmsg(&self.0, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                // Those before have not been taken yet.
                Err(Errno::TOOMANYREFS) if since.elapsed() < CROWDED => {
                    std::thread::sleep(CROWDED_PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next message. Waits for at most so long, and no longer than until `call` can be read.
    pub(super) fn receive(
        &self,
        patience: Option<Duration>,
        call: Option<BorrowedFd<'_>>,
    ) -> io::Result<Received> {
        let until = patience.map(|patience| Instant::now() + patience);
        if !wait(self.0.as_fd(), call, until)? {
            let is_late = until.is_some_and(|until| until <= Instant::now());
            return Ok(if is_late { Received::Nothing } else { Received::Called });
        }
        let mut text = vec![0; MOST_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let read = match recvmsg(&self.0, &mut [IoSliceMut::new(&mut text)], &mut control, flags) {
            Ok(read) => read,
            // Closed with something unread.
            Err(Errno::CONNRESET) => return Ok(Received::Ended),
            Err(error) => return Err(error.into()),
        };
        let fds = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
            _ => Vec::new(),
        });
        let fds: Vec<OwnedFd> = fds.collect();
        if read.bytes == 0 {
            return Ok(Received::Ended);
        }
        let lost = rustix::net::ReturnFlags::TRUNC | rustix::net::ReturnFlags::CTRUNC;
        if read.flags.intersects(lost) {
            return Err(io::Error::other(
                "a message came in part; may this process open enough files (`ulimit -n`)?",
            ));
        }
        Ok(Received::Message(serde_json::from_slice(&text[..read.bytes])?, fds))
    }
}
