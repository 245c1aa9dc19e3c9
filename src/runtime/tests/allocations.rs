//! A request in steady state allocates nothing: an allocator that counts, around an echo.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use support::{Echo, Script, config, connect, exchange, serve, stop};
use sutra_runtime::{Event, Handler};
use sutra_testing::allocations::{Counting, on_this_thread};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The core's allocations when it was last asked.
static REPORTED: AtomicU64 = AtomicU64::new(0);

#[test]
fn an_echo_in_steady_state_allocates_nothing() {
    let (running, address) = serve(config(1), |_| {
        let mut echo = Echo::default();
        Script::events(move |core, event| {
            let asked = matches!(event, Event::Received { bytes: [b'?', ..], .. });
            echo.event(core, event);
            if asked {
                // Seen by the client, whose echo is sent only after this.
                REPORTED.store(on_this_thread().times, Ordering::Release);
            }
        })
    });
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
