//! Whatever becomes of standard error and standard output, a service goes on, answers, and ends in
//! order.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, PipeWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use crate::support;
use crate::support::{Folder, PATIENCE, sutra};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The three commands that run until they are told to stop.
const SERVICES: [&[&str]; 3] = [
    &[
        "serve",
        "--cores",
        "2",
        "--no-pin",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--compat",
        "off",
    ],
    &["grid", "master", "--listen", "127.0.0.1:0", "--compat", "off", "--admin", "off"],
    &[
        "grid",
        "agent",
        "--id",
        "a",
        "--master",
        "127.0.0.1:9",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
    ],
];

/// A process that is killed when it is dropped.
struct Service(Child);

impl Service {
    /// SIGTERM, and how it ended.
    fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        self.0.wait().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(words: &[&str], data: &Path) -> Command {
    let mut command = sutra();
    command.args(words).arg("--json").arg("--data").arg(data).stdin(Stdio::null());
    command
}

/// Starts a service with this standard error, and reads where it listens.
fn start(
    mut command: Command,
    errors: impl Into<Stdio>,
) -> (Service, SocketAddr, BufReader<ChildStdout>) {
    let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    let service = Service(child);
    let mut line = String::new();
    answers.read_line(&mut line).unwrap();
    let greeting: Value = serde_json::from_str(&line).unwrap();
    let listening = &greeting["listening"];
    let address = listening.get(0).unwrap_or(listening).as_str().unwrap().parse().unwrap();
    (service, address, answers)
}

/// Asks for nonsense, which each service has a line in its log for, and waits until the connection
/// has ended.
fn ask_nonsense(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    // What is answered differs, and may end in a reset; that it ends is what shows a service at
    // work.
    match stream.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("{address} does not answer")
        }
        _ => {}
    }
}

/// Each service answers although its standard error is like that, and ends by SIGTERM with 0.
fn goes_on_with(errors: impl Fn() -> Stdio) {
    for words in SERVICES {
        let folder = Folder::new();
        let (service, address, _answers) = start(command(words, &folder.path()), errors());
        for _ in 0..8 {
            ask_nonsense(address);
        }
        let status = service.stop();
        assert!(status.success(), "{words:?}: {status}");
    }
}

/// The writing end of a pipe that is full, and its reading end, which keeps it.
fn full_pipe() -> (std::io::PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'\n'; 512]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

#[test]
fn a_service_goes_on_when_the_disk_of_its_log_is_full() {
    goes_on_with(|| OpenOptions::new().write(true).open("/dev/full").unwrap().into());
}

#[test]
fn a_service_goes_on_when_the_reader_of_its_log_has_gone() {
    goes_on_with(|| std::io::pipe().unwrap().1.into());
}

#[test]
fn a_service_goes_on_when_its_log_can_only_be_read() {
    goes_on_with(|| File::open("/dev/null").unwrap().into());
}

#[test]
fn a_service_goes_on_when_nobody_reads_its_log() {
    let (_unread, writer) = full_pipe();
    goes_on_with(|| writer.try_clone().unwrap().into());
}

#[test]
fn a_service_goes_on_with_its_streams_closed() {
    for words in SERVICES {
        let folder = Folder::new();
        let mut closed = Command::new("sh");
        let script = "exec \"$0\" \"$@\" 2>&- <&-";
        closed.args(["-c", script, env!("CARGO_BIN_EXE_sutra")]).args(words).arg("--json");
        closed.arg("--data").arg(folder.path());
        let (service, address, _answers) = start(closed, Stdio::null());
        ask_nonsense(address);
        assert!(service.stop().success(), "{words:?}");
    }
}

/// Where a process listens, by what the system says: its greeting may not be read.
fn listening(pid: u32) -> Option<SocketAddr> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let sockets: Vec<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_its = sockets.contains(&format!("socket:[{}]", fields[9]));
        let (_, port) = fields[1].split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        // 0A: it listens.
        (fields[3] == "0A" && is_its).then_some(SocketAddr::from(([127, 0, 0, 1], port)))
    })
}

