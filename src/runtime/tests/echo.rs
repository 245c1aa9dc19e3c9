//! Bytes through a core and back: sizes, order, many connections, few buffers, every way of
//! waiting.

use std::io::{Read, Write};
use std::sync::mpsc::channel;

use crate::support::{Echo, config, connect, exchange, pattern, serve, stop};
use sutra_runtime::{Config, CoreMetrics, Event, Handler, Next, Spin};

#[test]
fn small_and_large_messages_come_back_in_every_spin_mode() {
    for spin in [Spin::Off, Spin::Adaptive, Spin::Always] {
        let (running, address) = serve(Config { spin, ..config(1) }, |_| Echo::default());
        let mut client = connect(address);
        for _ in 0..100 {
            exchange(&mut client, &pattern(64));
        }
        let mut writer = client.try_clone().unwrap();
        let large = pattern(1 << 20);
        let sent = large.clone();
        let writing = std::thread::spawn(move || writer.write_all(&sent).unwrap());
        let mut back = vec![0; large.len()];
        client.read_exact(&mut back).unwrap();
        writing.join().unwrap();
        assert!(back == large);
        stop(running);
    }
}

#[test]
fn pipelined_bytes_come_back_in_order() {
    let (running, address) = serve(config(1), |_| Echo::default());
    let mut client = connect(address);
    let mut writer = client.try_clone().unwrap();
    let all = pattern(8 << 20);
    let sent = all.clone();
    let writing = std::thread::spawn(move || {
        for piece in sent.chunks(777) {
            writer.write_all(piece).unwrap();
        }
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == all);
    stop(running);
}

#[test]
fn connections_beyond_the_registered_files_are_served_too() {
    let (running, address) =
        serve(Config { registered_files: 3, ..config(1) }, |_| Echo::default());
    let mut clients: Vec<_> = (0..8).map(|_| connect(address)).collect();
    for _ in 0..3 {
        for client in &mut clients {
            exchange(client, b"over the table's edge");
        }
    }
    stop(running);
}

/// An echo that tells its core's counters when it ends.
struct Counted {
    echo: Echo,
    metrics: CoreMetrics,
    tell: std::sync::mpsc::Sender<CoreMetrics>,
}

impl Handler for Counted {
    type Message = u64;
    fn event(&mut self, core: &mut sutra_runtime::Core<u64>, event: Event<'_>) {
        self.echo.event(core, event);
    }
    fn message(&mut self, _: &mut sutra_runtime::Core<u64>, _: usize, _: u64) {}
    fn timer(&mut self, _: &mut sutra_runtime::Core<u64>, _: sutra_runtime::TimerId) {}
    fn turn_end(&mut self, core: &mut sutra_runtime::Core<u64>) -> Next {
        self.metrics.clone_from(core.metrics());
        Next::Sleep
    }
    fn shutdown(&mut self, core: &mut sutra_runtime::Core<u64>) {
        self.echo.shutdown(core);
    }
    fn drained(&self) -> bool {
        self.echo.drained()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tell.send(self.metrics.clone()).unwrap();
    }
}

fn counted(
    config: Config,
) -> (sutra_runtime::Running, std::net::SocketAddr, std::sync::mpsc::Receiver<CoreMetrics>) {
    let (tell, told) = channel();
    let (running, address) = serve(config, move |_| Counted {
        echo: Echo::default(),
        metrics: CoreMetrics::default(),
        tell: tell.clone(),
    });
    (running, address, told)
}

#[test]
fn idle_connections_own_no_receive_buffer() {
    let (running, address, told) = counted(Config { receive_buffers: 2, ..config(1) });
    let mut clients: Vec<_> = (0..50).map(|_| connect(address)).collect();
    // With two buffers and fifty open receives every single one still gets its bytes.
    for client in &mut clients {
        exchange(client, &pattern(1000));
    }
    stop(running);
    let metrics = told.recv().unwrap();
    assert_eq!(metrics.receives, 50);
    assert_eq!(metrics.receive_buffers_exhausted, 0);
    assert_eq!(metrics.accepted, 50);
}

#[test]
fn a_receive_that_finds_no_buffer_is_started_again_and_loses_nothing() {
    let tiny = Config { receive_buffers: 2, receive_buffer_bytes: 64, ..config(1) };
    let (running, address, told) = counted(tiny);
    let threads: Vec<_> = (0..16)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = connect(address);
                for round in 0..20 {
                    exchange(&mut client, &pattern(2000 + round));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    stop(running);
    let metrics = told.recv().unwrap();
    assert!(metrics.receive_buffers_exhausted > 0, "the test is to meet the shortage: {metrics:?}");
    assert_eq!(metrics.receive_buffers_high_water, 2);
    assert_eq!(metrics.bytes_in, metrics.bytes_out);
}
