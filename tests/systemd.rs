//! What a service does with the service manager that has started it: how it is, that it lives, the
//! sockets that it is given, and the priorities of its log.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sutra_client::blocking::Client;
use sutra_testing::raw::Raw;
use sutra_wire::NO_CORE;
use tempfile::TempDir;

use crate::support::legacy::Legacy;
use crate::support::{Folder, PATIENCE, greeted, sutra};

const SERVE: [&str; 11] = [
    "serve",
    "--json",
    "--cores",
    "2",
    "--no-pin",
    "--listen",
    "127.0.0.1:0",
    "--admin",
    "off",
    "--compat",
    "off",
];

/// The three commands that a service manager starts.
const SERVICES: [&[&str]; 3] = [
    &SERVE,
    &["grid", "master", "--json", "--listen", "127.0.0.1:0", "--compat", "off", "--admin", "off"],
    &[
        "grid",
        "agent",
        "--json",
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

/// A service manager, as far as it listens to what its service says.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        // In the system's folder for such: a socket's path has a hundred letters at most.
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    /// Has a command say how it is to this one.
    fn listen_to(&self, command: &mut Command) {
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
    }

    /// What the service says next.
    fn hear(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("the service says something");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// All that it says up to this, which is the last.
    fn hear_until(&self, wanted: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.hear());
            if heard.last().unwrap().contains(wanted) {
                return heard;
            }
        }
    }

    /// What it has said and nobody has heard yet.
    fn rest(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let mut message = [0; 4096];
        let rest = std::iter::from_fn(|| {
            self.socket.recv(&mut message).ok().map(|n| message[..n].to_vec())
        });
        rest.map(|message| String::from_utf8(message).unwrap()).collect()
    }
}

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

fn on(words: &[&str], data: &Path) -> Command {
    let mut command = sutra();
    command.args(words).arg("--data").arg(data);
    command
}

/// Where a service listens, by its greeting.
fn listening(greeting: &Value) -> SocketAddr {
    let listening = &greeting["listening"];
    listening.get(0).unwrap_or(listening).as_str().unwrap().parse().unwrap()
}

#[test]
fn a_service_is_ready_when_it_answers_and_says_that_it_stops() {
    for words in SERVICES {
        let (manager, folder) = (Manager::new(), Folder::new());
        let mut command = on(words, &folder.path());
        manager.listen_to(&mut command);
        let (child, greeting) = greeted(command);
        let service = Service(child);
        let heard = manager.hear_until("READY=1");
        assert!(heard.last().unwrap().contains("STATUS="), "{heard:?}");
        // Whoever waits for it may connect now.
        let address = listening(&greeting);
        std::net::TcpStream::connect(address).unwrap();
        if words == SERVE {
            assert!(heard[0].starts_with("STATUS=reading "), "{heard:?}");
            assert!(Client::connect(address.to_string()).unwrap().health().unwrap().healthy);
        }
        assert!(service.stop().success(), "{words:?}");
        let rest = manager.rest();
        assert!(rest[0].starts_with("STOPPING=1\nSTATUS="), "{words:?}: {rest:?}");
    }
}

#[test]
fn a_service_that_is_taken_over_names_its_successor_which_is_ready_after_that() {
    let (manager, folder) = (Manager::new(), Folder::new());
    let mut command = on(&SERVE, &folder.path());
    // Of another process: a successor must not take that for a reason to be silent.
    manager.listen_to(command.env("WATCHDOG_USEC", "200000"));
    let (mut child, greeting) = greeted(command);
    manager.hear_until("READY=1");
    let mut raw = Raw::open(listening(&greeting));
    kill_process(Pid::from_child(&child), Signal::USR2).unwrap();
    let heard = manager.hear_until("MAINPID=");
    let main: i32 = heard.last().unwrap().trim().strip_prefix("MAINPID=").unwrap().parse().unwrap();
    let main = Pid::from_raw(main).unwrap();
    assert!(child.wait().unwrap().success());
    manager.hear_until("READY=1");
    // Its signs of life come from it now.
    manager.hear_until("WATCHDOG=1");
    assert!(raw.is_alive());
    kill_process(main, Signal::TERM).unwrap();
    manager.hear_until("STOPPING=1");
    assert!(raw.has_ended());
}

