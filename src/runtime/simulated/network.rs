//! Connections in a simulation: a queue of bytes each way, and who has closed what.

use std::collections::{HashMap, VecDeque};
use std::os::fd::RawFd;

/// A connection, for as long as the simulation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(usize);

/// All connections of a simulation, seen from the clients' side.
#[derive(Debug, Default)]
pub struct Network {
    connections: Vec<Connection>,
    /// By the descriptor that stands for the server's side. Only looked up: descriptors are not the
    /// same in every run.
    by_descriptor: HashMap<RawFd, ConnectionId>,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) to_server: VecDeque<u8>,
    pub(super) to_client: VecDeque<u8>,
    /// Bytes that may lie unread at the client.
    capacity: usize,
    /// Whether the client sends nothing more.
    pub(super) is_client_done: bool,
    /// Whether the client is gone without a word: what the server tries fails.
    pub(super) is_reset: bool,
    /// Whether the server sends nothing more.
    is_server_done: bool,
    /// Whether the server receives nothing more.
    pub(super) is_server_deaf: bool,
}

impl Connection {
    /// How many bytes the server may send now.
    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.to_client.len())
    }
}

impl Network {
    /// A connection of a client that leaves at most so many bytes unread.
    pub(super) fn open(&mut self, descriptor: RawFd, capacity: usize) -> ConnectionId {
        let id = ConnectionId(self.connections.len());
        self.connections.push(Connection {
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            capacity,
            is_client_done: false,
            is_reset: false,
            is_server_done: false,
            is_server_deaf: false,
        });
        // The kernel gives a number again once it is free, so that the connection before is closed.
        if let Some(before) = self.by_descriptor.insert(descriptor, id) {
            self.end(before);
        }
        id
    }

    pub(super) fn of(&self, descriptor: RawFd) -> Option<ConnectionId> {
        self.by_descriptor.get(&descriptor).copied()
    }

    pub(super) fn get(&self, id: ConnectionId) -> &Connection {
        &self.connections[id.0]
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> &mut Connection {
        &mut self.connections[id.0]
    }

    /// The server's side sends nothing more.
    pub(super) fn finish_sending(&mut self, id: ConnectionId) {
        self.get_mut(id).is_server_done = true;
    }

    /// The server's side is closed.
    pub(super) fn end(&mut self, id: ConnectionId) {
        let connection = self.get_mut(id);
        connection.is_server_done = true;
        connection.is_server_deaf = true;
        connection.to_server.clear();
    }

    /// The client sends; lost where the server listens no more.
    pub fn send(&mut self, id: ConnectionId, bytes: &[u8]) {
        let connection = self.get_mut(id);
        if !connection.is_server_deaf && !connection.is_client_done {
            connection.to_server.extend(bytes);
        }
    }

    /// The client takes at most so many bytes of what has arrived.
    pub fn receive(&mut self, id: ConnectionId, most: usize) -> Vec<u8> {
        let waiting = &mut self.get_mut(id).to_client;
        let count = waiting.len().min(most);
        waiting.drain(..count).collect()
    }

    /// Bytes that wait for the client.
    pub fn waiting(&self, id: ConnectionId) -> usize {
        self.get(id).to_client.len()
    }

    /// The client sends nothing more, and reads on.
    pub fn finish(&mut self, id: ConnectionId) {
        self.get_mut(id).is_client_done = true;
    }

    /// The client is gone without a word.
    pub fn reset(&mut self, id: ConnectionId) {
        let connection = self.get_mut(id);
        connection.is_reset = true;
        connection.to_server.clear();
        connection.to_client.clear();
    }

    /// Whether nothing more comes for the client.
    pub fn is_over(&self, id: ConnectionId) -> bool {
        let connection = self.get(id);
        connection.is_reset || (connection.is_server_done && connection.to_client.is_empty())
    }
}
