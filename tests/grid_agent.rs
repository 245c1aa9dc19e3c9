//! A grid agent and its storage nodes, all real processes: spawned, killed, adopted, stopped; and
//! what an agent refuses.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::agent::{Agent, Home, block_list, is_alive, kill, read_reply};
use crate::support::sutra;
use rustix::process::Signal;
use sutra_client::Concept;
use sutra_compat::grid::{GridReply, GridRequest, SpawnOptions};
use sutra_testing::wait_until;

#[test]
fn a_node_is_started_answers_and_is_stopped_and_its_data_is_taken_up_again() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let named = |name: &str| SpawnOptions { name: name.into(), ..SpawnOptions::default() };
    let node = agent.try_spawn("", 0, &named("orders")).unwrap();
    let (status, pid) = agent.status(&node.id);
    assert_eq!(status, "running");
    assert!(is_alive(pid) && home.nodes() == [pid]);
    node.client().learn(Concept::new("dog").content("a carnivore")).unwrap();
    TcpStream::connect(&node.compat).unwrap();
    assert_eq!(
        rustix::process::getsid(rustix::process::Pid::from_raw(pid as i32))
            .unwrap()
            .as_raw_nonzero()
            .get(),
        pid as i32
    );

    agent.stop_node(&node.id).unwrap();
    assert_eq!(agent.status(&node.id), ("stopped".into(), 0));
    assert!(home.nodes().is_empty());
    agent.stop_node(&node.id).unwrap();

    let again = agent.try_spawn("", 0, &named("orders")).unwrap();
    assert_eq!(
        (&again.id, &again.native),
        (&node.id, &node.native),
        "its name finds its folder, and its ports are free"
    );
    assert_eq!(again.client().query("dog").unwrap().unwrap().content, "a carnivore");
    agent.stop_node("orders").unwrap();
    let path = home.path().join("nodes").join(&node.id);
    let again = agent.spawn(path.to_str().unwrap());
    assert_eq!(again.id, node.id, "so does its path");
    assert!(again.client().query("dog").unwrap().is_some());
}

#[test]
fn a_node_that_is_killed_is_started_again_three_times_and_then_given_up() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let node = agent.spawn("data");
    node.client().learn(Concept::new("dog").content("a carnivore")).unwrap();
    let mut pid = agent.status(&node.id).1;
    for _ in 0..3 {
        kill(pid, Signal::KILL);
        wait_until("it has another process", || {
            let (status, now) = agent.status(&node.id);
            status == "running" && now != pid
        });
        assert!(node.client().query("dog").unwrap().is_some());
        pid = agent.status(&node.id).1;
    }
    kill(pid, Signal::KILL);
    assert_eq!(agent.wait_for(&node.id, "gave up"), 0);
    let list = home.list();
    let record = &list["nodes"][0];
    assert_eq!(
        (record["wanted"].as_str(), record["restarts"].as_u64()),
        (Some("given_up"), Some(3))
    );
    assert!(record["detail"].as_str().unwrap().contains("signal: 9"), "{record}");
    // It stays so when its agent comes back, until somebody asks for it.
    agent.kill();
    let agent = Agent::start(&home, &[]);
    assert_eq!(agent.status(&node.id).0, "gave up");
    assert_eq!(agent.spawn("data").id, node.id);
    assert!(node.client().query("dog").unwrap().is_some());
}

#[test]
fn a_node_that_another_process_takes_over_is_the_same_node_to_its_agent() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let node = agent.spawn("data");
    let client = node.client();
    client.learn(Concept::new("dog").content("a carnivore")).unwrap();
    let mut pid = agent.status(&node.id).1;
    for _ in 0..2 {
        kill(pid, Signal::USR2);
        wait_until("it has another process", || {
            let (status, now) = agent.status(&node.id);
            status == "running" && now != pid
        });
        assert!(!is_alive(pid));
        assert!(client.query("dog").unwrap().is_some());
        pid = agent.status(&node.id).1;
    }
    assert_eq!(home.list()["nodes"][0]["restarts"], 0, "it has not crashed");
    // One that ends by itself afterwards is started again.
    kill(pid, Signal::KILL);
    wait_until("it is started again", || {
        let (status, now) = agent.status(&node.id);
        status == "running" && now != pid
    });
    assert!(node.client().query("dog").unwrap().is_some());
    agent.stop_node(&node.id).unwrap();
    assert!(home.nodes().is_empty());
    agent.stop();
}