#[test]
fn a_service_that_can_not_start_is_never_ready() {
    let (manager, folder) = (Manager::new(), Folder::new());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = [
        "serve", "--cores", "1", "--no-pin", "--admin", "off", "--compat", "off", "--listen",
        &address,
    ];
    let mut command = on(&words, &folder.path());
    manager.listen_to(&mut command);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = manager.rest();
    assert!(!said.is_empty() && !said.concat().contains("READY"), "{said:?}");
}

/// One thread of a process, held by the debugger's interface while this lives. All other threads go
/// on.
struct Held(i32);

impl Held {
    fn new(process: u32, name: &str) -> Self {
        let is_it = |task: &Path| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
        };
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let task = tasks.map(|task| task.unwrap().path()).find(|task| is_it(task)).unwrap();
        let thread: i32 = task.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: these requests of ptrace(2) read and write no memory of this process, and
        // waitpid(2) may be given no place for a status.
        unsafe {
            assert_eq!(libc::ptrace(libc::PTRACE_SEIZE, thread, none, none), 0);
            assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, thread, none, none), 0);
            assert_eq!(libc::waitpid(thread, std::ptr::null_mut(), libc::__WALL), thread);
        }
        Self(thread)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: as above.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, none, none) };
    }
}

#[test]
fn signs_of_life_come_while_every_core_turns_and_stop_with_the_first_that_does_not() {
    for (words, core) in [(SERVICES[0], "core-1"), (SERVICES[1], "core-0")] {
        let (manager, folder) = (Manager::new(), Folder::new());
        let mut command = on(words, &folder.path());
        manager.listen_to(&mut command);
        command.env("WATCHDOG_USEC", "200000");
        let (child, _) = greeted(command);
        let service = Service(child);
        manager.hear_until("READY=1");
        manager.hear_until("WATCHDOG=1");
        manager.hear_until("WATCHDOG=1");
        let held = Held::new(service.0.id(), core);
        // A host that is slow enough says it of other moments, too. The last one is of this core.
        manager.hear_until("does not turn");
        drop(held);
        let heard = manager.hear_until("STATUS=");
        assert_eq!(heard.len(), 1, "no sign of life in between: {heard:?}");
        manager.hear_until("WATCHDOG=1");
        assert!(service.stop().success());
    }
}

#[test]
fn an_agents_signs_of_life_come_from_the_loop_that_looks_after_its_nodes() {
    let (manager, folder) = (Manager::new(), Folder::new());
    let mut command = on(SERVICES[2], &folder.path());
    manager.listen_to(&mut command);
    command.env("WATCHDOG_USEC", "200000");
    let (child, _) = greeted(command);
    let service = Service(child);
    manager.hear_until("READY=1");
    for _ in 0..3 {
        manager.hear_until("WATCHDOG=1");
    }
    assert!(service.stop().success());
}

#[test]
fn a_watchdog_that_is_another_processs_gets_no_signs_of_life() {
    let (manager, folder) = (Manager::new(), Folder::new());
    let mut command = on(&SERVE, &folder.path());
    manager.listen_to(&mut command);
    command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    let (child, greeting) = greeted(command);
    let service = Service(child);
    manager.hear_until("READY=1");
    assert!(Client::connect(listening(&greeting).to_string()).unwrap().health().unwrap().healthy);
    assert!(service.stop().success());
    assert!(!manager.rest().concat().contains("WATCHDOG"));
}

