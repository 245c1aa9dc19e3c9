//! Plain counters of one core, and what the kernel gave it. No atomics: only the core itself counts
//! and reads.

use std::fmt;

/// Counters of one core since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreMetrics {
    /// Turns of the loop.
    pub turns: u64,
    /// `io_uring_enter` calls on the data ring.
    pub ring_enters: u64,
    /// Times that the core slept in its data ring, for at most a millisecond.
    pub naps: u64,
    /// Times that the core slept in tokio's driver until something happened.
    pub sleeps: u64,
    /// Wake-ups that this core sent to sleeping cores.
    pub wakes_sent: u64,
    /// Wake-ups that reached this core.
    pub wakes_received: u64,
    /// Messages sent to other cores and to itself.
    pub messages_sent: u64,
    /// Messages received, results of background jobs included.
    pub messages_received: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Times that the kernel had no descriptor or memory for a connection, which then waited.
    pub accept_failures: u64,
    /// Sockets adopted.
    pub adopted: u64,
    /// Sockets closed.
    pub closed: u64,
    /// The most receive buffers that were in use at once.
    pub receive_buffers_high_water: u64,
    /// Receives that found no free buffer and were started again.
    pub receive_buffers_exhausted: u64,
    /// Pieces of bytes received.
    pub receives: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Sends that were finished.
    pub sends: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Sends that the kernel took only in part and that were continued.
    pub short_sends: u64,
    /// File writes that were finished.
    pub writes: u64,
    /// Bytes written to files.
    pub bytes_written: u64,
}

impl CoreMetrics {
    /// Every counter with its name.
    pub fn named(&self) -> [(&'static str, u64); 20] {
        [
            ("turns", self.turns),
            ("ring_enters", self.ring_enters),
            ("naps", self.naps),
            ("sleeps", self.sleeps),
            ("wakes_sent", self.wakes_sent),
            ("wakes_received", self.wakes_received),
            ("messages_sent", self.messages_sent),
            ("messages_received", self.messages_received),
            ("connections_accepted", self.accepted),
            ("sockets_adopted", self.adopted),
            ("sockets_closed", self.closed),
            ("receive_buffers_high_water", self.receive_buffers_high_water),
            ("receive_buffers_exhausted", self.receive_buffers_exhausted),
            ("receives", self.receives),
            ("received_bytes", self.bytes_in),
            ("sends", self.sends),
            ("sent_bytes", self.bytes_out),
            ("short_sends", self.short_sends),
            ("file_writes", self.writes),
            ("file_written_bytes", self.bytes_written),
        ]
    }
}

/// What the kernel gave a core's data ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// `uname -r`.
    pub kernel: String,
    /// Submission queue entries.
    pub ring_entries: u32,
    /// Completion queue entries.
    pub completion_entries: u32,
    /// Places in the registered file table; 0 where the kernel or the file limit allowed none.
    pub registered_files: u32,
    /// Receive buffers.
    pub receive_buffers: u16,
    /// Bytes of one.
    pub receive_buffer_bytes: u32,
    /// Whether waiting in the ring is kept out of the I/O-wait accounting (6.15 and later).
    pub no_iowait: bool,
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Linux {}, io_uring with DEFER_TASKRUN and SINGLE_ISSUER, {}/{} entries, \
             {} receive buffers of {} bytes, {}, {}",
            self.kernel,
            self.ring_entries,
            self.completion_entries,
            self.receive_buffers,
            self.receive_buffer_bytes,
            match self.registered_files {
                0 => "no registered files".to_owned(),
                count => format!("{count} registered files"),
            },
            if self.no_iowait {
                "waits not counted as I/O wait"
            } else {
                "waits counted as I/O wait"
            },
        )
    }
}
