//! A node as the agent knows it in memory: how it is, how it becomes so, and how it is told of.
//!
//! Promises: its state, its record and its task change together, by a method that says what has
//! happened.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sutra_wire::grid::{NodeAdminPort, NodeReport, NodeState};
use sutra_wire::limits;
use tokio::time::Instant;

use crate::config::Timings;
use crate::host;
use crate::list::{NodeRecord, Wanted};
use crate::orders::NodeTask;
use crate::process::ProcessId;

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    record: NodeRecord,
    state: NodeState,
    /// Since when its health has not answered, where there is a process that should.
    unanswered: Option<Instant>,
    /// The way to the task that looks after it, where there is one.
    task: Option<NodeTask>,
}

impl Node {
    /// A node of the list, without a task.
    pub(crate) fn of(record: NodeRecord) -> Self {
        let state = match record.wanted {
            Wanted::Running => NodeState::Starting,
            Wanted::Stopped => NodeState::Stopped,
            Wanted::GivenUp => NodeState::GaveUp,
        };
        Self { state, unanswered: None, task: None, record }
    }

    /// The same with a task that looks after it.
    pub(crate) fn kept(record: NodeRecord, task: NodeTask) -> Self {
        Self { task: Some(task), ..Self::of(record) }
    }

    pub(crate) fn id(&self) -> &str {
        &self.record.id
    }

    pub(crate) fn record(&self) -> &NodeRecord {
        &self.record
    }

