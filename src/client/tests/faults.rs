//! What the client makes of servers that break off, go silent, answer late, out of order, or with
//! garbage.
#![allow(clippy::unwrap_used, missing_docs)]

mod fake;

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use fake::{Peer, Server, answer, serve, server_hello};
use sutra_client::{Client, ClientError, Concept, ConceptId, Connect, Status};
use sutra_wire::{Opcode, ServerHello};

/// The timeout of calls that are to run into it: what answers in time does so on a slow host, too.
const SHORT: Duration = Duration::from_secs(2);

fn connect(server: &Server) -> Connect {
    Client::connect(server.address())
}

/// The content that the fake server has for a name.
fn content(name: &str) -> String {
    ConceptId::from_name(name).unwrap().to_string()
}

async fn assert_answers(client: &Client, name: &str) {
    assert_eq!(client.query(name).await.unwrap().unwrap().content, content(name).as_str());
}

async fn failure(client: &Client, name: &str) -> ClientError {
    client.query(name).await.map(|_| ()).unwrap_err()
}

/// Takes a query, does something bad, and answers well on every later connection.
fn bad_once(bad: impl Fn(&mut Peer, &[u8]) + Send + Sync + 'static) -> Server {
    serve(move |number, peer| {
        let mut peer = peer.greet();
        if number == 0 {
            let request = peer.expect(Opcode::Query);
            bad(&mut peer, &answer(&request));
        } else {
            peer.answer_all();
        }
    })
}

#[tokio::test]
async fn replies_out_of_order_reach_their_own_calls() {
    let server = serve(|_, peer| {
        let mut peer = peer.greet();
        let requests: Vec<_> = (0..3).map(|_| peer.expect(Opcode::Query)).collect();
        requests.iter().rev().for_each(|request| peer.answer(request));
    });
    let client = connect(&server).await.unwrap();
    tokio::join!(
        assert_answers(&client, "a"),
        assert_answers(&client, "b"),
        assert_answers(&client, "c")
    );
}

#[tokio::test]
async fn a_late_reply_is_not_taken_for_the_next_calls() {
    let server = serve(|_, peer| {
        let mut peer = peer.greet();
        let late = peer.expect(Opcode::Query);
        // The next request says that the first call has given up.
        let check = peer.expect(Opcode::Health);
        peer.answer(&late);
        peer.answer(&check);
        peer.answer_all();
    });
    let client = connect(&server).with_timeout(SHORT).await.unwrap();
    let error = failure(&client, "late").await;
    assert!(matches!(error, ClientError::TimedOut { operation: "query", .. }), "{error}");
    assert_answers(&client, "next").await;
}

#[tokio::test]
async fn the_reply_of_a_dropped_call_is_not_taken_for_the_next_calls() {
    let (dropped, told) = mpsc::channel();
    let (came, arrived) = tokio::sync::oneshot::channel();
    let hands = Mutex::new(Some((told, came)));
    let server = serve(move |_, peer| {
        let (told, came) = hands.lock().unwrap().take().unwrap();
        let mut peer = peer.greet();
        let first = peer.expect(Opcode::Query);
        came.send(()).unwrap();
        told.recv().unwrap();
        let second = peer.expect(Opcode::Query);
        peer.answer(&first);
        peer.answer(&second);
    });
    let client = connect(&server).await.unwrap();
    tokio::select! {
        biased;
        _ = client.query("dropped") => panic!("not answered yet"),
        _ = arrived => {}
    }
    dropped.send(()).unwrap();
    assert_answers(&client, "next").await;
}

#[tokio::test]
async fn garbage_ends_the_connection_with_an_error_and_the_next_call_makes_another() {
    let server = bad_once(|peer, _| {
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        assert!(peer.request().is_none(), "the client closes");
    });
    let client = connect(&server).await.unwrap();
    let error = failure(&client, "a").await;
    assert!(
        matches!(&error, ClientError::Protocol { problem, .. } if problem.contains("bad magic")),
        "{error}"
    );
    assert_answers(&client, "a").await;
}

#[tokio::test]
async fn an_answer_to_nothing_ends_the_connection_with_an_error() {
    let server = bad_once(|peer, answer| {
        let mut stranger = answer.to_vec();
        stranger[8] ^= 0xff;
        peer.send(&stranger);
    });
    let client = connect(&server).await.unwrap();
    let error = failure(&client, "a").await;
    assert!(
        matches!(&error, ClientError::Protocol { problem, .. } if problem.contains("not sent")),
        "{error}"
    );
}

