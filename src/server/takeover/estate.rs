//! All that a server leaves to its successor, and its way from one process to the other.
//!
//! What is known of the connections goes in a file of memory, a record for each: a header of 16
//! bytes (u64 length of the archive, u64 number of the core, little-endian), then the archive,
//! padded to 16 bytes. The descriptors follow in messages, those of the connections in the order of
//! their records.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rkyv::util::AlignedVec;
use rustix::fs::{MemfdFlags, memfd_create};
use sutra_net::{Parted, Passed};
use sutra_runtime::{Listener, Placement};

use super::channel::{Channel, MOST_DESCRIPTORS, Received};
use super::message::Message;
use crate::ports::PortFacts;
use crate::takeover_error::TakeoverError;

const HEADER: usize = 16;
/// How long a server may take to send its next message, once it was told to go on: it holds
/// requests, and tries again where that takes too long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server leaves.
pub(crate) struct Estate {
    /// By the numbers of its ports and cores.
    pub(crate) listeners: Vec<Vec<Listener>>,
    pub(crate) admin: Option<TcpListener>,
    /// The marks of its CPUs.
    pub(crate) marks: Vec<(usize, OwnedFd)>,
    /// By core.
    pub(crate) connections: Vec<Vec<Passed>>,
}

impl Estate {
    /// What cores that have ended have given up, and what had come of it `early`.
    pub(crate) fn collect(
        early: Vec<Parted>,
        parted: &Receiver<Parted>,
        ports: usize,
        cores: usize,
        admin: Option<TcpListener>,
    ) -> Self {
        let mut listeners: Vec<Vec<Option<Listener>>> =
            (0..ports).map(|_| (0..cores).map(|_| None).collect()).collect();
        let mut connections: Vec<Vec<Passed>> = (0..cores).map(|_| Vec::new()).collect();
        for parted in early.into_iter().chain(parted.try_iter()) {
            match parted {
                Parted::Begun(_) => {}
                Parted::Listener { core, id, listener } => {
                    listeners[usize::from(id.0)][core] = Some(listener);
                }
                Parted::Connection { core, passed } => connections[core].push(passed),
            }
        }
        let listeners = listeners.into_iter().map(|port| port.into_iter().flatten().collect());
        Self { listeners: listeners.collect(), admin, marks: Vec::new(), connections }
    }

    /// How many connections there are.
    pub(crate) fn count(&self) -> usize {
        self.connections.iter().map(Vec::len).sum()
    }