    /// Its ports, native and for the old protocol.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        let admin = self.record.admin.map(|admin| admin.port());
        [self.record.port, self.record.compat_port].into_iter().chain(admin)
    }

    pub(crate) fn task(&self) -> Option<&NodeTask> {
        self.task.as_ref()
    }

    /// Whether it takes one of the agent's places.
    pub(crate) fn is_active(&self) -> bool {
        self.record.wanted == Wanted::Running || self.task.is_some()
    }

    /// Whether it goes by this id or name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.record.id == name || (!self.record.name.is_empty() && self.record.name == name)
    }

    /// For how long its health has not answered, where it should.
    pub(crate) fn silence(&self) -> Option<Duration> {
        self.unanswered.map(|since| since.elapsed())
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.record.process.as_ref().map(|process| process.pid)
    }

    /// A process of an earlier agent still runs, and is this node's.
    pub(crate) fn adopt(&mut self, process: ProcessId) {
        if self.record.process.as_ref() != Some(&process) {
            self.record.started = host::now();
        }
        self.has_process(process);
    }

    /// Its process has ended while no agent was there.
    pub(crate) fn found_dead(&mut self, why: &str) {
        self.record.process = None;
        if self.record.wanted == Wanted::Running {
            self.record.detail = why.to_owned();
            self.state = NodeState::Crashed;
        }
    }

    /// It is to be started on these ports, native and for the old protocol.
    /// `admin`: where it serves HTTP, if it does.
    pub(crate) fn set_ports(&mut self, [port, compat_port]: [u16; 2], admin: Option<SocketAddr>) {
        self.record.port = port;
        self.record.compat_port = compat_port;
        self.record.admin = admin;
    }

    /// Where it serves HTTP, as long as it may be there: by `host` where that is every address.
    pub(crate) fn admin_port(&self, host: &str) -> Option<NodeAdminPort> {
        let admin = self.record.admin.filter(|_| self.is_active())?;
        Some(NodeAdminPort {
            node_id: self.record.id.clone(),
            admin: host::reached_at(admin, host),
        })
    }

    /// Counts that the node is about to be started again.
    pub(crate) fn count_restart(&mut self) {
        self.record.restarts = self.record.restarts.saturating_add(1);
    }

    /// Its process was started. `memory` says how its memory limit is kept.
    pub(crate) fn started(&mut self, process: ProcessId, memory: String) {
        self.record.started = host::now();
        self.record.memory = memory;
        self.has_process(process);
    }

    fn has_process(&mut self, process: ProcessId) {
        self.record.process = Some(process);
        self.state = NodeState::Starting;
        self.unanswered = Some(Instant::now());
    }

    /// Whether that its health answers so would be news.
    pub(crate) fn is_news(&self, words: &str) -> bool {
        self.state != NodeState::Running || self.record.detail != words
    }

    /// Its health answers, with these words of what is not well.
    pub(crate) fn answered(&mut self, words: String) {
        self.state = NodeState::Running;
        self.record.detail = words;
        self.unanswered = None;
    }

    /// Its health does not answer any more.
    pub(crate) fn fell_silent(&mut self, why: &str) {
        self.state = NodeState::Starting;
        self.record.detail = format!("its health does not answer: {why}");
        self.unanswered.get_or_insert_with(Instant::now);
    }

    /// The node has been told to end.
    pub(crate) fn stopping(&mut self) {
        self.state = NodeState::Stopping;
    }

    /// It has ended by itself. After what pause it may be started again; `None` where that was too
    /// often.
    pub(crate) fn next_restart(&mut self, timings: &Timings) -> Option<Duration> {
        self.record.recent.next(timings)
    }

    /// It has ended by itself, and is to be started again.
    pub(crate) fn crashed(&mut self, why: String) {
        self.state = NodeState::Crashed;
        self.record.process = None;
        self.record.detail = why;
    }

    /// It is not to be started again. That is told once it is on disk: [`Node::given_up`].
    pub(crate) fn give_up(&mut self, why: String) {
        self.record.wanted = Wanted::GivenUp;
        self.record.process = None;
        self.record.detail = why;
    }

    /// It has been given up, on disk as well.
    pub(crate) fn given_up(&mut self) {
        self.state = NodeState::GaveUp;
        self.task = None;
    }

    /// Somebody wants it stopped. The way to the task that has to stop it, where there is one.
    pub(crate) fn want_stopped(&mut self) -> Option<NodeTask> {
        self.record.wanted = Wanted::Stopped;
        if self.task.is_none() {
            self.state = NodeState::Stopped;
        }
        self.task.clone()
    }

    /// The node was stopped.
    pub(crate) fn stopped(&mut self) {
        self.state = NodeState::Stopped;
        self.task = None;
        self.record.process = None;
        let is_wanted = self.record.wanted == Wanted::Running;
        self.record.detail =
            if is_wanted { "stopped with its agent".into() } else { String::new() };
    }

    /// What the master is told. Its address is told as long as it may be there.
    pub(crate) fn report(&self, host: &str, root: &Path) -> NodeReport {
        let record = &self.record;
        let at =
            |port: u16| if self.is_active() { host::endpoint(host, port) } else { String::new() };
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
            pid: self.pid().unwrap_or_default(),
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
        let mut node = Node::of(list::sample("node-1"));
        node.answered("ä".repeat(limits::MAX_GRID_TEXT));
        let report = node.report("host", "/agent".as_ref());
        assert_eq!((report.endpoint.as_str(), report.pid), ("host:20001", 7));
        assert!(
            report.detail.len() <= limits::MAX_GRID_TEXT
                && report.storage_path == "/agent/nodes/node-1"
        );
        let admin = node.admin_port("host").map(|port| port.admin);
        assert_eq!(admin.as_deref(), Some("127.0.0.1:20003"));
        node.set_ports([1, 2], Some(SocketAddr::from(([0, 0, 0, 0], 3))));
        assert_eq!(node.admin_port("host").unwrap_or_default().admin, "host:3");
        assert_eq!(node.ports().collect::<Vec<_>>(), [1, 2, 3]);
        node.want_stopped();
        node.stopped();
        assert_eq!(node.admin_port("host"), None);
        let report = node.report("host", "/agent".as_ref());
        assert_eq!((report.endpoint.as_str(), report.pid, report.started), ("", 0, 0));
        assert!(node.is_called("node-1") && node.is_called("orders") && !node.is_called(""));
    }

    #[test]
    fn what_becomes_of_a_node_shows_in_its_state() {
        let state = |node: &Node| NodeState::from_number(node.report("h", "/".as_ref()).state);
        let mut node = Node::of(list::sample("node-1"));
        assert_eq!(state(&node), Some(NodeState::Starting));
        assert!(node.silence().is_none() && node.is_news(""));
        node.answered(String::new());
        assert_eq!(state(&node), Some(NodeState::Running));
        assert!(!node.is_news("") && node.is_news("its disk is full"));
        node.fell_silent("refused");
        assert_eq!(state(&node), Some(NodeState::Starting));
        assert!(node.silence().is_some());
        node.crashed("it ended".into());
        assert_eq!((state(&node), node.pid()), (Some(NodeState::Crashed), None));
        node.give_up("too often".into());
        node.given_up();
        assert_eq!(state(&node), Some(NodeState::GaveUp));
        assert!(!node.is_active());
    }
}
