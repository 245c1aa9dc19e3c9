//! Concept ids: 128 bits, from 32 hexadecimal digits as they stand, else from a name by MD5.
//!
//! MD5 is the rule of the server that this one replaces: ids that old clients hold keep resolving. It names things, it protects
//! nothing. The id of nothing (all zero) is refused wherever an id is needed.

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};

/// The 16 bytes that name a concept within its namespace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ConceptId(pub [u8; 16]);

/// A text that can't be a concept id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The empty string names nothing.
    #[error("the name is empty; give the concept's name, or its id as 32 hexadecimal digits")]
    Empty,
    /// 32 zeros stand for no concept.
    #[error("the id of 32 zeros stands for no concept; give another id, or a name")]
    Zero,
}

impl ConceptId {
    /// The id that a caller's string stands for: exactly 32 hexadecimal digits are decoded, all else is hashed.
    pub fn from_name(name: &str) -> Result<Self, InvalidId> {
        if name.is_empty() {
            return Err(InvalidId::Empty);
        }
        let id = Self::from_digits(name).unwrap_or_else(|| Self(Md5::digest(name.as_bytes()).into()));
        if id.is_zero() { Err(InvalidId::Zero) } else { Ok(id) }
    }

    /// The id whose 32 hexadecimal digits these are, if they are.
    pub fn from_digits(digits: &str) -> Option<Self> {
        let digits: &[u8; 32] = digits.as_bytes().try_into().ok()?;
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(id))
    }

    /// Whether this is the id of nothing.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 16]
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

impl FromStr for ConceptId {
    type Err = InvalidId;

    fn from_str(name: &str) -> Result<Self, InvalidId> {
        Self::from_name(name)
    }
}

impl fmt::Display for ConceptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ConceptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<[u8; 16]> for ConceptId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> String {
        ConceptId::from_name(name).map_or_else(|error| error.to_string(), |id| id.to_string())
    }

    #[test]
    fn names_hash_as_the_old_server_hashed_them() {
        assert_eq!(id("test"), "098f6bcd4621d373cade4e832627b4f6");
        assert_eq!(id("concept-1"), "a5517013550b143889f8577035f9364b");
        assert_eq!(id("naïve"), "63899c6b555841978b89319d701f9b5a");
    }

    #[test]
    fn thirty_two_digits_stand_for_themselves_in_either_case() {
        assert_eq!(id("550e8400e29b41d4a716446655440000"), "550e8400e29b41d4a716446655440000");
        assert_eq!(id("550E8400E29B41D4A716446655440000"), "550e8400e29b41d4a716446655440000");
    }

    #[test]
    fn numeric_ids_that_the_old_rule_merged_stay_distinct() {
        let ids: std::collections::HashSet<_> = ["1", "01", "100", "10000"].map(id).into_iter().collect();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn nothing_is_named_by_an_empty_string_or_by_zeros() {
        assert_eq!(ConceptId::from_name(""), Err(InvalidId::Empty));
        assert_eq!(ConceptId::from_name(&"0".repeat(32)), Err(InvalidId::Zero));
    }
}
