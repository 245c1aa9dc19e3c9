//! What an operation's `user_data` says: its kind, and the socket or write that it belongs to.
//!
//! 64 bits: kind in the top 4, slot in the next 28, generation in the low 32. A socket has at most
//! one operation of each kind with the kernel, so no table of operations is needed. The generation
//! tells a late completion from one of the slot's next owner.

use crate::operation::MAX_SLOTS;

/// What a completion is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes arrived at a socket, or its receiving ended.
    Receive,
    /// A send went on.
    Send,
    /// A step of a file write ended.
    Write,
    /// Another thread calls.
    Wake,
    /// A cancellation was carried out; nothing follows from it.
    Cancel,
}

/// Packs a completion's `user_data`.
pub(super) fn encode(kind: Kind, slot: u32, generation: u32) -> u64 {
    debug_assert!(slot < MAX_SLOTS);
    let kind: u64 = match kind {
        Kind::Receive => 1,
        Kind::Send => 2,
        Kind::Write => 3,
        Kind::Wake => 4,
        Kind::Cancel => 5,
    };
    kind << 60 | u64::from(slot) << 32 | u64::from(generation)
}

/// Unpacks it; `None` for what no operation of ours carries.
pub(super) fn decode(user_data: u64) -> Option<(Kind, u32, u32)> {
    let kind = match user_data >> 60 {
        1 => Kind::Receive,
        2 => Kind::Send,
        3 => Kind::Write,
        4 => Kind::Wake,
        5 => Kind::Cancel,
        _ => return None,
    };
    let slot = (user_data >> 32) as u32 & (MAX_SLOTS - 1);
    Some((kind, slot, user_data as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        for kind in [Kind::Receive, Kind::Send, Kind::Write, Kind::Wake, Kind::Cancel] {
            for (slot, generation) in [(0, 0), (1, u32::MAX), (MAX_SLOTS - 1, 7)] {
                assert_eq!(decode(encode(kind, slot, generation)), Some((kind, slot, generation)));
            }
        }
        assert_eq!(decode(0), None);
        assert_eq!(decode(u64::MAX), None);
    }
}
