//! What the master knows: agents, how they are by the age of their heartbeats, and their storage nodes.
//!
//! A state machine and nothing else: it is told what happened and when, and says what changed (to be logged) and what is news (to be told to
//! watchers). Ages go by the monotonic clock, so a host's clock that jumps makes nobody offline; times of day are only shown.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sutra_wire::grid::{
    AgentInfo, AgentRegistration, AgentState, Agents, Cluster, ClusterState, EventKind, HeartbeatAck, NodeInfo,
    NodeReport, NodeState, Nodes, SpawnNode,
};
use sutra_wire::limits::MAX_GRID_PAGE;

/// Agents that a master takes on: ten times what one core has been measured to serve with a heartbeat a second.
pub(crate) const MAX_AGENTS: usize = 100_000;

/// How long a node that was just spawned need not be in its agent's report, which may have left before.
const FRESH: Duration = Duration::from_secs(10);

/// Now: by the clock that never jumps, and in µs since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    pub(crate) micros: u64,
}

/// How old heartbeats may become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ages {
    pub(crate) degraded: Duration,
    pub(crate) offline: Duration,
}

/// What an agent has said of itself: what is logged of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) agent_id: String,
    pub(crate) hostname: String,
    pub(crate) platform: String,
    pub(crate) version: String,
    pub(crate) endpoint: String,
    /// 0 for an agent that speaks the old protocol.
    pub(crate) incarnation: u64,
    pub(crate) memory_mb: u64,
    pub(crate) max_nodes: u32,
    pub(crate) cores: u32,
    pub(crate) registered: u64,
}

struct Agent {
    profile: Profile,
    seen: Instant,
    last_heartbeat: u64,
    state: AgentState,
    /// Of the nodes that are known; `None` until it has reported.
    revision: Option<u64>,
    /// Nodes that it is asked to start right now.
    spawning: u32,
    nodes: BTreeSet<String>,
}

struct Node {
    agent_id: String,
    report: NodeReport,
    /// When it was spawned through this master.
    spawned: Option<Instant>,
}

/// Something to be logged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    Agent(String),
    AgentGone(String),
    Node(String),
    NodeGone(String),
}

/// Something that watchers are told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct News {
    pub(crate) kind: EventKind,
    pub(crate) agent_id: String,
    pub(crate) node_id: String,
    pub(crate) name: String,
    pub(crate) detail: String,
}

/// What came of something.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) changes: Vec<Change>,
    pub(crate) news: Vec<News>,
}

/// Why something is refused. Each says what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    #[error(
        "another agent is registered as {agent_id}, on {hostname} ({endpoint}), and its last heartbeat came {age:.0?} ago; give this one another --id, or stop that one and wait until it is offline"
    )]
    InUse { agent_id: String, hostname: String, endpoint: String, age: Duration },
    #[error("this master has {MAX_AGENTS} agents already, the limit; unregister some")]
    Full,
    #[error("no agent is registered as {agent_id}; `sutra grid agents` lists those that are")]
    UnknownAgent { agent_id: String },
    #[error("agent {agent_id} is offline, its last heartbeat came {age:.0?} ago; nothing is started on it until it is back")]
    Offline { agent_id: String, age: Duration },
    #[error("agent {agent_id} has {nodes} storage nodes, all that it takes; stop one, or raise its --max-nodes")]
    AgentFull { agent_id: String, nodes: u32 },
    #[error("a storage node is named {name} already; choose another name")]
    NameTaken { name: String },
}

/// Whom to ask for a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) agent_id: String,
    pub(crate) endpoint: String,
    /// Whether it knows more than the old protocol.
    pub(crate) is_native: bool,
}

/// The registry.
pub(crate) struct Registry {
    ages: Ages,
    agents: BTreeMap<String, Agent>,
    nodes: BTreeMap<String, Node>,
    /// Names of nodes, to their ids; of nodes that are being started, to nothing.
    names: BTreeMap<String, Option<String>>,
}

