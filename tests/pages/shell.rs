//! Conversations with a shell, run as they are printed.
//!
//! Each command is given to `sh`, in a folder of its own, where `cargo run --release --` and
//! `sutra` are the binary under test. Services (`serve`, `grid master`, `grid agent`) run until the
//! session ends or the same one is started again; they take any free port, and the addresses that
//! are printed stand for those.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{PATIENCE, address, sutra};

/// Commands that are not run here, by how they begin, and why.
const ELSEWHERE: [(&str, &str); 19] = [
    ("cargo test", "it is what runs this"),
    ("cargo run --release -p sutra-bench", "it takes minutes; benches/tests runs a short one"),
    (
        "bash tests/fuzz/run",
        "the fuzz targets need a sanitizer, and run for minutes; .ci/run has them",
    ),
    ("bash tests/models/run", "it builds a model checker; .ci/run has it"),
    ("pip install -e compat/python", "tests/python.rs installs the package"),
    ("pip wheel compat/python", "the same"),
    ("pip install sutra_storage_client", "the same"),
    ("sutra verify --data", "it wants a folder that no server has; tests/verify.rs runs it"),
    ("sutra repair", "it wants a damaged folder; tests/repair.rs damages one"),
    ("cargo doc", "it opens a browser"),
    ("pip install sutra_server", "tests/packages.rs installs the wheel"),
    ("pip wheel tuning/wheel", "the same"),
    ("bash tuning/prometheus/check", "it takes minutes, and a Prometheus; .ci/run has it"),
    ("bash tuning/deb", "as root, for minutes; CONTRIBUTING.md tells of it"),
    ("sudo ", "tuning/deb/test does it in a Debian of its own"),
    ("systemctl ", "the same"),
    ("curl ", "there may be no curl; tests/api.rs asks for the same paths"),
    ("docker ", "there may be no Docker; tuning/PACKAGES.md says what was run"),
    ("kubectl ", "there may be no Kubernetes; the same"),
];

/// Addresses as pages print them, of each service's native and compat port, and a server's admin
/// port.
const SERVER: [&str; 2] = ["127.0.0.1:50050", "storage.internal:50050"];
const SERVER_COMPAT: [&str; 2] = ["127.0.0.1:50051", "localhost:50051"];
const SERVER_ADMIN: [&str; 1] = ["127.0.0.1:9050"];
const MASTER: [&str; 3] = ["127.0.0.1:7001", "grid-master:7001", "10.0.0.1:7001"];
const MASTER_COMPAT: [&str; 1] = ["grid-master:7002"];

/// Any free port.
const FREE: &str = "127.0.0.1:0";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Server,
    Master,
    Agent,
}

impl Kind {
    /// The service that a command line starts.
    fn of(line: &str) -> Option<Self> {
        let line =
            line.strip_prefix("cargo run --release -- ").or_else(|| line.strip_prefix("sutra "))?;
        let mut words = line.split_whitespace();
        match (words.next()?, words.next()) {
            ("serve", _) => Some(Kind::Server),
            ("grid", Some("master")) => Some(Kind::Master),
            ("grid", Some("agent")) => Some(Kind::Agent),
            _ => None,
        }
    }

    /// The setting of where it listens.
    fn listen_setting(self) -> &'static str {
        match self {
            Kind::Server => "SUTRA_LISTEN",
            Kind::Master => "SUTRA_GRID_MASTER_LISTEN",
            Kind::Agent => "SUTRA_GRID_AGENT_LISTEN",
        }
    }

    /// Settings that let it run beside anything else, where its command line does not say
    /// otherwise.
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Kind::Server => &[
                ("SUTRA_COMPAT", FREE),
                ("SUTRA_ADMIN", FREE),
                ("SUTRA_CORES", "2"),
                ("SUTRA_NO_PIN", "true"),
            ],
            Kind::Master => &[
                ("SUTRA_GRID_MASTER_COMPAT", FREE),
                ("SUTRA_GRID_MASTER_ADMIN", "off"),
                ("SUTRA_GRID_MASTER_HEARTBEAT", "100ms"),
            ],
            Kind::Agent => &[("SUTRA_GRID_AGENT_ADMIN", "off")],
        }
    }
}

/// A shell in a folder of its own, and what was started from it.
pub struct Session {
    folder: TempDir,
    services: Vec<(Kind, Child)>,
    /// Where they have listened: one that is started again does so there, as an agent that comes
    /// back on another port is another agent.
    ports: Vec<(Kind, String)>,
    /// Addresses as they are printed, and where those services listen here.
    pub addresses: Vec<(&'static str, String)>,
}

impl Session {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("page-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["tests", "compat", "src", "tuning"] {
            symlink(repository.join(name), folder.path().join(name)).unwrap();
        }
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let program = env!("CARGO_BIN_EXE_sutra");
        let cargo = format!(
            "#!/bin/sh\ncase \"$1 $2 $3\" in 'run --release --') shift 3; \
             exec '{program}' \"$@\";; esac\n\
             echo \"cargo $*: no command that a page's test knows\" >&2; exit 99\n"
        );
        for (name, text) in
            [("cargo", cargo), ("sutra", format!("#!/bin/sh\nexec '{program}' \"$@\"\n"))]
        {
            fs::write(bin.join(name), text).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { folder, services: Vec::new(), ports: Vec::new(), addresses: Vec::new() }
    }

