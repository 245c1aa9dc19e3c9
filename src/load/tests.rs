//! Runs against a small server of blocking threads, whose answers each test chooses.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use sutra_wire::{
    Checked, ConceptKey, ConceptRecord, Counter, ErrorMessage, FINGERPRINT, Frame, FrameBuffer,
    Header, Opcode, Parsed, ServerHello, Stats, Status, encode_archive, encode_empty, parse,
};

use crate::*;

/// Serves connections of the native wire until the process ends: `answer` writes the reply to a
/// request into the buffer, or returns `false` to close the connection.
fn frame_server(
    answer: impl Fn(&Frame<'_>, &mut FrameBuffer) -> bool + Send + Clone + 'static,
) -> SocketAddr {
    serve(move |mut stream| {
        let (mut input, mut chunk) = (FrameBuffer::new(), [0; 4096]);
        loop {
            let (mut used, mut out) = (0, FrameBuffer::new());
            let mut open = true;
            while let Ok(Parsed::Frame(frame, length)) = parse(&input[used..], 1 << 20) {
                used += length;
                open = match Opcode::from_number(frame.header.opcode) {
                    Some(Opcode::Hello) => {
                        encode_archive(&mut out, frame.header, &hello());
                        true
                    }
                    _ => answer(&frame, &mut out),
                };
                if !open {
                    break;
                }
            }
            stream.write_all(&out).unwrap();
            if !open {
                stream.shutdown(Shutdown::Both).unwrap();
                return;
            }
            let rest = input[used..].to_vec();
            input.clear();
            input.extend_from_slice(&rest);
            match stream.read(&mut chunk) {
                Ok(count) if count > 0 => input.extend_from_slice(&chunk[..count]),
                _ => return,
            }
        }
    })
}

fn serve(connection: impl Fn(TcpStream) + Send + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = connection.clone();
            thread::spawn(move || connection(stream.unwrap()));
        }
    });
    address
}

fn hello() -> ServerHello {
    ServerHello {
        fingerprint: FINGERPRINT,
        store: 1,
        started: 1,
        max_payload: 1 << 20,
        max_in_flight: 64,
        sync_interval: 0,
        cores: 2,
        core: 0,
        owner_function: 1,
        durability: 0,
        version: 1,
    }
}

fn plan(address: SocketAddr, connections: usize, depth: usize, requests: u64) -> Plan {
    let length = Length::Requests(requests);
    Plan { connections, depth, length, warm_up: Duration::ZERO, ..Plan::new(address) }
}

fn echo_server() -> SocketAddr {
    serve(|mut stream| {
        let mut copy = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut copy).unwrap();
    })
}

/// Answers a query with the record of the concept that was asked for.
fn answer_query(frame: &Frame<'_>, out: &mut FrameBuffer) -> bool {
    let key = Checked::<ConceptKey>::new(frame.payload).unwrap();
    let record = ConceptRecord { id: key.id, content: "stored".into(), ..ConceptRecord::default() };
    encode_archive(out, frame.header, &record);
    true
}

fn queries() -> Query {
    Query::new("", Keys::new("key", KeySpace::Random(50)), None)
}

#[test]
fn every_way_of_waiting_counts_every_request_once() {
    let address = echo_server();
    for (connections, depth, spin) in
        [(1, 1, false), (1, 4, false), (1, 1, true), (3, 4, false), (3, 1, true)]
    {
        let plan = Plan { spin, ..plan(address, connections, depth, 500) };
        let report = run(&plan, vec![Echo::new(64, 64)], None).unwrap();
        let latency = report.latency.unwrap();
        assert_eq!(report.requests, 500, "{plan:?}");
        assert!(
            latency.min_ns > 0
                && latency.p50_ns <= latency.p99_ns
                && latency.p99_ns <= latency.max_ns,
            "{latency:?}"
        );
        assert!(report.requests_per_second > 0.0 && report.refused.is_empty());
    }
}

#[test]
fn messages_larger_than_every_buffer_on_the_way_arrive_whole() {
    let address = echo_server();
    for connections in [1, 2] {
        let report =
            run(&plan(address, connections, 2, 8), vec![Echo::new(8 << 20, 8 << 20)], None)
                .unwrap();
        assert_eq!(report.requests, 8);
    }
}

#[test]
fn several_threads_share_the_connections() {
    let plan = plan(frame_server(answer_query), 3, 2, 100);
    let report = run(&plan, vec![queries(), queries()], None).unwrap();
    assert_eq!((report.requests, report.threads, report.operation.as_str()), (200, 2, "query"));
}

#[test]
fn a_run_by_time_ends_and_measures_only_after_the_warm_up() {
    let warm_up = Duration::from_millis(20);
    let length = Length::Duration(Duration::from_millis(50));
    let plan = Plan { warm_up, length, ..plan(frame_server(answer_query), 2, 2, 0) };
    let cpu = ServerCpu::of_process(std::process::id());
    let report = run(&plan, vec![queries()], Some(cpu)).unwrap();
    assert!(report.requests > 0 && report.seconds >= 0.05, "{report}");
    assert!(report.server_cpu.is_some() && report.to_string().contains("server CPU"), "{report}");
}