impl Registry {
    pub(crate) fn new(ages: Ages) -> Self {
        Self { ages, agents: BTreeMap::new(), nodes: BTreeMap::new(), names: BTreeMap::new() }
    }

    /// An agent as the log has it: its age counts from now.
    pub(crate) fn restore_agent(&mut self, profile: Profile, at: Moment) {
        let agent = Agent {
            seen: at.instant,
            last_heartbeat: 0,
            state: AgentState::Healthy,
            revision: None,
            spawning: 0,
            nodes: BTreeSet::new(),
            profile,
        };
        self.agents.insert(agent.profile.agent_id.clone(), agent);
    }

    /// A node as the log has it, after its agent. One whose agent is not there is left out.
    pub(crate) fn restore_node(&mut self, agent_id: String, report: NodeReport) {
        if self.agents.contains_key(&agent_id) {
            self.insert(&agent_id, report, None);
        }
    }

    pub(crate) fn profile(&self, agent_id: &str) -> Option<&Profile> {
        self.agents.get(agent_id).map(|agent| &agent.profile)
    }

    /// A node with its agent's name.
    pub(crate) fn report(&self, node_id: &str) -> Option<(&str, &NodeReport)> {
        self.nodes.get(node_id).map(|node| (node.agent_id.as_str(), &node.report))
    }

    pub(crate) fn register(
        &mut self,
        registration: AgentRegistration,
        at: Moment,
        outcome: &mut Outcome,
    ) -> Result<(), Refused> {
        let AgentRegistration { agent_id, hostname, platform, version, endpoint, .. } = registration;
        let profile = Profile {
            agent_id: agent_id.clone(),
            hostname,
            platform,
            version,
            endpoint,
            incarnation: registration.incarnation,
            memory_mb: registration.memory_mb,
            max_nodes: registration.max_nodes,
            cores: registration.cores,
            registered: at.micros,
        };
        let detail = format!("on {} ({})", profile.hostname, profile.endpoint);
        match self.agents.get_mut(&agent_id) {
            None if self.agents.len() >= MAX_AGENTS => return Err(Refused::Full),
            None => {
                self.restore_agent(profile, at);
            }
            Some(known) => {
                if known.state != AgentState::Offline && !is_same(&known.profile, &profile) {
                    return Err(Refused::InUse {
                        agent_id,
                        hostname: known.profile.hostname.clone(),
                        endpoint: known.profile.endpoint.clone(),
                        age: at.instant.saturating_duration_since(known.seen),
                    });
                }
                known.profile = profile;
                known.seen = at.instant;
                if known.state != AgentState::Healthy {
                    known.state = AgentState::Healthy;
                    outcome.agent(EventKind::AgentRecovered, &agent_id, String::new());
                }
            }
        }
        if let Some(agent) = self.agents.get_mut(&agent_id) {
            agent.last_heartbeat = at.micros;
        }
        outcome.changes.push(Change::Agent(agent_id.clone()));
        outcome.agent(EventKind::AgentRegistered, &agent_id, detail);
        if registration.incarnation != 0 {
            self.reconcile(&agent_id, registration.revision, registration.nodes, at, outcome);
        }
        Ok(())
    }

    /// `None` where the agent must register (again).
    pub(crate) fn heartbeat(
        &mut self,
        agent_id: &str,
        incarnation: u64,
        revision: u64,
        at: Moment,
        outcome: &mut Outcome,
    ) -> Option<HeartbeatAck> {
        let agent = self.agents.get_mut(agent_id).filter(|agent| agent.profile.incarnation == incarnation)?;
        agent.seen = at.instant;
        agent.last_heartbeat = at.micros;
        if agent.state != AgentState::Healthy {
            agent.state = AgentState::Healthy;
            outcome.agent(EventKind::AgentRecovered, agent_id, String::new());
        }
        let wants_report = incarnation != 0 && agent.revision != Some(revision);
        Some(HeartbeatAck { sent: 0, wants_report })
    }

