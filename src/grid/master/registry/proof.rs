//! Which agents are believed: those that answer at the endpoint they name.
//!
//! Anybody may register. So an agent is asked back at its endpoint, and until it has answered it is
//! no more than listed: it is not logged, nothing that it says of nodes is taken, and it is
//! forgotten as soon as it is not heard of. Those that have not answered are bounded, in all and
//! for each address that they register from, and an agent that has answered never makes room for
//! them.

use std::time::Duration;

use sutra_wire::grid::{AgentRegistration, AgentState, EventKind, NodeReport};

use super::facts::{Agent, AgentFacts, Answered, Ask, Change, MAX_AGENTS, Moment, Origin, Proof};
use super::refused::Refused;
use super::shares::{Share, counted};
use super::state::Registry;

/// Agents that have not answered, from one address: a whole site behind one address may come to a
/// new master at once.
const UNPROVEN_OF_ONE: usize = 1_280;
/// The same in all: 8,192 with texts of 16 KiB, the longest that there are, take 128 MiB.
const UNPROVEN: usize = 8_192;
/// A new agent from an address with no more than this many makes room at the cost of the address
/// with the most.
const FEW: usize = 64;
/// Agents that have answered, of one address: a quarter of all, so that nobody fills the master
/// alone.
const PROVEN_OF_ONE: usize = MAX_AGENTS / 4;
/// Agents that are asked back at a time, from one address and in all. One that hangs counts for two
/// seconds.
const ASKED_OF_ONE: usize = 8;
const ASKED: usize = 32;
/// How soon an agent that has not answered is asked again; it doubles up to the longest.
const AGAIN: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// How often agents to be asked back are looked for, while there are any.
pub(super) const SOON: Duration = Duration::from_millis(50);
/// Nodes that are kept until their agent has answered, in bytes of text: more are reported again.
const KEPT: usize = 1 << 20;

impl Registry {
    /// Adds an agent, in place of one with its id.
    pub(super) fn put_agent(&mut self, agent_id: String, agent: Agent) {
        self.take_agent(&agent_id);
        let is_proven = agent.is_proven();
        self.shares.change(agent.facts.origin, |share| *counted(share, is_proven) += 1);
        self.agents.insert(agent_id, agent);
    }

    pub(super) fn take_agent(&mut self, agent_id: &str) -> Option<Agent> {
        let agent = self.agents.remove(agent_id)?;
        let is_proven = agent.is_proven();
        self.shares.change(agent.facts.origin, |share| *counted(share, is_proven) -= 1);
        Some(agent)
    }

    /// Makes room for an agent that has not answered yet, at the cost of others that have not.
    pub(super) fn make_room(&mut self, origin: Option<Origin>, at: Moment) -> Result<(), Refused> {
        let own = self.shares.of(origin).unproven;
        let is_full = self.shares.all.unproven >= UNPROVEN;
        if own < UNPROVEN_OF_ONE && !is_full {
            return Ok(());
        }
        let crowded = Refused::Crowded { agents: own };
        // Not for each of many that come at once.
        if self.made_room.is_some_and(|last| at.now.saturating_duration_since(last) < SOON)
            && own > FEW
        {
            return Err(crowded);
        }
        self.made_room = Some(at.now);
        let heaviest = self
            .shares
            .of
            .iter()
            .max_by_key(|(_, share)| share.unproven)
            .map(|(origin, _)| *origin);
        let whose = if is_full && own <= FEW { heaviest.unwrap_or(origin) } else { origin };
        let oldest = self.agents.iter().filter(|(_, agent)| agent.facts.origin == whose);
        let oldest = oldest.filter_map(|(agent_id, agent)| match agent.proof {
            Proof::Unproven { since, failures, .. } if failures > 0 && at.now >= since + AGAIN => {
                Some((since, agent_id))
            }
            _ => None,
        });
        let agent_id = oldest.min().map(|(_, agent_id)| agent_id.clone()).ok_or(crowded)?;
        self.forget(
            &agent_id,
            "it has not answered at its endpoint, and others register from its address",
        );
        Ok(())
    }

