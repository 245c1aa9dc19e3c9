//! What the agent does with its nodes: it takes over those of the agent before, starts new ones,
//! and stops them.
//!
//! A new node is checked, put on the list, noted on disk, and only then made. A failure takes all
//! of that back, but for a node that takes long to read a folder which was there before. What
//! becomes of a node later is its life's to say (`life.rs`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sutra_wire::grid::NodeReport;
use sutra_wire::limits;
use tokio::time::timeout;

use crate::core::AgentCore;
use crate::error::Refusal;
use crate::life::{End, Life};
use crate::list::{NodeRecord, Wanted};
use crate::live_process::LiveProcess;
use crate::new_node::{NewNode, Offer};
use crate::node::Node;
use crate::paths::Made;
use crate::process::{self, Process};
use crate::{cpus, host, logs};

/// The time to end of a node that has not run yet, so has nothing of anybody's to finish: whoever
/// asked for it still waits.
const NEVER_RAN: Duration = Duration::from_secs(5);
/// A killed process's time to be gone: more only where it hangs in the kernel.
const KILLED: Duration = Duration::from_secs(5);
/// Why a node was not running that should.
const DIED_UNSEEN: &str = "it was not running when its agent came back";

/// Starts and stops an agent's nodes.
pub(crate) struct Supervisor {
    core: Arc<AgentCore>,
    max_nodes: u32,
    /// CPUs that nodes may be pinned to.
    cpus: Vec<usize>,
    /// Nothing is started any more.
    is_closed: AtomicBool,
}

/// What a failure takes back.
struct Reserved {
    id: String,
    /// The node that is taken up again: with what it was.
    before: Option<NodeRecord>,
    /// What was forgotten to make place on the list.
    forgotten: Option<NodeRecord>,
    had_log: bool,
}

/// What has come of a start that did not fail.
enum First {
    /// The node answers that it is healthy.
    Runs(LiveProcess),
    /// Its process runs on a folder that was there before, and does not answer yet.
    Recovers(LiveProcess),
}

impl Supervisor {
    pub(crate) fn new(core: Arc<AgentCore>, max_nodes: u32, cpus: Vec<usize>) -> Self {
        Self { core, max_nodes, cpus, is_closed: AtomicBool::new(false) }
    }

    /// Takes over the nodes of the agent that was here before: adopts those that run, starts those
    /// that should. Returns how many of each.
    pub(crate) fn take_over(&self, records: Vec<NodeRecord>) -> (usize, usize) {
        debug_assert!(records.len() <= limits::MAX_AGENT_NODES);
        let (servers, boot) = (process::servers(), host::boot_id());
        let (mut adopted, mut started) = (0, 0);
        for record in records {
            let live = self.running(&record, &servers);
            let is_wanted = record.wanted == Wanted::Running;
            if live.is_none() && !is_wanted {
                let mut node = Node::of(record);
                node.found_dead(DIED_UNSEEN);
                self.core.nodes().add(node);
                continue;
            }
            let (task, life) = Life::of(&self.core, &record.id);
            if !is_wanted {
                // One that was told to stop while its agent ended still is.
                task.stop();
            }
            // One that has ended with its host has not ended by itself.
            let had = record.process.as_ref().is_some_and(|process| process.boot == boot);
            let died = (had && live.is_none()).then(|| DIED_UNSEEN.to_owned());
            let mut node = Node::kept(record, task);
            if let Some(live) = &live {
                adopted += 1;
                tracing::info!(
                    node = node.id(),
                    pid = live.id().pid,
                    "adopted a node that still runs"
                );
                node.adopt(live.id().clone());
            } else {
                started += 1;
                node.found_dead(DIED_UNSEEN);
            }
            self.core.nodes().add(node);
            tokio::spawn(life.keep(live, died));
        }
        (adopted, started)
    }

    /// The process of a node that an earlier agent has started, where it still runs.
    fn running(&self, record: &NodeRecord, servers: &HashMap<PathBuf, u32>) -> Option<LiveProcess> {
        let launcher = self.core.launcher();
        let data = launcher.data(record);
        let known =
            record.process.as_ref().and_then(|known| Process::adopt(known.pid, Some(known), &data));
        // The agent may have ended between the process's start and its place on the list. Where
        // none is wanted, somebody else's is left alone.
        let process = known.or_else(|| {
            let found = servers.get(&data).filter(|_| record.wanted == Wanted::Running)?;
            Process::adopt(*found, None, &data)
        })?;
        Some(LiveProcess::adopted(process, record, launcher))
    }

