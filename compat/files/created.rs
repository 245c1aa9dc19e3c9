//! The time when a concept was learned, of which a snapshot keeps the low 32 bits: an hour and 12
//! minutes of µs.

/// How far apart two times are that have the same low bits.
const TURN: u64 = 1 << 32;

/// The latest time that has these low bits and is not later than the snapshot, in µs since 1970.
/// That is the true one for whatever was learned less than 71 minutes before. Else it is too late,
/// and still the best that the file allows.
pub fn full_time(flushed: u64, low: u32) -> u64 {
    let time = flushed & !(TURN - 1) | u64::from(low);
    // A snapshot from the first hour of 1970 says nothing of the high bits.
    if time <= flushed || time < TURN { time } else { time - TURN }
}

/// What a snapshot keeps of a time.
pub fn low_bits(time: u64) -> u32 {
    time as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_latest_with_its_low_bits_and_keeps_them() {
        let flushed = 0x0006_60ed_c1cd_1f56;
        for (low, time) in [
            (0xc1c6_b080, 0x0006_60ed_c1c6_b080),
            (0xc1cd_1f56, flushed),
            (0xc1cd_1f57, 0x0006_60ec_c1cd_1f57),
            (0xffff_ffff, 0x0006_60ec_ffff_ffff),
        ] {
            assert_eq!((full_time(flushed, low), low_bits(full_time(flushed, low))), (time, low));
        }
        assert_eq!((full_time(0, 7), full_time(5, u32::MAX)), (7, u64::from(u32::MAX)));
        assert_eq!(full_time(u64::MAX, 0), u64::MAX << 32);
    }
}
