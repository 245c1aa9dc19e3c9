//! The handle of a socket.

/// A socket of one core. A handle: copying it is free, and one whose socket was closed is ignored
/// everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Socket {
    slot: u32,
    generation: u32,
}

impl Socket {
    /// Names the `generation`th owner of a slot.
    pub(crate) fn new(slot: u32, generation: u32) -> Socket {
        Socket { slot, generation }
    }

    /// A small number that no other socket of the core has while this one is open. With it what
    /// belongs to a socket can be kept in an array. It is given to a later socket after
    /// [`crate::Event::Closed`] or [`crate::Core::detach`].
    pub fn index(self) -> usize {
        self.slot as usize
    }

    /// The slot in the core's table.
    pub(crate) fn slot(self) -> u32 {
        self.slot
    }

    /// Tells it from the slot's other owners.
    pub(crate) fn generation(self) -> u32 {
        self.generation
    }
}