    pub fn folder(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    /// Runs the commands of a block, in order, and holds what they say against what is printed
    /// below each.
    pub fn converse(&mut self, text: &str) {
        let is_prompted = text.lines().any(|line| line.starts_with("$ "));
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let command = match is_prompted {
                true => {
                    line.strip_prefix("$ ").unwrap_or_else(|| panic!("no command says {line:?}"))
                }
                false => line,
            };
            let mut expected = Vec::new();
            while let Some(next) = lines.next_if(|next| is_prompted && !next.starts_with("$ ")) {
                expected.push(next);
            }
            assert!(
                is_command(command),
                "{command:?} is no command: give the block a fence that says its language"
            );
            if let Some(said) = self.command(command)
                && !expected.is_empty()
            {
                self.hold(command, &expected, &said);
            }
        }
    }

    /// Runs one command, which must succeed, and returns what it said. `None` where it goes on, or
    /// is not run here.
    pub fn command(&mut self, command: &str) -> Option<String> {
        if ELSEWHERE.iter().any(|(beginning, _)| command.starts_with(beginning)) {
            return None;
        }
        if let Some(kind) = Kind::of(command) {
            self.start(kind, command);
            return None;
        }
        if command.contains(" grid watch") {
            self.watch(command);
            return None;
        }
        let output = self.shell(command).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{command}: {}\n{said}{errors}", output.status);
        Some(said)
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        for (name, _) in sutra().get_envs() {
            shell.env_remove(name);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        shell
            .env("PATH", format!("{}:{path}", self.folder().join("bin").display()))
            .current_dir(self.folder());
        for (setting, printed) in [
            ("SUTRA_SERVER", SERVER[0]),
            ("SUTRA_ADMIN", SERVER_ADMIN[0]),
            ("SUTRA_GRID", MASTER[0]),
        ] {
            if self.addresses.iter().any(|(known, _)| *known == printed) {
                shell.env(setting, self.actual(printed));
            }
        }
        shell.arg("-c").arg(self.actual(command)).stdin(Stdio::null());
        shell
    }

    /// A text with the addresses of this run in place of those that are printed.
    pub fn actual(&self, text: &str) -> String {
        self.addresses
            .iter()
            .fold(text.to_owned(), |text, (printed, actual)| text.replace(printed, actual))
    }

    /// Starts a service in place of the one of its kind before, and waits until it is ready.
    fn start(&mut self, kind: Kind, command: &str) {
        self.services.retain_mut(|(other, child)| {
            if *other == kind {
                kill(child.id(), Signal::TERM);
                child.wait().unwrap();
            }
            *other != kind
        });
        let words: Vec<&str> =
            command.split_once(" #").map_or(command, |(before, _)| before).split(' ').collect();
        let listen =
            self.ports.iter().find(|(known, _)| *known == kind).map_or(FREE, |(_, port)| port);
        let own = words.iter().enumerate().map(|(at, word)| {
            match at.checked_sub(1).map(|before| words[before]) {
                Some("--listen") => listen,
                Some("--compat" | "--admin") => FREE,
                _ => *word,
            }
        });
        let mut shell = self.shell(&format!("exec {}", own.collect::<Vec<_>>().join(" ")));
        shell.envs(kind.settings().iter().copied()).env(kind.listen_setting(), listen);
        let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut errors = child.stderr.take().unwrap();
        let mut greeting = String::new();
        let is_ready = |greeting: &str| {
            let has = |word: &str| greeting.lines().any(|line| line.starts_with(word));
            has("listening")
                && has("data")
                && (!command.contains("--import") || has("imported") || has("nothing to import"))
        };
        while !is_ready(&greeting) || !greeting.ends_with('\n') {
            if out.read_line(&mut greeting).unwrap() == 0 {
                errors.read_to_string(&mut greeting).unwrap();
                panic!("{command}: it ended before it was ready: {greeting}");
            }
        }
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        self.services.push((kind, child));
        self.ports.retain(|(known, _)| *known != kind);
        self.ports.push((kind, address(&greeting, "listening").unwrap().to_string()));
        type Printed = &'static [&'static str];
        let (native, compat, admin): (Printed, Printed, Printed) = match kind {
            Kind::Server => (&SERVER, &SERVER_COMPAT, &SERVER_ADMIN),
            Kind::Master => (&MASTER, &MASTER_COMPAT, &[]),
            Kind::Agent => (&[], &[], &[]),
        };
        for (printed, word) in [(native, "listening"), (compat, "compat"), (admin, "admin")] {
            for printed in printed {
                self.addresses.retain(|(known, _)| known != printed);
                self.addresses.push((printed, address(&greeting, word).unwrap().to_string()));
            }
        }
        if kind == Kind::Agent {
            let until = Instant::now() + PATIENCE;
            while !self.command("sutra grid agents").unwrap().contains(" healthy ") {
                assert!(Instant::now() < until, "{command}: the master hears of the agent");
            }
        }
    }

