//! The Rust client of a grid's master, against a real one: every call, a master that goes away and
//! comes back, and what is seen by who watches.

use std::time::Duration;

use crate::support::Folder;
use crate::support::agent::{Agent, Home};
use crate::support::master::{Master, answering_agent};
use sutra_client::grid::{
    AgentHeartbeat, AgentRegistration, AgentReport, EventKind, NodeReport, NodeState, SpawnNode,
};
use sutra_client::{Client, ClientError, GridClient};
use sutra_testing::wait_until;

/// A patience that a test without agents' heartbeats does not outrun.
const PATIENT: [&str; 4] = ["--degraded-after", "1h", "--offline-after", "2h"];

fn on_a_runtime(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

fn registration(agent_id: &str, incarnation: u64) -> AgentRegistration {
    AgentRegistration {
        agent_id: agent_id.into(),
        hostname: format!("host-{incarnation}"),
        endpoint: "127.0.0.1:9".into(),
        incarnation,
        max_nodes: 2,
        ..AgentRegistration::default()
    }
}

async fn wait_until_known(grid: &GridClient, node: &str) {
    while grid.node(node).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn every_call_does_what_its_type_says() {
    let (home, registry) = (Home::new(), Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let _agent = Agent::start(&home, &["--master", &master.address]);
    wait_until("the agent is registered", || master.agent_state("a") == "healthy");
    on_a_runtime(async {
        // The old client's habits, and the old port.
        let grid = GridClient::new(master.compat.clone())
            .with_timeout(Duration::from_secs(30))
            .with_retries(3);
        assert_eq!(grid.agents().await.unwrap()[0].agent_id, "a");

        let wanted =
            SpawnNode { agent_id: "a".into(), name: "words".into(), ..SpawnNode::default() };
        let node = grid.spawn_node(&wanted).await.unwrap();
        assert_eq!((node.agent_id.as_str(), node.report.name.as_str()), ("a", "words"));
        assert_eq!(home.nodes(), [node.report.pid]);
        assert!(node.report.storage_path.starts_with(home.path().to_str().unwrap()), "{node:?}");
        let client = Client::connect(node.report.endpoint.clone()).await.unwrap();
        assert!(client.health().await.unwrap().healthy);
        let error = grid.spawn_node(&wanted).await.unwrap_err();
        assert!(
            matches!(&error, ClientError::Refused { message, .. } if message.contains("words")),
            "{error}"
        );

        for key in ["words", &node.report.node_id] {
            let found = grid.node(key).await.unwrap().unwrap();
            assert_eq!(
                (&found.report.node_id, found.report.state),
                (&node.report.node_id, NodeState::Running as u8)
            );
        }
        assert!(grid.node("nobody").await.unwrap().is_none());
        assert_eq!(grid.nodes(None).await.unwrap().len(), 1);
        assert_eq!(grid.nodes(Some("a")).await.unwrap().len(), 1);
        assert!(grid.nodes(Some("b")).await.unwrap().is_empty());
        let cluster = grid.cluster().await.unwrap();
        assert_eq!((cluster.agents, cluster.healthy, cluster.nodes, cluster.running), (1, 1, 1, 1));
        let health = grid.health().await.unwrap();
        assert_eq!((health.healthy, health.status.as_str()), (true, "ok"));

        assert!(grid.stop_node("words").await.unwrap());
        assert!(!grid.stop_node("nobody").await.unwrap());
        assert!(home.nodes().is_empty());
        assert_eq!(
            grid.node("words").await.unwrap().unwrap().report.state,
            NodeState::Stopped as u8
        );
        let invalid = grid.node("no name").await.unwrap_err();
        assert!(
            matches!(&invalid, ClientError::Refused { message, .. } if message.contains("letters")),
            "{invalid}"
        );
    });
}

#[test]
fn an_agents_own_calls_are_told_when_it_must_register_and_its_clock_may_say_anything() {
    let registry = Folder::new();
    let master = Master::start(&registry.path(), "127.0.0.1:0", &PATIENT);
    on_a_runtime(async {
        let grid = GridClient::new(master.address.clone());
        let beat =
            |sent| AgentHeartbeat { agent_id: "sim".into(), incarnation: 7, revision: 1, sent };
        let nodes = vec![NodeReport {
            node_id: "n".into(),
            state: NodeState::Running as u8,
            ..NodeReport::default()
        }];
        let report = AgentReport { agent_id: "sim".into(), incarnation: 7, revision: 1, nodes };
        let agent = answering_agent().to_string();
        let registration = |incarnation| AgentRegistration {
            endpoint: agent.clone(),
            ..registration("sim", incarnation)
        };
        assert!(grid.heartbeat(&beat(1)).await.unwrap().is_none(), "nobody knows it");
        assert!(!grid.report_nodes(&report).await.unwrap());
        assert!(!grid.unregister_agent("sim").await.unwrap());

        let terms = grid.register_agent(&registration(7)).await.unwrap();
        assert_eq!(
            (terms.heartbeat_ms, terms.degraded_after_ms, terms.offline_after_ms),
            (100, 3_600_000, 7_200_000)
        );
        // It counts as healthy once it has answered where it says that it is.
        while grid.agents().await.unwrap()[0].state != 0 {
            assert!(grid.heartbeat(&beat(1)).await.unwrap().is_some());
        }
        // Its clock jumps about: it is given back, and nothing is judged by it.
        for sent in [1, u64::MAX, 0, 1_700_000_000_000_000, 5] {
            let ack = grid.heartbeat(&beat(sent)).await.unwrap().unwrap();
            assert_eq!(ack.sent, sent);
            let agent = &grid.agents().await.unwrap()[0];
            assert!(agent.state == 0 && agent.heartbeat_age_ms < 3_600_000, "{agent:?}");
            assert!(
                agent.last_heartbeat > 1_700_000_000_000_000,
                "by the master's clock: {agent:?}"
            );
        }
        // What it says of its nodes is taken as soon as it has answered where it says that it is.
        while grid.node("n").await.unwrap().is_none() {
            assert!(grid.report_nodes(&report).await.unwrap());
        }
        assert_eq!(grid.node("n").await.unwrap().unwrap().agent_id, "sim");

        // Another host with the same name is not it.
        let other = grid.register_agent(&registration(8)).await.unwrap_err();
        assert!(
            matches!(&other, ClientError::Refused { message, .. } if message.contains("host-7")),
            "{other}"
        );
        let stranger = AgentHeartbeat { incarnation: 8, ..beat(1) };
        assert!(grid.heartbeat(&stranger).await.unwrap().is_none());
        assert!(grid.unregister_agent("sim").await.unwrap());
        assert!(grid.node("n").await.unwrap().is_none(), "its nodes have left with it");
    });
}

#[test]
fn a_call_outlasts_a_master_that_is_away() {
    let registry = Folder::new();
    let master = Master::start(&registry.path(), "127.0.0.1:0", &PATIENT);
    let address = master.address.clone();
    on_a_runtime(async {
        let grid = GridClient::new(address.clone())
            .with_timeout(Duration::from_secs(60))
            .with_retries(1000);
        let nodes = vec![NodeReport { node_id: "n".into(), ..NodeReport::default() }];
        let endpoint = answering_agent().to_string();
        let sim = AgentRegistration { endpoint, nodes, ..registration("sim", 7) };
        grid.register_agent(&sim).await.unwrap();
        wait_until_known(&grid, "n").await;
        // Once more, as what is answered now is on the disk.
        grid.register_agent(&sim).await.unwrap();
        master.kill();
        let asking = tokio::spawn({
            let grid = grid.clone();
            async move { grid.agents().await }
        });
        let impatient = GridClient::new(address.clone())
            .with_timeout(Duration::from_millis(200))
            .with_retries(0);
        assert!(impatient.cluster().await.unwrap_err().to_string().contains(&address));
        assert!(!asking.is_finished(), "the other asks on");
        let master = Master::start(&registry.path(), &address, &PATIENT);
        assert_eq!(asking.await.unwrap().unwrap()[0].agent_id, "sim");
        master.stop();
    });
}

#[test]
fn whoever_watches_sees_all_from_then_on_and_later_what_was_missed() {
    let registry = Folder::new();
    let master = Master::start(&registry.path(), "127.0.0.1:0", &PATIENT);
    let address = master.address.clone();
    on_a_runtime(async {
        let grid = GridClient::new(address.clone())
            .with_timeout(Duration::from_secs(60))
            .with_retries(1000);
        grid.register_agent(&registration("before", 7)).await.unwrap();
        let mut watch = grid.watch(0).await.unwrap();
        grid.register_agent(&registration("sim", 7)).await.unwrap();
        let first = watch.next().await.unwrap().unwrap();
        assert_eq!(
            (first.agent_id.as_str(), first.kind),
            ("sim", EventKind::AgentRegistered as u8)
        );
        drop(watch);
        grid.unregister_agent("sim").await.unwrap();
        let mut watch = grid.watch(first.number).await.unwrap();
        let missed = watch.next().await.unwrap().unwrap();
        assert_eq!(
            (missed.number, missed.kind),
            (first.number + 1, EventKind::AgentUnregistered as u8)
        );

        // A master that stops says so; one that is back has higher numbers.
        master.stop();
        assert!(watch.next().await.unwrap().is_none());
        let _master = Master::start(&registry.path(), &address, &PATIENT);
        let mut watch = grid.watch(missed.number).await.unwrap();
        grid.register_agent(&registration("later", 7)).await.unwrap();
        let lost = watch.next().await.unwrap().unwrap();
        assert_eq!(
            lost.kind,
            EventKind::Missed as u8,
            "what was told before the restart is not kept: {lost:?}"
        );
        let later = watch.next().await.unwrap().unwrap();
        assert!(later.agent_id == "later" && later.number > missed.number, "{later:?}");
    });
}