#[test]
fn a_hangup_has_a_service_read_again_what_it_logs() {
    let (manager, folder) = (Manager::new(), Folder::new());
    let settings = folder.path().with_file_name("sutra.toml");
    std::fs::write(&settings, "log = \"info\"\n").unwrap();
    let mut command = on(&SERVE, &folder.path());
    manager.listen_to(&mut command);
    command.arg("--config").arg(&settings).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut service, greeting) = started(command);
    let mut log = BufReader::new(service.0.stderr.take().unwrap()).lines();
    let mut read_until = |wanted: &str| {
        log.by_ref().map(|line| line.unwrap()).find(|line| line.contains(wanted)).unwrap()
    };
    manager.hear_until("READY=1");
    let hang_up = |text: &str| {
        std::fs::write(&settings, text).unwrap();
        kill_process(Pid::from_child(&service.0), Signal::HUP).unwrap();
        let heard = manager.hear();
        assert!(heard.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{heard}");
        assert_eq!(manager.hear(), "READY=1\n");
    };
    hang_up("log = \"debug\"\n");
    drop(Raw::open(listening(&greeting)));
    read_until("connection open");
    hang_up("log = \"loud\"\n");
    let line = read_until("can't be read again");
    assert!(line.contains("loud"), "{line}");
    // What was taken over before goes on.
    drop(Raw::open(listening(&greeting)));
    read_until("connection open");
    // A limit that can change does, for connections that are there as well; what can't is named.
    let mut idle = Raw::open(listening(&greeting));
    hang_up("log = \"debug\"\nidle-timeout = \"300ms\"\nspin = \"adaptive\"\n");
    let line = read_until("settings are read again");
    assert!(line.contains("\"changed\":\"idle-timeout: 300ms\""), "{line}");
    assert!(line.contains("\"waiting\":\"spin\""), "{line}");
    assert!(idle.has_ended());
    hang_up("log = \"debug\"\n");
    assert!(read_until("settings are read again").contains("idle-timeout: never"));
    assert!(Raw::open(listening(&greeting)).is_alive());
    assert!(service.stop().success());
}

/// A server on sockets that were opened before, as a service manager hands them over: they are its
/// descriptors from 3 on, and have names.
fn on_sockets(data: &Path, sockets: &[&TcpListener], names: &str) -> Command {
    // A shell has the process's number before it becomes the server.
    let script = match sockets.len() {
        1 => "LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0 </dev/null",
        _ => "LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0 4<&2 </dev/null 2>/dev/null",
    };
    let mut command = Command::new("sh");
    for (name, _) in sutra().get_envs() {
        command.env_remove(name);
    }
    command.args(["-c", script, env!("CARGO_BIN_EXE_sutra")]).args(SERVE).arg("--data").arg(data);
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names);
    let descriptor = |socket: &TcpListener| OwnedFd::from(socket.try_clone().unwrap());
    command.stdin(descriptor(sockets[0])).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(second) = sockets.get(1) {
        command.stderr(descriptor(second));
    }
    command
}

fn started(mut command: Command) -> (Service, Value) {
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Service(child), serde_json::from_str(&line).unwrap())
}

#[test]
fn sockets_that_the_service_manager_has_opened_go_on_to_the_successor() {
    let (native, folder) = (open(), Folder::new());
    let (mut service, greeting) = started(on_sockets(&folder.path(), &[&native], "native"));
    let mut raw = Raw::open(listening(&greeting));
    kill_process(Pid::from_child(&service.0), Signal::USR2).unwrap();
    assert!(service.0.wait().unwrap().success());
    assert!(raw.is_alive());
    assert!(Raw::open(native.local_addr().unwrap()).is_alive());
    let lock = std::fs::read_to_string(folder.path().join("lock")).unwrap();
    let successor = Pid::from_raw(lock.lines().next().unwrap().parse().unwrap()).unwrap();
    kill_process(successor, Signal::TERM).unwrap();
    assert!(raw.has_ended());
    // Whoever connects now waits for the next one.
    let waiting = std::net::TcpStream::connect(native.local_addr().unwrap());
    assert!(waiting.is_ok());
}

fn open() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// The old protocol's question how a server is, in msgpack.
const HEALTH_CHECK: &[u8] = b"\xabHealthCheck";