    /// Forgets an agent that has never answered, and so has no nodes here.
    pub(super) fn forget(&mut self, agent_id: &str, why: &str) {
        if self.take_agent(agent_id).is_some() {
            self.agent_event(EventKind::AgentUnregistered, agent_id, why.to_owned());
        }
    }

    /// An agent that registers in place of another is asked before anything is changed. `None`
    /// where too many are being asked.
    pub(crate) fn ask_first(
        &mut self,
        registration: &AgentRegistration,
        origin: Option<Origin>,
    ) -> Option<Ask> {
        let share = self.shares.of(origin).asked;
        if share >= ASKED_OF_ONE || self.shares.all.asked >= ASKED {
            return None;
        }
        self.shares.change(origin, |share| share.asked += 1);
        Some(ask(registration, origin))
    }

    /// Asks an agent back that has registered or reported, as soon as that may be.
    pub(super) fn ask_back(&mut self, ask: Ask) {
        self.asks.push(ask);
    }

    /// The agents to be asked now, the newest first, so that a new one does not wait for all before
    /// it. The caller ends each with [`Registry::answered`] or [`Registry::not_asked`].
    pub(crate) fn take_asks(&mut self, at: Moment) -> Vec<Ask> {
        let mut asks = Vec::new();
        while let Some(ask) = self.asks.pop() {
            if self.may_ask(&ask) {
                asks.push(ask);
            }
        }
        if self.shares.all.unproven == 0 {
            return asks;
        }
        if self.asked.is_none_or(|last| at.now >= last + SOON) {
            self.asked = Some(at.now);
            let mut due: Vec<_> = self
                .agents
                .iter()
                .filter_map(|(agent_id, agent)| match agent.proof {
                    Proof::Unproven { since, ask_at: Some(ask_at), .. } if ask_at <= at.now => {
                        Some((since, agent_id))
                    }
                    _ => None,
                })
                .collect();
            due.sort_unstable();
            self.backlog = due.into_iter().map(|(_, agent_id)| agent_id.clone()).collect();
        }
        let mut kept = Vec::new();
        while self.shares.all.asked < ASKED && kept.len() <= ASKED {
            let Some(agent_id) = self.backlog.pop() else { break };
            let Some(agent) = self.agents.get(&agent_id).filter(|agent| !agent.is_proven()) else {
                continue;
            };
            let AgentFacts { incarnation, endpoint, origin, .. } = agent.facts.clone();
            let ask =
                Ask { agent_id, incarnation, endpoint, origin, nodes: Vec::new(), revision: None };
            if self.may_ask(&ask) {
                asks.push(ask);
            } else {
                kept.push(ask.agent_id);
            }
        }
        self.backlog.extend(kept.into_iter().rev());
        asks
    }

    /// Whether this one may be asked now; if so, it is counted.
    fn may_ask(&mut self, ask: &Ask) -> bool {
        if self.shares.of(ask.origin).asked >= ASKED_OF_ONE || self.shares.all.asked >= ASKED {
            return false;
        }
        if let Some(Agent { proof: Proof::Unproven { ask_at, .. }, .. }) =
            self.agents.get_mut(&ask.agent_id)
            && ask_at.take().is_none()
        {
            return false;
        }
        self.shares.change(ask.origin, |share| share.asked += 1);
        true
    }

    /// It could not be asked after all. It is asked later.
    pub(crate) fn not_asked(&mut self, ask: &Ask, at: Moment) {
        self.shares.change(ask.origin, |share| share.asked -= 1);
        self.ask_later(ask, at, 0);
    }

    fn ask_later(&mut self, ask: &Ask, at: Moment, failed: u32) -> u32 {
        match self.agents.get_mut(&ask.agent_id).map(|agent| &mut agent.proof) {
            Some(Proof::Unproven { failures, ask_at, .. }) => {
                *failures += failed;
                let wait =
                    AGAIN.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(LONGEST);
                *ask_at = Some(at.now + wait);
                *failures
            }
            _ => 0,
        }
    }

