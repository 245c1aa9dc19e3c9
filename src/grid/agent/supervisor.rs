//! All nodes of an agent: what is known of each, its list on disk, and the number of its last
//! change.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sutra_wire::grid::{NodeReport, NodeState};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::Timings;
use crate::error::AgentError;
use crate::error::Refusal;
use crate::folder::Folder;
use crate::keep::Life;
use crate::launch::Launcher;
use crate::list::{self, NodeRecord, Wanted};
use crate::memory::Memory;
use crate::node::{Keeper, Node};
use crate::process::{self, Process};
use crate::{host, logs};

/// Between two looks at what is to be tidied up.
const HOUSEKEEPING: Duration = Duration::from_secs(5);
/// A killed process's time to be gone: more only where it hangs in the kernel.
const KILLED: Duration = Duration::from_secs(5);

/// All nodes of an agent.
pub(crate) struct Supervisor {
    pub(crate) folder: Arc<Folder>,
    pub(crate) launcher: Launcher,
    pub(crate) timings: Timings,
    pub(crate) max_nodes: u32,
    /// The host that nodes are reached by.
    pub(crate) advertise: String,
    pub(crate) memory: Memory,
    /// CPUs that nodes may be pinned to.
    pub(crate) cpus: Vec<usize>,
    nodes: Mutex<Vec<Node>>,
    /// The number of the last change.
    revision: watch::Sender<u64>,
    /// Held while the list is written, so that an older one never replaces a newer.
    saving: tokio::sync::Mutex<()>,
    /// The list on disk is older than what is known.
    is_unsaved: AtomicBool,
    is_stopping: AtomicBool,
    /// Why the agent is not registered with its master; nothing while it is.
    trouble: Mutex<Option<String>>,
}

/// What a supervisor is made of.
pub(crate) struct Parts {
    pub(crate) folder: Arc<Folder>,
    pub(crate) launcher: Launcher,
    pub(crate) timings: Timings,
    pub(crate) max_nodes: u32,
    pub(crate) advertise: String,
    pub(crate) memory: Memory,
    pub(crate) cpus: Vec<usize>,
}

