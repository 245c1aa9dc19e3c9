//! The old grid's clients and agents against a real master: the bytes that they send, and the bytes
//! that they read.

use crate::support::*;
use sutra_compat::grid::{GridReply, GridRequest, SpawnedDetails};
use sutra_wire::Opcode;
use sutra_wire::grid::{AgentRegistered, NodeInfo, NodeKey, SpawnNode};

// Recorded from the old implementation.
const REGISTER: &str = "0000000009000000000000006167656e742d303031010000000000000068\
                        0600000000000000646f636b6572050000000500000000000000312e302e30\
                        0600000000000000683a38303031";
const HEARTBEAT: &str = "0100000009000000000000006167656e742d30303105000000d202964900000000";
const UNREGISTER: &str = "0200000009000000000000006167656e742d303031";
const SPAWN: &str =
    "0300000009000000000000006167656e742d30303102000000000000002f6400020000000000008cc30000";
const STOP: &str = "0400000009000000000000006167656e742d30303102000000000000006e31";
const STATUS: &str = "0500000002000000000000006e31";
const LIST: &str = "06000000";
const CLUSTER: &str = "07000000";
const HEARTBEAT_OK: &str = "0100000001d202964900000000";
const UNREGISTER_OK: &str = "02000000";
const SPAWN_OK: &str =
    "0300000002000000000000006e310f000000000000006c6f63616c686f73743a35303036300100";
const STOP_ERROR: &str = "040000000001010000000000000078";
const STOP_OK: &str = "040000000100";
const STATUS_OK: &str = "0500000002000000000000006e31070000000000000072756e6e696e672a000000\
                         0f000000000000006c6f63616c686f73743a3530303630";

fn register(agent_id: &str, endpoint: &str) -> GridRequest {
    GridRequest::RegisterAgent {
        agent_id: agent_id.into(),
        hostname: "h".into(),
        platform: "docker".into(),
        max_storage_nodes: 5,
        version: "1.0.0".into(),
        agent_endpoint: endpoint.into(),
    }
}

#[test]
fn every_message_of_the_old_grid_gets_the_bytes_that_its_clients_read() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    for address in [master.compat()[0], master.listening()[0]] {
        let mut client = Old::open(address);
        // Nobody is known yet: the agent is to register.
        assert_eq!(client.ask_bytes(&unhex(HEARTBEAT)), unhex("0100000000d202964900000000"));
        let registered = GridReply::RegisterAgentOk {
            success: true,
            master_version: env!("CARGO_PKG_VERSION").into(),
            error_message: None,
        };
        assert_eq!(client.ask_bytes(&unhex(REGISTER)), bytes_of(&registered, None));
        assert_eq!(client.ask_bytes(&unhex(HEARTBEAT)), unhex(HEARTBEAT_OK));
        let GridReply::ListAgentsOk { agents } =
            GridReply::read(&client.ask_bytes(&unhex(LIST))).unwrap().0
        else {
            panic!("a list of agents")
        };
        let agent = &agents[0];
        assert_eq!(
            (agents.len(), agent.agent_id.as_str(), agent.hostname.as_str()),
            (1, "agent-001", "h")
        );
        assert_eq!((agent.platform.as_str(), agent.status.as_str()), ("docker", "healthy"));
        // As its heartbeat had it.
        assert_eq!((agent.max_storage_nodes, agent.current_storage_nodes), (5, 5));
        assert!(
            agent.last_heartbeat > 1_700_000_000 && agent.last_heartbeat < 1_000_000_000_000,
            "seconds since 1970"
        );
        let cluster = "07000000010000000100000000000000000000000700000000000000".to_owned()
            + "6865616c746879";
        assert_eq!(client.ask_bytes(&unhex(CLUSTER)), unhex(&cluster));
        assert_eq!(client.ask_bytes(&unhex(UNREGISTER)), unhex(UNREGISTER_OK));
        assert_eq!(client.ask_bytes(&unhex(UNREGISTER)), unhex(UNREGISTER_OK), "gone is gone");
        for (message, expected) in [(STATUS, "no node"), (SPAWN, "no agent"), (STOP, "no node")] {
            let reply = GridReply::read(&client.ask_bytes(&unhex(message))).unwrap().0;
            let text = format!("{reply:?}");
            assert!(text.contains(expected), "{text}");
        }
    }
    stop(master);
}

