//! What goes wrong between hosts and on them: a network that is cut, disks that are full, two
//! agents with one name, two masters on one folder. Hosts are network namespaces, and small disks
//! filesystems of their own; where the kernel does not let this user make them, that is said.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support;
use crate::support::agent::{Agent, Home, kill};
use crate::support::master::{Master, answer, answering_agent, pid_of, state_of};
use crate::support::{Folder, run};
use rustix::process::Signal;
use sutra_client::grid::{AgentRegistration, NodeReport, NodeState};
use sutra_client::{Client, ClientError, Concept, GridClient, Status};
use sutra_compat::grid::{GridReply, GridRequest, SpawnOptions};
use sutra_testing::wait_until;

/// A process that holds namespaces, which commands can be run in.
struct Host(Child);

impl Host {
    /// In namespaces of its own of these kinds (options of unshare(1)); `None` where this user may
    /// not make them.
    fn new(mut unshare: Command, kinds: &[&str], setup: &str) -> Option<Self> {
        unshare.args(kinds).args([
            "sh",
            "-c",
            &format!("{setup} && echo ready && exec sleep infinity"),
        ]);
        let mut child = unshare
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let host = Self(child);
        (line == "ready\n").then_some(host)
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// A command that ends in what is added to it.
    fn enter(&self, kinds: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid(), "--user", "--preserve-credentials"]).args(kinds);
        command
    }

    /// A command on its network.
    fn on_network(&self) -> Command {
        self.enter(&["--net"])
    }

    fn sutra(&self) -> Command {
        let mut command = self.on_network();
        command.arg(env!("CARGO_BIN_EXE_sutra"));
        command
    }

    fn ip(&self, words: &str) -> bool {
        let status =
            self.on_network().arg("ip").args(words.split(' ')).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two hosts with a cable between them: 10.77.0.1 and 10.77.0.2.
fn two_hosts() -> Option<(Host, Host)> {
    let one = Host::new(Command::new("unshare"), &["--user", "--map-root-user", "--net"], "true")?;
    let mut unshare = one.on_network();
    unshare.arg("unshare");
    let two = Host::new(unshare, &["--net"], "true")?;
    let is_up = one.ip(&format!("link add cable type veth peer name cable netns {}", two.pid()))
        && [(&one, "10.77.0.1/24"), (&two, "10.77.0.2/24")].iter().all(|(host, address)| {
            host.ip(&format!("addr add {address} dev cable"))
                && host.ip("link set cable up")
                && host.ip("link set lo up")
        });
    is_up.then_some((one, two))
}

/// Cuts the network between a master and an agent until the agent is offline and one of its nodes
/// has changed, and heals it.
fn cut_and_heal(patience: &[&str]) {
    let Some((one, two)) = two_hosts() else {
        eprintln!("SKIPPED: this user may not make network namespaces, or there is no `ip`");
        return;
    };
    let (home, registry) = (Home::new(), Folder::new());
    let listen = [&["--compat", "off"], patience].concat();
    let master = Master::start_by(one.sutra(), &registry.path(), "10.77.0.1:7001", &listen);
    let json =
        |words: &[&str]| answer(&master.run_by(one.sutra(), &[words, &["--json"]].concat())).1;
    let node = |name: &str| {
        let nodes = json(&["nodes"]);
        nodes.as_array().unwrap().iter().find(|node| node["name"] == name).cloned().unwrap()
    };
    let arguments = ["--master", "10.77.0.1:7001", "--listen", "10.77.0.2:8001"];
    let agent = Agent::start_by(two.sutra(), &home, &arguments);
    wait_until("the agent is registered", || state_of(&json(&["agents"]), "a") == "healthy");
    for name in ["killed", "kept"] {
        let spawned = json(&["spawn", "a", "--name", name]);
        assert_eq!(spawned["state"], "running", "{spawned}");
    }
    let (killed, kept) = (node("killed"), node("kept"));

    assert!(one.ip("link set cable down"));
    wait_until("the agent is offline", || state_of(&json(&["agents"]), "a") == "offline");
    let refused = json(&["spawn", "a"]);
    assert!(refused["error"].as_str().unwrap().contains("offline"), "{refused}");
    // The agent keeps its nodes alive by itself, which the master can't know yet.
    kill(pid_of(&killed), Signal::KILL);
    let is_back = |list: &serde_json::Value| {
        list["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|node| node["name"] == "killed" && node["restarts"] == 1)
    };
    wait_until("the node is started again", || is_back(&home.list()));
    assert_eq!(node("killed")["restarts"], 0);

    assert!(one.ip("link set cable up"));
    wait_until("the agent is healthy again", || state_of(&json(&["agents"]), "a") == "healthy");
    wait_until("what has changed is known", || {
        let now = node("killed");
        now["restarts"] == 1 && now["state"] == "running" && pid_of(&now) != pid_of(&killed)
    });
    assert_eq!(pid_of(&node("kept")), pid_of(&kept), "nothing was started again for the cut");
    assert_eq!(json(&["spawn", "a", "--name", "later"])["state"], "running");
    assert_eq!(home.nodes().len(), 3);
    drop(agent);
}

#[test]
fn a_network_that_is_cut_and_healed_leaves_no_trace() {
    cut_and_heal(&[]);
}

#[test]
#[ignore = "takes more than half a minute: an agent is offline as late as by default"]
fn a_network_that_is_cut_for_long_leaves_no_trace() {
    cut_and_heal(&["--heartbeat", "5", "--degraded-after", "15", "--offline-after", "30"]);
}

/// A filesystem of so many MiB in a mount namespace, over a folder.
fn small_disk(at: &Path, size: u32) -> Option<Host> {
    fs::create_dir_all(at).unwrap();
    let setup = format!("mount -t tmpfs -o size={size}m none {}", at.display());
    let host =
        Host::new(Command::new("unshare"), &["--user", "--map-root-user", "--mount"], &setup);
    if host.is_none() {
        eprintln!("SKIPPED: this user may not mount a filesystem");
    }
    host
}

/// What a path is outside its namespace.
fn seen_from_outside(host: &Host, path: &Path) -> PathBuf {
    Path::new("/proc").join(host.pid()).join("root").join(path.strip_prefix("/").unwrap())
}

/// Fills the disk that the file is on.
fn fill(file: &Path) {
    let mut filler = fs::File::create(file).unwrap();
    let block = vec![7; 64 << 10];
    while filler.write_all(&block).is_ok() {}
    while filler.write_all(&[7]).is_ok() {}
}

#[test]
fn an_agent_on_a_full_disk_starts_nothing_says_why_and_goes_on_when_there_is_room() {
    let home = Home::new();
    let Some(host) = small_disk(&home.path(), 64) else { return };
    let mut command = host.enter(&["--mount"]);
    command.arg(env!("CARGO_BIN_EXE_sutra"));
    let agent = Agent::start_by(command, &home, &[]);
    let inside = seen_from_outside(&host, &home.path());
    let filler = inside.join("filler");
    fill(&filler);
    for path in ["", "data"] {
        let why = agent.try_spawn(path, 0, &SpawnOptions::default()).unwrap_err();
        assert!(why.contains("No space left"), "{why}");
    }
    assert!(home.nodes().is_empty());
    let entries: Vec<_> =
        fs::read_dir(&inside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!entries.iter().any(|name| name == "data"), "{entries:?}");
    fs::remove_file(&filler).unwrap();
    let node = agent.spawn("data");
    agent.stop_node(&node.id).unwrap();
    // Both, as the folder outside is empty.
    drop(agent);
}

#[test]
fn a_node_that_ends_on_a_full_disk_is_tried_again_until_there_is_room() {
    let home = Home::new();
    let Some(host) = small_disk(&home.path(), 64) else { return };
    let mut command = host.enter(&["--mount"]);
    command.arg(env!("CARGO_BIN_EXE_sutra"));
    let agent = Agent::start_by(command, &home, &[]);
    let node = agent.spawn("data");
    let client = node.client();
    client.learn(Concept::new("dog").content("a carnivore")).unwrap();
    let inside = seen_from_outside(&host, &home.path());
    let filler = inside.join("filler");
    fill(&filler);
    // More often than a node that is to blame for its end is started again.
    let mut processes = HashSet::new();
    wait_until("it is tried again and again", || {
        let (status, pid) = agent.status(&node.id);
        assert_ne!(status, "gave up");
        if pid != 0 && processes.insert(pid) {
            kill(pid, Signal::KILL);
        }
        processes.len() > 5
    });
    fs::remove_file(&filler).unwrap();
    agent.wait_for(&node.id, "running");
    assert_eq!(client.query("dog").unwrap().unwrap().content, "a carnivore");
    agent.stop_node(&node.id).unwrap();
}

#[test]
fn a_master_on_a_full_disk_refuses_changes_and_tells_what_it_knows() {
    let registry = Folder::new();
    let Some(host) = small_disk(&registry.path(), 20) else { return };
    let mut command = host.enter(&["--mount"]);
    command.arg(env!("CARGO_BIN_EXE_sutra"));
    let master = Master::start_by(
        command,
        &registry.path(),
        "127.0.0.1:0",
        &["--degraded-after", "1h", "--offline-after", "2h"],
    );
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        // Registering again where too many have not been asked back yet.
        let grid = GridClient::new(master.address.clone())
            .with_retries(1000)
            .with_timeout(Duration::from_secs(60));
        let (long, endpoint) = ("x".repeat(4000), answering_agent().to_string());
        let agent = |number: u32| AgentRegistration {
            agent_id: format!("agent-{number}"),
            hostname: long.clone(),
            platform: long.clone(),
            version: long.clone(),
            endpoint: endpoint.clone(),
            incarnation: 7,
            max_nodes: 1,
            ..AgentRegistration::default()
        };
        let mut registered = 0;
        let refused = loop {
            match grid.register_agent(&agent(registered)).await {
                Ok(_) => registered += 1,
                Err(error) => break error,
            }
            assert!(registered < 5000, "20 MB hold no more");
        };
        assert!(
            matches!(refused, ClientError::Refused { status: Status::StorageFull, .. }),
            "{refused}"
        );
        assert!(registered > 100, "{registered}");
        let known = grid.agents().await.unwrap().len();
        assert!(known >= registered as usize, "{known} of {registered}");
        let heartbeat = sutra_client::grid::AgentHeartbeat {
            agent_id: "agent-0".into(),
            incarnation: 7,
            ..sutra_client::grid::AgentHeartbeat::default()
        };
        assert!(grid.heartbeat(&heartbeat).await.unwrap().is_some(), "heartbeats need no room");
    });
}