#[test]
fn a_workload_that_runs_out_ends_the_run() {
    let address = frame_server(|frame, out| {
        encode_empty(out, Header { length: 0, ..frame.header });
        true
    });
    let learn = Learn::new("", Keys::new("key", KeySpace::Once(70)), 20, 4);
    assert_eq!(run(&plan(address, 3, 8, u64::MAX), vec![learn], None).unwrap().requests, 70);
}

#[test]
fn the_record_of_another_concept_fails_the_run() {
    let address = frame_server(|frame, out| {
        encode_archive(
            out,
            frame.header,
            &ConceptRecord { id: [9; 16], ..ConceptRecord::default() },
        );
        true
    });
    let error = run(&plan(address, 1, 1, 10), vec![queries()], None).unwrap_err();
    assert!(
        matches!(&error, LoadError::Wrong { problem, .. } if problem.contains("another concept")),
        "{error}"
    );
}

#[test]
fn a_record_of_another_length_fails_the_run() {
    let query = Query::new("", Keys::new("key", KeySpace::Random(50)), Some(1000));
    let error = run(&plan(frame_server(answer_query), 1, 1, 10), vec![query], None).unwrap_err();
    assert!(
        matches!(&error, LoadError::Wrong { problem, .. } if problem.contains("1000 bytes")),
        "{error}"
    );
}

#[test]
fn a_reply_to_a_request_that_was_never_made_fails_the_run() {
    let address = frame_server(|frame, out| {
        encode_empty(out, Header { request: frame.header.request + 1, length: 0, ..frame.header });
        true
    });
    let error = run(&plan(address, 1, 1, 10), vec![Health], None).unwrap_err();
    assert!(
        matches!(
            &error,
            LoadError::Wrong { problem, .. } if problem.contains("no request in flight")
        ),
        "{error}"
    );
}

#[test]
fn a_changed_echo_fails_the_run() {
    let address = serve(|mut stream| {
        let mut message = [0; 64];
        while stream.read_exact(&mut message).is_ok() {
            message[63] ^= 1;
            stream.write_all(&message).unwrap();
        }
    });
    let error = run(&plan(address, 1, 1, 10), vec![Echo::new(64, 64)], None).unwrap_err();
    assert!(matches!(error, LoadError::Wrong { .. }), "{error}");
}

#[test]
fn a_concept_that_is_not_there_fails_the_run() {
    let address = frame_server(|frame, out| {
        encode_empty(out, Header { status: Status::NotFound as u8, length: 0, ..frame.header });
        true
    });
    let error = run(&plan(address, 1, 1, 10), vec![queries()], None).unwrap_err();
    assert!(
        matches!(&error, LoadError::Wrong { problem, .. } if problem.contains("not_found")),
        "{error}"
    );
}

#[test]
fn refusals_are_counted_by_status_and_the_last_one_is_quoted() {
    let address = frame_server(|frame, out| {
        let header = Header { status: Status::Busy as u8, ..frame.header };
        encode_archive(out, header, &ErrorMessage { message: "try later".into() });
        true
    });
    let report = run(&plan(address, 2, 2, 40), vec![queries()], None).unwrap();
    assert_eq!((report.requests, report.refused["busy"], report.latency), (0, 40, None));
    assert!(report.to_string().ends_with("refused     busy 40 (the last: try later)"), "{report}");
}

#[test]
fn a_connection_closed_in_the_middle_is_an_error_that_names_it() {
    for connections in [1, 2] {
        let address = frame_server(|frame, out| {
            answer_query(frame, out);
            frame.header.request >> 32 < 5
        });
        let error = run(&plan(address, connections, 1, 1000), vec![queries()], None).unwrap_err();
        let LoadError::Closed { address: closed, unanswered, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((*closed, *unanswered), (address, 1));
    }
}

#[test]
fn the_servers_own_counters_tell_its_cpu_time() {
    let counters = |names: &'static [&'static str]| {
        let address = frame_server(move |frame, out| {
            let counter = |(at, name): (usize, &&str)| Counter {
                name: (*name).into(),
                value: 10 + at as u64,
            };
            let counters = names.iter().enumerate().map(counter).collect();
            encode_archive(out, frame.header, &Stats { counters, ..Stats::default() });
            true
        });
        ServerCpu::of_server(address, Duration::from_secs(10)).unwrap().read()
    };
    let time = |user, system, total| CpuTime { user, system, total, process: 0 };
    assert_eq!(counters(&["cpu_user_us", "cpu_system_us"]).unwrap(), time(10, 11, 21_000));
    assert_eq!(
        counters(&["cpu_user_us", "cpu_system_us", "cpu_us"]).unwrap(),
        time(10, 11, 12_000)
    );
    assert!(matches!(counters(&["cpu_user_us"]), Err(LoadError::Cpu { .. })));
}

