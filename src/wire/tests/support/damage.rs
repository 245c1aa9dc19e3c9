//! Ways to damage an archive at random.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// One way to damage an archive. Places are fractions of the length at hand.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    FlipBit(Index, u8),
    SetByte(Index, u8),
    /// Where lengths and relative pointers stand: on a multiple of four, a number near zero.
    SetWord(Index, i32),
    CutEnd(Index),
    CutStart(Index),
    /// Copies a part over another, as a splice of two frames would.
    Splice(Index, Index, Index),
    Insert(Index, Vec<u8>),
}

/// Any damage, most often of the kinds that the validator has most to say about.
pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), 0..8u8).prop_map(|(place, bit)| Damage::FlipBit(place, bit)),
        2 => (at(), any::<u8>()).prop_map(|(place, byte)| Damage::SetByte(place, byte)),
        4 => (at(), prop_oneof![-96..96i32, any::<i32>()])
            .prop_map(|(place, word)| Damage::SetWord(place, word)),
        1 => at().prop_map(Damage::CutEnd),
        1 => at().prop_map(Damage::CutStart),
        2 => (at(), at(), at()).prop_map(|(from, to, length)| Damage::Splice(from, to, length)),
        1 => (at(), vec(any::<u8>(), 1..24))
            .prop_map(|(place, bytes)| Damage::Insert(place, bytes)),
    ]
}

impl Damage {
    /// Does it. Nothing happens to what is empty already.
    pub(crate) fn inflict(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        match self {
            Damage::FlipBit(place, bit) => bytes[place.index(length)] ^= 1 << bit,
            Damage::SetByte(place, byte) => bytes[place.index(length)] = *byte,
            Damage::SetWord(place, word) => {
                let start = place.index(length) / 4 * 4;
                let end = length.min(start + 4);
                bytes[start..end].copy_from_slice(&word.to_le_bytes()[..end - start]);
            }
            Damage::CutEnd(place) => bytes.truncate(place.index(length)),
            Damage::CutStart(place) => drop(bytes.drain(..place.index(length))),
            Damage::Splice(from, to, count) => {
                let (from, to) = (from.index(length), to.index(length));
                let count = count.index(length).min(length - from.max(to));
                bytes.copy_within(from..from + count, to);
            }
            Damage::Insert(place, more) => {
                let place = place.index(length + 1);
                drop(bytes.splice(place..place, more.iter().copied()));
            }
        }
    }
}
