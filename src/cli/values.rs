//! Values of the command line and the settings file: times, counts, addresses, directions. Each
//! refuses what it can't be with what it would have to be.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use sutra_wire::{Direction, PayloadError};

use crate::exit::Failure;

/// A time: `90` and `90s` are seconds; `us`, `µs`, `ms`, `m` and `h` are other units.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let seconds = match &text[digits.len()..] {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => 0.0,
    };
    let number: Option<f64> = digits.parse().ok().filter(|number| (0.0..1e9).contains(number));
    number
        .filter(|_| seconds > 0.0)
        .map(|number| Duration::from_secs_f64(number * seconds))
        .ok_or_else(|| format!("{text:?} is not a time; write 90, 500us, 500ms, 30s, 5m or 2h"))
}

/// The same, but not nothing.
pub(crate) fn some_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| {
        if time.is_zero() {
            Err("it is zero; write a time above it, like 500ms or 10s".into())
        } else {
            Ok(time)
        }
    })
}

/// A whole number between two bounds, both included.
pub(crate) fn count<const LEAST: u64, const MOST: u64>(text: &str) -> Result<u64, String> {
    let most = if MOST == u64::MAX { "on".into() } else { format!("to {MOST}") };
    let number = text.parse().ok().filter(|number| (LEAST..=MOST).contains(number));
    number.ok_or_else(|| format!("expected a whole number from {LEAST} {most}"))
}

/// A number from 0 on.
pub(crate) fn from_zero(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number| (0.0..f32::INFINITY).contains(number));
    number.ok_or_else(|| "expected a number from 0 on".into())
}

/// A number from 0 to 1.
pub(crate) fn share(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "expected a number from 0 to 1".into())
}

/// A port, or 0 for any that is free.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "expected a port: a whole number from 0 to 65535".into())
}

/// A value whose error names the field of a request that it is for: the flag says that already.
pub(crate) fn field<T: FromStr<Err = PayloadError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| match error {
        PayloadError::Argument { problem, .. } => problem,
        error @ PayloadError::Archive { .. } => error.to_string(),
    })
}

/// An address of this host to listen on.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let expected = "expected an IP address of this host and a port, like 127.0.0.1:50050, \
                    0.0.0.0:50050 or [::1]:50050";
    text.parse().map_err(|_| match text.rsplit_once(':') {
        Some((host, _))
            if host.contains(|c: char| c.is_alphabetic()) && !host.contains(['[', ':', '/']) =>
        {
            format!("{host} is a name; {expected}")
        }
        _ => expected.into(),
    })
}

/// An address to listen on, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OptionalPort {
    Off,
    At(SocketAddr),
}

impl FromStr for OptionalPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        address(text).map(Self::At).map_err(|expected| format!("{expected}, or off alone"))
    }
}

impl OptionalPort {
    /// The address, if there is one.
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            OptionalPort::Off => None,
            OptionalPort::At(address) => Some(address),
        }
    }
}

/// A time, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OptionalTime(pub(crate) Option<Duration>);

impl FromStr for OptionalTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        some_duration(text)
            .map(|time| Self(Some(time)))
            .map_err(|problem| format!("{problem}; or off"))
    }
}

/// Where clients of the old protocol are served; nowhere where that is off.
pub(crate) fn compat_addresses(ports: &[OptionalPort]) -> Result<Vec<SocketAddr>, Failure> {
    if let [OptionalPort::Off] = ports {
        return Ok(Vec::new());
    }
    let address = |port: &OptionalPort| match port {
        OptionalPort::At(address) => Ok(*address),
        OptionalPort::Off => Err(Failure::Usage(
            "--compat: off stands alone; leave out off, or leave out the addresses".into(),
        )),
    };
    ports.iter().map(address).collect()
}

/// Which associations of a concept are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// From either end
    Both,
    /// From source to target
    Out,
    /// From target to source
    In,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Both => Direction::Both,
            Way::Out => Direction::Out,
            Way::In => Direction::In,
        }
    }
}

/// A number that its flag has kept within 32 bits.
pub(crate) fn number(value: u64) -> u32 {
    u32::try_from(value).expect("the flag's parser bounds it")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn times_read_with_and_without_a_unit() {
        let read = |text| duration(text).unwrap().as_millis();
        assert_eq!(
            ["90", "1.5s", "500ms", "5m", "2h"].map(read),
            [90_000, 1_500, 500, 300_000, 7_200_000]
        );
        for wrong in ["", "s", "-1", "1d", "5 m", "inf", "nan"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_compat_port_is_off_or_has_addresses_and_not_both() {
        let at = |text: &str| text.parse::<OptionalPort>().expect("off or an address");
        assert_eq!(compat_addresses(&[at("off")]).ok(), Some(Vec::new()));
        let two = compat_addresses(&[at("0.0.0.0:7"), at("[::]:7")]).ok();
        assert_eq!(two.map(|two| two.len()), Some(2));
        assert!(matches!(
            compat_addresses(&[at("127.0.0.1:7"), at("off")]),
            Err(Failure::Usage(_))
        ));
    }
}
