//! The two questions to the kernel that no file answers and no crate here asks: a network card's
//! flags, and whether the clock is kept right.
//!
//! Promises: each only asks, and changes nothing.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, socket};

/// `ETHTOOL_GFLAGS`, and its flag for ntuple filters (linux/ethtool.h).
const GET_FLAGS: u32 = 0x25;
const NTUPLE: u32 = 1 << 27;

/// `struct ethtool_value` (linux/ethtool.h).
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Whether a network card steers packets by filters of address and port.
pub(crate) fn steers_by_tuple(card: &str) -> io::Result<bool> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let mut value = Value { command: GET_FLAGS, data: 0 };
    // SAFETY: all of an `ifreq` is integers and pointers, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if card.len() >= request.ifr_name.len() {
        return Err(io::Error::other("its name is too long"));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(card.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: SIOCETHTOOL takes an `ifreq` whose data points to the command's own structure, which
    // for this command is an `ethtool_value`. Both live through the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(value.data & NTUPLE != 0),
    }
}

/// What the kernel knows of its clock.
pub(crate) struct ClockState {
    /// Whether a program keeps it right.
    pub(crate) is_synchronised: bool,
    /// How wrong it may be.
    pub(crate) greatest_error: Duration,
}

/// Asks what the kernel knows of its clock (adjtimex(2)).
pub(crate) fn clock_state() -> io::Result<ClockState> {
    // SAFETY: all of a `timex` is integers, for which zeros are valid.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes a `timex` where the pointer leads; no mode is set, so it changes
    // nothing.
    let answer = unsafe { libc::adjtimex(&raw mut state) };
    if answer == -1 {
        return Err(io::Error::last_os_error());
    }
    let is_synchronised = answer != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0;
    let greatest_error = Duration::from_micros(u64::try_from(state.maxerror).unwrap_or(0));
    Ok(ClockState { is_synchronised, greatest_error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_no_filters_and_a_card_that_is_not_there_is_an_error() {
        assert!(!steers_by_tuple("lo").unwrap_or(false));
        assert!(steers_by_tuple("no-such-card").is_err());
        assert!(steers_by_tuple("a-name-longer-than-any-card-has").is_err());
    }

    #[test]
    fn the_clock_can_be_asked() {
        assert!(clock_state().is_ok());
    }
}
