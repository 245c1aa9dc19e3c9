//! The table of a core's sockets: slots with generations, and what each has with the kernel.
//!
//! A slot is freed only when none of its operations is with the kernel any more, and its generation
//! rises then, so that neither a stale handle nor a late completion can reach the next owner.

use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::types::{Fd, Fixed};

use crate::operation::MAX_SLOTS;
use crate::outgoing::Outgoing;

/// A socket of one core. A handle: copying it is free, and one whose socket was closed is ignored
/// everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Socket {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl Socket {
    /// A small number that no other socket of the core has while this one is open: to keep what
    /// belongs to a socket in an array. It is given to a later socket after
    /// [`crate::Event::Closed`] or [`crate::Core::detach`].
    pub fn index(self) -> usize {
        self.slot as usize
    }
}

/// What a socket's owner wants to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receive {
    Nothing,
    /// One receive of at most so many bytes.
    Once(u32),
    /// Everything that comes.
    Always,
}

/// One socket.
#[derive(Debug)]
pub(crate) struct Slot {
    generation: u32,
    /// `None` while the slot is free.
    pub(crate) fd: Option<OwnedFd>,
    /// Whether the registered file of the slot's number is this socket.
    pub(crate) registered: bool,
    pub(crate) wanted: Receive,
    /// Whether a receive is with the kernel.
    pub(crate) receiving: bool,
    /// Whether the end of that receive shall be told as `Paused`.
    pub(crate) pausing: bool,
    pub(crate) closing: bool,
    /// What is being sent; the kernel reads from it.
    pub(crate) outgoing: Option<Box<Outgoing>>,
}

/// How the ring names a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Registered(Fixed),
    Plain(Fd),
}

impl Slot {
    /// How the ring names it.
    pub(crate) fn target(&self, index: u32) -> Option<Target> {
        let fd = self.fd.as_ref()?;
        Some(if self.registered { Target::Registered(Fixed(index)) } else { Target::Plain(Fd(fd.as_raw_fd())) })
    }

    /// Whether the kernel still has an operation of it.
    pub(crate) fn is_busy(&self) -> bool {
        self.receiving || self.outgoing.is_some()
    }
}

/// All sockets of a core.
#[derive(Debug, Default)]
pub(crate) struct SocketTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl SocketTable {
    /// Gives a socket a slot; `None` when there are 2^28 already.
    pub(crate) fn insert(&mut self, fd: OwnedFd) -> Result<Socket, OwnedFd> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => match u32::try_from(self.slots.len()) {
                Ok(slot) if slot < MAX_SLOTS => {
                    self.slots.push(Slot {
                        generation: 0,
                        fd: None,
                        registered: false,
                        wanted: Receive::Nothing,
                        receiving: false,
                        pausing: false,
                        closing: false,
                        outgoing: None,
                    });
                    slot
                }
                _ => return Err(fd),
            },
        };
        let entry = &mut self.slots[slot as usize];
        entry.fd = Some(fd);
        Ok(Socket { slot, generation: entry.generation })
    }

    /// The socket's slot, unless the handle is stale.
    pub(crate) fn get(&mut self, socket: Socket) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(socket.slot as usize)?;
        (slot.generation == socket.generation && slot.fd.is_some()).then_some(slot)
    }

    /// The slot, if its owner may still use it.
    pub(crate) fn get_open(&mut self, socket: Socket) -> Option<&mut Slot> {
        self.get(socket).filter(|slot| !slot.closing)
    }

    /// Frees the slot of a socket that has nothing with the kernel; gives its descriptor.
    pub(crate) fn remove(&mut self, socket: Socket) -> Option<OwnedFd> {
        let slot = self.get(socket).filter(|slot| !slot.is_busy())?;
        let fd = slot.fd.take();
        slot.generation = slot.generation.wrapping_add(1);
        slot.registered = false;
        slot.wanted = Receive::Nothing;
        slot.pausing = false;
        slot.closing = false;
        self.free.push(socket.slot);
        fd
    }

    /// How many slots are taken.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn descriptor() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_stale_handle_does_not_reach_the_slots_next_owner() {
        let mut table = SocketTable::default();
        let first = table.insert(descriptor()).unwrap();
        table.remove(first).unwrap();
        let second = table.insert(descriptor()).unwrap();
        assert_eq!(first.slot, second.slot);
        assert!(table.get(first).is_none());
        assert!(table.get(second).is_some());
        assert!(table.remove(first).is_none());
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_slot_with_an_operation_at_the_kernel_is_not_freed() {
        let mut table = SocketTable::default();
        let socket = table.insert(descriptor()).unwrap();
        table.get(socket).unwrap().receiving = true;
        assert!(table.remove(socket).is_none());
        table.get(socket).unwrap().receiving = false;
        table.get(socket).unwrap().outgoing = Some(Box::default());
        assert!(table.remove(socket).is_none());
        table.get(socket).unwrap().outgoing = None;
        assert!(table.remove(socket).is_some());
        assert_eq!(table.len(), 0);
    }
}