    /// An agent was asked back. Of its nodes those are taken that its answer confirms.
    pub(crate) fn answered(&mut self, mut ask: Ask, answer: Answered, at: Moment) {
        let reports = std::mem::take(&mut ask.nodes);
        self.shares.change(ask.origin, |share| share.asked -= 1);
        let Ask { agent_id, incarnation, endpoint, .. } = &ask;
        let is_it = |agent: &&Agent| {
            agent.facts.incarnation == *incarnation && agent.facts.endpoint == *endpoint
        };
        let Some(agent) = self.agents.get(agent_id).filter(is_it) else { return };
        let (vouches, nodes) = match answer {
            Answered::No(why) => {
                if self.ask_later(&ask, at, 1) == 1 {
                    tracing::warn!(
                        agent_id,
                        endpoint,
                        why,
                        "an agent does not answer at its endpoint: \
                         what it reports of nodes is ignored until it does"
                    );
                }
                return;
            }
            Answered::Itself => (true, reports),
            Answered::Nodes(ids) => {
                (false, reports.into_iter().filter(|node| ids.contains(&node.node_id)).collect())
            }
        };
        if !agent.is_proven() {
            let Share { proven, .. } = self.shares.of(agent.facts.origin);
            if proven >= PROVEN_OF_ONE || self.shares.all.proven >= MAX_AGENTS {
                let why = "there are as many agents as the master takes, of its address or in all";
                return self.forget(agent_id, why);
            }
        }
        self.prove(agent_id, vouches);
        // Reports that were too long to keep are asked for at its next heartbeat.
        if let Some(revision) = ask.revision {
            self.reconcile(agent_id, &nodes, revision, at);
        }
    }

    /// An agent has answered at its endpoint: from now on it is logged.
    pub(super) fn prove(&mut self, agent_id: &str, vouches: bool) {
        let Some(mut agent) = self.take_agent(agent_id) else { return };
        let is_news = !agent.is_proven() || agent.facts.vouches != vouches;
        agent.proof = Proof::Proven;
        agent.facts.vouches = vouches;
        self.put_agent(agent_id.to_owned(), agent);
        if is_news {
            self.changes.push(Change::Agent(agent_id.to_owned()));
        }
    }

    /// Whether an agent's word is taken without asking it back for each node.
    pub(super) fn vouches(&self, agent_id: &str) -> bool {
        self.agents.get(agent_id).is_some_and(|agent| agent.is_proven() && agent.facts.vouches)
    }

    /// Forgets those that never answered and are not heard of any more.
    pub(super) fn forget_the_silent(&mut self, at: Moment) {
        if self.shares.all.unproven == 0 {
            return;
        }
        let is_silent =
            |agent: &Agent| !agent.is_proven() && self.state_of(agent, at) == AgentState::Offline;
        let silent: Vec<String> = self
            .agents
            .iter()
            .filter(|(_, agent)| is_silent(agent))
            .map(|(agent_id, _)| agent_id.clone())
            .collect();
        for agent_id in silent {
            self.forget(
                &agent_id,
                "it has not answered at its endpoint, and nothing more was heard of it",
            );
        }
    }

    /// Whether somebody waits to be asked back.
    pub(super) fn has_asks(&self) -> bool {
        self.shares.all.unproven > 0 || !self.asks.is_empty()
    }

    /// Agents that have not answered.
    pub(crate) fn unproven(&self) -> usize {
        self.shares.all.unproven
    }
}

/// What is asked back after a registration.
pub(super) fn ask(registration: &AgentRegistration, origin: Option<Origin>) -> Ask {
    let AgentRegistration { agent_id, incarnation, endpoint, revision, nodes, .. } = registration;
    let texts = |node: &NodeReport| {
        let NodeReport {
            endpoint,
            compat_endpoint,
            storage_path,
            detail,
            cores,
            memory_enforcement,
            ..
        } = node;
        [endpoint, compat_endpoint, storage_path, detail, cores, memory_enforcement]
            .map(String::len)
            .iter()
            .sum::<usize>()
    };
    // One of the old protocol reports nothing by itself.
    let is_short = *incarnation != 0 && nodes.iter().map(texts).sum::<usize>() <= KEPT;
    Ask {
        agent_id: agent_id.clone(),
        incarnation: *incarnation,
        endpoint: endpoint.clone(),
        origin,
        nodes: if is_short { nodes.clone() } else { Vec::new() },
        revision: is_short.then_some(*revision),
    }
}