#[test]
fn a_service_goes_on_when_nobody_reads_its_answers() {
    for words in SERVICES {
        let folder = Folder::new();
        let (_unread, writer) = full_pipe();
        let mut command = command(words, &folder.path());
        let service = Service(command.stdout(writer).stderr(Stdio::null()).spawn().unwrap());
        let mut address = None;
        sutra_testing::wait_until("it listens", || {
            address = listening(service.0.id());
            address.is_some()
        });
        ask_nonsense(address.unwrap());
        // 143: SIGTERM came before the start was over.
        let status = service.stop();
        assert!(matches!(status.code(), Some(0 | 143)), "{words:?}: {status}");
    }
}

#[test]
fn lines_that_were_lost_are_counted_and_said_later() {
    let folder = Folder::new();
    let fifo = folder.path().with_file_name("log");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    // Opened for both, so that it does not wait for the other side.
    let keeper = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let writer = OpenOptions::new().write(true).open(&fifo).unwrap();
    let (service, address, _answers) = start(command(SERVICES[0], &folder.path()), writer);
    drop(keeper);
    for _ in 0..3 {
        ask_nonsense(address);
    }
    // A new reader, which waits for the server's end of it only.
    let log = BufReader::new(File::open(&fifo).unwrap());
    let asking = std::thread::spawn(move || {
        // Other lines of this second may have been left out: asked again until the server ends.
        while TcpStream::connect(address).is_ok() {
            ask_nonsense(address);
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    });
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let told = lines.find(|line| line["body"] == "log lines were lost").expect("it is said");
    assert!(
        told["attributes"]["sutra.lost"].as_u64().unwrap() >= 1
            && told["attributes"]["sutra.reason"].as_str().unwrap().contains("pipe"),
        "{told}"
    );
    let next = lines.next().unwrap();
    assert!(next["body"].as_str().unwrap().contains("broken protocol"), "{next}");
    drop(service);
    asking.thread().unpark();
}

#[test]
fn a_queue_that_is_full_loses_lines_and_says_how_many() {
    let folder = Folder::new();
    let (mut reader, writer) = full_pipe();
    let mut command = command(SERVICES[0], &folder.path());
    command.args(["--log", "trace"]);
    let (service, address, _answers) = start(command, writer);
    // More lines than a queue holds, of some 150 bytes each.
    for _ in 0..4_000 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&[b'x'; 64]).unwrap();
        let _ = stream.read(&mut [0; 64]);
    }
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    assert!(service.stop().success());
    let text = reading.join().unwrap();
    let told: Value =
        serde_json::from_str(text.lines().find(|line| line.contains("were lost")).unwrap())
            .unwrap();
    assert!(
        told["attributes"]["sutra.lost"].as_u64().unwrap() > 0
            && told["attributes"]["sutra.reason"].as_str().unwrap().contains("read"),
        "{told}"
    );
}

#[test]
fn an_answer_whose_reader_has_gone_ends_a_command_quietly() {
    let server = support::Server::start(&[]);
    let address = server.address.to_string();
    for words in [
        &["stats"][..],
        &["health", "--json"],
        &["neighbors", "nothing"],
        &["--help"],
        &["serve", "--help"],
    ] {
        let mut command = sutra();
        command.args(words).env("SUTRA_SERVER", &address).stdin(Stdio::null());
        let ended =
            command.stdout(std::io::pipe().unwrap().1).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code().is_some_and(|code| code <= 1), "{words:?}: {}", ended.status);
        assert!(!said.contains("panicked") && !said.contains("cannot write"), "{words:?}: {said}");
    }
}

#[test]
fn an_answer_that_can_not_be_written_is_an_error_and_no_panic() {
    let server = support::Server::start(&[]);
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = sutra();
    command.arg("stats").env("SUTRA_SERVER", server.address.to_string()).stdin(Stdio::null());
    let ended = command.stdout(full()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(ended.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("cannot write the answer"));
    // There is nowhere to say so either.
    assert_eq!(command.stdout(full()).stderr(full()).status().unwrap().code(), Some(3));
}