#[test]
fn an_agent_that_is_killed_loses_no_node_and_adopts_them_when_it_comes_back() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let nodes = ["one", "two", "three"].map(|path| agent.spawn(path));
    let pids = nodes.clone().map(|node| agent.status(&node.id).1);
    let clients = nodes.clone().map(|node| node.client());
    agent.kill();
    for client in &clients {
        client.learn(Concept::new("dog").content("learned without an agent")).unwrap();
    }
    kill(pids[1], Signal::KILL);
    wait_until("the second is gone", || !is_alive(pids[1]));
    // The third as if the agent had been killed between its start and its place on the list.
    let mut list = home.list();
    list["nodes"][2]["process"] = serde_json::Value::Null;
    std::fs::write(home.path().join("nodes.json"), list.to_string()).unwrap();

    let agent = Agent::start(&home, &[]);
    assert_eq!(
        (agent.greeting["adopted"].as_u64(), agent.greeting["started"].as_u64()),
        (Some(2), Some(1))
    );
    let now = nodes.clone().map(|node| agent.wait_for(&node.id, "running"));
    assert_eq!((now[0], now[2]), (pids[0], pids[2]), "they were never restarted");
    assert_ne!(now[1], pids[1]);
    for client in &clients {
        assert!(client.query("dog").unwrap().is_some());
    }
    // What was adopted is kept like what was started.
    kill(pids[0], Signal::KILL);
    wait_until("the first is started again", || {
        let (status, pid) = agent.status(&nodes[0].id);
        status == "running" && pid != pids[0]
    });
    agent.stop_node(&nodes[2].id).unwrap();
    assert!(!is_alive(pids[2]));
    assert_eq!(home.nodes().len(), 2);
}

#[test]
fn a_node_that_nobody_waits_for_any_more_is_not_started() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    kill(agent.pid(), Signal::STOP);
    let given_up = GridRequest::SpawnStorageNode {
        agent_id: "a".into(),
        storage_path: "late".into(),
        memory_limit_mb: 0,
        port: 0,
    };
    let mut message = Vec::new();
    given_up.append(None, &mut message);
    TcpStream::connect(agent.address).unwrap().write_all(&message).unwrap();
    kill(agent.pid(), Signal::CONT);
    // It was first in the line, so by now it has been looked at.
    let node = agent.spawn("data");
    assert_eq!(home.nodes(), [agent.status(&node.id).1]);
    assert!(!home.path().join("late").exists());
}

/// A server that no agent has started, once it listens.
fn serve_by_hand(data: &Path, cores: &str) -> Child {
    let mut command = sutra();
    command.args(["serve", "--data"]).arg(data).args(["--cores", cores, "--no-pin"]);
    command.args(["--listen", "127.0.0.1:0", "--admin", "off", "--compat", "off"]);
    let mut server =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(server.stdout.take().unwrap()));
    lines
        .find(|line| line.as_ref().unwrap().starts_with("listening"))
        .expect("it listens")
        .unwrap();
    server
}

#[test]
fn a_new_node_has_one_core_and_a_store_that_is_there_as_many_as_it_was_made_for() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let mut by_hand = serve_by_hand(&home.path().join("made-for-two"), "2");
    by_hand.kill().unwrap();
    by_hand.wait().unwrap();
    for (path, is_new) in [("new", true), ("made-for-two", false)] {
        let pid = agent.status(&agent.spawn(path).id).1;
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert_eq!(words.contains("\0--cores\x001\0"), is_new, "{words:?}");
    }
}

