//! Concept ids: 128 bits, from 32 hexadecimal digits as they stand, else from a name by MD5.
//!
//! MD5 is the rule of the server that this one replaces: ids that old clients hold keep resolving.
//! It names things, it protects nothing. The id of nothing (all zero) is refused wherever an id is
//! needed.

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

/// How a caller's string becomes an id. A store keeps to the one that it was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IdRule {
    /// Exactly 32 hexadecimal digits are decoded, all else is hashed: distinct names are distinct
    /// concepts.
    #[default]
    Md5OrHex,
    /// The old server's: any hexadecimal digits are decoded (an odd number with a zero in front),
    /// then cut or filled with zeros on the right to 16 bytes. Any other name is hashed. "1", "01"
    /// and "100" are one concept. For stores that it filled.
    Legacy,
}

impl IdRule {
    /// Its name, as the manifest and the command line spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5OrHex => "md5-or-hex",
            Self::Legacy => "legacy",
        }
    }
}

impl fmt::Display for IdRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for IdRule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = [Self::Md5OrHex, Self::Legacy].into_iter().find(|rule| rule.name() == name);
        known.ok_or_else(|| format!("{name:?} is no id rule; there are md5-or-hex and legacy"))
    }
}

impl ConceptId {
    /// The id that a caller's string stands for under this rule.
    pub fn from_name_by(rule: IdRule, name: &str) -> Result<Self, InvalidId> {
        let digits = match rule {
            IdRule::Legacy if !name.is_empty() => Self::from_any_digits(name),
            _ => None,
        };
        match digits {
            Some(id) if id.is_zero() => Err(InvalidId::Zero),
            Some(id) => Ok(id),
            None => Self::from_name(name),
        }
    }

    /// The old server's reading of a run of hexadecimal digits, whatever its length.
    fn from_any_digits(digits: &str) -> Option<Self> {
        let mut id = [0; 16];
        // Counted in digits of the result: an odd number of them starts in the middle of the first
        // byte.
        let first = digits.len() % 2;
        for (at, byte) in (first..).zip(digits.bytes()) {
            let value = digit(byte)?;
            if let Some(place) = id.get_mut(at / 2) {
                *place |= if at % 2 == 0 { value << 4 } else { value };
            }
        }
        Some(Self(id))
    }

    /// The id that a caller's string stands for: exactly 32 hexadecimal digits are decoded, all
    /// else is hashed.
    pub fn from_name(name: &str) -> Result<Self, InvalidId> {
        if name.is_empty() {
            return Err(InvalidId::Empty);
        }
        let id =
            Self::from_digits(name).unwrap_or_else(|| Self(Md5::digest(name.as_bytes()).into()));
        if id.is_zero() { Err(InvalidId::Zero) } else { Ok(id) }
    }

    /// The id that these 32 hexadecimal digits spell; `None` for any other text.
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
        let ids: std::collections::HashSet<_> =
            ["1", "01", "100", "10000"].map(id).into_iter().collect();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn the_old_rule_reads_any_run_of_digits_as_the_old_server_did() {
        let old = |name| ConceptId::from_name_by(IdRule::Legacy, name).map(|id| id.to_string());
        for (name, expected) in [
            ("test", "098f6bcd4621d373cade4e832627b4f6"),
            ("1", "01000000000000000000000000000000"),
            ("01", "01000000000000000000000000000000"),
            ("100", "01000000000000000000000000000000"),
            ("10000", "01000000000000000000000000000000"),
            ("0100", "01000000000000000000000000000000"),
            ("abc", "0abc0000000000000000000000000000"),
            ("ABC", "0abc0000000000000000000000000000"),
            ("0abc", "0abc0000000000000000000000000000"),
            ("deadbeef", "deadbeef000000000000000000000000"),
            ("cafe", "cafe0000000000000000000000000000"),
            ("concept-1", "a5517013550b143889f8577035f9364b"),
            ("550e8400-e29b-41d4-a716-446655440000", "e8456cee7fd2348cfa239342b10a23bd"),
            ("550e8400e29b41d4a716446655440000", "550e8400e29b41d4a716446655440000"),
            ("550e8400e29b41d4a716446655440000ff", "550e8400e29b41d4a716446655440000"),
            ("098f6bcd4621d373cade4e832627b4f6", "098f6bcd4621d373cade4e832627b4f6"),
            ("naïve", "63899c6b555841978b89319d701f9b5a"),
            ("héé", "c2508ce308ae1c9d9d5d1ec023a342d8"),
            ("event-agent_registered-1", "e218cf4cf2c6c383edac70c3dd165971"),
            ("ts-1700000000", "b77166bc8a19312d163d4a5b732b6727"),
            ("1700000000", "17000000000000000000000000000000"),
        ] {
            assert_eq!(old(name), Ok(expected.to_owned()), "{name}");
        }
        assert_eq!(old(""), Err(InvalidId::Empty));
        assert_eq!(
            old("0"),
            Err(InvalidId::Zero),
            "the old server took this for the id of nothing"
        );
    }

    #[test]
    fn nothing_is_named_by_an_empty_string_or_by_zeros() {
        assert_eq!(ConceptId::from_name(""), Err(InvalidId::Empty));
        assert_eq!(ConceptId::from_name(&"0".repeat(32)), Err(InvalidId::Zero));
    }
}
