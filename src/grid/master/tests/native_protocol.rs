//! A master over the native protocol: what it knows, keeps, refuses and tells.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::*;
use sutra_compat::grid::{GridReply, GridRequest};
use sutra_grid_master::MasterConfig;
use sutra_testing::raw::{PATIENCE, Raw};
use sutra_wire::grid::{
    AgentHeartbeat, AgentKey, AgentRegistered, AgentReport, AgentState, Agents, AgentsRequest,
    Cluster, ClusterState, EventKind, GridEvent, HeartbeatAck, NodeInfo, NodeKey, NodeReport,
    NodeState, Nodes, NodesRequest, SpawnNode, WatchRequest,
};
use sutra_wire::{Checked, Health, MORE, Opcode, Stats, Status};

fn heartbeat(id: &str, incarnation: u64, revision: u64) -> AgentHeartbeat {
    AgentHeartbeat { agent_id: id.into(), incarnation, revision, sent: 99 }
}

fn key(node: &str) -> NodeKey {
    NodeKey { node: node.into() }
}

#[test]
fn an_agent_registers_reports_and_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    let mut client = Native::open(master.listening()[0]);
    assert_eq!(
        client.ask(Opcode::AgentHeartbeat, &heartbeat("a", 7, 1)).status(),
        Status::NotFound
    );
    let agent = answering();
    let terms: AgentRegistered = value(&client.ask(
        Opcode::RegisterAgent,
        &registration("a", 7, agent.address, vec![node("n1", "orders")]),
    ));
    wait_for_node(&mut client, "orders");
    assert_eq!(
        (terms.heartbeat_ms, terms.degraded_after_ms, terms.offline_after_ms),
        (5_000, 15_000, 30_000)
    );
    let ack: HeartbeatAck = value(&client.ask(Opcode::AgentHeartbeat, &heartbeat("a", 7, 1)));
    assert_eq!(ack, HeartbeatAck { sent: 99, wants_report: false });
    let ack: HeartbeatAck = value(&client.ask(Opcode::AgentHeartbeat, &heartbeat("a", 7, 2)));
    assert!(ack.wants_report);
    let info: NodeInfo = value(&client.ask(Opcode::Node, &key("orders")));
    assert_eq!(
        (info.report, info.hostname.as_str(), info.agent_state),
        (node("n1", "orders"), "host-of-a", 0)
    );
    let report = AgentReport {
        agent_id: "a".into(),
        incarnation: 7,
        revision: 2,
        nodes: vec![node("n2", "")],
    };
    assert!(client.ask(Opcode::ReportNodes, &report).is_ok());
    let page: Nodes = value(&client.ask(Opcode::Nodes, &NodesRequest::default()));
    let states: Vec<_> =
        page.nodes.iter().map(|node| (node.report.node_id.as_str(), node.report.state)).collect();
    assert_eq!(states, [("n1", NodeState::Lost as u8), ("n2", NodeState::Running as u8)]);
    let cluster: Cluster = value(&client.ask_empty(Opcode::Cluster));
    assert_eq!((cluster.agents, cluster.healthy, cluster.nodes, cluster.running), (1, 1, 1, 1));
    assert!(
        client
            .ask(Opcode::UnregisterAgent, &AgentKey { agent_id: "a".into(), incarnation: 0 })
            .is_ok()
    );
    let page: Agents = value(&client.ask(Opcode::Agents, &AgentsRequest::default()));
    assert!(page.agents.is_empty());
    assert_eq!(client.ask(Opcode::Node, &key("n2")).status(), Status::NotFound);
    let health: Health = value(&client.ask_empty(Opcode::Health));
    assert_eq!(health.status, "ok");
    let stats: Stats = value(&client.ask_empty(Opcode::Stats));
    assert!(
        stats.counters.iter().any(|counter| counter.name == "heartbeats" && counter.value == 3)
    );
    stop(master);
}

