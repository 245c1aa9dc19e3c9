//! What the master tells of itself as a whole: the cluster, its health, its counters, and the
//! overview for its admin port.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use sutra_net::Context;
use sutra_wire::grid::{Cluster, ClusterState};
use sutra_wire::{Counter, Durability, Stats};
use tokio::sync::oneshot;

use crate::core::MasterCore;
use crate::message::{Home, Message, Question};
use crate::overview::{Overview, agent, node};
use crate::registry::{Problems, Shown};
use sutra_admin::{Code, Detail, Host, Refusal, Source, View};

/// The core answers within a turn of its loop; a master that takes so long is not well.
const PATIENCE: Duration = Duration::from_secs(2);

impl MasterCore {
    pub(crate) fn cluster(&self, cx: &Context<'_, Message>, shown: Shown) -> Cluster {
        let cluster = self.registry.cluster(shown, self.moment(cx));
        let state = match self.journal.trouble(cx.now()) {
            Some(_) if cluster.state == ClusterState::Healthy as u8 => ClusterState::Degraded as u8,
            _ => cluster.state,
        };
        Cluster {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime: self.uptime(),
            state,
            ..cluster
        }
    }

    /// What is not as it should be, in the grid and with the master's log.
    pub(crate) fn problems(&self, cx: &Context<'_, Message>) -> Problems {
        let mut problems = self.registry.problems(self.moment(cx));
        if let Some(trouble) = self.journal.trouble(cx.now()) {
            problems.add_first(trouble);
        }
        problems
    }

    /// The whole, with `errands` under way and so many watchers.
    pub(crate) fn overview(
        &self,
        cx: &Context<'_, Message>,
        lists: bool,
        errands: usize,
        watchers: usize,
    ) -> Overview {
        let at = self.moment(cx);
        let registry = &self.registry;
        let agents = lists.then(|| registry.agent_page("", 0, Shown::ByAnswer, at).agents);
        let agents = agents.iter().flatten();
        let agents = agents.map(|info| agent(info, registry.admin_of_agent(&info.agent_id)));
        let nodes = lists.then(|| registry.node_page("", "", 0, at).nodes);
        let nodes = nodes.iter().flatten().map(|info| node(info, registry));
        Overview {
            cluster: self.cluster(cx, Shown::ByAnswer),
            nodes_by_state: self.registry.nodes_by_state(),
            counters: self.counters,
            errands_under_way: errands,
            watchers,
            last_event: self.events.last(),
            unproven: self.registry.unproven(),
            is_writable: self.journal.trouble(cx.now()).is_none(),
            problems: self.problems(cx),
            agents: agents.collect(),
            nodes: nodes.collect(),
        }
    }

    /// The answer to a client that asks any server for its counters.
    pub(crate) fn stats(&self, cx: &Context<'_, Message>, watchers: usize) -> Stats {
        let shard = self.journal.shard().stats();
        let mut counters = Vec::new();
        cx.counters(&mut counters);
        for (name, value) in [
            ("agents", self.registry.agents() as u64),
            ("nodes", self.registry.nodes() as u64),
            ("watchers", watchers as u64),
            ("heartbeats", self.counters.heartbeats),
            ("heartbeats_of_unknown_agents", self.counters.unknown),
            ("refused", self.counters.refused),
            ("errands", self.counters.errands),
            ("errands_failed", self.counters.errands_failed),
            ("events_told", self.counters.events_told),
            ("log_bytes", shard.log_bytes),
        ] {
            counters.push(Counter { name: name.into(), value });
        }
        Stats {
            concepts: shard.concepts,
            written: shard.written,
            pending: shard.pending,
            uptime: self.uptime(),
            cores: 1,
            durability: Durability::Always.to_string(),
            write_path: self.journal.shard().write_path(),
            version: env!("CARGO_PKG_VERSION").into(),
            counters,
            ..Stats::default()
        }
    }
}

/// The master, as the admin thread asks it.
pub(crate) struct MasterSource {
    home: Home,
    /// The data folder.
    data: PathBuf,
    /// Where its admin port is reached.
    admin: String,
}

impl MasterSource {
    pub(crate) fn new(home: Home, data: PathBuf, admin: String) -> Self {
        Self { home, data, admin }
    }

    /// What the core answers.
    pub(crate) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, Refusal> {
        let (to, answer) = oneshot::channel();
        let question = Message::Ask(question(to));
        let starting =
            || Refusal::new(Code::Unavailable, "the master starts; ask again in a moment");
        self.home.get().ok_or_else(starting)?.post(question);
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(found)) => Ok(found),
            _ => Err(Refusal::new(Code::TimedOut, "the master's core does not answer")),
        }
    }

    /// The master itself, as something to be scraped.
    pub(crate) fn own_target(&self) -> Value {
        json!({ "targets": [self.admin], "labels": { "kind": "master" } })
    }
}

impl Source for MasterSource {
    const KIND: &'static str = "master";

    async fn look(&self, Detail { lists, .. }: Detail) -> Option<View> {
        let (to, overview) = oneshot::channel();
        self.home.get()?.post(Message::Look { lists, to });
        let overview = tokio::time::timeout(PATIENCE, overview).await.ok()?.ok()?;
        let mut view = overview.view();
        view.metrics.extend(Host::read(&self.data).metrics());
        Some(view)
    }
}
