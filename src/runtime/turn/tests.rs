//! A core on a backend that completes what a test makes up, in orders that a kernel seldom gives.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use crate::backend::{Backend, Buffers, Mail};
use crate::core::Core;
use crate::ending::Ending;
use crate::event::{Event, Next, ReceiveEnd};
use crate::handler::Handler;
use crate::operation::{Completion, Operation, Outcome, Receive};
use crate::pulse::Pulse;
use crate::simulated::{self, Pieces, Simulated, SimulatedMail, VirtualClock};
use crate::sockets::Socket;
use crate::turn::Turns;
use crate::{DataFile, Durability, Folder, RegionSlice, RegionWriter, TimerId, WriteMode};

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Bytes(Vec<u8>),
    PeerClosed,
    Paused,
    Failed(ErrorKind),
    Sent(Result<(), ErrorKind>),
    Written(u64, Result<(), ErrorKind>),
    Closed,
    /// With how many bytes unsent.
    Withdrawn(usize),
    Message(u64),
    Timer(u8),
}

/// What a core asked for, as far as these tests look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Submitted {
    Receive(Socket, Receive),
    /// With how many bytes are left.
    Send(Socket, usize),
    Cancel(Operation),
    /// Where, and how many bytes.
    Write(u32, u64, usize),
    Sync(u32),
}

impl Submitted {
    fn of(asked: simulated::Submitted) -> Option<Submitted> {
        use simulated::Submitted as By;
        Some(match asked {
            By::Receive(socket, wanted) => Submitted::Receive(socket, wanted),
            By::Send(socket, bytes) => Submitted::Send(socket, bytes.len()),
            By::Cancel(operation) => Submitted::Cancel(operation),
            By::Write(write, _, offset, bytes) => Submitted::Write(write, offset, bytes.len()),
            By::Sync(write, _) => Submitted::Sync(write),
            By::Register(..) | By::Forget(_) | By::ShutDown(..) | By::StopListening => return None,
        })
    }
}

/// Notes what it is told.
struct Recorder {
    told: Rc<RefCell<Vec<Told>>>,
    is_stopping: bool,
}

impl Handler for Recorder {
    type Message = u64;

    fn event(&mut self, core: &mut Core<u64>, event: Event<'_>) {
        self.told.borrow_mut().push(match event {
            Event::Received { bytes, .. } => Told::Bytes(bytes.to_vec()),
            Event::ReceiveEnded { reason: ReceiveEnd::PeerClosed, .. } => Told::PeerClosed,
            Event::ReceiveEnded { reason: ReceiveEnd::Paused, .. } => Told::Paused,
            Event::ReceiveEnded { reason: ReceiveEnd::Failed(error), .. } => {
                Told::Failed(error.kind())
            }
            Event::Sent { outgoing, result, .. } => {
                core.recycle(outgoing);
                Told::Sent(result.map_err(|error| error.kind()))
            }
            Event::Written { token, result } => {
                Told::Written(token, result.map_err(|error| error.kind()))
            }
            Event::Closed { .. } => Told::Closed,
            Event::Withdrawn { unsent, .. } => {
                let mut rest = Vec::new();
                unsent.into_iter().for_each(|unsent| unsent.copy_rest(&mut rest));
                Told::Withdrawn(rest.len())
            }
            Event::Accepted { .. } => unreachable!("nothing listens"),
        });
    }

    fn message(&mut self, _: &mut Core<u64>, _: usize, message: u64) {
        self.told.borrow_mut().push(Told::Message(message));
    }

    fn timer(&mut self, _: &mut Core<u64>, timer: TimerId) {
        self.told.borrow_mut().push(Told::Timer(timer.0));
    }

    fn turn_end(&mut self, _: &mut Core<u64>) -> Next {
        Next::Sleep
    }

    fn shutdown(&mut self, _: &mut Core<u64>) {
        self.is_stopping = true;
    }

    fn drained(&self) -> bool {
        self.is_stopping
    }
}

/// A core with what it was told.
struct Stage {
    turns: Turns<Recorder>,
    clock: VirtualClock,
    told: Rc<RefCell<Vec<Told>>>,
    ending: Arc<Ending>,
}

impl Stage {
    fn new() -> Stage {
        let told = Rc::default();
        let ending = Arc::new(Ending::new(1, || {}));
        let clock = VirtualClock::new(Duration::ZERO);
        let backend = Backend::Simulated(Simulated::new(clock.clone()));
        let mail = Mail::Simulated(SimulatedMail::alone());
        let pulse = Pulse::new(1, || {});
        let core = Core::new(0, backend, Simulated::features(), mail, Arc::clone(&ending), &pulse);
        let mut pieces = Pieces::default();
        assert_eq!([b"first".as_slice(), b"second"].map(|bytes| pieces.put(bytes)), [0, 1]);
        let recorder = Recorder { told: Rc::clone(&told), is_stopping: false };
        let turns = Turns::new(recorder, core, Buffers::Simulated(pieces));
        Stage { turns, clock, told, ending }
    }