#[test]
fn a_master_that_is_back_knows_what_it_knew() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    let mut client = Native::open(master.listening()[0]);
    let agent = answering();
    for id in ["a", "b", "gone"] {
        let nodes = vec![node(&format!("n-{id}"), &format!("orders-{id}"))];
        assert!(
            client.ask(Opcode::RegisterAgent, &registration(id, 7, agent.address, nodes)).is_ok()
        );
        wait_for_node(&mut client, &format!("orders-{id}"));
    }
    // It answers nobody, so a master that is back knows nothing of it.
    assert!(client.ask(Opcode::RegisterAgent, &registration("made-up", 7, "h:1", vec![])).is_ok());
    assert!(
        client
            .ask(Opcode::UnregisterAgent, &AgentKey { agent_id: "gone".into(), incarnation: 0 })
            .is_ok()
    );
    let mut known: Nodes = value(&client.ask(Opcode::Nodes, &NodesRequest::default()));
    for node in &mut known.nodes {
        // Until their agents are heard of again.
        node.agent_state = AgentState::Unknown as u8;
    }
    // What a kill at this moment would leave.
    let killed = tempfile::tempdir().unwrap();
    copy(folder.path(), killed.path());
    drop(client);
    stop(master);
    for folder in [folder.path(), killed.path()] {
        let master = start(folder);
        assert_eq!((master.report().agents, master.report().nodes), (2, 2));
        let mut client = Native::open(master.listening()[0]);
        let nodes: Nodes = value(&client.ask(Opcode::Nodes, &NodesRequest::default()));
        assert_eq!(nodes, known);
        // It asks for what has happened meanwhile.
        let ack: HeartbeatAck = value(&client.ask(Opcode::AgentHeartbeat, &heartbeat("a", 7, 1)));
        assert!(ack.wants_report);
        assert_eq!(
            client.ask(Opcode::AgentHeartbeat, &heartbeat("gone", 7, 1)).status(),
            Status::NotFound
        );
        stop(master);
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            std::fs::create_dir(to.join(&name)).unwrap();
            copy(&path, &to.join(&name));
        } else {
            std::fs::copy(&path, to.join(&name)).unwrap();
        }
    }
}

#[test]
fn a_second_master_on_the_folder_is_refused_and_told_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    let error = start_error(folder.path());
    let expected = format!("listening on {}", master.listening()[0]);
    assert!(error.to_string().contains(&expected) && error.exit_code() == 3, "{error}");
    stop(master);
    stop(start(folder.path()));
}

#[test]
fn settings_that_can_not_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |config: MasterConfig| match sutra_grid_master::start(config) {
        Ok(_) => panic!("it should be refused"),
        Err(error) => (error.exit_code(), error.to_string()),
    };
    let late = MasterConfig { offline_after: Duration::from_secs(10), ..config(folder.path()) };
    let (code, text) = refused(late);
    assert!(code == 2 && text.contains("offline after 10s"), "{text}");
    let (code, text) = refused(MasterConfig { cpu: Some(9999), ..config(folder.path()) });
    assert!(code == 2 && text.contains("--cpu 9999"), "{text}");
    let (code, text) =
        refused(MasterConfig { listen: vec![], compat: vec![], ..config(folder.path()) });
    assert!(code == 2 && text.contains("--listen"), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (code, text) = refused(MasterConfig { listen: vec![address], ..config(folder.path()) });
    assert!(code == 3 && text.contains("in use"), "{text}");
    let (code, text) = refused(MasterConfig { admin: Some(address), ..config(folder.path()) });
    assert!(code == 3 && text.contains("--admin"), "{text}");
}

#[test]
fn agents_of_one_name_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    let mut client = Native::open(master.listening()[0]);
    let (before, agent) = (answering(), answering());
    let nodes = || vec![node("n1", "orders")];
    assert!(
        client.ask(Opcode::RegisterAgent, &registration("a", 7, before.address, nodes())).is_ok()
    );
    wait_for_node(&mut client, "orders");
    assert!(
        client.ask(Opcode::RegisterAgent, &registration("a", 7, agent.address, nodes())).is_ok(),
        "it came back"
    );
    let refused = client.ask(Opcode::RegisterAgent, &registration("a", 8, "h:3", vec![]));
    assert_eq!(refused.status(), Status::InvalidArgument);
    let words = refused.message();
    assert!(
        words.contains(&format!("from host host-of-a at {}, heard of ", agent.address)),
        "{words}"
    );
    stop(master);
}

