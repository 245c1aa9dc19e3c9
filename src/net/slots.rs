//! The connections of a core, by the runtime's socket slot.
//!
//! A slot is used again for another connection; a serial never is. So who remembers a
//! [`ConnectionId`] finds that connection, or nothing ([`Slots::live`]).

use sutra_runtime::Socket;

use crate::connection::{Connection, ConnectionId};

#[derive(Default)]
pub(crate) struct Slots {
    slots: Vec<Option<Connection>>,
    last_serial: u64,
}

impl Slots {
    /// Puts one into its socket's slot; `make` is given its name, which is returned.
    pub(crate) fn insert(
        &mut self,
        socket: Socket,
        make: impl FnOnce(ConnectionId) -> Connection,
    ) -> ConnectionId {
        self.last_serial += 1;
        let index = socket.index();
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let id = ConnectionId::new(index, self.last_serial);
        self.slots[index] = Some(make(id));
        id
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Connection> {
        self.slots.get(index)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Connection> {
        self.slots.get_mut(index)?.as_mut()
    }

    /// The connection of this name, if it is still there.
    pub(crate) fn live(&self, id: ConnectionId) -> Option<&Connection> {
        self.get(id.index()).filter(|connection| connection.id() == id)
    }

    pub(crate) fn live_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.get_mut(id.index()).filter(|connection| connection.id() == id)
    }

    /// The connection of a socket; `None` where it is not ours any more.
    pub(crate) fn of(&mut self, socket: Socket) -> Option<&mut Connection> {
        self.get_mut(socket.index()).filter(|connection| connection.socket() == socket)
    }

    /// Takes one out of its slot.
    pub(crate) fn take(&mut self, index: usize) -> Option<Connection> {
        self.slots.get_mut(index)?.take()
    }

    /// How many slots there are, empty ones included.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}