#[test]
fn a_server_that_somebody_has_started_by_hand_on_a_stopped_nodes_data_is_left_alone() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let node = agent.spawn("data");
    agent.stop_node(&node.id).unwrap();
    agent.kill();
    let mut by_hand = serve_by_hand(&home.path().join("data"), "1");
    let agent = Agent::start(&home, &[]);
    assert_eq!(
        (agent.greeting["adopted"].as_u64(), agent.status(&node.id).0.as_str()),
        (Some(0), "stopped")
    );
    assert!(by_hand.try_wait().unwrap().is_none());
    by_hand.kill().unwrap();
    by_hand.wait().unwrap();
}

#[test]
fn nothing_but_the_node_itself_is_adopted() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let node = agent.spawn("data");
    let pid = agent.status(&node.id).1;
    agent.kill();
    kill(pid, Signal::KILL);
    wait_until("the node is gone", || !is_alive(pid));
    // A process of somebody else's has its pid by now.
    let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let mut list = home.list();
    list["nodes"][0]["process"]["pid"] = other.id().into();
    std::fs::write(home.path().join("nodes.json"), list.to_string()).unwrap();
    let agent = Agent::start(&home, &[]);
    assert_eq!(agent.greeting["adopted"].as_u64(), Some(0));
    agent.wait_for(&node.id, "running");
    agent.stop_node(&node.id).unwrap();
    assert!(other.try_wait().unwrap().is_none(), "it is left alone");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn an_agent_that_is_told_to_end_leaves_its_nodes_or_stops_them_as_it_was_told() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let node = agent.spawn("data");
    let pid = agent.status(&node.id).1;
    agent.stop();
    assert!(is_alive(pid));
    node.client().learn(Concept::new("dog")).unwrap();

    let agent = Agent::start(&home, &["--on-stop", "stop"]);
    assert_eq!(agent.wait_for(&node.id, "running"), pid);
    agent.stop();
    assert!(!is_alive(pid) && home.nodes().is_empty());

    let agent = Agent::start(&home, &[]);
    assert_ne!(agent.wait_for(&node.id, "running"), pid, "it is still wanted");
    assert!(node.client().query("dog").unwrap().is_some());
}

#[test]
fn what_can_not_be_is_refused_with_words_and_leaves_nothing() {
    let home = Home::new();
    let agent = Agent::start(&home, &["--max-nodes", "2"]);
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let used_port = u32::from(used.local_addr().unwrap().port());
    let node = agent.spawn("data/one");
    let own_port: u32 = node.native.rsplit_once(':').unwrap().1.parse().unwrap();
    let before = (home.entries(), home.list(), home.nodes());
    let plain = SpawnOptions::default();
    let cores = |cores: &str| SpawnOptions { cores: cores.into(), ..SpawnOptions::default() };
    std::os::unix::fs::symlink("/tmp", home.path().join("out")).unwrap();
    for (path, port, options, says) in [
        ("../x", 0, &plain, ".."),
        ("/tmp/x", 0, &plain, "outside"),
        ("out/x", 0, &plain, "symlink"),
        ("logs", 0, &plain, "own files"),
        ("data/one", 0, &plain, "has the folder"),
        ("data", 0, &plain, "around it"),
        ("data/one/in", 0, &plain, "around it"),
        ("x", used_port, &plain, "in use"),
        ("x", own_port, &plain, "another node"),
        ("x", 70_000, &plain, "65535"),
        ("x", 0, &cores("4000,"), "no CPU 4000"),
        ("x", 0, &cores("many"), "neither"),
        ("x", 0, &SpawnOptions { name: "a b".into(), ..plain.clone() }, "can't be a node's name"),
        ("x", 0, &SpawnOptions { name: node.id.clone(), ..plain.clone() }, "has the name"),
    ] {
        let why = agent.try_spawn(path, port, options).unwrap_err();
        assert!(why.contains(says), "{path} {port}: {why}");
    }
    let of_another =
        GridRequest::StopStorageNode { agent_id: "b".into(), node_id: node.id.clone() };
    let (GridReply::Error { message }, _) = agent.ask(&of_another, None) else {
        panic!("an error")
    };
    assert!(message.contains("\"a\"") && message.contains("\"b\""), "{message}");
    let (GridReply::Error { message }, _) = agent.ask(&GridRequest::ListAgents, None) else {
        panic!("an error")
    };
    assert!(message.contains("master"), "{message}");
    assert!(agent.stop_node("nobody").unwrap_err().contains("nobody"));
    std::fs::remove_file(home.path().join("out")).unwrap();
    assert_eq!((home.entries(), home.list(), home.nodes()), before);

    let old = GridRequest::SpawnStorageNode {
        agent_id: "a".into(),
        storage_path: String::new(),
        memory_limit_mb: 0,
        port: 0,
    };
    assert!(matches!(agent.ask(&old, None).0, GridReply::SpawnStorageNodeOk { success: true, .. }));
    assert!(agent.try_spawn("x", 0, &plain).unwrap_err().contains("no more than 2"));
}