    fn core(&mut self) -> &mut Core<u64> {
        self.turns.core()
    }

    fn socket(&mut self) -> Socket {
        self.core().adopt(descriptor()).unwrap()
    }

    fn asked(&mut self) -> Vec<Submitted> {
        let asked = self.core().backend().simulated().take_asked();
        asked.into_iter().filter_map(Submitted::of).collect()
    }

    /// A turn in which this has completed; what it tells.
    fn turn(&mut self, completions: &[Completion]) -> Vec<Told> {
        for completion in completions {
            self.core().backend().simulated().complete(*completion);
        }
        assert!(self.turns.turn().is_some(), "nobody has stopped it");
        self.told.take()
    }
}

fn descriptor() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

fn sent(socket: Socket, outcome: Outcome) -> Completion {
    Completion::Sent { socket, outcome }
}

/// The end of a receive that brought no bytes.
fn ended(socket: Socket, outcome: Outcome) -> Completion {
    Completion::Received { socket, outcome, buffer: None, more: false }
}

fn bytes(len: usize) -> RegionSlice {
    let mut writer = RegionWriter::new(len).unwrap();
    writer.freeze(len);
    writer.region().slice(0..len).unwrap()
}

/// A core that sends so many bytes on a socket.
fn sending(len: usize) -> (Stage, Socket) {
    let mut stage = Stage::new();
    let socket = stage.socket();
    let mut outgoing = stage.core().outgoing();
    outgoing.bytes().resize(len, 1);
    stage.core().send(socket, outgoing);
    assert_eq!(stage.asked(), [Submitted::Send(socket, len)]);
    (stage, socket)
}

#[test]
fn a_send_goes_on_where_the_kernel_stopped_and_is_told_once() {
    let (mut stage, socket) = sending(100);
    for (outcome, left) in
        [(Ok(1), 99), (Err(Errno::INTR), 99), (Ok(60), 39), (Err(Errno::AGAIN), 39)]
    {
        assert_eq!(stage.turn(&[sent(socket, outcome)]), []);
        assert_eq!(stage.asked(), [Submitted::Send(socket, left)]);
    }
    assert_eq!(stage.turn(&[sent(socket, Ok(39))]), [Told::Sent(Ok(()))]);
    assert_eq!(stage.asked(), []);
    assert_eq!((stage.core().metrics().sends, stage.core().metrics().bytes_out), (1, 100));
}

#[test]
fn a_send_of_which_nothing_is_taken_has_failed_and_does_not_go_on() {
    let (mut stage, socket) = sending(100);
    assert_eq!(stage.turn(&[sent(socket, Ok(0))]), [Told::Sent(Err(ErrorKind::WriteZero))]);
    assert_eq!(stage.asked(), []);
}

#[test]
fn a_socket_is_given_away_once_when_both_its_operations_have_ended_in_whatever_order() {
    for is_send_first in [true, false] {
        let (mut stage, socket) = sending(100);
        stage.core().receive(socket);
        stage.asked();
        stage.core().withdraw(socket);
        let cancelled =
            [Operation::Receive(socket), Operation::Send(socket)].map(Submitted::Cancel);
        assert_eq!(stage.asked(), cancelled);
        let mut ends = [sent(socket, Ok(30)), ended(socket, Err(Errno::CANCELED))];
        if !is_send_first {
            ends.reverse();
        }
        assert_eq!(stage.turn(&ends[..1]), []);
        assert_eq!(stage.asked(), [], "nothing is begun again");
        assert_eq!(stage.turn(&ends[1..]), [Told::Withdrawn(70)]);
        assert_eq!(stage.turn(&[]), []);
        assert_eq!(stage.core().sockets(), 0);
    }
}

#[test]
fn a_withdrawn_socket_tells_the_bytes_that_had_come_and_leaves_the_end_to_its_next_owner() {
    let mut stage = Stage::new();
    let socket = stage.socket();
    stage.core().receive(socket);
    stage.core().withdraw(socket);
    let bytes = |more| Completion::Received { socket, outcome: Ok(5), buffer: Some(0), more };
    assert_eq!(stage.turn(&[bytes(true)]), [Told::Bytes(b"first".to_vec())]);
    assert_eq!(stage.turn(&[ended(socket, Ok(0))]), [Told::Withdrawn(0)]);
}