impl Supervisor {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { folder, launcher, timings, max_nodes, advertise, memory, cpus } = parts;
        Arc::new(Self {
            folder,
            launcher,
            timings,
            max_nodes,
            advertise,
            memory,
            cpus,
            nodes: Mutex::new(Vec::new()),
            // Above those of the agent that was here before, as far as the clock has not been
            // turned back; a registration tells all anyway.
            revision: watch::Sender::new(host::now()),
            saving: tokio::sync::Mutex::new(()),
            is_unsaved: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            trouble: Mutex::new(Some("it has not been asked yet".into())),
        })
    }

    /// Takes over the nodes of the agent that was here before: adopts those that run, starts those
    /// that should. Returns how many of each.
    pub(crate) fn take_over(self: &Arc<Self>, records: Vec<NodeRecord>) -> (usize, usize) {
        let (servers, boot) = (process::servers(), host::boot_id());
        let (mut adopted, mut started) = (0, 0);
        for record in records {
            let held = self.held(&record, &servers);
            let (mut node, id) = (Node::of(record), self.nodes().len());
            let (keeper, life) = Life::of(self, &node.record.id);
            let is_wanted = node.record.wanted == Wanted::Running;
            // One that has ended with its host has not ended by itself.
            let had = node.record.process.as_ref().is_some_and(|process| process.boot == boot);
            let died = || "it was not running when its agent came back".to_owned();
            match (&held, is_wanted) {
                (Some(process), _) => {
                    adopted += 1;
                    tracing::info!(node = node.record.id, pid = process.id.pid, "adopted a node that still runs");
                    if node.record.process.as_ref() != Some(&process.id) {
                        node.record.started = host::now();
                    }
                    node.record.process = Some(process.id.clone());
                    node.state = NodeState::Starting;
                    node.unanswered = Some(Instant::now());
                }
                (None, true) => {
                    started += 1;
                    node.record.process = None;
                    node.record.detail = died();
                    node.state = NodeState::Crashed;
                }
                (None, false) => node.record.process = None,
            }
            debug_assert!(id < sutra_wire::limits::MAX_AGENT_NODES);
            if held.is_some() || is_wanted {
                // One that was told to stop while its agent ended still is.
                keeper.stop.send_replace(!is_wanted);
                node.keeper = Some(keeper);
                self.nodes().push(node);
                let died = (had && held.is_none()).then(died);
                tokio::spawn(life.keep(held, died));
            } else {
                self.nodes().push(node);
            }
        }
        self.changed();
        (adopted, started)
    }

    fn held(&self, record: &NodeRecord, servers: &HashMap<PathBuf, u32>) -> Option<Process> {
        let data = self.launcher.data(record);
        let known = record.process.as_ref().and_then(|known| Process::adopt(known.pid, Some(known), &data));
        // The agent may have ended between the process's start and its place on the list. Where
        // none is wanted, somebody else's is left alone.
        known.or_else(|| {
            let found = servers.get(&data).filter(|_| record.wanted == Wanted::Running)?;
            Process::adopt(*found, None, &data)
        })
    }

    pub(crate) fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        // What a panicking task has left is still the best that is known.
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with a node, if it is there.
    pub(crate) fn with<T>(&self, id: &str, look: impl FnOnce(&mut Node) -> T) -> Option<T> {
        self.nodes().iter_mut().find(|node| node.record.id == id).map(look)
    }

    /// Changes a node, and says so.
    pub(crate) fn change(&self, id: &str, change: impl FnOnce(&mut Node)) {
        self.with(id, change);
        self.changed();
    }

    /// Something has changed.
    pub(crate) fn changed(&self) {
        // Under the lock, so that a report never has a newer number than what it tells.
        let _nodes = self.nodes();
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// The number of the last change, to be waited for.
    pub(crate) fn revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// All nodes, and the number of the last change to them.
    pub(crate) fn report(&self) -> (u64, Vec<NodeReport>) {
        let nodes = self.nodes();
        let reports = nodes.iter().map(|node| node.report(&self.advertise, &self.folder.root)).collect();
        (*self.revision.borrow(), reports)
    }

    /// A node by its id or name.
    pub(crate) fn status(&self, name: &str) -> Option<NodeReport> {
        let nodes = self.nodes();
        let node =
            nodes.iter().find(|node| node.record.id == name).or_else(|| nodes.iter().find(|node| node.is_called(name)));
        node.map(|node| node.report(&self.advertise, &self.folder.root))
    }

    /// Puts the list on stable storage, as it is when this has its turn.
    pub(crate) async fn save(&self) -> Result<(), AgentError> {
        let _turn = self.saving.lock().await;
        let records: Vec<NodeRecord> = self.nodes().iter().map(|node| node.record.clone()).collect();
        let folder = Arc::clone(&self.folder);
        let saved = tokio::task::spawn_blocking(move || list::save(&folder, records)).await;
        let saved = saved.unwrap_or_else(|error| Err(AgentError::file("write", &self.folder.root)(error.into())));
        self.is_unsaved.store(saved.is_err(), Ordering::Relaxed);
        saved
    }

    /// The same where the work goes on without: it is tried again.
    pub(crate) async fn save_or_warn(&self) {
        if let Err(error) = self.save().await {
            tracing::warn!(%error, "the list of nodes is not on disk as it should be; it is tried again");
        }
    }

    /// Stops a node, by its id or name. One that does not run stays as it is, and is not started
    /// again.
    pub(crate) async fn stop(&self, name: &str) -> Result<(), Refusal> {
        let found = self.status(name).ok_or_else(|| Refusal::Unknown { node: name.into() })?;
        let id = found.node_id;
        let keeper = self.with(&id, |node| {
            node.record.wanted = Wanted::Stopped;
            if node.keeper.is_none() {
                node.state = NodeState::Stopped;
            }
            node.keeper.clone()
        });
        self.changed();
        self.save_or_warn().await;
        let Some(keeper) = keeper.flatten() else { return Ok(()) };
        keeper.stop.send_replace(true);
        match tokio::time::timeout(self.timings.drain + 2 * KILLED, keeper.ended()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Refusal::NotStopped { node: id, problem: "its process does not end".into() }),
        }
    }

    /// The nodes whose health should answer and has not for long, and for how long.
    pub(crate) fn silent(&self) -> Vec<(String, Duration)> {
        let nodes = self.nodes();
        let times = nodes.iter().filter_map(|node| Some((node.record.id.clone(), node.unanswered?.elapsed())));
        times.filter(|(_, time)| *time >= self.timings.silent).collect()
    }

    /// Whether the list on disk is older than what is known.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.is_unsaved.load(Ordering::Relaxed)
    }

    /// The agent is registered with its master, or why it is not.
    pub(crate) fn tell_master(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Why the agent is not registered with its master, if it is not.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing is started any more.
    pub(crate) fn close(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Stops all nodes at once; they are still wanted, and started by the next agent here.
    pub(crate) async fn stop_all(&self) {
        let keepers: Vec<Keeper> = self.nodes().iter().filter_map(|node| node.keeper.clone()).collect();
        keepers.iter().for_each(|keeper| {
            keeper.stop.send_replace(true);
        });
        let all = async {
            for keeper in keepers {
                keeper.ended().await;
            }
        };
        if tokio::time::timeout(self.timings.drain + 2 * KILLED, all).await.is_err() {
            tracing::warn!("some nodes do not end; the next agent on this folder finds them");
        }
    }

    /// Bounds the logs and writes the list where that has failed, for ever.
    pub(crate) async fn housekeep(&self) {
        loop {
            tokio::time::sleep(HOUSEKEEPING).await;
            if self.is_unsaved() && self.save().await.is_ok() {
                tracing::info!("the list of nodes is on disk again");
            }
            let pids = |node: &Node| node.record.process.as_ref().map(|process| process.pid);
            let known: Vec<_> = self.nodes().iter().map(|node| (node.record.id.clone(), pids(node))).collect();
            let root = self.folder.root.clone();
            let bounded = tokio::task::spawn_blocking(move || {
                for (id, pid) in known {
                    if let Err(error) = logs::keep(&logs::file(&root, &id), pid, logs::MOST) {
                        tracing::warn!(node = id, %error, "a log that is too long can't be kept whole");
                    }
                }
            });
            // It panics nowhere.
            let _ = bounded.await;
        }
    }
}