/// What an agent's admin port says.
fn health(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_second_agent_of_one_name_is_refused_and_says_so_and_the_first_stays() {
    let (homes, registry) = ([Home::new(), Home::new()], Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let first = Agent::start(&homes[0], &["--master", &master.address, "--admin", "127.0.0.1:0"]);
    wait_until("the first is registered", || master.agent_state("a") == "healthy");
    let second = Agent::start(
        &homes[1],
        &["--master", &master.address, "--admin", "127.0.0.1:0", "--on-stop", "stop"],
    );
    let admin = second.greeting["admin"].as_str().unwrap().to_owned();
    wait_until("the second says that it is refused", || {
        let health = health(&admin);
        health.starts_with("HTTP/1.1 503")
            && health.contains("registered already")
            && health.contains("another id")
    });
    let agents = master.json(&["agents"]);
    assert_eq!(agents.as_array().unwrap().len(), 1);
    assert_eq!(agents[0]["endpoint"], first.address.to_string());
    // Nor does it take leave in the first one's name.
    second.stop();
    assert_eq!(master.agent_state("a"), "healthy");
    // A copy of the first one's folder is no more the first than any other.
    std::fs::copy(homes[0].path().join("incarnation"), homes[1].path().join("incarnation"))
        .unwrap();
    let second = Agent::start(&homes[1], &["--master", &master.address, "--admin", "127.0.0.1:0"]);
    let admin = second.greeting["admin"].as_str().unwrap().to_owned();
    wait_until("the copy says that it is one", || health(&admin).contains("a copy of its folder"));
    assert_eq!(master.json(&["agents"])[0]["endpoint"], first.address.to_string());
    // Let in where the first is not heard of any more, it is not driven out by the first that comes
    // back.
    kill(first.pid(), Signal::STOP);
    let is_second = || {
        let agents = master.json(&["agents"]);
        agents[0]["endpoint"] == second.address.to_string() && agents[0]["state"] == "healthy"
    };
    wait_until("the first is offline, so the second may be what it has moved to", is_second);
    kill(first.pid(), Signal::CONT);
    let admin = first.greeting["admin"].as_str().unwrap();
    wait_until("the first says that it is refused", || {
        health(admin).contains("registered already")
    });
    assert!(is_second());
}

#[test]
fn a_client_leaves_a_host_that_has_gone_silent_for_the_one_that_has_the_node_now() {
    let (homes, registry) = ([Home::new(), Home::new()], Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let silent = Agent::start(&homes[0], &["--master", &master.address, "--id", "silent"]);
    let _other = Agent::start(&homes[1], &["--master", &master.address, "--id", "other"]);
    wait_until("both are registered", || {
        ["silent", "other"].iter().all(|agent| master.agent_state(agent) == "healthy")
    });
    let node = master.json(&["spawn", "silent", "--name", "words"]);
    let client = Client::connect(format!("grid://{}/words", master.address))
        .with_timeout(Duration::from_secs(5))
        .blocking()
        .unwrap();
    client.learn(Concept::new("dog").content("on the first host")).unwrap();
    // The host is gone without a word: no connection of it is refused or ended.
    silent.kill();
    kill(pid_of(&node), Signal::STOP);
    assert_eq!(master.ask(&["unregister", "silent"]).0, 0);
    assert_eq!(master.json(&["spawn", "other", "--name", "words"])["state"], "running");
    wait_until("the client has found the node on its new host", || {
        client.learn(Concept::new("dog").content("on the second host")).is_ok()
    });
    assert_eq!(client.query("dog").unwrap().unwrap().content, "on the second host");
}

#[test]
fn the_second_master_on_a_folder_is_refused() {
    let registry = Folder::new();
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let data = registry.path();
    let second = run(&[
        "grid",
        "master",
        "--listen",
        "127.0.0.1:0",
        "--compat",
        "off",
        "--admin",
        "off",
        "--data",
        data.to_str().unwrap(),
    ]);
    let text = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(3), "{text}");
    assert!(
        text.contains(&master.pid().to_string()) && text.contains(data.to_str().unwrap()),
        "{text}"
    );
    assert_eq!(master.ask(&["status"]).0, 0, "the first goes on");
}

/// An agent that runs one node, as it says.
fn agent_of(
    (agent_id, endpoint, node_id, name): (&str, String, &str, &str),
    server: &support::Server,
) -> AgentRegistration {
    let report = NodeReport {
        node_id: node_id.into(),
        name: name.into(),
        endpoint: server.address.to_string(),
        state: NodeState::Running as u8,
        ..NodeReport::default()
    };
    AgentRegistration {
        agent_id: agent_id.into(),
        endpoint,
        incarnation: 7,
        max_nodes: 1,
        nodes: vec![report],
        ..AgentRegistration::default()
    }
}

fn assert_stopped(refused: &ClientError) {
    assert!(
        matches!(refused, ClientError::Node { problem, .. } if problem.contains("stopped")),
        "{refused}"
    );
}

#[test]
fn a_name_is_never_a_strangers_who_registers_it_too() {
    let (home, registry) = (Home::new(), Folder::new());
    let patient = ["--degraded-after", "1h", "--offline-after", "2h"];
    let master = Master::start(&registry.path(), "127.0.0.1:0", &patient);
    let agent = Agent::start(&home, &["--master", &master.address, "--id", "rack-1"]);
    wait_until("the agent is registered", || master.agent_state("rack-1") == "healthy");
    let node = master.json(&["spawn", "rack-1", "--name", "words"]);
    let words = || {
        Client::connect(format!("grid://{}/words", master.address))
            .with_timeout(Duration::from_secs(5))
    };
    let server = support::Server::start(&[]);
    // One that does not answer where it says that it is, one that says that it is where the real
    // one is, one that does answer, and one whose node has the name for its id.
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let answers = answering_agent().to_string();
    let strangers = [
        ("nobody", closed.clone(), "node-0", "words"),
        ("another", agent.address.to_string(), "node-1", "words"),
        ("proven", answers.clone(), "node-2", "words"),
        ("by-id", answers, "words", "other"),
    ];
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let grid = GridClient::new(master.address.clone());
        for stranger in strangers {
            grid.register_agent(&agent_of(stranger, &server)).await.unwrap();
        }
        while grid.node("other").await.unwrap().is_none()
            || grid.node("node-2").await.unwrap().is_none()
        {
            tokio::task::yield_now().await;
        }
        assert!(
            grid.node("node-0").await.unwrap().is_none()
                && grid.node("node-1").await.unwrap().is_none()
        );
        for _ in 0..10 {
            assert_eq!(
                grid.node("words").await.unwrap().unwrap().report.node_id,
                node["node_id"].as_str().unwrap()
            );
        }
    });
    words().blocking().unwrap().learn(Concept::new("dog")).unwrap();
    // The conflict is told.
    let (code, status) = master.ask(&["status"]);
    assert!(
        code == 1 && status["status"].as_str().unwrap().contains("start it under another"),
        "{status}"
    );
    // It stops, and after a restart of the master it is still nobody else's.
    assert_eq!(master.ask(&["stop", "words"]).0, 0);
    assert_stopped(&words().blocking().err().unwrap());
    let address = master.address.clone();
    drop(master);
    let master = Master::start(&registry.path(), &address, &patient);
    let words = Client::connect(format!("grid://{address}/words")).blocking();
    assert_stopped(&words.err().unwrap());
    drop((master, agent));
}

