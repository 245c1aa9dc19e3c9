//! When a write is acknowledged: in the handshake as a number, in settings as text.

use crate::error::PayloadError;
use crate::hello::ArchivedServerHello;

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on stable storage.
    #[default]
    Always,
    /// When the operating system has it; stable storage follows within this many milliseconds.
    Interval(u32),
    /// When the operating system has it; stable storage follows when it likes.
    Os,
}

impl Durability {
    /// Its number in the handshake.
    pub fn number(self) -> u8 {
        match self {
            Durability::Always => 0,
            Durability::Interval(_) => 1,
            Durability::Os => 2,
        }
    }

    /// The milliseconds of [`Durability::Interval`], else 0.
    pub fn interval(self) -> u32 {
        if let Durability::Interval(milliseconds) = self { milliseconds } else { 0 }
    }

    /// The durability that a server's Hello states.
    pub fn from_hello(hello: &ArchivedServerHello) -> Option<Self> {
        match hello.durability {
            0 => Some(Durability::Always),
            1 => Some(Durability::Interval(hello.sync_interval.to_native())),
            2 => Some(Durability::Os),
            _ => None,
        }
    }
}

impl std::fmt::Display for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Durability::Always => f.write_str("always"),
            Durability::Interval(milliseconds) => write!(f, "interval={milliseconds}"),
            Durability::Os => f.write_str("os"),
        }
    }
}

impl std::str::FromStr for Durability {
    type Err = PayloadError;

    fn from_str(text: &str) -> Result<Self, PayloadError> {
        match text {
            "always" => Ok(Durability::Always),
            "os" => Ok(Durability::Os),
            _ => text
                .strip_prefix("interval=")
                .and_then(|milliseconds| milliseconds.parse().ok())
                .filter(|milliseconds| (1..=60_000).contains(milliseconds))
                .map(Durability::Interval)
                .ok_or_else(|| {
                    PayloadError::argument(
                        "durability",
                        format!("{text:?} is none of always, interval=MS (1 to 60000) and os"),
                    )
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_prints_as_it_reads() {
        for text in ["always", "interval=10", "os"] {
            assert_eq!(text.parse::<Durability>().expect(text).to_string(), text);
        }
        for text in ["", "interval=", "interval=0", "interval=60001", "fsync"] {
            assert!(text.parse::<Durability>().is_err(), "{text}");
        }
    }
}
