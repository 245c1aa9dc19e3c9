//! What the agent knows of its host: its names, its boot, its clocks, its memory.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::system::{sysinfo, uname};
use rustix::time::{ClockId, clock_gettime};

/// The host's name.
pub(crate) fn name() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

/// Its system and processor, like `Linux 6.18.5 x86_64`.
pub(crate) fn platform() -> String {
    let of = uname();
    [of.sysname(), of.release(), of.machine()].map(|part| part.to_string_lossy()).join(" ")
}

/// What tells this boot from every other one, on every machine; empty where the system does not
/// say.
pub(crate) fn boot_id() -> String {
    first_line("/proc/sys/kernel/random/boot_id")
}

/// What tells this installation of a system from others, over boots (machine-id(5)); empty where it
/// has none, as in many containers.
pub(crate) fn machine_id() -> String {
    first_line("/etc/machine-id")
}

fn first_line(file: &str) -> String {
    std::fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Since the boot, sleep included: no clock that somebody sets, and one for all processes.
pub(crate) fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

/// Its memory, in MiB.
pub(crate) fn memory_mb() -> u64 {
    let info = sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit)) >> 20
}

/// The wall clock, in µs since 1970. It may jump: it is shown, and nothing is measured by it.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Where others reach what listens there: by `host` where it listens on every address.
pub(crate) fn reached_at(listening: SocketAddr, host: &str) -> String {
    match listening.ip().is_unspecified() {
        true => endpoint(host, listening.port()),
        false => listening.to_string(),
    }
}

/// `host:port`, with an IPv6 address in brackets.
pub(crate) fn endpoint(host: &str, port: u16) -> String {
    let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
    if is_bare_ipv6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_described() {
        assert!(!boot_id().is_empty() && !since_boot().is_zero());
        assert!(!name().is_empty() && platform().starts_with("Linux ") && memory_mb() > 0);
        assert_eq!(
            endpoint("h", 1) + " " + &endpoint("::1", 2) + " " + &endpoint("[::1]", 3),
            "h:1 [::1]:2 [::1]:3"
        );
    }
}
