//! How agents are, by the age of their last heartbeat.

use std::time::{Duration, Instant};

use sutra_wire::grid::{AgentState, EventKind};

use super::facts::{Agent, Moment, Patience};
use super::proof::SOON;
use super::state::Registry;

/// How often ages are looked at while there are agents.
pub(crate) const LOOK: Duration = Duration::from_millis(250);
/// Looks that are farther apart than this mean that the master itself was away: it was stopped, or
/// its host slept. That makes no agent offline.
const ABSENCE: Duration = Duration::from_secs(2);

impl Agent {
    /// How long ago it was heard of.
    pub(super) fn age(&self, at: Moment) -> Duration {
        at.now.saturating_duration_since(self.heard)
    }
}

impl Registry {
    /// The state of an agent. One that was logged and not heard of since the master's start is
    /// unknown.
    pub(super) fn state_of(&self, agent: &Agent, at: Moment) -> AgentState {
        match agent.age(at) {
            age if age >= self.patience.offline_after => AgentState::Offline,
            _ if !agent.is_heard => AgentState::Unknown,
            age if age >= self.patience.degraded_after => AgentState::Degraded,
            _ => AgentState::Healthy,
        }
    }

    /// Where ages were not looked at for long, the master itself was away. That time does not count
    /// against agents.
    pub(crate) fn notice_absence(&mut self, at: Moment) {
        let since =
            self.looked.map_or(Duration::ZERO, |looked| at.now.saturating_duration_since(looked));
        if since <= ABSENCE {
            return;
        }
        self.looked = Some(at.now);
        for agent in self.agents.values_mut().filter(|agent| agent.state != AgentState::Offline) {
            agent.heard = (agent.heard + since).min(at.now);
        }
    }

    /// Finds the agents that have become degraded or offline. To be called every [`LOOK`] or sooner
    /// while there are agents; returns when next.
    pub(crate) fn look_at_ages(&mut self, at: Moment) -> Option<Instant> {
        self.notice_absence(at);
        self.looked = Some(at.now);
        self.forget_the_silent(at);
        let Patience { degraded_after, offline_after } = self.patience;
        let mut fallen = Vec::new();
        let mut next = if self.has_asks() { SOON } else { LOOK };
        for (agent_id, agent) in &self.agents {
            let (age, state) = (agent.age(at), self.state_of(agent, at));
            let until = match state {
                AgentState::Healthy => degraded_after.saturating_sub(age),
                AgentState::Degraded | AgentState::Unknown => offline_after.saturating_sub(age),
                AgentState::Offline => LOOK,
            };
            next = next.min(until);
            // Only a heartbeat makes an agent healthy again.
            let is_worse = matches!(
                (state, agent.state),
                (AgentState::Degraded, AgentState::Healthy)
                    | (
                        AgentState::Offline,
                        AgentState::Healthy | AgentState::Degraded | AgentState::Unknown
                    )
            );
            if is_worse {
                fallen.push((agent_id.clone(), state, age));
            }
        }
        for (agent_id, state, age) in fallen {
            if let Some(agent) = self.agents.get_mut(&agent_id) {
                agent.state = state;
            }
            let kind = if state == AgentState::Offline {
                EventKind::AgentOffline
            } else {
                EventKind::AgentDegraded
            };
            self.agent_event(
                kind,
                &agent_id,
                format!("no heartbeat for {:.1} s", age.as_secs_f64()),
            );
        }
        if self.agents.is_empty() { None } else { Some(at.now + next) }
    }
}
