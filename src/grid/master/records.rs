//! The registry in the log: each agent and each node is a concept, named `agent/…` or `node/…`, whose content is JSON.
//!
//! So the master's log is the store's, with its group commits, its recovery and its torn tails; and it can be looked into with the tools of a store.

use serde::{Deserialize, Serialize};
use sutra_store::{NamespaceId, Shard};
use sutra_wire::grid::{NodeReport, NodeState};
use sutra_wire::{Checked, ConceptId, ConceptKey, ConceptRecord, FrameBuffer, archive};

use super::error::MasterError;
use super::registry::{Change, Moment, Profile, Registry};

const AGENT: &str = "agent/";
const NODE: &str = "node/";
/// Concepts that are read at a time at a start.
const PAGE: u32 = 1_024;

/// A node as it is logged.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct StoredNode {
    agent_id: String,
    node_id: String,
    name: String,
    endpoint: String,
    compat_endpoint: String,
    storage_path: String,
    detail: String,
    cores: String,
    memory_enforcement: String,
    memory_limit_mb: u64,
    started: u64,
    pid: u32,
    restarts: u32,
    state: String,
}

impl StoredNode {
    fn of(agent_id: &str, report: &NodeReport) -> Self {
        let report = report.clone();
        Self {
            agent_id: agent_id.to_owned(),
            state: NodeState::from_number(report.state).unwrap_or_default().name().to_owned(),
            node_id: report.node_id,
            name: report.name,
            endpoint: report.endpoint,
            compat_endpoint: report.compat_endpoint,
            storage_path: report.storage_path,
            detail: report.detail,
            cores: report.cores,
            memory_enforcement: report.memory_enforcement,
            memory_limit_mb: report.memory_limit_mb,
            started: report.started,
            pid: report.pid,
            restarts: report.restarts,
        }
    }

    fn into_report(self) -> (String, NodeReport) {
        let state = NodeState::ALL.iter().copied().find(|state| state.name() == self.state).unwrap_or(NodeState::Lost);
        let report = NodeReport {
            node_id: self.node_id,
            name: self.name,
            endpoint: self.endpoint,
            compat_endpoint: self.compat_endpoint,
            storage_path: self.storage_path,
            detail: self.detail,
            cores: self.cores,
            memory_enforcement: self.memory_enforcement,
            memory_limit_mb: self.memory_limit_mb,
            started: self.started,
            pid: self.pid,
            restarts: self.restarts,
            state: state as u8,
        };
        (self.agent_id, report)
    }
}

/// What is to be written for a change.
pub(crate) enum Entry {
    Put(FrameBuffer),
    Remove(FrameBuffer),
}

impl Entry {
    /// The change as the registry is now; `None` where what it was about is gone already, which a later change says.
    pub(crate) fn of(change: &Change, registry: &Registry) -> Option<Self> {
        match change {
            Change::Agent(agent_id) => Some(put(AGENT, agent_id, registry.profile(agent_id)?)),
            Change::Node(node_id) => {
                let (agent_id, report) = registry.report(node_id)?;
                Some(put(NODE, node_id, &StoredNode::of(agent_id, report)))
            }
            Change::AgentGone(agent_id) => Some(remove(AGENT, agent_id)),
            Change::NodeGone(node_id) => Some(remove(NODE, node_id)),
        }
    }
}

fn id(name: &str) -> [u8; 16] {
    ConceptId::from_name(name).expect("a name that is not empty has an id").0
}

fn put(kind: &str, name: &str, value: &impl Serialize) -> Entry {
    let name = format!("{kind}{name}");
    let record = ConceptRecord {
        id: id(&name),
        name,
        content: serde_json::to_string(value).expect("plain values become JSON"),
        strength: 1.0,
        confidence: 1.0,
        ..ConceptRecord::default()
    };
    let mut buffer = FrameBuffer::new();
    archive(&mut buffer, &record);
    Entry::Put(buffer)
}

fn remove(kind: &str, name: &str) -> Entry {
    let key = ConceptKey { id: id(&format!("{kind}{name}")), namespace: String::new() };
    let mut buffer = FrameBuffer::new();
    archive(&mut buffer, &key);
    Entry::Remove(buffer)
}

/// Reads the registry back from a shard that was opened.
pub(crate) fn restore<T>(shard: &Shard<T>, registry: &mut Registry, at: Moment) -> Result<(), MasterError> {
    let mut nodes = Vec::new();
    let mut from = Some(0);
    while let Some(place) = from {
        let mut ids = Vec::new();
        from = shard.concepts(NamespaceId::DEFAULT, place, PAGE, &mut ids);
        for id in ids {
            let Some(bytes) = shard.concept(NamespaceId::DEFAULT, &ConceptId(id)) else { continue };
            let record = Checked::<ConceptRecord>::new(&bytes).map_err(|error| MasterError::Record {
                name: ConceptId(id).to_string(),
                problem: error.to_string(),
            })?;
            let (name, content) = (record.name.as_str(), record.content.as_str());
            let wrong = |error: serde_json::Error| MasterError::Record { name: name.to_owned(), problem: error.to_string() };
            if name.starts_with(AGENT) {
                let profile: Profile = serde_json::from_str(content).map_err(wrong)?;
                registry.restore_agent(profile, at);
            } else if name.starts_with(NODE) {
                nodes.push(serde_json::from_str::<StoredNode>(content).map_err(wrong)?);
            } else {
                return Err(MasterError::Foreign { name: name.to_owned() });
            }
        }
    }
    for node in nodes {
        let (agent_id, report) = node.into_report();
        registry.restore_node(agent_id, report);
    }
    Ok(())
}
