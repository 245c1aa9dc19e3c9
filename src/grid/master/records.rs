//! Agents and nodes as they stand in the log: concept records named `agent/ID`, `node/ID` and
//! `master/starts`, with JSON for content.
//!
//! Fields that a later version adds are ignored by this one, and those that an earlier one did not
//! have are empty.

use serde::{Deserialize, Serialize};
use sutra_wire::grid::{NodeReport, NodeState};
use sutra_wire::{ConceptId, ConceptKey, ConceptRecord};

use crate::registry::{AgentFacts, Change, FIRST, Origin, Registry};

/// The record that counts the master's starts.
pub(crate) const STARTS: &str = "master/starts";
const AGENT: &str = "agent/";
const NODE: &str = "node/";

/// A record to be written, or removed where it has no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) content: Option<String>,
}

/// What a record says.
#[derive(Debug, PartialEq)]
pub(crate) enum Known {
    Starts(u64),
    Agent { agent_id: String, facts: AgentFacts },
    Node { agent_id: String, report: NodeReport, claim: u64 },
}

/// Why a record says nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The record is none that a master writes.
    Foreign,
    /// The record is damaged.
    Damaged(String),
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct AgentDocument {
    hostname: String,
    platform: String,
    version: String,
    endpoint: String,
    incarnation: u64,
    memory_mb: u64,
    max_nodes: u32,
    cores: u32,
    registered: u64,
    vouches: bool,
    /// Empty where it is not known.
    source: String,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct NodeDocument {
    #[serde(default = "first")]
    claim: u64,
    agent_id: String,
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

#[derive(Serialize, Deserialize, Default)]
struct StartsDocument {
    starts: u64,
}

fn first() -> u64 {
    FIRST
}

fn json(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("plain values are JSON")
}

/// The record that a change asks for.
pub(crate) fn entry(registry: &Registry, change: &Change) -> Entry {
    match change {
        Change::Agent(agent_id) => {
            let content =
                registry.agent(agent_id).map(|agent| json(&AgentDocument::of(&agent.facts)));
            Entry { name: format!("{AGENT}{agent_id}"), content }
        }
        Change::Node(node_id) => {
            let content = registry
                .node(node_id)
                .map(|node| json(&NodeDocument::of(&node.agent_id, &node.report, node.claim)));
            Entry { name: format!("{NODE}{node_id}"), content }
        }
    }
}

/// The record of how often the master was started.
pub(crate) fn starts_entry(starts: u64) -> Entry {
    Entry { name: STARTS.to_owned(), content: Some(json(&StartsDocument { starts })) }
}

impl Entry {
    fn id(&self) -> [u8; 16] {
        ConceptId::from_name(&self.name).expect("the name is not empty, and hashed to no zero").0
    }

    /// As the log takes it.
    pub(crate) fn record(&self) -> Option<ConceptRecord> {
        let content = self.content.clone()?;
        let name = self.name.clone();
        Some(ConceptRecord {
            id: self.id(),
            name,
            content,
            strength: 1.0,
            confidence: 1.0,
            ..ConceptRecord::default()
        })
    }

    /// The key to remove it by.
    pub(crate) fn key(&self) -> ConceptKey {
        ConceptKey { id: self.id(), namespace: String::new() }
    }
}

/// Reads a record.
pub(crate) fn read(name: &str, content: &str) -> Result<Known, Unreadable> {
    fn parse<'a, T: Deserialize<'a>>(content: &'a str) -> Result<T, Unreadable> {
        serde_json::from_str(content).map_err(|error| Unreadable::Damaged(error.to_string()))
    }
    if name == STARTS {
        return Ok(Known::Starts(parse::<StartsDocument>(content)?.starts));
    }
    if let Some(agent_id) = name.strip_prefix(AGENT) {
        let facts = parse::<AgentDocument>(content)?.facts();
        return Ok(Known::Agent { agent_id: agent_id.to_owned(), facts });
    }
    if let Some(node_id) = name.strip_prefix(NODE) {
        let document = parse::<NodeDocument>(content)?;
        let claim = document.claim;
        let (agent_id, report) = document.report(node_id)?;
        return Ok(Known::Node { agent_id, report, claim });
    }
    Err(Unreadable::Foreign)
}

impl AgentDocument {
    fn of(facts: &AgentFacts) -> Self {
        let facts = facts.clone();
        Self {
            hostname: facts.hostname,
            platform: facts.platform,
            version: facts.version,
            endpoint: facts.endpoint,
            incarnation: facts.incarnation,
            memory_mb: facts.memory_mb,
            max_nodes: facts.max_nodes,
            cores: facts.cores,
            registered: facts.registered,
            vouches: facts.vouches,
            source: facts.origin.map(|origin| origin.0.to_string()).unwrap_or_default(),
        }
    }

    fn facts(self) -> AgentFacts {
        AgentFacts {
            hostname: self.hostname,
            platform: self.platform,
            version: self.version,
            endpoint: self.endpoint,
            incarnation: self.incarnation,
            memory_mb: self.memory_mb,
            max_nodes: self.max_nodes,
            cores: self.cores,
            registered: self.registered,
            vouches: self.vouches,
            origin: self.source.parse().ok().map(Origin),
        }
    }
}

impl NodeDocument {
    fn of(agent_id: &str, report: &NodeReport, claim: u64) -> Self {
        let report = report.clone();
        Self {
            claim,
            agent_id: agent_id.to_owned(),
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
            state: NodeState::from_number(report.state).unwrap_or_default().name().to_owned(),
        }
    }

    fn report(self, node_id: &str) -> Result<(String, NodeReport), Unreadable> {
        let state = NodeState::ALL.iter().find(|state| state.name() == self.state);
        let state = state.ok_or_else(|| {
            Unreadable::Damaged(format!("{:?} is no state of a node", self.state))
        })?;
        let report = NodeReport {
            node_id: node_id.to_owned(),
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
            state: *state as u8,
        };
        Ok((self.agent_id, report))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_record_says_what_was_written() {
        let facts = AgentFacts {
            hostname: "h".into(),
            incarnation: u64::MAX,
            max_nodes: 3,
            vouches: true,
            origin: Some(Origin("10.0.0.1".parse().unwrap())),
            ..AgentFacts::default()
        };
        let content = json(&AgentDocument::of(&facts));
        assert_eq!(
            read("agent/a", &content).unwrap(),
            Known::Agent { agent_id: "a".into(), facts }
        );
        let report = NodeReport {
            node_id: "n".into(),
            state: NodeState::GaveUp as u8,
            pid: 7,
            ..NodeReport::default()
        };
        let content = json(&NodeDocument::of("a", &report, 7));
        assert_eq!(
            read("node/n", &content).unwrap(),
            Known::Node { agent_id: "a".into(), report, claim: 7 }
        );
        let earlier = read("node/n", r#"{"state": "running"}"#).unwrap();
        assert!(
            matches!(earlier, Known::Node { claim: FIRST, .. }),
            "who was there before names were numbered was first"
        );
        let Entry { name, content } = starts_entry(9);
        assert_eq!(read(&name, &content.unwrap()).unwrap(), Known::Starts(9));
    }

    #[test]
    fn what_is_no_record_of_a_master_is_told_from_a_damaged_one() {
        assert_eq!(read("dog", "a carnivore"), Err(Unreadable::Foreign));
        assert!(matches!(read("agent/a", "{"), Err(Unreadable::Damaged(_))));
        assert!(matches!(read("node/n", r#"{"state": "asleep"}"#), Err(Unreadable::Damaged(_))));
        assert!(matches!(
            read("agent/a", r#"{"hostname": "h", "of a later version": 1}"#),
            Ok(Known::Agent { .. })
        ));
    }
}