#[test]
fn silence_is_told_to_whoever_watches_and_so_is_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let master = sutra_grid_master::start(hasty(folder.path())).unwrap();
    let mut watcher = Native::open(master.listening()[0]);
    watcher.send(Opcode::Watch, &WatchRequest { after: 0 });
    // One that leaves at once, and half of another: nobody waits for them.
    let mut gone = Native::open(master.listening()[0]);
    gone.send(Opcode::Watch, &WatchRequest { after: 0 });
    gone.0.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut client = Native::open(master.listening()[0]);
    assert!(client.0.is_alive());
    let agent = answering();
    let registration = registration("a", 7, agent.address, vec![node("n1", "orders")]);
    assert!(client.ask(Opcode::RegisterAgent, &registration).is_ok());
    while !client.ask(Opcode::Node, &key("orders")).is_ok() {
        assert!(
            client.ask(Opcode::AgentHeartbeat, &heartbeat("a", 7, 1)).is_ok(),
            "heard of until it is known"
        );
    }
    let mut numbers = Vec::new();
    let mut next = |watcher: &mut Native| {
        let reply = watcher.0.reply();
        assert_eq!((reply.header.flags & MORE, reply.header.request), (MORE, 6));
        let event = Checked::<GridEvent>::new(&reply.payload).unwrap().to_owned();
        numbers.push(event.number);
        EventKind::from_number(event.kind).unwrap()
    };
    let mut seen = vec![next(&mut watcher)];
    while seen.last() != Some(&EventKind::AgentOffline) {
        seen.push(next(&mut watcher));
    }
    // A slow host may have it degraded and back before, or offline at once.
    for kind in [EventKind::AgentRegistered, EventKind::NodeSpawned, EventKind::NodeRunning] {
        assert!(seen.contains(&kind), "{kind}: {seen:?}");
    }
    let page: Agents = value(&client.ask(Opcode::Agents, &AgentsRequest::default()));
    assert_eq!(page.agents[0].state, AgentState::Offline as u8);
    let spawn = SpawnNode { agent_id: "a".into(), ..SpawnNode::default() };
    let words = client.ask(Opcode::SpawnNode, &spawn).message();
    assert!(words.contains("is offline"), "{words}");
    assert!(client.ask(Opcode::AgentHeartbeat, &heartbeat("a", 7, 1)).is_ok());
    assert_eq!(next(&mut watcher), EventKind::AgentRecovered);
    assert!(numbers.is_sorted_by(|one, other| one + 1 == *other), "{numbers:?}");
    // Whoever was away asks for what has happened since.
    let mut late = Native::open(master.compat()[0]);
    late.send(Opcode::Watch, &WatchRequest { after: numbers[3] });
    assert_eq!(Checked::<GridEvent>::new(&late.0.reply().payload).unwrap().number, numbers[4]);
    while gone.0.receive().unwrap().is_some() {}
    master.shutdown();
    let mut ended = watcher.0.reply();
    while ended.header.flags & MORE != 0 {
        ended = watcher.0.reply();
    }
    assert_eq!(ended.status(), Status::ShuttingDown);
    master.wait().unwrap();
    // Numbers rise over restarts, and what went missing is said.
    let master = sutra_grid_master::start(hasty(folder.path())).unwrap();
    let mut watcher = Native::open(master.listening()[0]);
    watcher.send(Opcode::Watch, &WatchRequest { after: *numbers.last().unwrap() });
    let missed = Checked::<GridEvent>::new(&watcher.0.reply().payload).unwrap().to_owned();
    assert_eq!(missed.kind, EventKind::Missed as u8);
    assert!(missed.number > *numbers.last().unwrap());
    stop(master);
}