    /// An agent's nodes as it has them; `false` where it must register.
    pub(crate) fn reported(
        &mut self,
        agent_id: &str,
        incarnation: u64,
        revision: u64,
        nodes: Vec<NodeReport>,
        at: Moment,
        outcome: &mut Outcome,
    ) -> bool {
        if self.agents.get(agent_id).is_none_or(|agent| agent.profile.incarnation != incarnation) {
            return false;
        }
        self.reconcile(agent_id, revision, nodes, at, outcome);
        true
    }

    fn reconcile(&mut self, agent_id: &str, revision: u64, nodes: Vec<NodeReport>, at: Moment, outcome: &mut Outcome) {
        let mut missing = match self.agents.get_mut(agent_id) {
            Some(agent) => {
                agent.revision = Some(revision);
                agent.nodes.clone()
            }
            None => return,
        };
        for report in nodes {
            missing.remove(&report.node_id);
            let before = self.nodes.get(&report.node_id);
            if before.is_some_and(|node| node.agent_id != agent_id) {
                tracing::warn!(agent_id, node_id = report.node_id, "the node is another agent's: not taken over");
                continue;
            }
            if before.is_some_and(|node| node.report == report) {
                continue;
            }
            let was = before.map(|node| node.report.clone());
            outcome.changes.push(Change::Node(report.node_id.clone()));
            tell_change(agent_id, was.as_ref(), &report, outcome);
            self.insert(agent_id, report, None);
        }
        for node_id in missing {
            let Some(node) = self.nodes.get_mut(&node_id) else { continue };
            let is_fresh = node.spawned.is_some_and(|spawned| at.instant.saturating_duration_since(spawned) < FRESH);
            match NodeState::from_number(node.report.state) {
                _ if is_fresh => {}
                Some(NodeState::Lost) => {}
                Some(NodeState::Stopped | NodeState::Stopping) => {
                    outcome.node(EventKind::NodeStopped, agent_id, &node.report, "removed by its agent");
                    self.remove(&node_id);
                    outcome.changes.push(Change::NodeGone(node_id));
                }
                _ => {
                    node.report.state = NodeState::Lost as u8;
                    node.report.pid = 0;
                    node.report.detail = "its agent does not know it any more".into();
                    outcome.node(EventKind::NodeLost, agent_id, &node.report, "");
                    outcome.changes.push(Change::Node(node_id));
                }
            }
        }
    }

    fn insert(&mut self, agent_id: &str, report: NodeReport, spawned: Option<Instant>) {
        let node_id = report.node_id.clone();
        if !report.name.is_empty() {
            let holder = self.names.get(&report.name).cloned().flatten();
            let is_held = holder.is_some_and(|holder| {
                let state = self.nodes.get(&holder).and_then(|node| NodeState::from_number(node.report.state));
                holder != node_id && !matches!(state, None | Some(NodeState::Lost | NodeState::Stopped))
            });
            if !is_held {
                self.names.insert(report.name.clone(), Some(node_id.clone()));
            }
        }
        if let Some(agent) = self.agents.get_mut(agent_id) {
            agent.nodes.insert(node_id.clone());
        }
        let spawned = spawned.or_else(|| self.nodes.get(&node_id).and_then(|node| node.spawned));
        self.nodes.insert(node_id, Node { agent_id: agent_id.to_owned(), report, spawned });
    }

    fn remove(&mut self, node_id: &str) {
        let Some(node) = self.nodes.remove(node_id) else { return };
        if self.names.get(&node.report.name).is_some_and(|holder| holder.as_deref() == Some(node_id)) {
            self.names.remove(&node.report.name);
        }
        if let Some(agent) = self.agents.get_mut(&node.agent_id) {
            agent.nodes.remove(node_id);
        }
    }

