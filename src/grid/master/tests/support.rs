//! A master in this process, clients of both protocols, and agents of the old one.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rkyv::api::high::HighSerializer;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};
use sutra_compat::grid::{GridReply, GridRequest, ReplyDetails, SpawnOptions, SpawnedDetails};
use sutra_grid_master::{Master, MasterConfig, MasterError};
use sutra_testing::raw::{PATIENCE, Raw, Reply, frame};
use sutra_testing::wait_until;
use sutra_wire::grid::{AgentRegistration, NodeInfo, NodeKey, NodeReport, NodeState};
use sutra_wire::{Checked, FrameBuffer, Header, Opcode, Payload};

pub(crate) fn config(data: &Path) -> MasterConfig {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (data, listen, compat) = (data.to_owned(), vec![any], vec![any]);
    MasterConfig { data, listen, compat, segment_bytes: 1 << 20, ..MasterConfig::default() }
}

/// One whose agents are degraded and offline within the blink of an eye.
pub(crate) fn hasty(data: &Path) -> MasterConfig {
    let milliseconds = Duration::from_millis;
    let (heartbeat, degraded_after) = (milliseconds(20), milliseconds(300));
    MasterConfig { heartbeat, degraded_after, offline_after: milliseconds(600), ..config(data) }
}

pub(crate) fn start(data: &Path) -> Master {
    sutra_grid_master::start(config(data)).unwrap()
}

pub(crate) fn stop(master: Master) {
    master.shutdown();
    master.wait().unwrap();
}

pub(crate) fn start_error(data: &Path) -> MasterError {
    match sutra_grid_master::start(config(data)) {
        Ok(_) => panic!("it should be refused"),
        Err(error) => error,
    }
}

/// A client of the native protocol.
pub(crate) struct Native(pub(crate) Raw);

impl Native {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self(Raw::open(address))
    }

    pub(crate) fn ask<T>(&mut self, opcode: Opcode, value: &T) -> Reply
    where
        T: Archive + for<'b> Serialize<HighSerializer<AlignedVec<16>, ArenaHandle<'b>, Error>>,
    {
        let mut payload = FrameBuffer::new();
        sutra_wire::archive(&mut payload, value);
        self.0.ask(Header { opcode: opcode as u8, request: 5, ..Header::default() }, &payload)
    }

    pub(crate) fn ask_empty(&mut self, opcode: Opcode) -> Reply {
        self.0.ask(Header { opcode: opcode as u8, request: 5, ..Header::default() }, &[])
    }

    /// Sends without waiting for the reply.
    pub(crate) fn send<T>(&mut self, opcode: Opcode, value: &T)
    where
        T: Archive + for<'b> Serialize<HighSerializer<AlignedVec<16>, ArenaHandle<'b>, Error>>,
    {
        let mut payload = FrameBuffer::new();
        sutra_wire::archive(&mut payload, value);
        self.0.send(&frame(
            Header { opcode: opcode as u8, request: 6, ..Header::default() },
            &payload,
        ));
    }
}

/// The reply's content, of a request that was done.
pub(crate) fn value<T: Payload>(reply: &Reply) -> T
where
    T::Archived: Deserialize<T, rkyv::api::high::HighDeserializer<Error>>,
{
    assert!(
        reply.is_ok(),
        "{:?}",
        if reply.status().is_error() { reply.message() } else { "not found".into() }
    );
    Checked::<T>::new(&reply.payload).unwrap().to_owned()
}

/// A client of the old protocol.
pub(crate) struct Old(TcpStream);

impl Old {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Sends a message, without its length in front, and returns the answer's bytes, without its.
    pub(crate) fn ask_bytes(&mut self, message: &[u8]) -> Vec<u8> {
        self.0.write_all(&(message.len() as u32).to_be_bytes()).unwrap();
        self.0.write_all(message).unwrap();
        read_message(&mut self.0).expect("an answer before the end")
    }

    pub(crate) fn ask(&mut self, request: &GridRequest) -> GridReply {
        self.ask_with(request, None).0
    }

