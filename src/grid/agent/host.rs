//! What the master is told of the host.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::system::{sysinfo, uname};

/// The host's name.
pub(super) fn name() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

/// Its system and processor, like `Linux 6.18.5 x86_64`.
pub(super) fn platform() -> String {
    let of = uname();
    [of.sysname(), of.release(), of.machine()].map(|part| part.to_string_lossy()).join(" ")
}

/// Its memory, in MiB.
pub(super) fn memory_mb() -> u64 {
    let info = sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit)) >> 20
}

/// The wall clock, in µs since 1970. It may jump: it is shown, and nothing is measured by it.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// `host:port`, with an IPv6 address in brackets.
pub(super) fn endpoint(host: &str, port: u16) -> String {
    let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
    if is_bare_ipv6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_described() {
        assert!(!name().is_empty() && platform().starts_with("Linux ") && memory_mb() > 0);
        assert_eq!(endpoint("h", 1) + " " + &endpoint("::1", 2) + " " + &endpoint("[::1]", 3), "h:1 [::1]:2 [::1]:3");
    }
}
