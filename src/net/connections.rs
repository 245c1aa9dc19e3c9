//! The connections of a core, by the runtime's socket slot.
//!
//! A slot is used again for another connection; a serial never is. So who remembers both finds the
//! connection, or nothing ([`Connections::live`]).

use sutra_runtime::Socket;

use crate::connection::Connection;

#[derive(Default)]
pub(crate) struct Connections {
    slots: Vec<Option<Connection>>,
    next_serial: u64,
}

impl Connections {
    /// Puts one into its slot; `make` is given its serial, which is returned.
    pub(crate) fn insert(&mut self, index: usize, make: impl FnOnce(u64) -> Connection) -> u64 {
        self.next_serial += 1;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(make(self.next_serial));
        self.next_serial
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Connection> {
        self.slots.get(index)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Connection> {
        self.slots.get_mut(index)?.as_mut()
    }

    /// The one that had this slot and serial, if it is still there.
    pub(crate) fn live(&self, index: usize, serial: u64) -> Option<&Connection> {
        self.get(index).filter(|connection| connection.serial == serial)
    }

    pub(crate) fn live_mut(&mut self, index: usize, serial: u64) -> Option<&mut Connection> {
        self.get_mut(index).filter(|connection| connection.serial == serial)
    }

    /// The connection of a socket; `None` where it is not ours any more.
    pub(crate) fn of(&mut self, socket: Socket) -> Option<&mut Connection> {
        self.get_mut(socket.index()).filter(|connection| connection.socket == socket)
    }

    /// Takes one out of its slot.
    pub(crate) fn take(&mut self, index: usize) -> Option<Connection> {
        self.slots.get_mut(index)?.take()
    }

    /// How many slots there are, empty ones included.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }
}
