//! A node as the agent knows it in memory, and as it is told of.

use sutra_wire::grid::{NodeReport, NodeState};
use sutra_wire::limits;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::host;
use crate::list::{NodeRecord, Wanted};

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) record: NodeRecord,
    pub(crate) state: NodeState,
    /// Since when its health has not answered, where there is a process that should.
    pub(crate) unanswered: Option<Instant>,
    /// The task that keeps it, where one does.
    pub(crate) keeper: Option<Keeper>,
}

/// The way to the task that keeps a node.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    /// Tells it to stop the node.
    pub(crate) stop: watch::Sender<bool>,
    /// Closed when it has ended.
    pub(crate) done: watch::Receiver<()>,
}

impl Keeper {
    /// Waits for the task's end.
    pub(crate) async fn ended(mut self) {
        while self.done.changed().await.is_ok() {}
    }
}

impl Node {
    /// A node of the list, without a task.
    pub(crate) fn of(record: NodeRecord) -> Self {
        let state = match record.wanted {
            Wanted::Running => NodeState::Starting,
            Wanted::Stopped => NodeState::Stopped,
            Wanted::GivenUp => NodeState::GaveUp,
        };
        Self { state, unanswered: None, keeper: None, record }
    }

    /// Whether it takes one of the agent's places.
    pub(crate) fn is_active(&self) -> bool {
        self.record.wanted == Wanted::Running || self.keeper.is_some()
    }

    /// Whether it goes by this id or name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.record.id == name || (!self.record.name.is_empty() && self.record.name == name)
    }

    /// What the master is told. Its address is told as long as it may be there.
    pub(crate) fn report(&self, host: &str, root: &std::path::Path) -> NodeReport {
        let record = &self.record;
        let at = |port: u16| if self.is_active() { host::endpoint(host, port) } else { String::new() };
        NodeReport {
            node_id: record.id.clone(),
            name: record.name.clone(),
            endpoint: at(record.port),
            compat_endpoint: at(record.compat_port),
            storage_path: cut(&root.join(&record.path).to_string_lossy()),
            detail: cut(&record.detail),
            cores: record.cores.clone(),
            memory_enforcement: cut(&record.memory),
            memory_limit_mb: record.memory_limit_mb,
            started: if record.process.is_some() { record.started } else { 0 },
            pid: record.process.as_ref().map_or(0, |process| process.pid),
            restarts: record.restarts,
            state: self.state as u8,
        }
    }
}

/// A text that a report may hold.
fn cut(text: &str) -> String {
    let end = text.len().min(limits::MAX_GRID_TEXT);
    text[..text.floor_char_boundary(end)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list;

    #[test]
    fn a_report_tells_what_is_true_and_fits() {
        let mut node = Node { state: NodeState::Running, ..Node::of(list::sample("node-1")) };
        node.record.detail = "ä".repeat(limits::MAX_GRID_TEXT);
        let report = node.report("host", "/agent".as_ref());
        assert_eq!((report.endpoint.as_str(), report.pid), ("host:20001", 7));
        assert!(report.detail.len() <= limits::MAX_GRID_TEXT && report.storage_path == "/agent/nodes/node-1");
        node.record.wanted = Wanted::Stopped;
        node.record.process = None;
        let report = node.report("host", "/agent".as_ref());
        assert_eq!((report.endpoint.as_str(), report.pid, report.started), ("", 0, 0));
        assert!(node.is_called("node-1") && node.is_called("orders") && !node.is_called(""));
    }
}
