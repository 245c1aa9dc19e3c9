//! Nodes that agents are asked to start. Room and name are reserved first, and taken or given back
//! when the agent has answered.

use sutra_wire::grid::{AgentState, EventKind, NodeReport, NodeState, SpawnNode};

use super::facts::{Change, Moment, Node, Reservation};
use super::refused::Refused;
use super::reports::UNLISTED;
use super::state::Registry;

/// Where an agent is, and what it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) endpoint: String,
    /// Whether it knows nothing but the old messages.
    pub(crate) is_old: bool,
}

impl Registry {
    /// Reserves room and name for a node. The reservation ends with [`Registry::spawned`],
    /// [`Registry::spawn_failed`] or [`Registry::spawn_unknown`].
    pub(crate) fn reserve(
        &mut self,
        spawn: &SpawnNode,
        at: Moment,
    ) -> Result<(u64, Contact), Refused> {
        let (agent_id, name) = (&spawn.agent_id, &spawn.name);
        let contact = self.contact(agent_id, at)?;
        let Some(agent) = self.agents.get(agent_id) else {
            return Err(Refused::UnknownAgent { agent_id: agent_id.clone() });
        };
        if contact.is_old && !spawn.cores.is_empty() {
            return Err(Refused::OldAgent { agent_id: agent_id.clone(), what: "cores" });
        }
        let known = agent
            .nodes
            .iter()
            .filter(|id| self.nodes.get(*id).is_some_and(Node::takes_place))
            .count();
        // A node that was not reported in time was not started.
        self.reservations
            .retain(|_, reservation| reservation.until.is_none_or(|until| at.now < until));
        let known = known.max(agent.told.map_or(0, |told| told as usize));
        let reserved = self
            .reservations
            .values()
            .filter(|reservation| reservation.agent_id == *agent_id)
            .count();
        // What the agent reports as starting for the first time has a reservation.
        let is_first_start =
            |node: &Node| node.state() == NodeState::Starting && node.report.restarts == 0;
        let starting =
            agent.nodes.iter().filter(|id| self.nodes.get(*id).is_some_and(is_first_start)).count();
        let reserved = reserved.saturating_sub(starting);
        if known + reserved >= agent.facts.max_nodes as usize {
            let most = agent.facts.max_nodes;
            return Err(Refused::Full {
                agent_id: agent_id.clone(),
                nodes: known + reserved,
                most,
            });
        }
        if !name.is_empty() {
            self.check_name(agent_id, name)?;
        }
        let number = self.next_reservation;
        self.next_reservation += 1;
        self.reservations.insert(
            number,
            Reservation { agent_id: agent_id.clone(), name: name.clone(), until: None },
        );
        Ok((number, contact))
    }

    /// A name is one node's at a time. One that its agent has given up is started again by its
    /// name.
    fn check_name(&self, agent_id: &str, name: &str) -> Result<(), Refused> {
        // The same agent may be asked again: it knows whether it has begun.
        let is_reserved = |reservation: &Reservation| {
            reservation.name == name
                && (reservation.until.is_none() || reservation.agent_id != agent_id)
        };
        if self.reservations.values().any(is_reserved) {
            return Err(Refused::NameReserved { name: name.to_owned() });
        }
        // It has had the name longest, so others with that name can't keep it from coming back.
        let is_free = |node: &Node| !node.is_there() || node.state() == NodeState::GaveUp;
        if self.find(name).is_some_and(|holder| holder.agent_id == agent_id && is_free(holder)) {
            return Ok(());
        }
        match self.called(name).find(|node| node.is_there()) {
            Some(holder) => Err(Refused::NameTaken {
                name: name.to_owned(),
                node_id: holder.report.node_id.clone(),
                agent_id: holder.agent_id.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Where an agent can be asked for something.
    pub(super) fn contact(&self, agent_id: &str, at: Moment) -> Result<Contact, Refused> {
        let unknown = || Refused::UnknownAgent { agent_id: agent_id.to_owned() };
        let agent = self.agents.get(agent_id).ok_or_else(unknown)?;
        if self.state_of(agent, at) == AgentState::Offline {
            return Err(Refused::Offline { agent_id: agent_id.to_owned(), age: agent.age(at) });
        }
        Ok(Contact { endpoint: agent.facts.endpoint.clone(), is_old: agent.facts.is_old() })
    }

    /// The agent has started the node, which is healthy, and says this of it.
    pub(crate) fn spawned(
        &mut self,
        reservation: u64,
        spawn: &SpawnNode,
        mut report: NodeReport,
        at: Moment,
    ) -> Result<(), Refused> {
        self.reservations.remove(&reservation);
        let agent_id = &spawn.agent_id;
        let Some(agent) = self.agents.get_mut(agent_id) else {
            return Err(Refused::Left { agent_id: agent_id.clone() });
        };
        agent.told = None;
        // It has answered at its endpoint, though it may not have said who it is.
        let vouches = agent.facts.vouches;
        self.prove(agent_id, vouches);
        let node_id = report.node_id.clone();
        match self.nodes.get(&node_id) {
            Some(known) if known.agent_id != *agent_id && known.is_there() => {
                return Err(Refused::ForeignNode {
                    agent_id: agent_id.clone(),
                    node_id,
                    owner: known.agent_id.clone(),
                });
            }
            // Its agent's own report was faster, and says more.
            Some(known) if known.agent_id == *agent_id && known.state() == NodeState::Running => {
                return Ok(());
            }
            _ => {}
        }
        if spawn.name.is_empty() {
            // Started again by its path or its id, it keeps its name.
            let known = self.nodes.get(&node_id).filter(|known| known.agent_id == *agent_id);
            if let (Some(known), true) = (known, report.name.is_empty()) {
                report.name.clone_from(&known.report.name);
            }
        } else {
            report.name.clone_from(&spawn.name);
        }
        report.memory_limit_mb = spawn.memory_limit_mb;
        report.state = NodeState::Running as u8;
        let is_new = self.nodes.get(&node_id).is_none_or(|known| !known.is_there());
        if is_new {
            self.node_event(EventKind::NodeSpawned, agent_id, &report, "");
        }
        self.node_event(EventKind::NodeRunning, agent_id, &report, "");
        let name = report.name.clone();
        let claim = self
            .nodes
            .get(&node_id)
            .filter(|known| known.report.name == name)
            .map(|known| known.claim);
        let claim = claim.unwrap_or_else(|| self.claim());
        self.put_node(Node {
            agent_id: agent_id.clone(),
            report,
            claim,
            since: at.now,
            unlisted: Some(at.now),
        });
        self.give_name(&name, &node_id);
        self.changes.push(Change::Node(node_id));
        self.forget_the_gone(agent_id);
        Ok(())
    }

    /// The agent has not started the node.
    pub(crate) fn spawn_failed(&mut self, reservation: u64) {
        self.reservations.remove(&reservation);
    }

    /// The agent has not said whether it has started the node. The reservation is kept until the
    /// agent would have reported it.
    pub(crate) fn spawn_unknown(&mut self, reservation: u64, at: Moment) {
        if let Some(reservation) = self.reservations.get_mut(&reservation) {
            reservation.until = Some(at.now + UNLISTED);
        }
    }
}