    /// Sends all of it, with the marks that `placement` has. Keeps it as well.
    pub(super) fn send(&self, channel: &Channel, placement: &Placement) -> io::Result<()> {
        let state = self.state()?;
        let (cpus, marks): (Vec<usize>, Vec<BorrowedFd<'_>>) = placement.marks().unzip();
        let listeners: Vec<_> = self.listeners.iter().flatten().map(AsFd::as_fd).collect();
        let message = Message::Estate {
            listeners: listeners.len(),
            admin: self.admin.is_some(),
            marks: cpus,
            connections: self.count(),
        };
        channel.send(&message, &[state.as_fd()])?;
        let connections = self.connections.iter().flatten().map(AsFd::as_fd);
        let admin = self.admin.iter().map(AsFd::as_fd);
        let all: Vec<_> =
            listeners.into_iter().chain(admin).chain(marks).chain(connections).collect();
        all.chunks(MOST_DESCRIPTORS).try_for_each(|some| channel.send(&Message::Descriptors, some))
    }

    fn state(&self) -> io::Result<File> {
        let file = File::from(memfd_create("sutra-takeover", MemfdFlags::CLOEXEC)?);
        let mut writer = BufWriter::new(file);
        for (core, connections) in self.connections.iter().enumerate() {
            for passed in connections {
                let archive = passed.archive();
                writer.write_all(&(archive.len() as u64).to_le_bytes())?;
                writer.write_all(&(core as u64).to_le_bytes())?;
                writer.write_all(&archive)?;
                let padding = archive.len().next_multiple_of(HEADER) - archive.len();
                writer.write_all(&[0; HEADER][..padding])?;
            }
        }
        Ok(writer.into_inner()?)
    }

    /// Receives all that a server with these ports and so many cores leaves.
    pub(super) fn receive(
        channel: &Channel,
        ports: &[PortFacts],
        cores: usize,
    ) -> Result<Self, TakeoverError> {
        let failed = TakeoverError::system("what it sends can't be received");
        let (listeners, admin, marks, connections, state) = match next(channel)? {
            (Message::Estate { listeners, admin, marks, connections }, mut fds) => {
                let state = fds.pop().map(File::from);
                (listeners, admin, marks, connections, state)
            }
            (Message::Refused { why }, _) => return Err(TakeoverError::Refused { why }),
            (message, _) => return Err(failed(unexpected(&message))),
        };
        let mut fds = Vec::new();
        while fds.len() < listeners + usize::from(admin) + marks.len() + connections {
            match next(channel)? {
                (Message::Descriptors, some) if !some.is_empty() => fds.extend(some),
                (message, _) => return Err(failed(unexpected(&message))),
            }
        }
        let all = ports.len() * cores;
        let state = state.filter(|_| listeners == all);
        let mut state = state.ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
        let mut fds = fds.into_iter();
        let mut taken = ports.iter().map(|port| {
            let sockets = fds.by_ref().take(cores).map(TcpListener::from);
            sockets.map(|socket| Listener::taken_over(socket, port.is_managed)).collect()
        });
        let listeners = taken.by_ref().collect();
        drop(taken);
        let admin = fds.by_ref().take(usize::from(admin)).map(TcpListener::from).last();
        let marks = marks.into_iter().zip(fds.by_ref()).collect();
        let connections = known(&mut state, fds, cores)
            .map_err(TakeoverError::system("what is known of its connections can't be read"))?;
        Ok(Self { listeners, admin, marks, connections })
    }
}

/// The connections of each core, from what is known of them.
fn known(
    state: &mut File,
    fds: impl Iterator<Item = OwnedFd>,
    cores: usize,
) -> io::Result<Vec<Vec<Passed>>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    state.rewind()?;
    let length = usize::try_from(state.metadata()?.len()).map_err(|_| invalid())?;
    let mut bytes = AlignedVec::<HEADER>::with_capacity(length);
    bytes.resize(length, 0);
    state.read_exact(&mut bytes)?;
    let mut connections: Vec<Vec<Passed>> = (0..cores).map(|_| Vec::new()).collect();
    let mut rest = &bytes[..];
    for fd in fds {
        let (header, behind) = rest.split_at_checked(HEADER).ok_or_else(invalid)?;
        let number = |at: usize| {
            let bytes = header[at..at + 8].try_into().expect("eight bytes were cut out");
            usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| invalid())
        };
        let (length, core) = (number(0)?, number(8)?);
        let padded = length.checked_next_multiple_of(HEADER).ok_or_else(invalid)?;
        let (archive, behind) = behind.split_at_checked(padded).ok_or_else(invalid)?;
        let passed = Passed::read(fd, &archive[..length]).map_err(io::Error::other)?;
        connections.get_mut(core).ok_or_else(invalid)?.push(passed);
        rest = behind;
    }
    Ok(connections)
}

/// The server's next message.
pub(super) fn next(channel: &Channel) -> Result<(Message, Vec<OwnedFd>), TakeoverError> {
    let failed = TakeoverError::system("what it sends can't be received");
    match channel.receive(Some(PATIENCE), None).map_err(failed)? {
        Received::Message(message, fds) => Ok((message, fds)),
        Received::Ended => Err(TakeoverError::Ended),
        Received::Nothing | Received::Called => Err(TakeoverError::Refused {
            why: format!("it has said nothing for {} s", PATIENCE.as_secs()),
        }),
    }
}

fn unexpected(message: &Message) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{message:?} is not what comes next"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_known_is_refused_where_it_is_cut_or_names_no_core() {
        let descriptor = || OwnedFd::from(File::open("/dev/null").unwrap());
        let read = |bytes: &[u8], count: usize, cores: usize| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            known(&mut file, (0..count).map(|_| descriptor()), cores).map(|all| all.len())
        };
        assert_eq!(read(&[], 0, 2).unwrap(), 2);
        for bytes in [&[0; 15][..], &[0xff; 64], &[0; 16]] {
            assert!(read(bytes, 1, 2).is_err(), "{bytes:?}");
        }
    }
}
