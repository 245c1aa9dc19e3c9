//! A core's operations on sockets and files that are under way in a simulation.

use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::Shutdown;

use super::super::{ConnectionId, Network, Submitted};
use super::{Chance, Step};
use crate::backend::Buffers;
use crate::data_file::DataFile;
use crate::handler::Handler;
use crate::operation::{Completion, Operation, Receive};
use crate::sockets::Socket;
use crate::turn::Turns;

/// What a core has begun and what has not completed.
#[derive(Default)]
pub(super) struct Operations {
    /// By slot.
    sockets: BTreeMap<u32, SimulatedSocket>,
    /// By the write's number.
    writes: BTreeMap<u32, FileWrite>,
}

struct SimulatedSocket {
    descriptor: RawFd,
    receive: Option<(Socket, Receive)>,
    send: Option<(Socket, Vec<u8>)>,
    /// Whether the receive, and the send, are to end early.
    is_cancelled: (bool, bool),
}

struct FileWrite {
    file: Arc<DataFile>,
    /// Where, and what; a sync where there is none.
    bytes: Option<(u64, Vec<u8>)>,
}

impl Operations {
    /// Takes what a turn has asked for.
    pub(super) fn begin(&mut self, asked: Vec<Submitted>, network: &mut Network) {
        for asked in asked {
            match asked {
                Submitted::Register(slot, descriptor) => {
                    let socket = SimulatedSocket {
                        descriptor,
                        receive: None,
                        send: None,
                        is_cancelled: (false, false),
                    };
                    self.sockets.insert(slot, socket);
                }
                Submitted::Forget(slot) => drop(self.sockets.remove(&slot)),
                Submitted::Receive(socket, wanted) => {
                    if let Some(of) = self.sockets.get_mut(&socket.slot()) {
                        of.receive = Some((socket, wanted));
                        of.is_cancelled.0 = false;
                    }
                }
                Submitted::Send(socket, bytes) => {
                    if let Some(of) = self.sockets.get_mut(&socket.slot()) {
                        of.send = Some((socket, bytes));
                        of.is_cancelled.1 = false;
                    }
                }
                Submitted::Cancel(Operation::Receive(socket)) => {
                    if let Some(of) = self.sockets.get_mut(&socket.slot()) {
                        of.is_cancelled.0 = true;
                    }
                }
                Submitted::Cancel(Operation::Send(socket)) => {
                    if let Some(of) = self.sockets.get_mut(&socket.slot()) {
                        of.is_cancelled.1 = true;
                    }
                }
                Submitted::ShutDown(descriptor, how) => match (network.of(descriptor), how) {
                    (Some(connection), Shutdown::Write) => network.finish_sending(connection),
                    (Some(connection), _) => network.end(connection),
                    (None, _) => {}
                },
                Submitted::Write(write, file, offset, bytes) => {
                    self.writes.insert(write, FileWrite { file, bytes: Some((offset, bytes)) });
                }
                Submitted::Sync(write, file) => {
                    self.writes.insert(write, FileWrite { file, bytes: None });
                }
                Submitted::StopListening => {}
            }
        }
    }

    /// What of it can go on now.
    pub(super) fn steps(&self, core: usize, network: &Network, into: &mut Vec<Step>) {
        for (slot, socket) in &self.sockets {
            if socket.may_receive(network) {
                into.push(Step::Receive { core, slot: *slot });
            }
            if socket.may_send(network) {
                into.push(Step::Send { core, slot: *slot });
            }
        }
        into.extend(self.writes.keys().map(|write| Step::Write { core, write: *write }));
    }

    /// Gives a socket something that it waits for: some of what has arrived, or its end.
    pub(super) fn receive<H: Handler>(
        &mut self,
        turns: &mut Turns<H>,
        network: &mut Network,
        slot: u32,
        piece: usize,
        chance: &mut Chance<'_>,
    ) {
        let Some(of) = self.sockets.get_mut(&slot) else { return };
        let Some((socket, wanted)) = of.receive else { return };
        let connection = of.connection(network).map(|connection| network.get_mut(connection));
        let (mut outcome, mut buffer, mut more) = (Ok(0), None, false);
        match connection {
            // A cancellation may come too late for what has arrived already.
            _ if of.is_cancelled.0 && chance(2) == 0 => outcome = Err(Errno::CANCELED),
            None => {}
            Some(connection) if connection.is_reset => outcome = Err(Errno::CONNRESET),
            Some(connection) if connection.to_server.is_empty() && of.is_cancelled.0 => {
                outcome = Err(Errno::CANCELED);
            }
            Some(connection) if connection.to_server.is_empty() => {}
            Some(_) if chance(64) == 0 => outcome = Err(Errno::NOBUFS),
            Some(connection) => {
                let limit = match wanted {
                    Receive::Once(limit) => limit as usize,
                    Receive::Always => piece,
                };
                let most = connection.to_server.len().min(limit).min(piece);
                let len = if chance(2) == 0 { most } else { 1 + chance(most as u64) as usize };
                let bytes: Vec<u8> = connection.to_server.drain(..len).collect();
                (outcome, buffer) = (Ok(len), Some(pieces(turns).put(&bytes)));
                // A receive of everything may end at any time, and is begun again then.
                more = wanted == Receive::Always && chance(16) > 0;
            }
        }
        if !more {
            of.receive = None;
        }
        complete(turns, Completion::Received { socket, outcome, buffer, more });
    }