    /// Whether there was such an agent. Its nodes go with it: nobody could stop them any more.
    pub(crate) fn unregister(&mut self, agent_id: &str, outcome: &mut Outcome) -> bool {
        let Some(agent) = self.agents.get(agent_id) else { return false };
        for node_id in agent.nodes.clone() {
            self.remove(&node_id);
            outcome.changes.push(Change::NodeGone(node_id));
        }
        self.agents.remove(agent_id);
        outcome.changes.push(Change::AgentGone(agent_id.to_owned()));
        outcome.agent(EventKind::AgentUnregistered, agent_id, String::new());
        true
    }

    /// Time has passed: who has become degraded or offline.
    pub(crate) fn age(&mut self, at: Moment, outcome: &mut Outcome) {
        for (agent_id, agent) in &mut self.agents {
            let age = at.instant.saturating_duration_since(agent.seen);
            let (state, kind) = if age >= self.ages.offline {
                (AgentState::Offline, EventKind::AgentOffline)
            } else if age >= self.ages.degraded {
                (AgentState::Degraded, EventKind::AgentDegraded)
            } else {
                continue;
            };
            // Only a heartbeat makes it better.
            if (state as u8) > (agent.state as u8) {
                agent.state = state;
                outcome.agent(kind, agent_id, format!("no heartbeat for {:.0} s", age.as_secs_f64()));
            }
        }
    }

    /// Keeps a place for a node that is to be started, and says whom to ask.
    pub(crate) fn begin_spawn(&mut self, spawn: &SpawnNode, at: Moment) -> Result<Target, Refused> {
        let agent_id = &spawn.agent_id;
        let unknown = || Refused::UnknownAgent { agent_id: agent_id.clone() };
        let agent = self.agents.get(agent_id).ok_or_else(unknown)?;
        if agent.state == AgentState::Offline {
            let age = at.instant.saturating_duration_since(agent.seen);
            return Err(Refused::Offline { agent_id: agent_id.clone(), age });
        }
        let taken = self.kept(agent) + agent.spawning;
        if taken >= agent.profile.max_nodes {
            return Err(Refused::AgentFull { agent_id: agent_id.clone(), nodes: taken });
        }
        if !spawn.name.is_empty() {
            if self.names.contains_key(&spawn.name) {
                return Err(Refused::NameTaken { name: spawn.name.clone() });
            }
            self.names.insert(spawn.name.clone(), None);
        }
        let agent = self.agents.get_mut(agent_id).ok_or_else(unknown)?;
        agent.spawning += 1;
        Ok(target(agent))
    }

    /// The agent has answered: the node that it has started, where it has.
    pub(crate) fn end_spawn(
        &mut self,
        agent_id: &str,
        name: &str,
        started: Option<NodeReport>,
        at: Moment,
        outcome: &mut Outcome,
    ) {
        if self.names.get(name).is_some_and(Option::is_none) {
            self.names.remove(name);
        }
        let Some(agent) = self.agents.get_mut(agent_id) else { return };
        agent.spawning = agent.spawning.saturating_sub(1);
        let Some(mut report) = started else { return };
        match self.nodes.get(&report.node_id) {
            // Its agent's own report was quicker, and says more.
            Some(known) => report = known.report.clone(),
            None => tell_change(agent_id, None, &report, outcome),
        }
        outcome.changes.push(Change::Node(report.node_id.clone()));
        self.insert(agent_id, report, Some(at.instant));
    }

    /// Whom to ask to stop a node, by its id or name; its id.
    pub(crate) fn stop_target(&self, node: &str, at: Moment) -> Result<Option<(Target, String)>, Refused> {
        let Some((node_id, found)) = self.find(node) else { return Ok(None) };
        let Some(agent) = self.agents.get(&found.agent_id) else { return Ok(None) };
        if agent.state == AgentState::Offline && found.report.state != NodeState::Lost as u8 {
            let age = at.instant.saturating_duration_since(agent.seen);
            return Err(Refused::Offline { agent_id: found.agent_id.clone(), age });
        }
        Ok(Some((target(agent), node_id.to_owned())))
    }

