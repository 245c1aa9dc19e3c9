//! The table of a core's sockets: slots with generations.
//!
//! A slot is freed only when none of its operations is with the kernel any more, and its generation
//! rises then. So neither a stale handle nor a late completion can reach the next owner.

use std::os::fd::OwnedFd;

use crate::operation::MAX_SLOTS;
use crate::sockets::handle::Socket;
use crate::sockets::slot::Slot;

/// All sockets of a core.
#[derive(Debug, Default)]
pub(super) struct SocketTable {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    slot: Option<Slot>,
}

impl SocketTable {
    /// Gives a socket a slot; gives it back when there are 2^28 already.
    pub(super) fn insert(&mut self, fd: OwnedFd) -> Result<Socket, OwnedFd> {
        let number = match self.free.pop() {
            Some(number) => number,
            None => match u32::try_from(self.places.len()) {
                Ok(number) if number < MAX_SLOTS => {
                    self.places.push(Place { generation: 0, slot: None });
                    number
                }
                _ => return Err(fd),
            },
        };
        let place = &mut self.places[number as usize];
        place.slot = Some(Slot::new(fd));
        Ok(Socket::new(number, place.generation))
    }

    /// The socket's slot, unless the handle is stale.
    pub(super) fn get(&mut self, socket: Socket) -> Option<&mut Slot> {
        let place = self.places.get_mut(socket.index())?;
        if place.generation == socket.generation() { place.slot.as_mut() } else { None }
    }

    /// The slot, if its owner may still use it.
    pub(super) fn get_open(&mut self, socket: Socket) -> Option<&mut Slot> {
        self.get(socket).filter(|slot| slot.is_open())
    }

    /// Frees the slot of a socket that has nothing with the kernel; gives its descriptor.
    pub(super) fn remove(&mut self, socket: Socket) -> Option<OwnedFd> {
        if self.get(socket)?.is_busy() {
            return None;
        }
        let place = self.places.get_mut(socket.index())?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(socket.slot());
        place.slot.take().map(Slot::into_fd)
    }

    /// How many slots are taken.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::operation::Receive;

    fn descriptor() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_stale_handle_does_not_reach_the_slots_next_owner() {
        let mut table = SocketTable::default();
        let first = table.insert(descriptor()).unwrap();
        table.remove(first).unwrap();
        let second = table.insert(descriptor()).unwrap();
        assert_eq!(first.slot(), second.slot());
        assert!(table.get(first).is_none());
        assert!(table.get(second).is_some());
        assert!(table.remove(first).is_none());
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_slot_with_an_operation_at_the_kernel_is_not_freed() {
        let mut table = SocketTable::default();
        let socket = table.insert(descriptor()).unwrap();
        let slot = table.get(socket).unwrap();
        assert!(slot.want(Receive::Always));
        assert_eq!(slot.begin_receive(), Some(Receive::Always));
        assert!(table.remove(socket).is_none());
        let slot = table.get(socket).unwrap();
        slot.end_receive();
        slot.begin_send(Box::default()).unwrap();
        assert!(table.remove(socket).is_none());
        assert!(table.get(socket).unwrap().end_send().is_some());
        assert!(table.remove(socket).is_some());
        assert_eq!(table.len(), 0);
    }
}
