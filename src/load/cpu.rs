//! How much CPU time the server has used. It is read from /proc if the server's process is known,
//! and otherwise from the server's own counters.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sutra_wire::{Checked, FrameBuffer, Header, NO_CORE, Opcode, Stats, encode_empty};

use crate::LoadError;
use crate::handshake::{connect, exchange, greet};

/// CPU time used so far, and by whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In user mode, in µs.
    pub user: u64,
    /// In the kernel for the process, in µs.
    pub system: u64,
    /// User mode and kernel together, in ns.
    pub total: u64,
    /// The process that has used it; 0 where the server does not say.
    pub process: u64,
}

impl CpuTime {
    /// Whether `later` is another process's: then their difference says nothing.
    pub(crate) fn is_of_another(&self, later: &Self) -> bool {
        self.process != later.process || later.total < self.total
    }
}

/// Where the server's CPU time is read.
#[derive(Debug)]
pub struct ServerCpu(Source);

#[derive(Debug)]
enum Source {
    Process(u32),
    Counters { stream: TcpStream, address: SocketAddr },
}

impl ServerCpu {
    /// Reads the process `pid` of this host. User and system time come from its `stat` (proc(5)),
    /// in clock ticks; the total comes from its CPU-time clock, in ns.
    pub fn of_process(pid: u32) -> Self {
        Self(Source::Process(pid))
    }

    /// Reads the counters in the stats of the server at `address`, on a connection of its own:
    /// `cpu_user_us` and `cpu_system_us`, and for the total `cpu_us`, which a finer clock counts,
    /// if there is one; and `process_id`. It waits at most `timeout` for each answer.
    pub fn of_server(address: SocketAddr, timeout: Duration) -> Result<Self, LoadError> {
        let stream = connect(address, timeout)?;
        greet(&stream, address, NO_CORE)?;
        Ok(Self(Source::Counters { stream, address }))
    }

    /// Reads the time used so far.
    pub fn read(&mut self) -> Result<CpuTime, LoadError> {
        match &self.0 {
            Source::Process(pid) => of_process(*pid),
            Source::Counters { stream, address } => of_counters(stream, *address),
        }
    }
}

fn of_process(pid: u32) -> Result<CpuTime, LoadError> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path)
        .map_err(|error| LoadError::Cpu { problem: format!("{path}: {error}") })?;
    let ticks = user_and_system(&stat)
        .ok_or_else(|| LoadError::Cpu { problem: format!("{path} reads {stat:?}") })?;
    let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let (user, system) = (ticks.0 * tick_us, ticks.1 * tick_us);
    let total = process_ns(pid).unwrap_or((user + system) * 1000);
    Ok(CpuTime { user, system, total, process: pid.into() })
}

/// User and system time in clock ticks: fields 14 and 15. The second field is the program's name in
/// parentheses, and may hold anything.
fn user_and_system(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(") ")?.1.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The total from the process's own clock (clock_getcpuclockid(3)), in ns. It includes threads that
/// have ended, and time since the last clock tick.
fn process_ns(pid: u32) -> Option<u64> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    let mut clock = 0;
    // SAFETY: the clock's number is written where the reference points.
    if unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } != 0 {
        return None;
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is written where the reference points; a clock whose process is gone is
    // refused.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return None;
    }
    Some(u64::try_from(time.tv_sec).ok()? * 1_000_000_000 + u64::try_from(time.tv_nsec).ok()?)
}

/// Asks for the server's stats, on a connection that has exchanged Hello.
pub(crate) fn stats(stream: &TcpStream, address: SocketAddr) -> Result<Stats, LoadError> {
    let mut buffer = FrameBuffer::new();
    encode_empty(&mut buffer, Header { opcode: Opcode::Stats as u8, ..Header::default() });
    let frame = exchange(stream, address, &mut buffer)?;
    let stats = Checked::<Stats>::new(frame.payload)
        .map_err(|error| LoadError::Cpu { problem: error.to_string() })?;
    Ok(stats.to_owned())
}

fn of_counters(stream: &TcpStream, address: SocketAddr) -> Result<CpuTime, LoadError> {
    let stats = stats(stream, address)?;
    let counter = |name: &str| {
        let found = stats.counters.iter().find(|counter| counter.name == name);
        found.map(|counter| counter.value)
    };
    let (Some(user), Some(system)) = (counter("cpu_user_us"), counter("cpu_system_us")) else {
        return Err(LoadError::Cpu {
            problem: "the server's stats have no cpu_user_us and cpu_system_us".into(),
        });
    };
    let total = counter("cpu_us").unwrap_or(user + system);
    let process = counter("process_id").unwrap_or(0);
    Ok(CpuTime { user, system, total: total * 1000, process })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_program_name_with_blanks_and_parentheses() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 123 456 0 0 20 0 3 0 99";
        assert_eq!(user_and_system(stat), Some((123, 456)));
        assert_eq!(user_and_system("42 (cut"), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error_that_names_it() {
        let error = ServerCpu::of_process(u32::MAX).read().expect_err("no such process");
        assert!(error.to_string().contains("/proc/4294967295/stat"), "{error}");
    }

    #[test]
    fn a_running_process_has_used_time() {
        let mut cpu = ServerCpu::of_process(std::process::id());
        let before = cpu.read().expect("this process");
        let mut sum = 0u64;
        while cpu.read().expect("this process").total == before.total {
            (0..1_000_000).for_each(|number| sum = std::hint::black_box(sum ^ number));
        }
        assert!(cpu.read().expect("this process").total > before.total);
    }
}
