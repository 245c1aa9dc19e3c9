//! A node that is frozen: its agent says so, ends it, and starts it again. The agent runs in this
//! process, as its patience is to be shorter than its users'.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use crate::support::agent::{Home, is_alive, kill, read_reply};
use rustix::process::Signal;
use sutra_compat::grid::{GridReply, GridRequest};
use sutra_grid_agent::{Agent, AgentConfig, Timings};
use sutra_testing::wait_until;

/// Runs an agent until the process ends. Where it listens, and its admin port.
fn start(home: &Home) -> (SocketAddr, SocketAddr) {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let timings = Timings {
        health: Duration::from_millis(100),
        silent: Duration::from_millis(500),
        hung: Duration::from_secs(2),
        restarts: 1_000,
        ..Timings::default()
    };
    let config = AgentConfig {
        id: "a".into(),
        master: "127.0.0.1:9".into(),
        data: home.path(),
        listen: any,
        admin: Some(any),
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_sutra"))),
        timings,
        ..AgentConfig::default()
    };
    let (told, report) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let agent = Agent::start(config).await.unwrap();
            told.send((agent.report().listening, agent.report().admin.unwrap())).unwrap();
            agent.run(std::future::pending()).await;
        });
    });
    report.recv().unwrap()
}

fn ask(agent: SocketAddr, request: &GridRequest) -> GridReply {
    let mut stream = TcpStream::connect(agent).unwrap();
    let mut bytes = Vec::new();
    request.append(None, &mut bytes);
    stream.write_all(&bytes).unwrap();
    read_reply(&mut stream).0
}

fn health(admin: SocketAddr) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    write!(stream, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_node_that_is_frozen_is_told_of_and_started_again() {
    let home = Home::new();
    let (agent, admin) = start(&home);
    let spawn = GridRequest::SpawnStorageNode {
        agent_id: "a".into(),
        storage_path: "data".into(),
        memory_limit_mb: 0,
        port: 0,
    };
    let GridReply::SpawnStorageNodeOk { node_id, success: true, .. } = ask(agent, &spawn) else {
        panic!("a node")
    };
    let status =
        || match ask(agent, &GridRequest::GetStorageNodeStatus { node_id: node_id.clone() }) {
            GridReply::GetStorageNodeStatusOk { status, pid, .. } => (status, pid),
            other => panic!("{other:?}"),
        };
    // While it runs, and before it has answered for the first time after its start.
    for is_early in [false, true] {
        let mut pid = 0;
        wait_until("it runs", || {
            let (status, now) = status();
            pid = now;
            status == "running"
        });
        if is_early {
            kill(pid, Signal::KILL);
            wait_until("it is started again", || {
                home.nodes().first().is_some_and(|now| *now != pid)
            });
            pid = home.nodes()[0];
        }
        kill(pid, Signal::STOP);
        wait_until("that is told", || {
            let health = health(admin);
            !is_alive(pid) || health.contains("503") && health.contains("has not answered for")
        });
        wait_until("another process runs in its place", || {
            let (status, now) = status();
            status == "running" && now != pid && !is_alive(pid)
        });
    }
    assert_eq!(home.nodes().len(), 1);
    let stop = GridRequest::StopStorageNode { agent_id: "a".into(), node_id: node_id.clone() };
    assert!(matches!(ask(agent, &stop), GridReply::StopStorageNodeOk { success: true, .. }));
    assert!(home.nodes().is_empty());
}