    /// Starts a node and answers when its health does. A stopped or given-up one whose folder or,
    /// where no folder is named, whose name is asked for is taken up again, under its old id.
    pub(crate) async fn spawn(&self, asked: &NewNode) -> Result<NodeReport, Refusal> {
        let (reserved, mut life) = self.reserve(asked)?;
        let nodes = self.core.nodes();
        if let Err(error) = nodes.save().await {
            self.take_back(reserved, None).await;
            return Err(Refusal::List(error));
        }
        let path = nodes.look(&reserved.id, |node| node.record().path.clone()).unwrap_or_default();
        let made = match Made::make(nodes.root(), &path) {
            Ok(made) => made,
            Err(error) => {
                self.take_back(reserved, None).await;
                return Err(Refusal::Start(format!("its folder can't be made: {error}")));
            }
        };
        let is_old = made.is_old(&nodes.root().join(&path));
        match self.first_start(&mut life, is_old).await {
            Ok(First::Runs(live)) => {
                tokio::spawn(life.keep(Some(live), None));
                nodes.status(&reserved.id).ok_or(Refusal::Unknown { node: reserved.id })
            }
            Ok(First::Recovers(live)) => {
                tracing::info!(
                    node = reserved.id,
                    "a node takes long to read its data; it goes on"
                );
                tokio::spawn(life.keep(Some(live), None));
                Err(Refusal::Recovering { node: reserved.id, time: self.core.timings().start })
            }
            Err(refusal) => {
                tracing::warn!(
                    node = reserved.id,
                    reason = %refusal,
                    "a node did not start; nothing is left of it"
                );
                self.take_back(reserved, Some((&made, &path))).await;
                Err(refusal)
            }
        }
    }

    async fn first_start(&self, life: &mut Life, is_old: bool) -> Result<First, Refusal> {
        let patience = self.core.timings().start;
        let (mut live, saved) = life.start().await.map_err(Refusal::Start)?;
        if let Err(error) = saved {
            life.terminate(&mut live, NEVER_RAN).await;
            return Err(Refusal::List(error));
        }
        let refusal = match timeout(patience, life.first_answer(&mut live)).await {
            Ok(Ok(())) => match self.core.nodes().save().await {
                Ok(()) => return Ok(First::Runs(live)),
                Err(error) => Refusal::List(error),
            },
            Ok(Err(End::Ended(words))) => return Err(Refusal::Start(words)),
            Ok(Err(End::Told | End::Hung)) => Refusal::Start("it was stopped before it ran".into()),
            // How long that takes is the data's to say; a new node has nothing to read.
            Err(_) if is_old => return Ok(First::Recovers(live)),
            Err(_) => Refusal::Start(live.not_in_time(patience)),
        };
        life.terminate(&mut live, NEVER_RAN).await;
        Err(refusal)
    }

    /// Checks what is asked for against all nodes, and puts the node on the list, at one moment.
    fn reserve(&self, asked: &NewNode) -> Result<(Reserved, Life), Refusal> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(Refusal::Stopping);
        }
        asked.check_name()?;
        let launcher = self.core.launcher();
        let offer = Offer {
            root: self.core.nodes().root(),
            ip: launcher.ip(),
            cpus: cpus::in_order(&asked.cores, &self.cpus),
            max_nodes: self.max_nodes,
            memory: launcher.memory_words(asked.memory_limit_mb),
        };
        self.core.nodes().arrange(|nodes| {
            let (record, before) = asked.record(nodes, &offer)?;
            let id = record.id.clone();
            let mut forgotten = None;
            nodes.retain(|node| node.id() != id);
            if nodes.len() >= limits::MAX_AGENT_NODES {
                // The one that was stopped longest ago stands first.
                let at =
                    nodes.iter().position(|node| !node.is_active()).ok_or(Refusal::ListFull)?;
                forgotten = Some(nodes.remove(at).record().clone());
            }
            let (task, life) = Life::of(&self.core, &id);
            nodes.push(Node::kept(record, task));
            let had_log = launcher.log(&id).exists();
            Ok((Reserved { id, before, forgotten, had_log }, life))
        })
    }

    /// Leaves things as they were before.
    async fn take_back(&self, reserved: Reserved, made: Option<(&Made, &Path)>) {
        let Reserved { id, before, forgotten, had_log } = reserved;
        let (nodes, launcher) = (self.core.nodes(), self.core.launcher());
        if let Some((made, path)) = made {
            made.unmake(&nodes.root().join(path));
        }
        launcher.clear(&id);
        if !had_log {
            logs::remove(&launcher.log(&id));
        }
        nodes.take_back(&id, before.map(Node::of), forgotten.map(Node::of));
        nodes.save_or_warn().await;
    }

    /// A node by its id or name.
    pub(crate) fn status(&self, name: &str) -> Option<NodeReport> {
        self.core.nodes().status(name)
    }

    /// Stops a node, by its id or name. One that does not run stays as it is, and is not started
    /// again.
    pub(crate) async fn stop(&self, name: &str) -> Result<(), Refusal> {
        let found = self.status(name).ok_or_else(|| Refusal::Unknown { node: name.into() })?;
        let id = found.node_id;
        let task = self.core.nodes().change(&id, Node::want_stopped);
        self.core.nodes().save_or_warn().await;
        let Some(task) = task.flatten() else { return Ok(()) };
        task.stop();
        match timeout(self.patience(), task.ended()).await {
            Ok(()) => Ok(()),
            Err(_) => {
                Err(Refusal::NotStopped { node: id, problem: "its process does not end".into() })
            }
        }
    }

    /// Starts nothing any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Stops all nodes at once; they are still wanted, and started by the next agent here.
    pub(crate) async fn stop_all(&self) {
        let tasks = self.core.nodes().tasks();
        for task in &tasks {
            task.stop();
        }
        let all = async {
            for task in tasks {
                task.ended().await;
            }
        };
        if timeout(self.patience(), all).await.is_err() {
            tracing::warn!("some nodes do not end; the next agent on this folder finds them");
        }
    }

    /// How long the end of a node may take in all.
    fn patience(&self) -> Duration {
        self.core.timings().drain + 2 * KILLED
    }
}