#[tokio::test]
async fn an_archive_that_does_not_validate_is_an_error_of_its_call_only() {
    let server = serve(|_, peer| {
        let mut peer = peer.greet();
        let request = peer.expect(Opcode::Query);
        let mut bad = answer(&request);
        bad[32..].fill(0xff);
        peer.send(&bad);
        peer.answer_all();
    });
    let client = connect(&server).await.unwrap();
    let error = failure(&client, "a").await;
    assert!(
        matches!(
            &error,
            ClientError::Protocol { problem, .. } if problem.contains("concept record")
        ),
        "{error}"
    );
    assert_answers(&client, "b").await;
}

#[tokio::test]
async fn half_a_reply_and_silence_times_out_and_the_next_call_finds_the_connection_dead() {
    let server = bad_once(|peer, answer| {
        peer.send(&answer[..answer.len() / 2]);
        // Health is asked for and not answered; then the client closes.
        peer.expect(Opcode::Health);
        assert!(peer.request().is_none());
    });
    let client = connect(&server).with_timeout(SHORT).await.unwrap();
    assert!(matches!(client.query("a").await, Err(ClientError::TimedOut { .. })));
    assert_answers(&client, "b").await;
}

#[tokio::test]
async fn a_connection_closed_in_the_middle_of_a_reply_is_made_again_and_the_request_repeated() {
    let server = bad_once(|peer, answer| peer.send(&answer[..answer.len() - 1]));
    let client = connect(&server).await.unwrap();
    assert_answers(&client, "a").await;
}

#[tokio::test]
async fn without_retries_a_lost_connection_is_told() {
    let server = bad_once(|_, _| ());
    let client = connect(&server).with_retries(0).await.unwrap();
    assert!(matches!(client.query("a").await, Err(ClientError::Closed { .. })));
    assert_answers(&client, "a").await;
}