#[test]
fn cpus_are_one_nodes_at_a_time() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let one = |cores: &str| SpawnOptions { cores: cores.into(), ..SpawnOptions::default() };
    let node = agent.try_spawn("one", 0, &one("1")).unwrap();
    let cores = home.list()["nodes"][0]["cores"].as_str().unwrap().to_owned();
    let why = agent.try_spawn("two", 0, &one(&cores)).unwrap_err();
    assert!(why.contains("another node of this agent has CPU"), "{why}");
    agent.spawn("three");
    agent.stop_node(&node.id).unwrap();
    agent.try_spawn("two", 0, &one(&cores)).unwrap();
}

#[test]
fn a_program_that_ends_at_once_leaves_nothing_and_its_end_is_told() {
    let home = Home::new();
    let agent = Agent::start(&home, &["--program", "/bin/false"]);
    let why = agent.try_spawn("a/b", 0, &SpawnOptions::default()).unwrap_err();
    assert!(why.contains("exit status: 1"), "{why}");
    assert!(home.entries().is_empty() && home.nodes().is_empty(), "{:?}", home.entries());
    assert_eq!(home.list()["nodes"].as_array().unwrap().len(), 0);
    assert_eq!(std::fs::read_dir(home.path().join("logs")).unwrap().count(), 0);
    drop(agent);
    let agent = Agent::start(&home, &["--program", "/no/such/program"]);
    assert!(
        agent.try_spawn("", 0, &SpawnOptions::default()).unwrap_err().contains("/no/such/program")
    );
    assert!(home.entries().iter().all(|entry| entry == "nodes"), "{:?}", home.entries());
    drop(agent);
    // The last words of a server that refuses to start are told, and what was there before is left.
    let agent = Agent::start(&home, &[]);
    std::fs::create_dir(home.path().join("old")).unwrap();
    std::fs::write(home.path().join("old/manifest.json"), "nonsense").unwrap();
    let why = agent.try_spawn("old", 0, &SpawnOptions::default()).unwrap_err();
    assert!(why.contains("error: ") && why.contains("manifest"), "{why}");
    assert!(home.path().join("old/manifest.json").exists() && home.nodes().is_empty());
}

#[test]
fn a_node_that_reads_its_data_for_longer_than_a_spawn_waits_is_let_to_finish() {
    let home = Home::new();
    let orders = SpawnOptions { name: "orders".into(), ..SpawnOptions::default() };
    let agent = Agent::start(&home, &[]);
    let node = agent.try_spawn("", 0, &orders).unwrap();
    node.client().learn(Concept::new("dog").content("a carnivore")).unwrap();
    agent.stop_node("orders").unwrap();
    drop(agent);
    // A program that begins a second later than an agent waits stands for data of some hundred
    // gigabytes.
    let slow = home.path().with_file_name("slow");
    let script = format!("#!/bin/sh\nsleep 21\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_sutra"));
    std::fs::write(&slow, script).unwrap();
    std::fs::set_permissions(&slow, std::fs::Permissions::from_mode(0o755)).unwrap();
    let agent = Agent::start(&home, &["--program", slow.to_str().unwrap()]);
    let (new, old) = std::thread::scope(|scope| {
        let old = scope.spawn(|| agent.try_spawn("", 0, &orders).unwrap_err());
        (agent.try_spawn("new", 0, &SpawnOptions::default()).unwrap_err(), old.join().unwrap())
    });
    // A new node has nothing to read: nothing is left of it.
    assert!(old.contains(&node.id) && old.contains("sutra grid nodes"), "{old}");
    assert!(new.contains("has not answered within 20s"), "{new}");
    assert_eq!(home.list()["nodes"].as_array().unwrap().len(), 1);
    assert!(!home.path().join("new").exists());
    agent.wait_for("orders", "running");
    assert_eq!(
        node.client().query("dog").unwrap().unwrap().content,
        "a carnivore",
        "and its port is its own still"
    );
    agent.stop_node("orders").unwrap();
    assert!(home.nodes().is_empty());
}

