//! The bounds on what connections may take up, with their reasons.

use std::time::Duration;

/// What connections may take up. Counts and sizes are at least 1; times are kept to a quarter of
/// the shortest of them, or to a second where that is less.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest payload accepted, in bytes.
    pub max_payload: u32,
    /// Requests that a connection may have unanswered; the next ones wait in its socket.
    pub max_in_flight: u32,
    /// Reply bytes gathered for a connection before its requests wait. As many again may be with
    /// the kernel, and the replies to what is in flight come on top. The default keeps a socket
    /// full. A client that does not read holds half a megabyte here, besides the kernel's own
    /// buffers, and is closed after `stall_timeout`.
    pub max_output: usize,
    /// Reply bytes that a core's connections may hold together in memory of their own, gathered or
    /// with the kernel. Beyond it a connection may have 16 KiB gathered before its requests wait,
    /// and one whose late replies go beyond `max_output` is closed.
    pub max_output_held: usize,
    /// Bytes of partial and waiting frames that a core's connections may hold together; beyond it
    /// the connection that would add to them is closed. Their buffers grow by doubling, so in
    /// memory they may have room for twice as many.
    pub max_input: usize,
    /// Connections a core serves; the next one is closed at once, unless one that has said nothing
    /// can go.
    pub max_connections: usize,
    /// Connections of a core that may have said nothing yet; for a further one the oldest is
    /// closed. Clients of the old protocol may connect long before they speak, so number and not
    /// time bounds them.
    pub max_silent: usize,
    /// How long a new connection may take to say Hello.
    pub hello_timeout: Duration,
    /// How long a peer may take to finish a frame that it began, or to read on when its replies
    /// fill the socket. It has a second more for every 64 KiB of them, so that a slow line may
    /// carry a large one.
    pub stall_timeout: Duration,
    /// How long a connection may be silent with nothing under way; `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a drain waits for clients to read their replies before their connections are
    /// closed.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload: sutra_wire::limits::MAX_PAYLOAD,
            max_in_flight: sutra_wire::limits::MAX_IN_FLIGHT,
            max_output: 256 << 10,
            max_output_held: 256 << 20,
            max_input: 256 << 20,
            max_connections: 100_000,
            max_silent: 1024,
            hello_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            idle_timeout: None,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// How often to look: a quarter of the shortest timeout, at most once a millisecond and at
    /// least once a second.
    pub(crate) fn look_period(&self) -> Duration {
        let timeouts = [self.hello_timeout, self.stall_timeout, self.drain_timeout];
        let shortest = timeouts.into_iter().chain(self.idle_timeout).min().unwrap_or_default();
        (shortest / 4).clamp(Duration::from_millis(1), Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_timeout_sets_how_often_a_core_looks() {
        assert_eq!(Limits::default().look_period(), Duration::from_secs(1));
        let idle = Limits { idle_timeout: Some(Duration::from_millis(40)), ..Limits::default() };
        assert_eq!(idle.look_period(), Duration::from_millis(10));
        assert_eq!(
            Limits { drain_timeout: Duration::ZERO, ..idle }.look_period(),
            Duration::from_millis(1)
        );
    }
}
