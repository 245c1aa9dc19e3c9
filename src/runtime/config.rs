//! How many cores, where, and how large their rings and queues are; every default with its reason.

use std::time::Duration;

use crate::RuntimeError;
use crate::cpus::{allowed_cpus, available_cpus};

/// How a core waits when it has nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// Sleep as soon as there is nothing to do: no processor time is spent waiting.
    #[default]
    Off,
    /// Look for work for [`Spin::ADAPTIVE`] after the last activity, then sleep.
    Adaptive,
    /// Never sleep: the lowest latency, one whole CPU a core.
    Always,
}

impl Spin {
    /// How long `Adaptive` looks before it sleeps. Falling asleep and being woken costs 40 to 70 µs
    /// (measured on a virtual EPYC). Looking for as long as that costs never more than twice the
    /// better of the two.
    pub const ADAPTIVE: Duration = Duration::from_micros(60);
}

/// The runtime's settings. `Config::default()` runs one pinned core on every CPU that the process
/// may use.
#[derive(Clone, Debug)]
pub struct Config {
    /// One core for each entry, pinned to the CPU of that number if `pin` is set (else only the
    /// count matters).
    pub cpus: Vec<usize>,
    /// Whether threads are pinned. Off where a CPU quota is enforced over more CPUs than are used.
    pub pin: bool,
    /// How a core waits.
    pub spin: Spin,
    /// Submission queue entries of a data ring, rounded up to a power of two by the kernel. The
    /// completion queue has four times as many. 1024 entries take 64 KiB, and hold a send and a
    /// receive for 512 connections a turn. More than that is submitted in two system calls.
    pub ring_entries: u32,
    /// Receive buffers of a core, rounded up to a power of two, at most 32768. A buffer is in use
    /// only from the arrival of bytes to the end of the handler's call. So 256 serve as many
    /// sockets as become readable in one turn.
    pub receive_buffers: u16,
    /// Bytes of one receive buffer, rounded up to 64. 16 KiB takes a pipelined run of small
    /// requests whole. 256 of them are 4 MiB a core: about its share of the L2 and L3 caches.
    pub receive_buffer_bytes: u32,
    /// Sockets that get a place in the ring's file table, which saves a reference count at every
    /// operation. Those beyond work all the same. A place costs 8 bytes.
    pub registered_files: u32,
    /// Messages that a mailbox from one core to another holds before it refuses. 1024 is a turn's
    /// worth of requests of a busy core with room to spare.
    pub mailbox: usize,
    /// Descriptors that connections leave free for files that are opened meanwhile. A core that
    /// accepts one beyond pauses. Each listener of each core may have taken one more by then.
    pub reserved_files: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            cpus: available_cpus(),
            pin: true,
            spin: Spin::Off,
            ring_entries: 1024,
            receive_buffers: 256,
            receive_buffer_bytes: 16 * 1024,
            registered_files: 16 * 1024,
            mailbox: 1024,
            reserved_files: 0,
        }
    }
}

impl Config {
    /// Refuses what could not work, before any thread is started.
    pub(crate) fn check(&self) -> Result<(), RuntimeError> {
        let refuse = |text: String| Err(RuntimeError::Config(text));
        if self.cpus.is_empty() {
            return refuse("no core: name at least one CPU".into());
        }
        if self.receive_buffers == 0 || self.receive_buffers > 1 << 15 {
            return refuse(format!(
                "receive_buffers is {}; it must be 1 to 32768",
                self.receive_buffers
            ));
        }
        if self.receive_buffer_bytes == 0 || self.receive_buffer_bytes > 1 << 24 {
            return refuse(format!(
                "receive_buffer_bytes is {}; it must be 1 to 16777216",
                self.receive_buffer_bytes
            ));
        }
        if self.ring_entries == 0 || self.ring_entries > 1 << 15 {
            return refuse(format!("ring_entries is {}; it must be 1 to 32768", self.ring_entries));
        }
        if self.mailbox == 0 {
            return refuse("mailbox is 0; a core could never reach another".into());
        }
        if self.pin { self.check_cpus(&allowed_cpus()) } else { Ok(()) }
    }

    fn check_cpus(&self, available: &[usize]) -> Result<(), RuntimeError> {
        if self.cpus.len() > available.len() {
            return Err(RuntimeError::TooManyCores {
                cores: self.cpus.len(),
                available: available.len(),
            });
        }
        for (position, cpu) in self.cpus.iter().enumerate() {
            if self.cpus[..position].contains(cpu) {
                return Err(RuntimeError::Config(format!("CPU {cpu} is named twice")));
            }
            if !available.contains(cpu) {
                return Err(RuntimeError::CpuNotAvailable {
                    cpu: *cpu,
                    available: available.to_vec(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_default_is_accepted() {
        Config::default().check().unwrap();
    }

    #[test]
    fn more_pinned_cores_than_cpus_are_refused_with_both_numbers() {
        let config = Config { cpus: vec![0, 1, 2], ..Config::default() };
        let text = config.check_cpus(&[0, 1]).unwrap_err().to_string();
        assert!(text.contains("3 cores") && text.contains("2 CPUs"), "{text}");
    }

    #[test]
    fn a_cpu_outside_the_mask_or_named_twice_is_refused() {
        let config = |cpus: Vec<usize>| Config { cpus, ..Config::default() };
        assert!(matches!(
            config(vec![7]).check_cpus(&[2, 3]),
            Err(RuntimeError::CpuNotAvailable { cpu: 7, .. })
        ));
        assert!(matches!(config(vec![2, 2]).check_cpus(&[2, 3]), Err(RuntimeError::Config(_))));
        assert!(config(vec![3, 2]).check_cpus(&[2, 3]).is_ok());
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let good = || Config { cpus: vec![0], pin: false, ..Config::default() };
        assert!(good().check().is_ok());
        assert!(Config { cpus: vec![], ..good() }.check().is_err());
        assert!(Config { receive_buffers: 0, ..good() }.check().is_err());
        assert!(Config { receive_buffers: 40_000, ..good() }.check().is_err());
        assert!(Config { receive_buffer_bytes: 0, ..good() }.check().is_err());
        assert!(Config { ring_entries: 0, ..good() }.check().is_err());
        assert!(Config { mailbox: 0, ..good() }.check().is_err());
    }
}