#[test]
fn a_socket_is_closed_once_when_both_its_operations_have_ended_in_whatever_order() {
    for is_send_first in [true, false] {
        let (mut stage, socket) = sending(100);
        stage.core().receive(socket);
        stage.asked();
        stage.core().close(socket);
        let cancelled =
            [Operation::Receive(socket), Operation::Send(socket)].map(Submitted::Cancel);
        assert_eq!(stage.asked(), cancelled);
        // The send had gone half its way when the cancellation came.
        let mut ends = [sent(socket, Ok(50)), ended(socket, Err(Errno::CANCELED))];
        if !is_send_first {
            ends.reverse();
        }
        assert_eq!(stage.turn(&ends[..1]), []);
        let other = stage.socket();
        assert_ne!(other.index(), socket.index(), "the slot is not free yet");
        assert_eq!(stage.turn(&ends[1..]), [Told::Closed]);
        assert_eq!(stage.turn(&[]), []);
        assert_eq!(stage.asked(), [], "nothing is begun for a socket that is closing");
        // The next owner of the slot hears nothing of what comes late for the last.
        let next = stage.socket();
        assert_eq!(next.index(), socket.index());
        assert_eq!(stage.turn(&[ended(socket, Ok(0)), sent(socket, Ok(7))]), []);
    }
}

#[test]
fn bytes_that_arrive_for_a_closing_socket_are_not_told() {
    let mut stage = Stage::new();
    let socket = stage.socket();
    stage.core().receive(socket);
    stage.core().close(socket);
    let late = Completion::Received { socket, outcome: Ok(5), buffer: Some(0), more: true };
    assert_eq!(stage.turn(&[late]), []);
    assert_eq!(stage.turn(&[ended(socket, Ok(0))]), [Told::Closed]);
}

#[test]
fn a_receive_that_found_no_buffer_is_begun_again_and_nobody_is_told() {
    let mut stage = Stage::new();
    let socket = stage.socket();
    stage.core().receive(socket);
    let begun = [Submitted::Receive(socket, Receive::Always)];
    assert_eq!(stage.asked(), begun);
    for _ in 0..3 {
        assert_eq!(stage.turn(&[ended(socket, Err(Errno::NOBUFS))]), []);
        assert_eq!(stage.asked(), begun);
    }
    assert_eq!(stage.core().metrics().receive_buffers_exhausted, 3);
    assert_eq!(
        stage.turn(&[ended(socket, Err(Errno::CONNRESET))]),
        [Told::Failed(ErrorKind::ConnectionReset)]
    );
    assert_eq!(stage.asked(), []);
}

#[test]
fn bytes_that_overtake_a_pause_come_before_it() {
    let mut stage = Stage::new();
    let socket = stage.socket();
    stage.core().receive(socket);
    stage.core().pause(socket);
    stage.core().pause(socket);
    let asked = [
        Submitted::Receive(socket, Receive::Always),
        Submitted::Cancel(Operation::Receive(socket)),
    ];
    assert_eq!(stage.asked(), asked, "a second pause asks for nothing");
    // The receive ends with bytes, before the cancellation could reach it.
    let bytes = [(0, 5, true), (1, 6, false)].map(|(buffer, len, more)| Completion::Received {
        socket,
        outcome: Ok(len),
        buffer: Some(buffer),
        more,
    });
    let told = [Told::Bytes(b"first".to_vec()), Told::Bytes(b"second".to_vec()), Told::Paused];
    assert_eq!(stage.turn(&bytes), told);
    assert_eq!(stage.asked(), []);
}

#[test]
fn a_pause_that_is_taken_back_before_its_cancellation_is_never_told() {
    let mut stage = Stage::new();
    let socket = stage.socket();
    stage.core().receive(socket);
    stage.core().pause(socket);
    stage.core().receive(socket);
    stage.asked();
    assert_eq!(stage.turn(&[ended(socket, Err(Errno::CANCELED))]), []);
    assert_eq!(
        stage.asked(),
        [Submitted::Receive(socket, Receive::Always)],
        "the cancelled receive is begun again"
    );
}

#[test]
fn a_peer_that_closes_during_a_pause_is_told_in_its_place() {
    let mut stage = Stage::new();
    let socket = stage.socket();
    stage.core().receive(socket);
    stage.core().pause(socket);
    assert_eq!(stage.turn(&[ended(socket, Ok(0))]), [Told::PeerClosed]);
    assert_eq!(stage.turn(&[]), []);
}

/// A core, and a file that is written in this way.
fn with_file(place: &std::path::Path, durability: Durability) -> (Stage, Arc<DataFile>) {
    let folder = Folder::open(place).unwrap();
    (Stage::new(), Arc::new(DataFile::create(&folder, "f", durability).unwrap()))
}