#[test]
fn sockets_that_were_handed_over_are_served_by_their_names() {
    let (one, other, folder) = (open(), open(), Folder::new());
    for (names, native, compat) in
        [("native:compat", &one, &other), ("compat:native", &other, &one)]
    {
        let (service, greeting) = started(on_sockets(&folder.path(), &[&one, &other], names));
        let (native, compat) = (native.local_addr().unwrap(), compat.local_addr().unwrap());
        // In place of what --listen and --compat say.
        assert_eq!(greeting["listening"], serde_json::json!([native]));
        assert_eq!(greeting["compat"], serde_json::json!([compat]));
        // More connections than cores, so that each core takes some.
        for _ in 0..8 {
            let client = Client::connect(native.to_string()).unwrap();
            assert!(client.health().unwrap().healthy);
            let reply = Legacy::open(compat).ask(HEALTH_CHECK);
            assert!(reply.windows(7).any(|bytes| bytes == b"healthy"), "{reply:?}");
        }
        assert!(service.stop().success());
    }
}

#[test]
fn who_connects_while_the_server_is_started_again_is_served_by_the_next_one() {
    let (native, compat, folder) = (open(), open(), Folder::new());
    let sockets = [&native, &compat];
    let start = || started(on_sockets(&folder.path(), &sockets, "native:compat")).0;
    assert!(start().stop().success());
    // Nobody serves now; the sockets are open all the same.
    let mut waiting: Vec<Raw> =
        (0..4).map(|_| Raw::connect(native.local_addr().unwrap())).collect();
    let service = start();
    for raw in &mut waiting {
        raw.say_hello(NO_CORE);
    }
    assert!(service.stop().success());
}

#[test]
fn a_socket_without_a_known_name_is_refused_with_what_to_set() {
    let (socket, folder) = (open(), Folder::new());
    let output = on_sockets(&folder.path(), &[&socket], "sutra.socket").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("sutra.socket") && said.contains("FileDescriptorName="), "{said}");
}

/// A pipe that stands in for the journal: the variable names it, as it names the journal's socket.
fn journal() -> (std::io::PipeReader, std::io::PipeWriter, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    let stat = rustix::fs::fstat(&writer).unwrap();
    (reader, writer, format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[test]
fn the_journal_gets_each_lines_priority() {
    let (mut reader, writer, stream) = journal();
    let folder = Folder::new();
    let everywhere = [
        "serve",
        "--json",
        "--cores",
        "1",
        "--no-pin",
        "--admin",
        "off",
        "--compat",
        "off",
        "--listen",
        "0.0.0.0:0",
    ];
    let mut command = on(&everywhere, &folder.path());
    command.env("JOURNAL_STREAM", &stream).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(writer);
    let (service, _) = started(command);
    assert!(service.stop().success());
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    let priorities: Vec<&str> = log
        .lines()
        .map(|line| {
            let (priority, rest) = line.split_at(3);
            let entry: Value = serde_json::from_str(rest).unwrap();
            let wanted = match entry["severity_text"].as_str().unwrap() {
                "ERROR" => "<3>",
                "WARN" => "<4>",
                "INFO" => "<6>",
                _ => "<7>",
            };
            assert_eq!(priority, wanted, "{line}");
            priority
        })
        .collect();
    // That the port is open to all, and that it stops.
    assert!(priorities.contains(&"<4>") && priorities.contains(&"<6>"), "{log}");
}

#[test]
fn the_journal_gets_why_a_service_does_not_start_as_an_error() {
    let folder = Folder::new();
    let file = folder.path().with_file_name("a-file");
    File::create(&file).unwrap();
    for words in
        [&["serve", "--admin", "off", "--data"][..], &["serve", "--cores", "none", "--data"]]
    {
        let (mut reader, writer, stream) = journal();
        let mut command = sutra();
        command.args(words).arg(&file).env("JOURNAL_STREAM", &stream).stdin(Stdio::null());
        let status = command.stderr(writer).status().unwrap();
        drop(command);
        let mut log = String::new();
        reader.read_to_string(&mut log).unwrap();
        assert!(!status.success() && log.contains("<3>error: "), "{words:?}: {log}");
        assert!(log.lines().all(|line| line.starts_with('<')), "{log}");
    }
}

#[test]
fn a_standard_error_that_is_not_the_journals_has_no_priorities() {
    let (_reader, _writer, stream) = journal();
    let mut command = sutra();
    command.args(["query", "dog", "--server", "127.0.0.1:9"]).env("JOURNAL_STREAM", stream);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.stderr.starts_with(b"error: "), "{output:?}");
}
