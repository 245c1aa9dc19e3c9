//! The old grid's recorded messages, byte for byte, against the real master: its agents' and its
//! consoles'. The agent that answers here is one of the old ones, as far as its recorded replies
//! go.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use crate::support;
use crate::support::Folder;
use crate::support::master::Master;
use sutra_compat::grid::{GridReply, GridRequest};

/// A recorded message, without its length.
fn golden(title: &str) -> Vec<u8> {
    let mut lines = include_str!("golden/grid.txt").lines();
    lines.find(|line| *line == title).unwrap_or_else(|| panic!("{title} is in the file"));
    let digits = lines.next().unwrap().trim();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn write_message(stream: &mut TcpStream, message: &[u8]) {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], message].concat()).unwrap();
}

fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// One exchange on a connection of its own, as old agents do it.
fn ask(address: &str, message: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    write_message(&mut stream, message);
    read_message(&mut stream).unwrap()
}

/// An old agent: it answers spawn, stop and status with what was recorded. Where it is, and what it
/// was asked.
fn old_agent() -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, hear) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(message) = read_message(&mut stream) else { continue };
            // Asked back whether it is there: for a node that it does not have.
            let asked_back = GridRequest::GetStorageNodeStatus { node_id: "agent-001".into() };
            if GridRequest::read(&message).unwrap().0 == asked_back {
                write_message(&mut stream, &golden("reply Error"));
                continue;
            }
            let reply = match message[0] {
                3 => golden("reply SpawnStorageNodeOk"),
                4 => golden("reply StopStorageNodeOk, an error"),
                _ => golden("reply GetStorageNodeStatusOk"),
            };
            if asked.send(message).is_err() {
                return;
            }
            write_message(&mut stream, &reply);
        }
    });
    (address, hear)
}

fn reply(message: &[u8]) -> GridReply {
    GridReply::read(message).unwrap().0
}

/// A master for which agents are well for as long as a test takes.
fn patient_master(registry: &Folder) -> Master {
    let patient = ["--degraded-after", "1h", "--offline-after", "2h"];
    Master::start(&registry.path(), "127.0.0.1:0", &patient)
}

#[test]
fn every_recorded_message_is_answered_as_of_old_on_either_port() {
    let registry = Folder::new();
    let master = patient_master(&registry);
    for port in [&master.compat, &master.address] {
        let ask = |message: &[u8]| ask(port, message);
        assert_eq!(
            reply(&ask(&golden("request ListAgents"))),
            GridReply::ListAgentsOk { agents: Vec::new() }
        );
        let unknown = reply(&ask(&golden("request Heartbeat")));
        assert_eq!(
            unknown,
            GridReply::HeartbeatOk { acknowledged: false, timestamp: 1_234_567_890 }
        );

        // As recorded, but for the master's version.
        let registered = ask(&golden("request RegisterAgent"));
        assert!(matches!(
            reply(&registered),
            GridReply::RegisterAgentOk { success: true, error_message: None, .. }
        ));
        assert_eq!(ask(&golden("request Heartbeat")), golden("reply HeartbeatOk"));
        let GridReply::ListAgentsOk { agents } = reply(&ask(&golden("request ListAgents"))) else {
            panic!("a list")
        };
        assert_eq!(
            (agents.len(), agents[0].agent_id.as_str(), agents[0].status.as_str()),
            (1, "agent-001", "healthy")
        );
        let status = reply(&ask(&golden("request GetClusterStatus")));
        let GridReply::GetClusterStatusOk { total_agents: 1, healthy_agents: 1, status, .. } =
            status
        else {
            panic!("{status:?}")
        };
        assert_eq!(status, "healthy");
        // By its heartbeat it has five nodes, and takes no more.
        let failed = reply(&ask(&golden("request SpawnStorageNode")));
        assert!(
            matches!(
                &failed,
                GridReply::SpawnStorageNodeOk { success: false, error_message: Some(why), .. }
                    if why.contains("is full")
            ),
            "{failed:?}"
        );
        assert_eq!(ask(&golden("request UnregisterAgent")), golden("reply UnregisterAgentOk"));
    }
    // What is no message is told so, in the old words.
    let wrong = reply(&ask(&master.compat, &[0xff; 8]));
    assert!(matches!(wrong, GridReply::Error { .. }), "{wrong:?}");
}

/// The recorded agent's registration, from where it can be reached.
fn registration_at(address: SocketAddr) -> Vec<u8> {
    let mut register = GridRequest::read(&golden("request RegisterAgent")).unwrap().0;
    let GridRequest::RegisterAgent { agent_endpoint, .. } = &mut register else {
        panic!("the recorded message")
    };
    *agent_endpoint = address.to_string();
    let mut message = Vec::new();
    register.append(None, &mut message);
    message.split_off(4)
}

#[test]
fn what_an_old_agent_is_asked_and_what_it_answers_passes_through_unchanged() {
    let registry = Folder::new();
    let master = patient_master(&registry);
    for port in [&master.compat, &master.address] {
        let ask = |message: &[u8]| ask(port, message);
        let (address, hear) = old_agent();
        ask(&registration_at(address));
        assert_eq!(ask(&golden("request SpawnStorageNode")), golden("reply SpawnStorageNodeOk"));
        assert_eq!(hear.recv().unwrap(), golden("request SpawnStorageNode"));
        assert_eq!(
            ask(&golden("request GetStorageNodeStatus")),
            golden("reply GetStorageNodeStatusOk")
        );
        let refused = reply(&ask(&golden("request StopStorageNode")));
        assert!(
            matches!(
                &refused,
                GridReply::StopStorageNodeOk { success: false, error_message: Some(why) }
                    if why.ends_with('x')
            ),
            "{refused:?}"
        );
        let heard: Vec<_> = hear.try_iter().collect();
        assert!(heard.contains(&golden("request GetStorageNodeStatus")), "{heard:02x?}");
        assert_eq!(heard.last(), Some(&golden("request StopStorageNode")));
        ask(&golden("request UnregisterAgent"));
    }
}