fn written(outcome: Outcome) -> [Completion; 1] {
    [Completion::Written { write: 0, outcome }]
}

#[test]
fn a_relaxed_write_goes_on_at_the_byte_where_the_kernel_stopped() {
    let place = tempfile::tempdir().unwrap();
    let (mut stage, file) = with_file(place.path(), Durability::Relaxed);
    stage.core().write(&file, 8192, bytes(10_000), 7);
    assert_eq!(stage.asked(), [Submitted::Write(0, 8192, 10_000)]);
    for (outcome, at, left) in
        [(Ok(4097), 12_289, 5903), (Err(Errno::INTR), 12_289, 5903), (Ok(3), 12_292, 5900)]
    {
        assert_eq!(stage.turn(&written(outcome)), []);
        assert_eq!(stage.asked(), [Submitted::Write(0, at, left)]);
    }
    assert_eq!(stage.turn(&written(Ok(5900))), [Told::Written(7, Ok(()))]);
    assert_eq!(stage.asked(), []);
}

#[test]
fn a_direct_write_goes_on_at_a_whole_block_and_fails_where_it_gets_no_further() {
    let place = tempfile::tempdir().unwrap();
    let (mut stage, file) = with_file(place.path(), Durability::Always);
    // A host without direct writes is one where this can't be shown.
    let WriteMode::Direct { align } = file.mode() else { return };
    let block = align as usize;
    stage.core().write(&file, 0, bytes(4 * block), 7);
    stage.asked();
    assert_eq!(stage.turn(&written(Ok(2 * block + 1))), []);
    assert_eq!(stage.asked(), [Submitted::Write(0, 2 * u64::from(align), 2 * block)]);
    assert_eq!(stage.turn(&written(Ok(block - 1))), [Told::Written(7, Err(ErrorKind::WriteZero))]);
    assert_eq!(stage.asked(), []);
}

#[test]
fn a_buffered_write_is_told_after_its_sync_and_a_failed_sync_is_not_tried_again() {
    // tmpfs tells no direct-I/O alignment. A host without it is one where this can't be shown.
    let Ok(place) = tempfile::tempdir_in("/dev/shm") else { return };
    let (mut stage, file) = with_file(place.path(), Durability::Always);
    for (outcome, told) in
        [(Ok(0), Ok(())), (Err(Errno::IO), Err(std::io::Error::from(Errno::IO).kind()))]
    {
        stage.core().write(&file, 0, bytes(4096), 7);
        assert_eq!(stage.asked(), [Submitted::Write(0, 0, 4096)]);
        assert_eq!(stage.turn(&written(Ok(4096))), []);
        assert_eq!(stage.asked(), [Submitted::Sync(0)]);
        assert_eq!(stage.turn(&written(outcome)), [Told::Written(7, told)]);
        assert_eq!(stage.asked(), []);
    }
}

#[test]
fn a_timer_is_due_by_the_backends_clock_and_not_before() {
    let mut stage = Stage::new();
    let start = stage.core().now();
    for (timer, seconds) in [(3, 3600), (1, 7200)] {
        stage.core().set_timer(TimerId(timer), Some(start + Duration::from_secs(seconds)));
    }
    stage.clock.pass(Duration::from_secs(3600) - Duration::from_nanos(1));
    assert_eq!(stage.turn(&[]), []);
    stage.clock.pass(Duration::from_nanos(1));
    assert_eq!(stage.turn(&[]), [Told::Timer(3)]);
    stage.clock.pass(Duration::from_secs(36_000));
    assert_eq!(stage.turn(&[]), [Told::Timer(1)]);
}

#[test]
fn messages_of_a_turn_are_those_that_had_arrived_before_it() {
    let mut stage = Stage::new();
    let postbox = stage.core().postbox();
    postbox.post(3);
    stage.core().send_message(0, 1).unwrap();
    stage.core().send_message(0, 2).unwrap();
    assert_eq!(stage.core().send_message(1, 9), Err(9), "there is no core 1");
    assert_eq!(stage.turn(&[]), [1, 2, 3].map(Told::Message), "cores' first, then other threads'");
    assert!(!stage.core().has_work());
    postbox.post(4);
    assert!(stage.core().has_work());
    assert_eq!(stage.turn(&[]), [Told::Message(4)]);
}

#[test]
fn a_core_that_is_stopped_ends_when_its_last_message_was_handed_over() {
    let mut stage = Stage::new();
    stage.core().send_message(0, 1).unwrap();
    assert!(stage.core().has_work());
    stage.ending.stop();
    assert!(stage.turns.turn().is_none());
    assert_eq!(stage.told.take(), [Told::Message(1)]);
}
