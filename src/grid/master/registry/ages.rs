//! How agents are, by the age of their last heartbeat.

use std::time::{Duration, Instant};

use sutra_wire::grid::{AgentState, EventKind};

use super::{Agent, Moment, Registry};

/// How often ages are looked at while there are agents.
pub(crate) const LOOK: Duration = Duration::from_millis(250);
/// Looks that are farther apart than this mean that it was the master that was not there (stopped, or a host that slept): its own absence makes
/// nobody offline.
const ABSENCE: Duration = Duration::from_secs(2);

impl Agent {
    /// How long ago it was heard of.
    pub(super) fn age(&self, at: Moment) -> Duration {
        at.now.saturating_duration_since(self.heard)
    }
}

impl Registry {
    pub(super) fn state_at(&self, age: Duration) -> AgentState {
        if age >= self.patience.offline_after {
            AgentState::Offline
        } else if age >= self.patience.degraded_after {
            AgentState::Degraded
        } else {
            AgentState::Healthy
        }
    }

    /// Where nobody has looked for long, it was the master that was not there: what agents did not say meanwhile they are not blamed for.
    pub(crate) fn notice_absence(&mut self, at: Moment) {
        let since = self.looked.map_or(Duration::ZERO, |looked| at.now.saturating_duration_since(looked));
        if since <= ABSENCE {
            return;
        }
        self.looked = Some(at.now);
        for agent in self.agents.values_mut().filter(|agent| agent.state != AgentState::Offline) {
            agent.heard = (agent.heard + since).min(at.now);
        }
    }

    /// Finds the agents that have become degraded or offline. To be called every [`LOOK`] or sooner while there are agents; returns when next.
    pub(crate) fn look_at_ages(&mut self, at: Moment) -> Option<Instant> {
        self.notice_absence(at);
        self.looked = Some(at.now);
        let patience = self.patience;
        let mut fallen = Vec::new();
        let mut next = LOOK;
        for (agent_id, agent) in &mut self.agents {
            let age = agent.age(at);
            let (state, until) = if age >= patience.offline_after {
                (AgentState::Offline, LOOK)
            } else if age >= patience.degraded_after {
                (AgentState::Degraded, patience.offline_after - age)
            } else {
                (AgentState::Healthy, patience.degraded_after - age)
            };
            next = next.min(until);
            // Healthy again is who is heard of, and nobody else.
            if state as u8 > agent.state as u8 {
                agent.state = state;
                fallen.push((agent_id.clone(), state, age));
            }
        }
        for (agent_id, state, age) in fallen {
            let kind = if state == AgentState::Offline { EventKind::AgentOffline } else { EventKind::AgentDegraded };
            self.agent_event(kind, &agent_id, format!("no heartbeat for {:.1} s", age.as_secs_f64()));
        }
        if self.agents.is_empty() { None } else { Some(at.now + next) }
    }
}
