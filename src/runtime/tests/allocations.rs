//! A request in steady state allocates nothing: an allocator that counts, around an echo.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use support::{Echo, config, connect, exchange, serve, stop};
use sutra_runtime::{Core, Event, Handler, Next, TimerId};
use sutra_testing::allocations::{Counting, on_this_thread};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The core's allocations when it was last asked.
static REPORTED: AtomicU64 = AtomicU64::new(0);

/// An echo that reports its thread's allocations when asked by a byte.
struct Watched {
    echo: Echo,
}

impl Handler for Watched {
    type Message = u64;
    fn event(&mut self, core: &mut Core<u64>, event: Event<'_>) {
        let asked = matches!(event, Event::Received { bytes: [b'?', ..], .. });
        self.echo.event(core, event);
        if asked {
            // Seen by the client, whose echo is sent only after this.
            REPORTED.store(on_this_thread().times, Ordering::Release);
        }
    }
    fn message(&mut self, _: &mut Core<u64>, _: usize, _: u64) {}
    fn timer(&mut self, _: &mut Core<u64>, _: TimerId) {}
    fn turn_end(&mut self, _: &mut Core<u64>) -> Next {
        Next::Sleep
    }
    fn shutdown(&mut self, core: &mut Core<u64>) {
        self.echo.shutdown(core);
    }
    fn drained(&self) -> bool {
        self.echo.drained()
    }
}

#[test]
fn an_echo_in_steady_state_allocates_nothing() {
    let (running, address) = serve(config(1), |_| Watched { echo: Echo::default() });
    let mut clients = [connect(address), connect(address)];
    let mut rounds = |count: usize| {
        for round in 0..count {
            exchange(&mut clients[round % 2], &[b'x'; 64]);
        }
        exchange(&mut clients[0], &[b'?'; 64]);
        REPORTED.load(Ordering::Acquire)
    };
    let before = rounds(1000); // pools and queues reach their sizes
    let after = rounds(5000);
    assert!(before > 0, "the count counts");
    assert_eq!(after - before, 0, "allocations in 5000 echoes");
    stop(running);
}