    /// A node was stopped.
    pub(crate) fn stopped(&mut self, node_id: &str, outcome: &mut Outcome) {
        let Some(node) = self.nodes.get_mut(node_id) else { return };
        let was = NodeState::from_number(node.report.state);
        if was == Some(NodeState::Lost) {
            self.remove(node_id);
            return outcome.changes.push(Change::NodeGone(node_id.to_owned()));
        }
        if was != Some(NodeState::Stopped) {
            node.report.state = NodeState::Stopped as u8;
            node.report.pid = 0;
            outcome.node(EventKind::NodeStopped, &node.agent_id.clone(), &node.report, "");
            outcome.changes.push(Change::Node(node_id.to_owned()));
        }
    }

    fn find(&self, node: &str) -> Option<(&str, &Node)> {
        let by_name = || self.names.get(node).and_then(Option::as_deref);
        let node_id = if self.nodes.contains_key(node) { node } else { by_name()? };
        self.nodes.get_key_value(node_id).map(|(node_id, node)| (node_id.as_str(), node))
    }

    /// A node by its id or name.
    pub(crate) fn node(&self, node: &str) -> Option<NodeInfo> {
        self.find(node).map(|(_, node)| self.info(node))
    }

    fn info(&self, node: &Node) -> NodeInfo {
        let agent = self.agents.get(&node.agent_id);
        NodeInfo {
            agent_id: node.agent_id.clone(),
            hostname: agent.map_or_else(String::new, |agent| agent.profile.hostname.clone()),
            report: node.report.clone(),
            agent_state: agent.map_or(AgentState::Offline, |agent| agent.state) as u8,
        }
    }

    /// A page of nodes. Cost: linear in the page, or in the nodes where one agent's are asked for.
    pub(crate) fn nodes(&self, agent_id: &str, after: &str, limit: u32) -> Nodes {
        let behind = (Bound::Excluded(after.to_owned()), Bound::Unbounded);
        let wanted = |node: &&Node| agent_id.is_empty() || node.agent_id == agent_id;
        let mut found = self.nodes.range::<String, _>(behind).map(|(_, node)| node).filter(wanted);
        let nodes = found.by_ref().take(page(limit)).map(|node| self.info(node)).collect();
        Nodes { nodes, more: found.next().is_some() }
    }

    /// A page of agents.
    pub(crate) fn agents(&self, after: &str, limit: u32, at: Moment) -> Agents {
        let behind = (Bound::Excluded(after.to_owned()), Bound::Unbounded);
        let mut found = self.agents.range::<String, _>(behind).map(|(_, agent)| agent);
        let agents = found.by_ref().take(page(limit)).map(|agent| self.agent_info(agent, at)).collect();
        Agents { agents, more: found.next().is_some() }
    }

    fn agent_info(&self, agent: &Agent, at: Moment) -> AgentInfo {
        let profile = agent.profile.clone();
        AgentInfo {
            agent_id: profile.agent_id,
            hostname: profile.hostname,
            platform: profile.platform,
            version: profile.version,
            endpoint: profile.endpoint,
            registered: profile.registered,
            last_heartbeat: agent.last_heartbeat,
            heartbeat_age_ms: at.instant.saturating_duration_since(agent.seen).as_millis() as u64,
            memory_mb: profile.memory_mb,
            max_nodes: profile.max_nodes,
            nodes: self.kept(agent),
            running: self.running(agent),
            cores: profile.cores,
            state: agent.state as u8,
        }
    }

    /// Nodes that take up a place.
    fn kept(&self, agent: &Agent) -> u32 {
        self.count(agent, |state| !matches!(state, NodeState::Stopped | NodeState::Lost))
    }

    fn running(&self, agent: &Agent) -> u32 {
        self.count(agent, |state| state == NodeState::Running)
    }