#[test]
fn an_agent_that_fails_or_can_not_be_reached_is_told_of_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    let (reached, hangs) = std::sync::mpsc::channel();
    let agent = AgentEnd::start(Box::new(move |request, _| {
        let error_message = Some("port 7 is in use".to_owned());
        let reply = match request {
            GridRequest::SpawnStorageNode { storage_path, .. } if storage_path == "odd" => {
                GridReply::UnregisterAgentOk
            }
            GridRequest::SpawnStorageNode { storage_path, .. } if storage_path == "hang" => {
                reached.send(()).unwrap();
                return None;
            }
            GridRequest::SpawnStorageNode { .. } => {
                let (node_id, endpoint) = (String::new(), String::new());
                GridReply::SpawnStorageNodeOk { node_id, endpoint, success: false, error_message }
            }
            _ => GridReply::Error { message: "no such node".into() },
        };
        Some(bytes_of(&reply, None))
    }));
    let mut client = Native::open(master.listening()[0]);
    let nodes = vec![node("n1", "orders")];
    assert!(client.ask(Opcode::RegisterAgent, &registration("a", 7, agent.address, nodes)).is_ok());
    wait_for_node(&mut client, "orders");
    let spawn = |agent_id: &str, storage_path: &str| SpawnNode {
        agent_id: agent_id.into(),
        storage_path: storage_path.into(),
        ..SpawnNode::default()
    };
    let words = client.ask(Opcode::SpawnNode, &spawn("a", "d")).message();
    assert!(words.contains("agent \"a\"") && words.contains("port 7 is in use"), "{words}");
    let words = client.ask(Opcode::SpawnNode, &spawn("a", "odd")).message();
    assert!(words.contains("is an agent listening there"), "{words}");
    let words = client.ask(Opcode::SpawnNode, &spawn("b", "d")).message();
    assert!(words.contains("no agent \"b\""), "{words}");
    let named = SpawnNode { name: "orders".into(), ..spawn("a", "d") };
    let words = client.ask(Opcode::SpawnNode, &named).message();
    assert!(words.contains("taken by node \"n1\""), "{words}");
    let words = client.ask(Opcode::StopNode, &key("orders")).message();
    assert!(words.contains("no such node"), "{words}");
    assert_eq!(client.ask(Opcode::StopNode, &key("nowhere")).status(), Status::NotFound);
    // Nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(client.ask(Opcode::RegisterAgent, &registration("c", 7, closed, vec![])).is_ok());
    let words = client.ask(Opcode::SpawnNode, &spawn("c", "d")).message();
    assert!(words.contains(&closed.to_string()) && words.contains("is it running"), "{words}");
    // One that hangs holds up nobody, not even the master's end.
    let mut waiting = Native::open(master.listening()[0]);
    waiting.send(Opcode::SpawnNode, &spawn("a", "hang"));
    assert!(client.ask(Opcode::AgentHeartbeat, &heartbeat("a", 7, 1)).is_ok());
    hangs.recv_timeout(PATIENCE).expect("the agent is asked");
    master.shutdown();
    assert_eq!(waiting.0.reply().status(), Status::ShuttingDown);
    master.wait().unwrap();
}

#[test]
fn a_spawned_node_is_known_after_a_restart_and_stopped_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    let agent = AgentEnd::start(Box::new(|request, _| {
        let reply = match request {
            GridRequest::SpawnStorageNode { .. } => GridReply::SpawnStorageNodeOk {
                node_id: "n9".into(),
                endpoint: "h:8".into(),
                success: true,
                error_message: None,
            },
            _ => GridReply::StopStorageNodeOk { success: true, error_message: None },
        };
        Some(bytes_of(&reply, None))
    }));
    let mut client = Native::open(master.listening()[0]);
    assert!(
        client.ask(Opcode::RegisterAgent, &registration("a", 7, agent.address, vec![])).is_ok()
    );
    let spawn = SpawnNode {
        agent_id: "a".into(),
        name: "orders".into(),
        memory_limit_mb: 64,
        ..SpawnNode::default()
    };
    let spawned: NodeInfo = value(&client.ask(Opcode::SpawnNode, &spawn));
    assert_eq!((spawned.report.node_id.as_str(), spawned.report.name.as_str()), ("n9", "orders"));
    drop(client);
    stop(master);
    let master = start(folder.path());
    let mut client = Native::open(master.listening()[0]);
    let known: NodeInfo = value(&client.ask(Opcode::Node, &key("orders")));
    assert_eq!(known.report, spawned.report);
    assert!(client.ask(Opcode::StopNode, &key("orders")).is_ok());
    let known: NodeInfo = value(&client.ask(Opcode::Node, &key("n9")));
    assert_eq!(known.report.state, NodeState::Stopped as u8);
    stop(master);
}

