//! The commands of `sutra grid` against a real master, a real agent and real nodes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use crate::support::agent::{Agent, Home, kill};
use crate::support::master::{Master, pid_of};
use crate::support::{Folder, sutra};
use rustix::process::Signal;
use serde_json::Value;
use sutra_client::Concept;
use sutra_client::blocking::Client;
use sutra_testing::wait_until;

/// The command that shows events, when the master knows that it does.
fn watching(master: &Master) -> Child {
    let events = sutra()
        .args(["grid", "watch", "--json", "--master", &master.address])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = Client::connect(master.address.as_str()).unwrap();
    wait_until("somebody watches", || {
        let stats = asked.stats().unwrap();
        stats
            .counters
            .iter()
            .any(|counter| counter.name == "watchers" && counter.value.to_native() == 1)
    });
    events
}

/// The kinds of the events that it shows, up to the first of this kind.
fn seen_until(kind: &str, events: &mut Child) -> Vec<String> {
    let mut seen = Vec::new();
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines();
    while seen.last().is_none_or(|last| last != kind) {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        seen.push(event["event"].as_str().unwrap().to_owned());
    }
    seen
}

#[test]
fn a_grid_is_made_asked_and_taken_apart_by_commands() {
    let (home, registry) = (Home::new(), Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let (code, status) = master.ask(&["status"]);
    assert_eq!((code, status["state"].as_str()), (0, Some("healthy")));
    let words = String::from_utf8(master.run(&["status"]).stdout).unwrap();
    assert!(words.contains("sutra grid agent"), "it says what comes next: {words}");

    let mut events = watching(&master);
    let agent = Agent::start(&home, &["--master", &master.address, "--max-nodes", "2"]);
    wait_until("the agent is registered", || {
        master.ask(&["agents"]).1.as_array().unwrap().len() == 1
    });
    let (code, agents) = master.ask(&["agents"]);
    assert_eq!(code, 0);
    assert_eq!(
        (agents[0]["agent_id"].as_str(), agents[0]["max_nodes"].as_u64()),
        (Some("a"), Some(2))
    );

    let (code, node) = master.ask(&["spawn", "a", "--name", "orders", "--memory", "1G"]);
    assert_eq!(
        (code, node["name"].as_str(), node["state"].as_str()),
        (0, Some("orders"), Some("running")),
        "{node}"
    );
    let client = Client::connect(node["endpoint"].as_str().unwrap()).unwrap();
    client.learn(Concept::new("dog")).unwrap();
    for (words, code, says) in [
        (&["spawn", "a", "--name", "orders"][..], 3, "orders"),
        (&["spawn", "nobody"], 3, "nobody"),
        (&["spawn", "a", "--path", "/etc/x"], 3, "outside"),
        (&["stop", "nobody"], 1, "nobody"),
        (&["unregister", "nobody"], 1, "nobody"),
    ] {
        let (was, answer) = master.ask(words);
        assert!(was == code && answer.to_string().contains(says), "{words:?}: {was} {answer}");
    }

    kill(pid_of(&node), Signal::KILL);
    wait_until("it is started again and known to be", || {
        let (_, nodes) = master.ask(&["nodes", "--agent", "a"]);
        nodes[0]["restarts"] == 1 && nodes[0]["state"] == "running"
    });
    assert!(client.query("dog").unwrap().is_some());

    let words = String::from_utf8(master.run(&["status"]).stdout).unwrap();
    assert!(
        ["healthy", "orders", "running", "1 of 2"].iter().all(|part| words.contains(part)),
        "{words}"
    );
    assert_eq!(master.ask(&["stop", "orders"]).0, 0);
    assert!(home.nodes().is_empty());
    assert_eq!(master.ask(&["nodes"]).1[0]["state"].as_str(), Some("stopped"));

    let seen = seen_until("node stopped", &mut events);
    for kind in ["agent registered", "node spawned", "node crashed", "node restarted"] {
        assert!(seen.iter().any(|seen| seen == kind), "{kind}: {seen:?}");
    }
    events.kill().unwrap();
    events.wait().unwrap();
    drop(agent);
    let (code, gone) = master.ask(&["spawn", "a"]);
    assert!(code == 3 && gone["error"].as_str().unwrap().contains("agent \"a\""), "{gone}");
    wait_until("the agent is offline", || master.ask(&["agents"]).1[0]["state"] == "offline");
    assert_eq!(master.ask(&["status"]).0, 1);
    assert_eq!(master.ask(&["unregister", "a"]).0, 0);
    assert_eq!(master.ask(&["agents"]).1.as_array().unwrap().len(), 0);
}

#[test]
fn an_agent_waits_for_its_master_and_finds_it_again() {
    let (home, registry) = (Home::new(), Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let address = master.address.clone();
    drop(master);
    let agent = Agent::start(&home, &["--master", &address]);
    let node = agent.spawn("data");
    let master = Master::start(&registry.path(), &address, &[]);
    let is_known = |master: &Master| master.ask(&["nodes"]).1[0]["state"] == "running";
    wait_until("the node is known", || is_known(&master));
    drop(master);
    node.client().learn(Concept::new("dog")).unwrap();
    agent.stop_node(&node.id).unwrap();
    let master = Master::start(&registry.path(), &address, &[]);
    wait_until("what has changed meanwhile is known", || {
        master.ask(&["nodes"]).1[0]["state"] == "stopped"
    });
}

/// A master that has patience, and its agent, which is frozen.
fn with_an_agent_that_hangs() -> ((Home, Folder), Master, Agent) {
    let folders = (Home::new(), Folder::new());
    let patient = ["--degraded-after", "50", "--offline-after", "60"];
    let master = Master::start(&folders.1.path(), "127.0.0.1:0", &patient);
    let agent = Agent::start(&folders.0, &["--master", &master.address]);
    wait_until("the agent is registered", || master.agent_state("a") == "healthy");
    kill(agent.pid(), Signal::STOP);
    (folders, master, agent)
}

#[test]
fn whoever_asks_an_agent_that_hangs_is_told_so_in_the_masters_words() {
    let (_folders, master, agent) = with_an_agent_that_hangs();
    let (code, answer) = master.ask(&["spawn", "a", "--name", "orders"]);
    let words = answer["error"].as_str().unwrap();
    assert!(
        code == 3 && words.contains("has not answered within 30 s") && words.contains("grid nodes"),
        "{words}"
    );
    kill(agent.pid(), Signal::CONT);
    // Nobody waits for it any more, so it was not started; and the agent may be asked again at
    // once.
    let (code, node) = master.ask(&["spawn", "a", "--name", "orders"]);
    assert!(code == 0 && node["state"] == "running", "{node}");
    assert_eq!(master.json(&["nodes"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_spawn_whose_master_stops_is_told_so_and_not_asked_for_again() {
    let (_folders, master, agent) = with_an_agent_that_hangs();
    let asked = Client::connect(master.address.as_str()).unwrap();
    let (code, answer) = std::thread::scope(|scope| {
        let spawning = scope.spawn(|| master.ask(&["spawn", "a"]));
        wait_until("the agent is asked", || {
            let stats = asked.stats().unwrap();
            stats
                .counters
                .iter()
                .any(|counter| counter.name == "errands" && counter.value.to_native() == 1)
        });
        kill(master.pid(), Signal::TERM);
        spawning.join().unwrap()
    });
    let words = answer["error"].as_str().unwrap();
    assert!(code == 3 && words.contains("this master is stopping"), "{words}");
    kill(agent.pid(), Signal::CONT);
}

#[test]
fn without_a_master_every_command_says_so() {
    for words in [
        &["status"][..],
        &["agents"],
        &["nodes"],
        &["spawn", "a"],
        &["stop", "n"],
        &["watch"],
        &["unregister", "a"],
    ] {
        let output = sutra()
            .arg("grid")
            .args(words)
            .args(["--master", "127.0.0.1:9", "--timeout", "300ms"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(3) && text.contains("127.0.0.1:9"),
            "{words:?}: {text}"
        );
    }
}

/// What the admin port says.
fn health(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_grid_in_which_a_node_gave_up_is_degraded_to_people_scripts_and_probes() {
    let (home, registry) = (Home::new(), Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &["--admin", "127.0.0.1:0"]);
    let _agent = Agent::start(&home, &["--master", &master.address]);
    wait_until("the agent is registered", || master.agent_state("a") == "healthy");
    let mut pid = pid_of(&master.json(&["spawn", "a", "--name", "words"]));
    wait_until("all is well", || {
        master.ask(&["status"]).0 == 0 && health(&master.admin).starts_with("HTTP/1.1 200")
    });
    for restarts in 1..=3 {
        kill(pid, Signal::KILL);
        wait_until("it runs again", || {
            let node = master.node("words");
            pid = pid_of(&node);
            node["state"] == "running" && node["restarts"] == restarts
        });
    }
    kill(pid, Signal::KILL);
    wait_until("it is given up", || master.node("words")["state"] == "gave up");
    let (code, status) = master.ask(&["status"]);
    assert!(code == 1 && status["state"] == "degraded", "{status}");
    assert!(status["status"].as_str().unwrap().contains("\"words\""), "{status}");
    let words = String::from_utf8(master.run(&["status"]).stdout).unwrap();
    assert!(
        words.contains(": degraded\n  node \"words\"") && words.contains("signal: 9"),
        "{words}"
    );
    let health = health(&master.admin);
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("words"), "{health}");
    // Started again by hand, it is well.
    assert_eq!(master.ask(&["spawn", "a", "--name", "words"]).0, 0);
    assert_eq!(master.ask(&["status"]).0, 0);
}

#[test]
fn what_an_agents_host_refuses_is_told_with_its_cause() {
    let (home, registry) = (Home::new(), Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let _agent = Agent::start(&home, &["--master", &master.address, "--program", "/bin/false"]);
    wait_until("the agent is registered", || master.agent_state("a") == "healthy");
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = used.local_addr().unwrap().port().to_string();
    for (words, code, says) in [
        (&["spawn", "a"][..], 3, "exit status: 1"),
        (&["spawn", "a", "--port", &port], 3, "in use"),
        (&["spawn", "a", "--path", "logs"], 3, "own files"),
        (&["spawn", "a", "--cores", "many"], 2, "neither"),
    ] {
        let (was, answer) = master.ask(words);
        assert!(was == code && answer.to_string().contains(says), "{words:?}: {was} {answer}");
    }
}

#[test]
fn after_a_masters_restart_an_agent_is_unknown_until_it_is_heard_of() {
    let (home, registry) = (Home::new(), Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let address = master.address.clone();
    let agent = Agent::start(&home, &["--master", &address]);
    wait_until("the agent is registered", || master.agent_state("a") == "healthy");
    master.json(&["spawn", "a", "--name", "words"]);
    kill(agent.pid(), Signal::STOP);
    master.stop();
    let patient = ["--degraded-after", "1h", "--offline-after", "2h"];
    let master = Master::start(&registry.path(), &address, &patient);
    assert_eq!(master.agent_state("a"), "unknown");
    let (code, status) = master.ask(&["status"]);
    assert!(
        code == 1 && status["agents"]["unknown"] == 1 && status["agents"]["healthy"] == 0,
        "{status}"
    );
    let words = String::from_utf8(master.run(&["status"]).stdout).unwrap();
    assert!(
        words.contains("1 not heard of since the master's start") && words.contains("running?"),
        "{words}"
    );
    kill(agent.pid(), Signal::CONT);
    wait_until("it is heard of", || {
        master.agent_state("a") == "healthy" && master.ask(&["status"]).0 == 0
    });
}

#[test]
fn a_masters_folder_and_files_are_their_users_alone() {
    let registry = Folder::new();
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_sutra")]);
    let master = Master::start_by(command, &registry.path(), "127.0.0.1:0", &[]);
    let mut todo = vec![registry.path()];
    let mut seen = 0;
    while let Some(path) = todo.pop() {
        let metadata = std::fs::metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
        seen += 1;
        if metadata.is_dir() {
            todo.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert!(seen > 2, "{seen}");
    master.stop();
}