    /// Watches the grid until it says that it does.
    fn watch(&self, command: &str) {
        let mut child =
            self.shell(&format!("exec {command}")).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(line.contains("watching"), "{command}: {line}");
    }

    /// Whether a command said what is printed: `…` stands for anything on its line, and alone for
    /// any lines.
    fn hold(&self, command: &str, expected: &[&str], said: &str) {
        let printed = self.addresses.iter().fold(said.to_owned(), |text, (printed, actual)| {
            // Of several that stand for one, the first.
            text.replace(actual, printed)
        });
        let said: Vec<String> = printed.lines().map(masked).collect();
        let wanted: Vec<String> = expected.iter().map(|line| masked(line)).collect();
        assert!(
            fits(&wanted, &said),
            "{command}\nis printed as\n{}\nand says\n{printed}\n{wanted:?}\n{said:?}",
            expected.join("\n")
        );
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for (_, child) in self.services.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // Storage nodes outlive their agent.
        let here = self.folder().to_string_lossy().into_owned() + "/";
        let pids = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        for pid in pids.filter(|pid| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split('\0').skip(1).any(|word| word.starts_with(&here))
        }) {
            kill(pid, Signal::KILL);
        }
    }
}

fn kill(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn is_command(line: &str) -> bool {
    let programs = [
        "cargo ",
        "sutra ",
        "pip ",
        "kill ",
        "cd ",
        "bash ",
        "sudo ",
        "curl ",
        "systemctl ",
        "docker ",
        "kubectl ",
    ];
    programs.iter().any(|program| line.starts_with(program))
}

/// A line without what differs from run to run: ids of nodes, ports, sequences, times, and how wide
/// its columns are.
fn masked(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let last = words.last().map_or("", String::as_str);
        let printed = || SERVER.iter().chain(&SERVER_COMPAT).chain(&MASTER);
        let is_port = word.strip_prefix("127.0.0.1:").is_some_and(|port| port.len() == 5)
            && !printed().any(|address| word.starts_with(address));
        let is_time = matches!(word, "s" | "s,") && last.parse::<f64>().is_ok();
        let shown = match word {
            _ if word.starts_with("node-") => "NODE".to_owned(),
            _ if is_port => "PORT".to_owned(),
            _ if last == "sequence" => {
                format!("N{}", word.trim_start_matches(|c: char| c.is_ascii_digit()))
            }
            _ => word.to_owned(),
        };
        if is_time {
            words.pop();
            words.push("TIME".to_owned());
        }
        words.push(shown);
    }
    words.join(" ")
}

/// Whether these lines are the expected ones.
fn fits(wanted: &[String], said: &[String]) -> bool {
    match (wanted, said) {
        ([], said) => said.is_empty(),
        ([any, rest @ ..], _) if any == "…" => {
            (0..=said.len()).any(|skipped| fits(rest, &said[skipped..]))
        }
        ([_, ..], []) => false,
        ([first, rest @ ..], [line, further @ ..]) => is_like(first, line) && fits(rest, further),
    }
}

/// Whether a line is the expected one, in which `…` stands for anything.
fn is_like(wanted: &str, line: &str) -> bool {
    let Some((before, after)) = wanted.split_once('…') else { return wanted == line };
    let Some(rest) = line.strip_prefix(before.trim_end()) else { return false };
    rest.char_indices()
        .map(|(at, _)| at)
        .chain([rest.len()])
        .any(|at| is_like(after.trim_start(), &rest[at..]))
}

#[test]
fn what_is_printed_is_told_from_what_is_not() {
    let lines = |lines: &[&str]| lines.iter().map(|line| masked(line)).collect::<Vec<_>>();
    let fits = |wanted: &[&str], said: &[&str]| fits(&lines(wanted), &lines(said));
    assert!(fits(&["a … c", "…", "z"], &["a b c", "d", "e", "z"]));
    assert!(fits(&["learned dog (id 06, sequence 1)"], &["learned dog (id 06, sequence 5548)"]));
    assert!(fits(&["node-0  127.0.0.1:21629  0.6 s"], &["node-ab1   127.0.0.1:43210   1.25 s"]));
    assert!(
        !fits(&["a"], &["a", "b"]) && !fits(&["a", "b"], &["a"]) && !fits(&["a … c"], &["a b d"])
    );
    assert!(!fits(&["3 concepts"], &["4 concepts"]) && !fits(&[], &["a"]));
}