#[test]
fn made_up_agents_of_either_protocol_lock_no_real_one_out_and_leave_nothing_behind() {
    let (home, registry) = (Home::new(), Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let flood = |master: &Master, round: u32| {
        let mut stream = TcpStream::connect(&master.compat).unwrap();
        stream.set_nodelay(true).unwrap();
        for number in 0..2_500 {
            let request = GridRequest::RegisterAgent {
                agent_id: format!("made-up-{round}-{number}"),
                hostname: "h".into(),
                platform: "p".into(),
                max_storage_nodes: 5,
                version: "1".into(),
                agent_endpoint: closed.clone(),
            };
            let mut message = Vec::new();
            request.append(None, &mut message);
            stream.write_all(&message).unwrap();
            let (reply, _) = support::agent::read_reply(&mut stream);
            assert!(matches!(reply, GridReply::RegisterAgentOk { .. }), "{reply:?}");
        }
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(
            async {
                let grid = GridClient::new(master.address.clone()).with_retries(0);
                for number in 0..2_500 {
                    let registration = AgentRegistration {
                        agent_id: format!("native-{round}-{number}"),
                        endpoint: closed.clone(),
                        incarnation: 7,
                        ..AgentRegistration::default()
                    };
                    match grid.register_agent(&registration).await {
                        Ok(_) | Err(ClientError::Refused { status: Status::Busy, .. }) => {}
                        other => panic!("{other:?}"),
                    }
                }
            },
        );
    };
    flood(&master, 0);
    let agent = Agent::start(&home, &["--master", &master.address]);
    wait_until("the real agent is let in", || {
        !master.json(&["spawn", "a", "--name", "words"])["node_id"].is_null()
    });
    flood(&master, 1);
    assert_eq!(master.ask(&["spawn", "a", "--name", "more"]).0, 0);
    wait_until("the others are forgotten", || {
        master.json(&["agents"]).as_array().unwrap().len() == 1
    });
    flood(&master, 2);
    let address = master.address.clone();
    drop(master);
    let master = Master::start(&registry.path(), &address, &[]);
    assert_eq!(
        master.json(&["agents"]).as_array().unwrap().len(),
        1,
        "nothing of them was on the disk"
    );
    wait_until("the real one is back", || {
        master.agent_state("a") == "healthy" && master.ask(&["status"]).0 == 0
    });
    drop(agent);
}

#[test]
fn an_agent_whose_host_has_another_name_now_is_let_in_at_once() {
    let (home, registry) = (Home::new(), Folder::new());
    let patient = ["--degraded-after", "1h", "--offline-after", "2h"];
    let master = Master::start(&registry.path(), "127.0.0.1:0", &patient);
    let named = |name: &str| {
        let mut command = Command::new("unshare");
        let words = format!("hostname {name} && exec \"$0\" \"$@\"");
        command.args(["--user", "--map-root-user", "--uts", "sh", "-c", &words]);
        command
    };
    if !named("trial").arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this user may not name a host, or there is no `hostname`");
        return;
    }
    let host = |agent: &str| {
        let agents = master.json(&["agents"]);
        let found =
            agents.as_array().unwrap().iter().find(|known| known["agent_id"] == agent).cloned();
        found.map(|agent| agent["hostname"].as_str().unwrap().to_owned())
    };
    let mut node = None;
    for name in ["first", "second"] {
        let mut command = named(name);
        command.arg(env!("CARGO_BIN_EXE_sutra"));
        let agent = Agent::start_by(command, &home, &["--master", &master.address]);
        // Nobody is offline before an hour is over.
        wait_until("it is known under its host's name", || host("a").as_deref() == Some(name));
        let now =
            node.get_or_insert_with(|| master.json(&["spawn", "a", "--name", "words"])).clone();
        wait_until("its node is known and was never started anew", || {
            pid_of(&master.node("words")) == pid_of(&now)
        });
        agent.kill();
    }
}