#[test]
fn old_agents_may_go_by_their_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    let mut client = Old::open(master.compat()[0]);
    for (id, is_taken) in [
        ("host:8001", true),
        ("agent@host.example.com:8002", true),
        ("my host", false),
        ("", false),
    ] {
        let reply = client.ask(&register(id, "h:8001"));
        assert!(
            matches!(reply, GridReply::RegisterAgentOk { success, .. } if success == is_taken),
            "{id}: {reply:?}"
        );
        if is_taken {
            let beat =
                GridRequest::Heartbeat { agent_id: id.into(), storage_node_count: 0, timestamp: 1 };
            assert_eq!(
                client.ask(&beat),
                GridReply::HeartbeatOk { acknowledged: true, timestamp: 1 }
            );
        }
    }
    stop(master);
}

#[test]
fn what_is_asked_of_an_old_agent_reaches_it_as_of_old_and_so_does_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    let mut stops = 0;
    let agent = AgentEnd::start(Box::new(move |request, options| {
        assert_eq!(options, None);
        Some(unhex(match request {
            GridRequest::SpawnStorageNode { .. } => SPAWN_OK,
            GridRequest::GetStorageNodeStatus { .. } => STATUS_OK,
            _ => {
                stops += 1;
                if stops == 1 { STOP_ERROR } else { STOP_OK }
            }
        }))
    }));
    let mut client = Old::open(master.compat()[0]);
    client.ask(&register("agent-001", &agent.address.to_string()));
    assert_eq!(client.ask_bytes(&unhex(SPAWN)), unhex(SPAWN_OK));
    assert_eq!(agent.next_asked(), unhex(SPAWN));
    assert_eq!(client.ask_bytes(&unhex(STATUS)), unhex(STATUS_OK));
    assert_eq!(agent.next_asked(), unhex(STATUS));
    // Natively too: with what the agent has said of it.
    let mut native = Native::open(master.listening()[0]);
    let info: NodeInfo = value(&native.ask(Opcode::Node, &NodeKey { node: "n1".into() }));
    assert_eq!((info.report.pid, info.report.compat_endpoint.as_str()), (42, "localhost:50060"));
    let failed = GridReply::read(&client.ask_bytes(&unhex(STOP))).unwrap().0;
    let GridReply::StopStorageNodeOk { success: false, error_message: Some(words) } = failed else {
        panic!("{failed:?}")
    };
    assert!(words.contains("agent-001") && words.ends_with('x'), "{words}");
    let elsewhere =
        GridRequest::StopStorageNode { agent_id: "agent-002".into(), node_id: "n1".into() };
    let refused = format!("{:?}", client.ask(&elsewhere));
    assert!(refused.contains("is agent \\\"agent-001\\\"'s"), "{refused}");
    assert_eq!(client.ask_bytes(&unhex(STOP)), unhex(STOP_OK));
    stop(master);
}

