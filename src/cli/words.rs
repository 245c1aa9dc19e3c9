//! Numbers, times and long lines as answers show them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A time in µs since 1970, as an ISO 8601 date in the local time zone, to the second.
pub(crate) fn local_time(micros: u64) -> String {
    let at = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    at.map_or_else(
        || format!("{micros} µs"),
        |at| at.to_zoned(TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    )
}

/// The same for programs: in UTC, to the µs.
pub(crate) fn utc_time(micros: u64) -> String {
    let at = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    at.map_or_else(|| micros.to_string(), |at| at.to_string())
}

/// 1234567 as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun, in the plural where it is not 1.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Serializes a number of 32 bits with its shortest digits: 0.9 and not 0.8999999761581421. A
/// `Value`, which has 64 bits, keeps them.
pub(crate) fn shortest<S: serde::Serializer>(
    number: &f32,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(number.to_string().parse().unwrap_or(f64::from(*number)))
}

/// A duration with the two units that matter.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} {} h", counted(seconds / 86400, "day"), seconds / 3600 % 24),
    }
}

/// A time below a minute with three digits: `52.1 µs`.
pub(crate) fn short_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_secs_f64() * 1e9;
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
    // Rounded up, 999.6 µs would have four digits.
    let (unit, name) =
        units.into_iter().find(|(unit, _)| nanoseconds >= unit * 0.999_5).unwrap_or((1.0, "ns"));
    format!("{} {name}", three_digits(nanoseconds / unit))
}

/// So many bytes: `64.0 MiB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(count: u64) -> String {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| count >= *unit) {
        Some((unit, name)) => format!("{} {name}", three_digits(count as f64 / unit as f64)),
        None => counted(count, "byte"),
    }
}

fn three_digits(number: f64) -> String {
    let decimals = match number {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

/// The first line of a text, cut to this many columns.
pub(crate) fn first_line(text: &str, columns: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    console::truncate_str(line, columns, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_three_digits_and_their_unit() {
        let times = [0, 7, 52_100, 999_600, 1_230_000, 12_345_678_901].map(Duration::from_nanos);
        assert_eq!(
            times.map(short_duration),
            ["0.00 ns", "7.00 ns", "52.1 µs", "1.00 ms", "1.23 ms", "12.3 s"]
        );
        assert_eq!(
            [0, 1, 1023, 1536, 64 << 20, 5 << 40].map(bytes),
            ["0 bytes", "1 byte", "1,023 bytes", "1.50 KiB", "64.0 MiB", "5.00 TiB"]
        );
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let counted = [0, 1, 2000].map(|number| counted(number, "line"));
        assert_eq!(counted, ["0 lines", "1 line", "2,000 lines"]);
    }

    #[test]
    fn times_are_iso_dates() {
        assert_eq!(utc_time(1_700_000_000_000_001), "2023-11-14T22:13:20.000001Z");
        let local: Timestamp =
            local_time(1_700_000_000_000_001).parse().expect("an ISO date with its offset");
        assert_eq!(local.as_second(), 1_700_000_000);
        assert_eq!(local_time(u64::MAX), "18446744073709551615 µs");
    }

    #[test]
    fn durations_have_the_units_that_matter() {
        let words = [5, 125, 7260, 90_000].map(|seconds| duration(Duration::from_secs(seconds)));
        assert_eq!(words, ["5.0 s", "2 min 5 s", "2 h 1 min", "1 day 1 h"]);
    }

    #[test]
    fn long_lines_are_cut_and_later_lines_left_out() {
        assert_eq!(first_line("dog, domestic dog\nCanis", 80), "dog, domestic dog");
        assert_eq!(first_line("dog, domestic dog", 8), "dog, do…");
    }
}