    fn count(&self, agent: &Agent, is_meant: impl Fn(NodeState) -> bool) -> u32 {
        let states = agent.nodes.iter().filter_map(|node_id| self.nodes.get(node_id));
        let states = states.filter_map(|node| NodeState::from_number(node.report.state));
        u32::try_from(states.filter(|state| is_meant(*state)).count()).unwrap_or(u32::MAX)
    }

    /// The grid as a whole; version and uptime are the server's to fill in. Cost: linear in all agents and nodes.
    pub(crate) fn cluster(&self) -> Cluster {
        let mut cluster = Cluster::default();
        for agent in self.agents.values() {
            cluster.agents += 1;
            match agent.state {
                AgentState::Healthy => cluster.healthy += 1,
                AgentState::Degraded => cluster.degraded += 1,
                AgentState::Offline => cluster.offline += 1,
            }
            cluster.nodes += self.kept(agent);
            // What an offline agent's nodes do nobody knows; they most likely go on.
            cluster.running += self.running(agent);
        }
        cluster.state = if cluster.agents > 0 && cluster.healthy == 0 {
            ClusterState::Critical
        } else if cluster.healthy * 2 < cluster.agents {
            ClusterState::Degraded
        } else {
            ClusterState::Healthy
        } as u8;
        cluster
    }
}

impl Outcome {
    fn agent(&mut self, kind: EventKind, agent_id: &str, detail: String) {
        let (node_id, name) = (String::new(), String::new());
        self.news.push(News { kind, agent_id: agent_id.to_owned(), node_id, name, detail });
    }

    fn node(&mut self, kind: EventKind, agent_id: &str, report: &NodeReport, detail: &str) {
        let detail = if detail.is_empty() { report.detail.clone() } else { detail.to_owned() };
        let (node_id, name) = (report.node_id.clone(), report.name.clone());
        self.news.push(News { kind, agent_id: agent_id.to_owned(), node_id, name, detail });
    }
}

fn target(agent: &Agent) -> Target {
    Target {
        agent_id: agent.profile.agent_id.clone(),
        endpoint: agent.profile.endpoint.clone(),
        is_native: agent.profile.incarnation != 0,
    }
}

fn page(limit: u32) -> usize {
    (if limit == 0 { MAX_GRID_PAGE } else { limit.min(MAX_GRID_PAGE) }) as usize
}

/// Whether an agent that registers is the one that is known. Those of the old protocol draw no incarnation: the host tells them apart.
fn is_same(known: &Profile, new: &Profile) -> bool {
    if known.incarnation == 0 || new.incarnation == 0 {
        known.hostname == new.hostname
    } else {
        known.incarnation == new.incarnation
    }
}

/// Tells what a node's new state means.
fn tell_change(agent_id: &str, was: Option<&NodeReport>, now: &NodeReport, outcome: &mut Outcome) {
    let state = NodeState::from_number(now.state);
    let before = was.and_then(|was| NodeState::from_number(was.state));
    if was.is_none() && state != Some(NodeState::Stopped) {
        outcome.node(EventKind::NodeSpawned, agent_id, now, "");
    }
    let has_restarted = was.is_some_and(|was| now.restarts > was.restarts);
    if has_restarted {
        // The report that it had crashed may have been overtaken.
        if before != Some(NodeState::Crashed) {
            outcome.node(EventKind::NodeCrashed, agent_id, now, "");
        }
        outcome.node(EventKind::NodeRestarted, agent_id, now, "");
    }
    if before == state {
        return;
    }
    let kind = match state {
        Some(NodeState::Running) => EventKind::NodeRunning,
        Some(NodeState::Stopped) => EventKind::NodeStopped,
        Some(NodeState::Crashed) => EventKind::NodeCrashed,
        Some(NodeState::GaveUp) => EventKind::NodeGaveUp,
        Some(NodeState::Lost) => EventKind::NodeLost,
        Some(NodeState::Starting | NodeState::Stopping) | None => return,
    };
    outcome.node(kind, agent_id, now, "");
}
