//! Counts the round trips that each contender takes from connecting to the first answer. That is
//! measured on a link that was slowed down, so that round trips are nearly all of the time.
//!
//! The link is a proxy in this process that passes bytes on after a while. It accepts at once, so
//! it can't delay TCP's own handshake. That is one more round trip for every contender, and is
//! added.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use sutra_client::blocking::Client;
use sutra_load::{Length, Plan, Spelling};

use super::ask::{fill, grpc, workload};
use super::contenders::{GRPC, OLD_UNSYNCED, Protocol, REDIS, SUTRA};
use super::record::RoundTrips;
use super::setup::{Operation, Setup};
use crate::Outcome;
use crate::process::{Running, printed};

/// How long a byte is under way, in each direction: far longer than the exchange itself takes.
const DELAY: Duration = Duration::from_millis(10);
const TIMES: usize = 3;

/// Measures all contenders that are installed, one after the other; Sutra by its client and through
/// the compat port.
pub(crate) fn measure(setup: &Setup) -> Vec<RoundTrips> {
    let mut measured = Vec::new();
    for (name, contender, protocol) in [
        (SUTRA.name, &SUTRA, SUTRA.protocol),
        ("sutra, compat port", &SUTRA, Protocol::Compat(Spelling::Msgpack)),
        (OLD_UNSYNCED.name, &OLD_UNSYNCED, Protocol::Old),
        (GRPC.name, &GRPC, Protocol::Grpc),
        (REDIS.name, &REDIS, Protocol::Redis),
    ] {
        if contender.version().is_ok() {
            eprintln!("round trips: {name}");
            let counted =
                contender.start(setup.server_cpu, setup.query_bytes).and_then(|running| {
                    fill(contender, &running, setup)?;
                    count(&running, protocol, setup)
                });
            let round_trips = counted.map_err(|error| error.to_string());
            measured.push(RoundTrips { contender: name.to_owned(), round_trips });
        }
    }
    measured
}

/// Round trips of the median run, TCP's own among them.
fn count(running: &Running, protocol: Protocol, setup: &Setup) -> Outcome<f64> {
    let server =
        if let Protocol::Compat(_) = protocol { running.compat()? } else { running.address };
    let link = slow_link(server)?;
    let first_answer = |_| first_answer(link, protocol, setup);
    let mut times = (0..TIMES).map(first_answer).collect::<Outcome<Vec<_>>>()?;
    times.sort();
    Ok(round_trips(times[TIMES / 2]))
}

fn round_trips(elapsed: Duration) -> f64 {
    1.0 + elapsed.as_secs_f64() / (2.0 * DELAY.as_secs_f64())
}

/// The time from connecting until the first answer is there.
fn first_answer(link: SocketAddr, protocol: Protocol, setup: &Setup) -> Outcome<Duration> {
    let began = Instant::now();
    match protocol {
        Protocol::Grpc => return Ok(Duration::from_secs_f64(printed(grpc("connect", link)?)?)),
        Protocol::Native => {
            let client = Client::connect(link.to_string())?;
            let found = client.query(sutra_load::key_name("bench", 0).as_str())?;
            found.ok_or("the record that was asked for is not there")?;
        }
        // These protocols have no greeting, so the load generator takes no more round trips than a
        // client.
        _ => {
            let plan =
                Plan { warm_up: Duration::ZERO, length: Length::Requests(1), ..Plan::new(link) };
            let report =
                sutra_load::run(&plan, vec![workload(protocol, Operation::Query, setup)?], None)?;
            if report.requests != 1 {
                return Err(format!("it was refused: {report}").into());
            }
        }
    }
    Ok(began.elapsed())
}

/// Listens, and passes on what comes on each connection, to `server` and back, [`DELAY`] later.
fn slow_link(server: SocketAddr) -> Outcome<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(server) else { continue };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            if let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) {
                pass_on(near, far);
                pass_on(far_too, near_too);
            }
        }
    });
    Ok(address)
}

/// Passes on one direction: bytes are written [`DELAY`] after they were read, in their order.
fn pass_on(mut from: TcpStream, to: TcpStream) {
    let (sender, receiver) = channel::<(Instant, Vec<u8>)>();
    spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + DELAY, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
    });
    spawn(move || deliver(&receiver, to));
}

fn deliver(receiver: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    for (due, bytes) in receiver {
        sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_trip_is_tcps_own() {
        assert!((round_trips(Duration::ZERO) - 1.0).abs() < 1e-9);
        assert!((round_trips(4 * DELAY) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_slow_link_passes_everything_on_in_order_and_late() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = server.local_addr().expect("bound");
        let echo = spawn(move || {
            let (mut stream, _) = server.accept().expect("a connection");
            let mut all = Vec::new();
            stream.read_to_end(&mut all).expect("bytes");
            stream.write_all(&all).expect("bytes");
        });
        let mut client =
            TcpStream::connect(slow_link(address).expect("a link")).expect("connected");
        let began = Instant::now();
        for piece in [&b"one "[..], b"two ", b"three"] {
            client.write_all(piece).expect("bytes");
        }
        client.shutdown(Shutdown::Write).expect("open");
        let mut back = String::new();
        client.read_to_string(&mut back).expect("text");
        assert_eq!(back, "one two three");
        // Two delays, there and back: it can't be quicker, whatever the host does.
        assert!(began.elapsed() >= 2 * DELAY);
        echo.join().expect("the echo ended");
    }
}