#[tokio::test]
async fn a_request_is_repeated_as_often_as_asked_and_not_more() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    let server = serve(move |_, peer| {
        let mut peer = peer.greet();
        peer.expect(Opcode::Query);
        count.fetch_add(1, Ordering::SeqCst);
    });
    let client = connect(&server).with_retries(2).await.unwrap();
    assert!(matches!(client.query("a").await, Err(ClientError::Closed { .. })));
    assert_eq!(served.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_wrong_request_is_not() {
    let server = serve(|_, peer| {
        let mut peer = peer.greet();
        let busy = peer.expect(Opcode::Query);
        peer.refuse(&busy, Status::Busy, "later");
        let again = peer.expect(Opcode::Query);
        peer.answer(&again);
        let wrong = peer.expect(Opcode::Learn);
        peer.refuse(&wrong, Status::InvalidArgument, "confidence: is 2");
        peer.answer_all();
    });
    let client = connect(&server).await.unwrap();
    assert_answers(&client, "a").await;
    let error = client.learn(Concept::new("a").confidence(2.0)).await.unwrap_err();
    let ClientError::Refused { status, message } = error else { panic!("{error}") };
    assert_eq!((status, message.as_str()), (Status::InvalidArgument, "confidence: is 2"));
    assert_answers(&client, "b").await;
}

#[tokio::test]
async fn what_the_server_says_of_the_whole_connection_reaches_every_call() {
    let server = serve(|_, peer| {
        let mut peer = peer.greet();
        let mut first = peer.expect(Opcode::Query);
        peer.expect(Opcode::Query);
        first.header.request = 0;
        peer.refuse(&first, Status::Malformed, "reserved field is 7");
    });
    let client = connect(&server).await.unwrap();
    let (a, b) = tokio::join!(client.query("a"), client.query("b"));
    for result in [a, b] {
        assert!(matches!(result, Err(ClientError::Refused { status: Status::Malformed, .. })));
    }
}

#[tokio::test]
async fn another_schema_is_refused_and_named() {
    let server = serve(|_, mut peer| {
        peer.take_hello();
        peer.say_hello(&ServerHello { fingerprint: 0xabc, ..server_hello() });
    });
    let error = connect(&server).await.unwrap_err();
    assert!(
        matches!(
            &error,
            ClientError::Incompatible { problem, .. } if problem.contains("0000000000000abc")
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = Client::connect(&address).with_retries(1).await.unwrap_err();
    let ClientError::Connect { endpoint, source } = error else { panic!("{error}") };
    assert_eq!((endpoint, source.kind()), (address, ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn a_server_that_never_says_hello_is_waited_for_until_the_timeout_only() {
    let server = serve(|_, mut peer| {
        peer.take_hello();
        peer.request();
    });
    let error = connect(&server).with_timeout(Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { operation: "hello", .. }), "{error}");
}

#[tokio::test]
async fn connections_that_fail_are_made_again_until_one_holds() {
    let server = serve(|number, peer| {
        if number == 0 || number >= 3 {
            let mut peer = peer.greet();
            if number == 0 {
                peer.expect(Opcode::Query);
            } else {
                peer.answer_all();
            }
        }
    });
    let client = connect(&server).with_retries(3).await.unwrap();
    assert_answers(&client, "a").await;
}

#[tokio::test]
async fn a_server_that_comes_back_with_other_cores_is_followed() {
    let server = serve(|number, mut peer| {
        let core = peer.take_hello();
        let (cores, started) = if number == 0 { (1, 1) } else { (4, 2) };
        peer.say_hello(&ServerHello { cores, core, started, ..server_hello() });
        if number > 0 {
            peer.answer_all();
        }
    });
    let client = connect(&server).await.unwrap();
    assert_eq!(client.server().cores, 1);
    for name in ["a", "b", "c", "d"] {
        assert_answers(&client, name).await;
    }
    assert_eq!((client.server().cores, client.server().started), (4, 2));
}

#[tokio::test]
async fn each_request_goes_to_the_core_that_owns_its_concept() {
    const CORES: u16 = 3;
    let server = serve(|_, mut peer| {
        let core = peer.take_hello();
        peer.say_hello(&ServerHello { cores: CORES, core, ..server_hello() });
        while let Some(request) = peer.request() {
            let id =
                sutra_wire::Checked::<sutra_wire::ConceptKey>::new(&request.payload).unwrap().id;
            // A request for another core's concept is not answered, and the test fails by its
            // timeout.
            if sutra_wire::CoreLayout::new(CORES).owner(&id.into()) == core {
                peer.answer(&request);
            }
        }
    });
    let client = connect(&server).await.unwrap();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        assert_answers(&client, name).await;
    }
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_the_server_allows() {
    let server = serve(|_, mut peer| {
        peer.take_hello();
        peer.say_hello(&ServerHello { max_in_flight: 2, ..server_hello() });
        let mut waiting = Vec::from([peer.expect(Opcode::Query), peer.expect(Opcode::Query)]);
        for _ in 0..8 {
            peer.stream.set_nonblocking(true).unwrap();
            let more = peer.stream.peek(&mut [0]).map_err(|error| error.kind());
            assert_eq!(
                more,
                Err(ErrorKind::WouldBlock),
                "a third request while two are unanswered"
            );
            peer.stream.set_nonblocking(false).unwrap();
            let answered = waiting.remove(0);
            peer.answer(&answered);
            waiting.push(peer.expect(Opcode::Query));
        }
        waiting.iter().for_each(|request| peer.answer(request));
    });
    let client = connect(&server).await.unwrap();
    let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let mut answers = client.query_many(&names);
    for name in &names {
        let record = answers.next().await.unwrap().unwrap().unwrap();
        assert_eq!(record.content, content(name).as_str());
    }
    assert!(answers.next().await.is_none());
}

#[tokio::test]
async fn a_request_that_is_too_long_is_not_sent_and_the_connection_goes_on() {
    let server = serve(|_, mut peer| {
        peer.take_hello();
        peer.say_hello(&ServerHello { max_payload: 1000, ..server_hello() });
        peer.answer_all();
    });
    let client = connect(&server).await.unwrap();
    let error = client.learn(Concept::new("a").content("x".repeat(1000))).await.unwrap_err();
    assert!(
        matches!(error, ClientError::TooLarge { operation: "learn", limit: 1000, .. }),
        "{error}"
    );
    client.learn(Concept::new("a").content("x".repeat(500))).await.unwrap();
}

#[tokio::test]
async fn the_server_is_told_how_long_the_client_waits() {
    let server = serve(|_, peer| {
        let mut peer = peer.greet();
        let request = peer.expect(Opcode::Query);
        if (1..=60_000_000).contains(&request.header.extra) {
            peer.answer(&request);
        }
    });
    let client = connect(&server).with_timeout(Duration::from_secs(60)).await.unwrap();
    assert_answers(&client, "a").await;
}

#[tokio::test]
async fn one_item_that_fails_does_not_stop_the_others() {
    let server = serve(|_, peer| peer.greet().answer_all());
    let client = connect(&server).await.unwrap();
    let mut answers = client.query_many(["a", "", "c"]).in_flight(2);
    let mut contents = Vec::new();
    while let Some(answer) = answers.next().await {
        contents.push(
            answer
                .map(|record| record.unwrap().content.to_string())
                .map_err(|error| error.to_string()),
        );
    }
    assert!(matches!(&contents[..], [Ok(a), Err(error), Ok(c)]
        if *a == content("a") && error.contains("name is empty") && *c == content("c")));
}

#[tokio::test]
async fn giving_up_the_wait_for_an_answer_loses_none() {
    let (given_up, told) = mpsc::channel();
    let told = Mutex::new(told);
    let server = serve(move |_, peer| {
        let mut peer = peer.greet();
        told.lock().unwrap().recv().unwrap();
        peer.answer_all();
    });
    let client = connect(&server).await.unwrap();
    let mut answers = client.query_many(["a", "b", "c"]);
    tokio::select! {
        biased;
        _ = answers.next() => panic!("not answered yet"),
        () = std::future::ready(()) => given_up.send(()).unwrap(),
    }
    for name in ["a", "b", "c"] {
        assert_eq!(answers.next().await.unwrap().unwrap().unwrap().content, content(name).as_str());
    }
    assert!(answers.next().await.is_none());
}

#[tokio::test]
async fn what_was_under_way_when_the_connection_broke_is_sent_again() {
    let server = serve(|number, peer| {
        let mut peer = peer.greet();
        if number == 0 {
            let requests: Vec<_> = (0..50).map(|_| peer.expect(Opcode::Query)).collect();
            requests[..20].iter().for_each(|request| peer.answer(request));
        } else {
            peer.answer_all();
        }
    });
    let client = connect(&server).await.unwrap();
    let names: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let mut answers = client.query_many(&names).in_flight(50);
    for name in &names {
        let record = answers.next().await.unwrap().unwrap().unwrap();
        assert_eq!(record.content, content(name).as_str());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_share_one_connection_and_each_gets_its_own_answers() {
    let server = serve(|_, peer| peer.greet().answer_all());
    let client = connect(&server).with_pool_size(2).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let client = client.clone();
            tokio::spawn(async move {
                for n in 0..200 {
                    assert_answers(&client, &format!("{task}-{n}")).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn records_beyond_the_send_queue_wait_their_turn_and_all_arrive() {
    let server = serve(|_, peer| peer.greet().answer_all());
    let client = connect(&server).with_timeout(Duration::from_secs(60)).blocking().unwrap();
    let content = "x".repeat(300 << 10);
    let concepts = (0..60).map(|n| Concept::new(n.to_string()).content(content.clone()));
    assert_eq!(client.learn_many(concepts).finish().unwrap(), 60);
}

#[test]
fn a_spinning_client_gets_the_same_answers_and_falls_asleep_in_time() {
    let server = serve(|_, peer| peer.greet().answer_all());
    for spin in [Duration::from_nanos(1), Duration::from_millis(50)] {
        let client = connect(&server).with_spin(spin).blocking().unwrap();
        for name in ["a", "b", "c"] {
            assert_eq!(client.query(name).unwrap().unwrap().content, content(name).as_str());
        }
    }
}

#[test]
fn a_spinning_client_learns_of_a_lost_connection() {
    let server = bad_once(|peer, answer| peer.send(&answer[..40]));
    let client = connect(&server).with_spin(Duration::from_secs(1)).blocking().unwrap();
    assert_eq!(client.query("a").unwrap().unwrap().content, content("a").as_str());
}

#[test]
fn a_client_outlives_the_runtime_that_it_was_made_in() {
    let server = serve(|_, peer| peer.greet().answer_all());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = runtime().block_on(async { connect(&server).await }).unwrap();
    runtime().block_on(assert_answers(&client, "a"));
}

#[test]
fn replies_can_be_kept_while_others_come() {
    let server = serve(|_, peer| peer.greet().answer_all());
    let client = connect(&server).blocking().unwrap();
    let names: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let kept: Vec<_> = client.query_many(&names).map(|record| record.unwrap().unwrap()).collect();
    for (name, record) in names.iter().zip(&kept) {
        assert_eq!(record.content, content(name).as_str());
    }
}