#[test]
fn a_refused_hello_is_told_in_the_servers_words() {
    let address = serve(|mut stream| {
        let mut out = FrameBuffer::new();
        let header = Header { status: Status::Unauthorized as u8, ..Header::default() };
        encode_archive(&mut out, header, &ErrorMessage { message: "a token is needed".into() });
        stream.write_all(&out).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let error = run(&plan(address, 1, 1, 1), vec![Health], None).unwrap_err();
    assert!(error.to_string().contains("unauthorized): a token is needed"), "{error}");
}

#[test]
fn a_depth_beyond_the_servers_limit_is_refused_before_anything_is_sent() {
    let error =
        run(&plan(frame_server(answer_query), 1, 65, 1), vec![queries()], None).unwrap_err();
    assert!(error.to_string().contains("limit of 64"), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = run(&plan(address, 1, 1, 1), vec![Health], None).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn the_prepared_records_are_as_long_as_they_are_said_to_be() {
    let address = frame_server(|frame, out| {
        encode_empty(out, Header { extra: frame.payload.len() as u64, length: 0, ..frame.header });
        true
    });
    let mut learn = Learn::new("bench", Keys::new("key", KeySpace::Once(10)), 200, 16);
    let expected = learn.archived_bytes();
    run(&plan(address, 1, 1, 10), vec![Sized { learn, expected: expected as u64 }], None).unwrap();
}

/// A [`Learn`] whose server returns each payload's length as the sequence.
struct Sized {
    learn: Learn,
    expected: u64,
}

impl Workload for Sized {
    fn name(&self) -> &'static str {
        self.learn.name()
    }

    fn open(&mut self, routes: &Routes) {
        self.learn.open(routes);
    }

    fn write(&mut self, lane: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        self.learn.write(lane, number, out)
    }

    fn check(&mut self, tag: u64, reply: &Reply<'_>) -> Result<(), String> {
        assert_eq!(reply.sequence, self.expected);
        self.learn.check(tag, reply)
    }
}

#[test]
fn replies_of_the_old_protocol_are_told_apart_by_their_order() {
    // Answers every message with its own bytes, several in one write if several have arrived.
    let address = serve(|mut stream| {
        let mut held = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            held.extend_from_slice(&chunk[..count]);
            let mut out = Vec::new();
            while let Some((prefix, rest)) = held.split_first_chunk() {
                let length = u32::from_be_bytes(*prefix) as usize;
                if rest.len() < length {
                    break;
                }
                out.extend_from_slice(&held[..4 + length]);
                held.drain(..4 + length);
            }
            stream.write_all(&out).unwrap();
        }
    });
    /// Numbers that must come back in their order.
    struct Counting(u64);
    impl Workload for Counting {
        fn name(&self) -> &'static str {
            "count"
        }
        fn framing(&self) -> Framing {
            Framing::Legacy
        }
        fn open(&mut self, _: &Routes) {}
        fn write(&mut self, _: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
            self.0 += 1;
            out.extend_from_slice(&8u32.to_be_bytes());
            out.extend_from_slice(&self.0.to_le_bytes());
            Some(self.0)
        }
        fn check(&mut self, tag: u64, reply: &Reply<'_>) -> Result<(), String> {
            if reply.payload == tag.to_le_bytes() {
                Ok(())
            } else {
                Err(format!("{tag} was asked"))
            }
        }
    }
    let plan = Plan {
        connections: 3,
        depth: 7,
        warm_up: Duration::ZERO,
        length: Length::Requests(10_000),
        ..Plan::new(address)
    };
    let report = run(&plan, vec![Counting(0)], None).unwrap();
    assert_eq!(report.requests, 10_000);
}

#[test]
fn an_open_loop_answers_no_more_than_was_due_while_measuring() {
    // Silent until the window has begun: all that was due in the warm-up is answered within it.
    let address = serve(|mut stream| {
        // Counted from the first request, which is sent once the load has begun.
        stream.peek(&mut [0]).unwrap();
        thread::sleep(Duration::from_millis(80));
        let mut copy = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut copy).unwrap();
    });
    // With room for all of the warm-up's requests, and for a tenth of them.
    for (depth, rate) in [(1024, 10_000.0), (64, 10_000.0)] {
        let plan = Plan {
            depth,
            rate: Some(rate),
            warm_up: Duration::from_millis(60),
            length: Length::Duration(Duration::from_millis(150)),
            ..Plan::new(address)
        };
        let report = run(&plan, vec![Echo::new(64, 64)], None).unwrap();
        let due = rate * report.seconds;
        assert!(report.requests > 0 && report.requests as f64 <= due + 1.0, "{due} due: {report}");
        // A request that waited for the server counts from when it was due.
        assert!(report.latency.unwrap().max_ns >= 10_000_000, "{report}");
    }
}