#[test]
fn what_is_no_masters_business_is_refused_and_the_connection_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    let mut client = Native::open(master.listening()[0]);
    assert_eq!(client.ask(Opcode::Query, &key("dog")).status(), Status::NotServed);
    let header = sutra_wire::Header { opcode: 0x99, request: 5, ..sutra_wire::Header::default() };
    assert_eq!(client.0.ask(header, &[]).status(), Status::UnknownOpcode);
    for opcode in Opcode::ALL
        .into_iter()
        .filter(|opcode| (0x40..=0x4b).contains(&(*opcode as u8)) && *opcode != Opcode::Cluster)
    {
        assert_eq!(client.ask_empty(opcode).status(), Status::InvalidArchive, "{opcode:?}");
    }
    for opcode in [0xf5, 0xf6] {
        let header = sutra_wire::Header { opcode, request: 5, ..sutra_wire::Header::default() };
        assert_eq!(client.0.ask(header, &[1; 3]).status(), Status::InvalidArchive);
    }
    assert!(client.0.is_alive());
    stop(master);
}

#[test]
fn the_admin_port_tells_of_the_grid() {
    let folder = tempfile::tempdir().unwrap();
    let admin = Some("127.0.0.1:0".parse().unwrap());
    let master = sutra_grid_master::start(MasterConfig { admin, ..config(folder.path()) }).unwrap();
    let address = master.report().admin.unwrap();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let mut client = Native::open(master.listening()[0]);
    let agent = answering();
    let register = |nodes| registration("a", 7, agent.address, nodes);
    assert!(client.ask(Opcode::RegisterAgent, &register(vec![node("n1", "orders")])).is_ok());
    wait_for_node(&mut client, "orders");
    assert!(client.ask(Opcode::AgentHeartbeat, &heartbeat("a", 7, 1)).is_ok());
    assert!(get("/health").starts_with("HTTP/1.1 200"));
    let metrics = get("/metrics");
    for line in [
        "sutra_grid_agents{state=\"healthy\"} 1",
        "sutra_grid_nodes{state=\"running\"} 1",
        "sutra_grid_heartbeats_total 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let page = get("/stats.json");
    assert!(page.contains("\"host-of-a\"") && page.contains("\"orders\""), "{page}");
    // What is not as it should be is said with the code that probes read, natively as well.
    let gave_up = NodeReport {
        state: NodeState::GaveUp as u8,
        detail: "it ended".into(),
        ..node("n1", "orders")
    };
    let report =
        AgentReport { agent_id: "a".into(), incarnation: 7, revision: 2, nodes: vec![gave_up] };
    assert!(client.ask(Opcode::ReportNodes, &report).is_ok());
    let health = get("/health");
    assert!(
        health.starts_with("HTTP/1.1 503") && health.contains("is given up: it ended"),
        "{health}"
    );
    let health: Health = value(&client.ask_empty(Opcode::Health));
    assert!(!health.healthy && health.status.contains("orders"), "{health:?}");
    let cluster: Cluster = value(&client.ask_empty(Opcode::Cluster));
    assert_eq!(cluster.state, ClusterState::Degraded as u8);
    // Old and new clients are served beside it.
    assert!(Raw::open(master.compat()[0]).is_alive());
    stop(master);
}
