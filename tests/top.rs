//! `sutra top` on a real terminal: what it draws, what keys do, and that the terminal is as it was
//! on every way out.

use std::net::SocketAddr;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use sutra_client::Concept;
use sutra_testing::terminal::Terminal;
use sutra_testing::wait_until;

use crate::support::{Server, sutra};

fn start() -> (Server, SocketAddr) {
    // Everything is slow, so that there is a list of it.
    let server = Server::start(&["--admin", "127.0.0.1:0", "--slow", "0.001ms"]);
    let admin = server.admin();
    (server, admin)
}

/// Clients that ask without end, until this is dropped.
struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    fn on(server: &Server) -> Self {
        let (stop, client) = (Arc::new(AtomicBool::new(false)), server.client());
        client.learn(Concept::new("dog").content("an animal")).unwrap();
        let asked = Arc::clone(&stop);
        // It ends with the server, too.
        let ask = move || while !asked.load(Ordering::Relaxed) && client.query("dog").is_ok() {};
        Self { stop, thread: Some(std::thread::spawn(ask)) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

fn top(terminal: &Terminal, admin: SocketAddr, variables: &[(&str, &str)]) -> Child {
    let mut command = sutra();
    command.args(["top", "--every", "100ms", "--admin", &admin.to_string()]);
    command.envs(variables.iter().copied());
    terminal.start(command)
}

/// The first number behind this word at the beginning of a line.
fn number(text: &str, word: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_whitespace().next()?.replace(',', "").parse().ok()
}

fn asks(text: &str) -> bool {
    number(text, "query ").is_some_and(|rate| rate > 0.0)
}

#[test]
fn the_screen_shows_a_server_under_load_at_any_size_and_obeys_its_keys() {
    let (server, admin) = start();
    let load = Load::on(&server);
    let terminal = Terminal::open(24, 80);
    assert!(terminal.is_as_before());
    let mut child = top(&terminal, admin, &[]);
    terminal.until("the rate of queries", asks);
    assert!(!terminal.is_as_before());
    terminal.until("everything else", |text| {
        let head = format!("sutra top {admin}  ok, up");
        let words = [head.as_str(), "requests/s", "commits", "memory"];
        words.iter().all(|words| text.contains(words))
            && text.contains("slow at")
            && number(text, "core").is_none()
            && text.lines().any(|line| line.contains("query") && line.contains("127.0.0.1:"))
    });
    // More slow requests than lines: the third list moves.
    terminal.press("\t\t");
    terminal.press("\x1b[B");
    terminal.until("one line is above", |text| text.contains("↑1 ↓"));
    terminal.press("\x1b[6~");
    terminal.until("a page more is above", |text| {
        text.contains('↑') && !text.contains("↑1 ↓") && !text.contains("↑0 ↓")
    });
    terminal.press("\x1b[H");
    terminal.until("its beginning", |text| text.contains("↑0 ↓"));
    terminal.press("p");
    terminal.until("a pause", |text| text.contains("PAUSED"));
    terminal.press("p");
    terminal.until("no pause", |text| !text.contains("PAUSED"));
    terminal.press("?");
    terminal.until("help", |text| text.contains("choose a list"));
    terminal.press("x");
    terminal.until("no help", |text| !text.contains("choose a list"));
    terminal.resize(45, 130);
    terminal.until("the chart, and the totals", |text| {
        text.contains("requests a second, up to") && text.contains("since the start")
    });
    terminal.resize(24, 80);
    terminal.until("no chart", |text| !text.contains("requests a second, up to"));
    drop(load);
    terminal.until("silence", |text| number(text, "query ") == Some(0.0));
    terminal.press("q");
    assert!(terminal.wait(&mut child).success());
    assert!(terminal.is_as_before(), "{}", terminal.text());
}

#[test]
fn a_server_that_goes_and_comes_back_is_told_and_shown_again() {
    let (server, admin) = start();
    let terminal = Terminal::open(24, 100);
    let mut child = top(&terminal, admin, &[]);
    terminal.until("figures", |text| text.contains("0 requests/s") || text.contains("requests/s,"));
    let stopped = server.kill();
    terminal.until("that nobody is there", |text| {
        text.contains("old figures: silent for") && text.contains("nobody listens there")
    });
    assert!(terminal.text().contains("commits"), "the last figures stay:\n{}", terminal.text());
    let server = Server::start_on(stopped.folder, &["--admin", &admin.to_string()]);
    terminal.until("that it is back", |text| {
        text.contains("ok, up") && text.contains("requests/s,") && !text.contains("silent")
    });
    let load = Load::on(&server);
    terminal.until("its load", asks);
    drop(load);
    terminal.press("\x03");
    assert_eq!(terminal.wait(&mut child).code(), Some(130), "Ctrl-C");
    assert!(terminal.is_as_before(), "{}", terminal.text());
}

#[test]
fn signals_give_the_terminal_back_and_without_colours_there_are_none() {
    let (_server, admin) = start();
    let colours = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        // The colours of letters, of the ground, and either from a palette.
        let is_colour = |code: &str| {
            let number = code.split(';').next().and_then(|first| first.parse::<u16>().ok());
            number.is_some_and(|number| matches!(number, 30..=38 | 40..=48 | 90..=97))
        };
        let codes = text.split("\x1b[").filter_map(|rest| rest.split_once('m'));
        codes.map(|(code, _)| code.to_owned()).filter(|code| is_colour(code)).count()
    };
    for (signal, code, variables) in [
        (Signal::TERM, 143, &[][..]),
        (Signal::HUP, 129, &[("NO_COLOR", "1")]),
        (Signal::INT, 130, &[("NO_COLOR", "")]),
    ] {
        let terminal = Terminal::open(24, 80);
        let mut child = top(&terminal, admin, variables);
        terminal.until("figures", |text| text.contains("requests/s,"));
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert_eq!(terminal.wait(&mut child).code(), Some(code), "{signal:?}");
        assert!(terminal.is_as_before(), "{signal:?}: {}", terminal.text());
        let is_plain = variables.contains(&("NO_COLOR", "1"));
        assert_eq!(colours(&terminal.bytes()) == 0, is_plain, "{variables:?}");
    }
}

#[test]
fn a_terminal_that_closes_ends_it() {
    let (_server, admin) = start();
    let terminal = Terminal::open(24, 80);
    let mut child = top(&terminal, admin, &[]);
    terminal.until("figures", |text| text.contains("requests/s,"));
    drop(terminal);
    child.wait().unwrap();
}

#[test]
fn a_signal_ends_it_at_a_terminal_that_takes_nothing_any_more() {
    let (_server, admin) = start();
    for signals in [1, 2] {
        let terminal = Terminal::open(24, 80);
        terminal.fill();
        let mut child = top(&terminal, admin, &[]);
        wait_until("it has the terminal", || !terminal.edits_lines());
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        for _ in 0..signals {
            kill_process(pid, Signal::TERM).unwrap();
        }
        assert_eq!(child.wait().unwrap().code(), Some(143));
        assert!(terminal.edits_lines());
    }
}

#[test]
fn a_key_right_after_a_change_of_size_is_not_lost() {
    let (_server, admin) = start();
    let terminal = Terminal::open(24, 80);
    let mut child = top(&terminal, admin, &[]);
    terminal.until("figures", |text| text.contains("requests/s,"));
    for _ in 0..20 {
        terminal.resize(30, 100);
        terminal.press("?");
        terminal.until("help", |text| text.contains("choose a list"));
        terminal.resize(24, 80);
        terminal.press("x");
        terminal.until("no help", |text| !text.contains("choose a list"));
    }
    terminal.press("q");
    assert!(terminal.wait(&mut child).success());
}

#[test]
fn without_a_terminal_one_look_is_printed_where_that_is_asked_for() {
    let (server, admin) = start();
    let _load = Load::on(&server);
    let run = |arguments: &[&str]| {
        let mut command = sutra();
        command.args(["top", "--every", "200ms", "--admin", &admin.to_string()]).args(arguments);
        command.stdin(std::process::Stdio::null()).output().unwrap()
    };
    let refused = run(&[]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("no terminal") && said.contains("--once"), "{said}");
    let refused = run(&["--json"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--once"));
    let printed = run(&["--once"]);
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.status.success() && asks(&text), "{text}");
    for words in ["ok, up", "core  requests", "commits", "the last slow requests"] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    assert!(!text.contains('\x1b'), "{text:?}");
    let printed = run(&["--once", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert!(value["operations"]["query"]["per_second"].as_f64() > Some(0.0), "{value}");
    assert!(value["operations"]["query"]["p50_ns"].as_u64() > Some(0), "{value}");
    assert_eq!((&value["status"], value["cores"].as_array().unwrap().len()), (&"ok".into(), 2));
    drop(server);
    let unreachable = run(&["--once"]);
    assert_eq!(unreachable.status.code(), Some(3));
}