#[test]
fn a_list_that_can_not_be_written_refuses_new_nodes_and_lets_go_of_old_ones() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let node = agent.spawn("old");
    block_list(&home.path());
    let why = agent.try_spawn("new", 0, &SpawnOptions::default()).unwrap_err();
    assert!(why.contains("list") && why.contains("nothing was started"), "{why}");
    assert!(!home.path().join("new").exists());
    assert_eq!(home.nodes().len(), 1);
    agent.stop_node(&node.id).unwrap();
    assert!(home.nodes().is_empty());
    std::fs::remove_dir(home.path().join("nodes.json")).unwrap();
    std::fs::rename(home.path().join("nodes.json.kept"), home.path().join("nodes.json")).unwrap();
    wait_until("the list is written when it can be", || {
        home.list()["nodes"][0]["wanted"] == "stopped"
    });
}

#[test]
fn one_agent_has_a_folder_and_one_folder_is_no_other_agents() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let second = sutra()
        .args(["grid", "agent", "--id", "b", "--listen", "127.0.0.1:0", "--admin", "off", "--data"])
        .arg(home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(3), "{text}");
    assert!(text.contains(&format!("process {}", agent.pid())), "{text}");
    drop(agent);
    std::fs::write(home.path().join("nodes.json"), "{").unwrap();
    let damaged = sutra()
        .args(["grid", "agent", "--id", "a", "--listen", "127.0.0.1:0", "--admin", "off", "--data"])
        .arg(home.path())
        .output();
    let damaged = damaged.unwrap();
    let text = String::from_utf8(damaged.stderr).unwrap();
    assert!(damaged.status.code() == Some(3) && text.contains("nodes.json is damaged"), "{text}");
}

#[test]
fn messages_that_are_none_are_answered_and_do_no_harm() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let mut stream = TcpStream::connect(agent.address).unwrap();
    for message in [
        &b""[..],
        b"\x03",
        b"\xff\xff\xff\xff",
        b"{\"GetStats\": null}",
        b"\x05\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        stream.write_all(&(message.len() as u32).to_be_bytes()).unwrap();
        stream.write_all(message).unwrap();
        assert!(matches!(read_reply(&mut stream).0, GridReply::Error { .. }), "{message:?}");
    }
    stream.write_all(&u32::MAX.to_be_bytes()).unwrap();
    assert!(matches!(read_reply(&mut stream).0, GridReply::Error { .. }));
    // Nor do connections that say nothing: more of them than there are places.
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(agent.address).unwrap()).collect();
    agent.spawn("data");
    drop(silent);
}

/// A command that ends in what is added to it, begun by a shell.
fn shell(words: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{words}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_sutra")]);
    command
}