    pub(crate) fn ask_with(
        &mut self,
        request: &GridRequest,
        options: Option<&SpawnOptions>,
    ) -> (GridReply, Option<SpawnedDetails>) {
        let mut bytes = Vec::new();
        request.append(options, &mut bytes);
        GridReply::read(&self.ask_bytes(&bytes[4..])).unwrap()
    }
}

fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).ok()?;
    let mut message = vec![0; u32::from_be_bytes(prefix) as usize];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// What an agent answers: bytes without their length; nothing where it hangs.
type Script = Box<dyn FnMut(&GridRequest, Option<&SpawnOptions>) -> Option<Vec<u8>> + Send>;

/// The agent's end of what the master asks, as an old agent or ours speaks it.
pub(crate) struct AgentEnd {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

impl AgentEnd {
    pub(crate) fn start(mut script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(VecDeque::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                while let Some(message) = read_message(&mut stream) {
                    let (request, options) = GridRequest::read(&message).unwrap();
                    if let Some(proof) = proof(&request, &message) {
                        stream.write_all(&proof).unwrap();
                        continue;
                    }
                    log.lock().unwrap().push_back(message);
                    let Some(reply) = script(&request, options.as_ref()) else {
                        hanging.push(stream);
                        break;
                    };
                    stream.write_all(&(reply.len() as u32).to_be_bytes()).unwrap();
                    stream.write_all(&reply).unwrap();
                }
            }
        });
        Self { address, asked }
    }

    /// What it was asked first, of what was not asked for yet.
    pub(crate) fn next_asked(&self) -> Vec<u8> {
        self.asked.lock().unwrap().pop_front().expect("it was asked something")
    }
}

/// The answer of an agent that is asked back: by its incarnation, or as an old one, that has no
/// such node.
fn proof(request: &GridRequest, message: &[u8]) -> Option<Vec<u8>> {
    let GridRequest::GetStorageNodeStatus { node_id } = request else { return None };
    let claim = GridRequest::read_claim(message).unwrap();
    let is_asked_back = claim.is_some() || node_id.starts_with("agent");
    let details = claim.map(|_| ReplyDetails::Agent { is_it: true });
    let mut bytes = Vec::new();
    GridReply::Error { message: "no such node".into() }
        .append_with_details(details.as_ref(), &mut bytes);
    is_asked_back.then_some(bytes)
}

/// An agent that answers when it is asked back, and to nothing else.
pub(crate) fn answering() -> AgentEnd {
    AgentEnd::start(Box::new(|request, _| panic!("{request:?}")))
}

/// Waits until a node is known, which it is when its agent has answered.
pub(crate) fn wait_for_node(client: &mut Native, node: &str) -> NodeInfo {
    let mut known = None;
    wait_until(&format!("{node} is known"), || {
        let reply = client.ask(Opcode::Node, &NodeKey { node: node.into() });
        known = reply.is_ok().then(|| value(&reply));
        known.is_some()
    });
    known.expect("it was waited for")
}

/// A reply without its length in front.
pub(crate) fn bytes_of(reply: &GridReply, details: Option<&SpawnedDetails>) -> Vec<u8> {
    let mut bytes = Vec::new();
    reply.append(details, &mut bytes);
    bytes.split_off(4)
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.bytes().map(|digit| char::from(digit).to_digit(16).unwrap() as u8).collect();
    digits.as_chunks::<2>().0.iter().map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub(crate) fn registration(
    id: &str,
    incarnation: u64,
    endpoint: impl ToString,
    nodes: Vec<NodeReport>,
) -> AgentRegistration {
    AgentRegistration {
        agent_id: id.into(),
        hostname: format!("host-of-{id}"),
        platform: "linux x86_64".into(),
        version: "0.1.0".into(),
        endpoint: endpoint.to_string(),
        incarnation,
        revision: 1,
        max_nodes: 4,
        nodes,
        ..AgentRegistration::default()
    }
}

pub(crate) fn node(id: &str, name: &str) -> NodeReport {
    NodeReport {
        node_id: id.into(),
        name: name.into(),
        endpoint: "127.0.0.1:50050".into(),
        compat_endpoint: "127.0.0.1:50051".into(),
        pid: 77,
        state: NodeState::Running as u8,
        ..NodeReport::default()
    }
}
