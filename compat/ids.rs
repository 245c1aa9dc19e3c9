//! Ids as old clients give and read them: from their texts to ids, back to 32 lower-case
//! hexadecimal digits, and the replies that are nothing but a list of them.
//!
//! The old servers knew a concept whose id was all zeros. No id of a native record may be that, so
//! it is kept under [`ZEROS`] and spelled as zeros again in every reply.
//!
//! A list may hold hundreds of thousands of ids, each of them once, where the native reply has one
//! for every association. It is sorted and thinned out where it will stand, in the message, so that
//! it takes no memory of its own.

use sutra_wire::{ConceptId, IdRule, InvalidId, limits};

use crate::error::CompatError;

/// Bytes of an id.
pub(crate) const ID_BYTES: usize = 16;
pub(crate) const DIGITS: usize = 2 * ID_BYTES;

/// The id of the concept that old clients know by 32 zeros: the MD5 of those zeros, which no other
/// name has.
const ZEROS: [u8; ID_BYTES] = 0xcd9e_459e_a708_a948_d5c2_f5a6_ca88_38cf_u128.to_be_bytes();

/// The id of the concept whose name is the empty text: the MD5 of nothing. Native clients have no
/// name for it.
const EMPTY: [u8; ID_BYTES] = 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e_u128.to_be_bytes();

/// The id under which a server of today keeps the concept that old servers know by this one.
pub fn kept_under(old: [u8; ID_BYTES]) -> [u8; ID_BYTES] {
    if old == [0; ID_BYTES] { ZEROS } else { old }
}

/// The id by which old servers know the concept that is kept under this one.
pub fn known_by(id: [u8; ID_BYTES]) -> [u8; ID_BYTES] {
    if id == ZEROS { [0; ID_BYTES] } else { id }
}

/// The id that a client's text stands for by this rule. A text that is longer than a record's name
/// may be is refused before it is hashed.
pub(crate) fn read(
    rule: IdRule,
    place: &'static str,
    text: &str,
) -> Result<[u8; ID_BYTES], CompatError> {
    if text.len() > limits::MAX_NAME {
        let problem = format!("has {} bytes, the limit is {}", text.len(), limits::MAX_NAME);
        return Err(CompatError::Value { place, problem });
    }
    match ConceptId::from_name_by(rule, text) {
        Ok(id) => Ok(id.0),
        Err(InvalidId::Zero) => Ok(ZEROS),
        // By the old rule no digits are zeros.
        Err(InvalidId::Empty) => Ok(if rule == IdRule::Legacy { ZEROS } else { EMPTY }),
    }
}

/// An id in digits.
pub(crate) struct Hex(pub(crate) [u8; DIGITS]);

impl Hex {
    pub(crate) fn of(id: &[u8; ID_BYTES]) -> Self {
        let id = known_by(*id);
        const ALL: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [[0; 2]; ID_BYTES];
        for (pair, byte) in digits.iter_mut().zip(&id) {
            *pair = [ALL[usize::from(byte >> 4)], ALL[usize::from(byte & 15)]];
        }
        Self(digits.as_flattened().try_into().expect("two digits for each byte"))
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

/// Sorts the bare ids from `start` on and keeps one of each. How many are left.
pub(crate) fn sort_and_thin(start: usize, out: &mut Vec<u8>) -> usize {
    let (ids, rest) = out[start..].as_chunks_mut::<ID_BYTES>();
    debug_assert!(rest.is_empty(), "nothing but ids");
    ids.sort_unstable_by_key(|id| u128::from_be_bytes(*id));
    let mut kept = 0;
    for at in 0..ids.len() {
        if kept == 0 || ids[kept - 1] != ids[at] {
            ids[kept] = ids[at];
            kept += 1;
        }
    }
    out.truncate(start + kept * ID_BYTES);
    kept
}