#[test]
fn a_node_has_limits_priority_and_environment_of_its_own_and_holds_nothing_of_its_agents() {
    let home = Home::new();
    let mut command = shell(
        "echo 300 >/proc/self/oom_score_adj; renice -n 5 -p $$ >/dev/null; ulimit -S -n 200; \
         ulimit -S -t 4000; umask 0; exec 7</",
    );
    command
        .env("SECRET", "of the agent")
        .env("SUTRA_DATA", "/elsewhere")
        .env("LC_ALL", "C")
        .env("NOTIFY_SOCKET", "@s");
    let agent = Agent::start_by(command, &home, &[]);
    let node = agent.spawn("data");
    let pid = agent.status(&node.id).1;
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line = |text: String, start: &str| {
        text.lines().find(|line| line.starts_with(start)).unwrap().to_owned()
    };
    assert_eq!(read("oom_score_adj").trim(), "0");
    assert!(line(read("status"), "Umask:").ends_with("0077"), "{}", read("status"));
    let limit = |name: &str| {
        let line = line(read("limits"), name);
        let words: Vec<_> = line[name.len()..].split_whitespace().map(str::to_owned).collect();
        (words[0].clone(), words[1].clone())
    };
    for name in ["Max open files", "Max cpu time"] {
        let (soft, hard) = limit(name);
        assert_eq!(soft, hard, "{name}");
    }
    if rustix::process::geteuid().is_root() {
        let stat = read("stat");
        let nice = stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().to_owned();
        assert_eq!(nice, "0");
    }
    let environment = read("environ");
    assert!(environment.contains("LC_ALL=C") && environment.contains("PATH="), "{environment}");
    assert!(
        !["SECRET", "SUTRA_DATA", "NOTIFY_SOCKET"].iter().any(|name| environment.contains(name)),
        "{environment}"
    );
    let held = |fd: u32| std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap_or_default();
    assert_ne!(held(7), std::path::Path::new("/"));
    assert_eq!(held(0), std::path::Path::new("/dev/null"));
}

#[test]
fn an_agents_files_and_folders_are_their_users_alone() {
    let home = Home::new();
    let agent = Agent::start_by(shell("umask 0"), &home, &[]);
    let node = agent.spawn("");
    let mut todo = vec![home.path()];
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
    assert!(seen > 8, "{seen}");
    agent.stop_node(&node.id).unwrap();
}

#[test]
fn an_agent_that_is_killed_again_and_again_gives_a_node_no_further_restarts() {
    let home = Home::new();
    let mut agent = Agent::start(&home, &[]);
    let node = agent.spawn("data");
    for round in 0..4 {
        let pid = agent.wait_for(&node.id, "running");
        // Both at once, or the node alone while its agent is there.
        if round % 2 == 0 {
            agent.kill();
            kill(pid, Signal::KILL);
            wait_until("the node is gone", || !is_alive(pid));
        } else {
            kill(pid, Signal::KILL);
            wait_until("its end is noticed", || agent.status(&node.id).0 != "running");
            agent.kill();
        }
        agent = Agent::start(&home, &[]);
    }
    agent.wait_for(&node.id, "gave up");
    assert_eq!(home.list()["nodes"][0]["restarts"], 3);
    assert!(home.nodes().is_empty());
}

#[test]
fn no_link_gives_a_node_another_ones_folder_neither_at_its_spawn_nor_later() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let node = agent.spawn("");
    let plain = SpawnOptions::default();
    let link =
        |to: &str, name: &str| std::os::unix::fs::symlink(to, home.path().join(name)).unwrap();
    link("nodes", "all");
    link(&format!("nodes/{}", node.id), "one");
    for (path, says) in [
        ("all", "where nodes have their folders"),
        ("one", "has the folder"),
        ("one/x", "around it"),
    ] {
        let why = agent.try_spawn(path, 0, &plain).unwrap_err();
        assert!(why.contains(says), "{path}: {why}");
    }
    // A folder that has become a link to another node's since it was given.
    let other = agent.spawn("other");
    let pid = agent.status(&other.id).1;
    std::fs::rename(home.path().join("other"), home.path().join("kept")).unwrap();
    link(&format!("nodes/{}", node.id), "other");
    kill(pid, Signal::KILL);
    agent.wait_for(&other.id, "gave up");
    let detail = home.list()["nodes"][1]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("leads to"), "{detail}");
    assert_eq!(agent.status(&node.id).0, "running");
    assert_eq!(home.nodes().len(), 1);
}