    /// Takes some of what is sent.
    pub(super) fn send<H: Handler>(
        &mut self,
        turns: &mut Turns<H>,
        network: &mut Network,
        slot: u32,
        chance: &mut Chance<'_>,
    ) {
        let Some(of) = self.sockets.get_mut(&slot) else { return };
        let Some((socket, bytes)) = of.send.take() else { return };
        let connection = of.connection(network).map(|connection| network.get_mut(connection));
        let outcome = match connection {
            _ if of.is_cancelled.1 && chance(2) == 0 => Err(Errno::CANCELED),
            None => Err(Errno::PIPE),
            Some(connection) if connection.is_reset || connection.is_server_deaf => {
                Err(Errno::PIPE)
            }
            Some(connection) => match connection.room().min(bytes.len()) {
                0 if of.is_cancelled.1 => Err(Errno::CANCELED),
                // It waits for room, which the last look has promised.
                0 => Err(Errno::AGAIN),
                most => {
                    let taken = if chance(4) > 0 { most } else { 1 + chance(most as u64) as usize };
                    connection.to_client.extend(&bytes[..taken]);
                    Ok(taken)
                }
            },
        };
        complete(turns, Completion::Sent { socket, outcome });
    }

    /// Carries out a write or a sync.
    pub(super) fn write<H: Handler>(&mut self, turns: &mut Turns<H>, write: u32) {
        let Some(FileWrite { file, bytes }) = self.writes.remove(&write) else { return };
        let outcome = match (&bytes, file.as_simulated()) {
            (_, None) => Err(Errno::BADF),
            (Some((offset, bytes)), Some(file)) => file.write(*offset, bytes).map_err(errno),
            (None, Some(file)) => file.sync().map(|()| 0).map_err(errno),
        };
        complete(turns, Completion::Written { write, outcome });
    }

    /// How many writes and syncs are under way.
    pub(super) fn writes(&self) -> usize {
        self.writes.len()
    }

    /// Everything ends in the middle of it.
    pub(super) fn interrupt(&mut self) {
        for FileWrite { file, bytes } in std::mem::take(&mut self.writes).into_values() {
            if let (Some((offset, bytes)), Some(file)) = (bytes, file.as_simulated()) {
                file.interrupted(offset, &bytes);
            }
        }
    }
}

impl SimulatedSocket {
    fn connection(&self, network: &Network) -> Option<ConnectionId> {
        network.of(self.descriptor)
    }

    fn may_receive(&self, network: &Network) -> bool {
        self.receive.is_some()
            && (self.is_cancelled.0
                || self.connection(network).is_none_or(|connection| {
                    let connection = network.get(connection);
                    !connection.to_server.is_empty()
                        || connection.is_client_done
                        || connection.is_reset
                        || connection.is_server_deaf
                }))
    }

    fn may_send(&self, network: &Network) -> bool {
        self.send.is_some()
            && (self.is_cancelled.1
                || self.connection(network).is_none_or(|connection| {
                    let connection = network.get(connection);
                    connection.room() > 0 || connection.is_reset || connection.is_server_deaf
                }))
    }
}

fn pieces<H: Handler>(turns: &mut Turns<H>) -> &mut super::super::Pieces {
    match turns.buffers() {
        Buffers::Simulated(pieces) => pieces,
        Buffers::Linux(_) => unreachable!("each loop runs the cores on its own backend"),
    }
}

fn complete<H: Handler>(turns: &mut Turns<H>, completion: Completion) {
    turns.core().backend().simulated().complete(completion);
}

/// The number of an error, which is all that a kernel tells.
#[expect(clippy::needless_pass_by_value, reason = "it is mapped over results")]
fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