#[test]
fn an_agent_of_ours_is_told_what_the_old_message_has_no_place_for() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    let agent = AgentEnd::start(Box::new(|request, options| {
        let GridRequest::SpawnStorageNode { port, .. } = request else { panic!("{request:?}") };
        let options = options.unwrap();
        let node_id = format!("node-{port}-{}", options.compat_port);
        let details =
            SpawnedDetails { native_endpoint: "h:7".into(), pid: 77, ..SpawnedDetails::default() };
        let endpoint = "h:8".into();
        let reply =
            GridReply::SpawnStorageNodeOk { node_id, endpoint, success: true, error_message: None };
        Some(bytes_of(&reply, Some(&details)))
    }));
    let mut native = Native::open(master.compat()[0]);
    let _: AgentRegistered = value(
        &native.ask(Opcode::RegisterAgent, &registration("agent-001", 7, agent.address, vec![])),
    );
    let mut client = Old::open(master.compat()[0]);
    let GridRequest::SpawnStorageNode { agent_id, storage_path, memory_limit_mb, port } =
        GridRequest::read(&unhex(SPAWN)).unwrap().0
    else {
        panic!("the recorded message")
    };
    // The old message's port is where the old protocol is to be spoken.
    let (reply, details) = client.ask_with(
        &GridRequest::SpawnStorageNode {
            agent_id: agent_id.clone(),
            storage_path: storage_path.clone(),
            memory_limit_mb,
            port,
        },
        None,
    );
    let GridReply::SpawnStorageNodeOk { node_id, endpoint, success: true, .. } = reply else {
        panic!("{reply:?}")
    };
    assert_eq!((node_id.as_str(), endpoint.as_str()), ("node-0-50060", "h:8"));
    assert_eq!(details, None, "an old client reads what it always read");
    let told: NodeInfo = value(&native.ask(Opcode::Node, &NodeKey { node: node_id }));
    assert_eq!((told.report.endpoint.as_str(), told.report.pid), ("h:7", 77));
    // Natively it can be given a name.
    let spawn = SpawnNode {
        agent_id,
        name: "orders".into(),
        storage_path,
        port: 50_060,
        compat_port: 9,
        ..SpawnNode::default()
    };
    let named: NodeInfo = value(&native.ask(Opcode::SpawnNode, &spawn));
    assert_eq!(named.report.node_id, "node-50060-9");
    // Found by its name, and told with its address for clients of the old protocol.
    let status = client.ask(&GridRequest::GetStorageNodeStatus { node_id: "orders".into() });
    let expected = GridReply::GetStorageNodeStatusOk {
        node_id: "node-50060-9".into(),
        status: "running".into(),
        pid: 77,
        endpoint: "h:8".into(),
    };
    assert_eq!(status, expected);
    // Its own heartbeats go the native way; one without an incarnation is somebody else's.
    assert_eq!(client.ask_bytes(&unhex(HEARTBEAT)), unhex("0100000000d202964900000000"));
    let refused = format!("{:?}", client.ask(&register("agent-001", "h:8001")));
    assert!(
        refused.contains("success: false") && refused.contains("host-of-agent-001"),
        "{refused}"
    );
    stop(master);
}

#[test]
fn what_is_no_message_gets_an_error_and_the_connection_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    let mut client = Old::open(master.compat()[0]);
    assert_eq!(client.ask_bytes(&unhex(HEARTBEAT)).len(), 13);
    for message in
        ["", "00", "ff000000", "0000000009000000000000006167", "81a8", "01000000ffffffffffffffff"]
    {
        let reply = GridReply::read(&client.ask_bytes(&unhex(message))).unwrap().0;
        assert!(matches!(reply, GridReply::Error { .. }), "{message}: {reply:?}");
    }
    let refused = format!(
        "{:?}",
        client.ask(&GridRequest::UnregisterAgent { agent_id: "no such/name".into() })
    );
    assert!(refused.contains("agent_id: is"), "{refused}");
    assert_eq!(client.ask_bytes(&unhex(HEARTBEAT)).len(), 13);
    stop(master);
}

#[test]
fn more_agents_than_a_page_holds_come_in_one_list() {
    let folder = tempfile::tempdir().unwrap();
    let master = start(folder.path());
    let mut native = Native::open(master.listening()[0]);
    for number in 0..1100 {
        native
            .send(Opcode::RegisterAgent, &registration(&format!("a{number:04}"), 7, "h:1", vec![]));
    }
    for _ in 0..1100 {
        assert!(native.0.reply().is_ok());
    }
    let GridReply::ListAgentsOk { agents } =
        Old::open(master.compat()[0]).ask(&GridRequest::ListAgents)
    else {
        panic!("a list of agents")
    };
    assert_eq!(agents.len(), 1100);
    assert!(agents.iter().map(|agent| &agent.agent_id).is_sorted());
    stop(master);
}
