//! A new node: what is asked for is checked, reserved, noted on disk, and only then made. A failure
//! takes all of it back, but for a node that takes long to read a folder which was there before.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sutra_wire::grid::{NodeReport, NodeState};
use sutra_wire::limits;
use tokio::time::timeout;

use crate::error::Refusal;
use crate::keep::{End, Life, Started};
use crate::list::{NodeRecord, Wanted, is_label};
use crate::mounts::Mounts;
use crate::node::Node;
use crate::paths::{self, Made};
use crate::restarts::Recent;
use crate::supervisor::Supervisor;
use crate::{cpus, logs, ports};

/// The time to end of a node that has not run yet, so has nothing of anybody's to finish: whoever
/// asked for it still waits.
const NEVER_RAN: Duration = Duration::from_secs(5);

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) storage_path: String,
    pub(crate) cores: String,
    pub(crate) memory_limit_mb: u64,
    pub(crate) port: u32,
    pub(crate) compat_port: u32,
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
    /// Its health answers.
    Runs(Started),
    /// Its process runs on a folder that was there before, and does not answer yet.
    Recovers(Started),
}

impl Supervisor {
    /// Starts a node and answers when its health does. A stopped or given-up one whose folder or,
    /// where no folder is named, whose name is asked for is taken up again, under its old id.
    pub(crate) async fn spawn(self: &Arc<Self>, asked: Asked) -> Result<NodeReport, Refusal> {
        let (reserved, mut life) = self.reserve(&asked)?;
        if let Err(error) = self.save().await {
            self.take_back(reserved, None).await;
            return Err(Refusal::List(error));
        }
        let path = self.with(&reserved.id, |node| node.record.path.clone()).unwrap_or_default();
        let made = match Made::make(&self.folder.root, &path) {
            Ok(made) => made,
            Err(error) => {
                self.take_back(reserved, None).await;
                return Err(Refusal::Start(format!("its folder can't be made: {error}")));
            }
        };
        let is_old = made.is_old(&self.folder.root.join(&path));
        match self.first_start(&mut life, is_old).await {
            Ok(First::Runs(started)) => {
                tokio::spawn(life.keep_started(started));
                self.status(&reserved.id).ok_or(Refusal::Unknown { node: reserved.id })
            }
            Ok(First::Recovers(started)) => {
                tracing::info!(node = reserved.id, "a node takes long to read its data; it is let to finish");
                tokio::spawn(life.keep_started(started));
                Err(Refusal::Recovering { node: reserved.id, time: self.timings.start })
            }
            Err(refusal) => {
                tracing::warn!(node = reserved.id, reason = %refusal, "a node did not start; nothing is left of it");
                self.take_back(reserved, Some((&made, &path))).await;
                Err(refusal)
            }
        }
    }

    async fn first_start(&self, life: &mut Life, is_old: bool) -> Result<First, Refusal> {
        let (mut started, saved) = life.start().await.map_err(Refusal::Start)?;
        if let Err(error) = saved {
            life.terminate(&mut started.process, NEVER_RAN).await;
            return Err(Refusal::List(error));
        }
        let refusal = match timeout(self.timings.start, life.first_answer(&mut started)).await {
            Ok(Ok(())) => match self.save().await {
                Ok(()) => return Ok(First::Runs(started)),
                Err(error) => Refusal::List(error),
            },
            Ok(Err(End::Ended(words))) => return Err(Refusal::Start(words)),
            Ok(Err(End::Told | End::Hung)) => Refusal::Start("it was stopped before it ran".into()),
            // How long that takes is the data's to say; a new node has nothing to read.
            Err(_) if is_old => return Ok(First::Recovers(started)),
            Err(_) => Refusal::Start(started.not_in_time(self.timings.start)),
        };
        life.terminate(&mut started.process, NEVER_RAN).await;
        Err(refusal)
    }

    /// Checks what is asked for against all nodes, and puts the node on the list, at one moment.
    fn reserve(self: &Arc<Self>, asked: &Asked) -> Result<(Reserved, Life), Refusal> {
        if self.is_closed() {
            return Err(Refusal::Stopping);
        }
        if !asked.name.is_empty() && !is_label(&asked.name) {
            return Err(Refusal::Name { name: asked.name.clone() });
        }
        let available = cpus::in_order(&asked.cores, &self.cpus);
        let mut nodes = self.nodes();
        let id = new_id(&nodes);
        let named = || nodes.iter().find(|node| !asked.name.is_empty() && node.is_called(&asked.name));
        let path = match named() {
            Some(node) if asked.storage_path.is_empty() && !node.is_active() => node.record.path.clone(),
            _ => paths::resolve(&self.folder.root, &asked.storage_path, &id)?,
        };
        let before =
            nodes.iter().find(|node| !node.is_active() && node.record.path == path).map(|node| node.record.clone());
        let is_other = |node: &&Node| before.as_ref().is_none_or(|before| before.id != node.record.id);
        let (root, mounts) = (&self.folder.root, Mounts::now());
        let overlaps = |node: &&Node| mounts.overlap(&root.join(&node.record.path), &root.join(&path));
        if let Some(node) = nodes.iter().filter(is_other).find(overlaps) {
            let path = self.folder.root.join(&path).to_string_lossy().into_owned();
            return Err(Refusal::PathTaken { path, node: node.record.id.clone() });
        }
        if let Some(node) = named().filter(is_other) {
            return Err(Refusal::NameTaken { name: asked.name.clone(), node: node.record.id.clone() });
        }
        let active = || nodes.iter().filter(|node| node.is_active());
        let running = active().count();
        if running >= self.max_nodes as usize {
            return Err(Refusal::Full { running, most: self.max_nodes });
        }
        let mut taken = ports::of(active());
        let had = |port: fn(&NodeRecord) -> u16| before.as_ref().map_or(0, port);
        let ip = self.launcher.ip;
        let port = ports::choose(ip, asked.port, had(|record| record.port), &taken)?;
        taken.insert(port);
        let compat_port = ports::choose(ip, asked.compat_port, had(|record| record.compat_port), &taken)?;
        let held: Vec<usize> = active().flat_map(|node| cpus::read(&node.record.cores)).collect();
        let cores = cpus::written(&cpus::choose(&asked.cores, &available, &held)?);
        let id = before.as_ref().map_or(id, |before| before.id.clone());
        let record = NodeRecord {
            name: match &before {
                Some(before) if asked.name.is_empty() => before.name.clone(),
                _ => asked.name.clone(),
            },
            path,
            port,
            compat_port,
            asked_port: asked.port != 0,
            asked_compat_port: asked.compat_port != 0,
            cores,
            memory_limit_mb: asked.memory_limit_mb,
            memory: self.memory.words(asked.memory_limit_mb),
            wanted: Wanted::Running,
            process: None,
            started: 0,
            restarts: before.as_ref().map_or(0, |before| before.restarts),
            recent: Recent::default(),
            detail: String::new(),
            id: id.clone(),
        };
        let mut forgotten = None;
        nodes.retain(|node| node.record.id != id);
        if nodes.len() >= limits::MAX_AGENT_NODES {
            // The one that was stopped longest ago stands first.
            let at = nodes.iter().position(|node| !node.is_active()).ok_or(Refusal::ListFull)?;
            forgotten = Some(nodes.remove(at).record);
        }
        let (keeper, life) = Life::of(self, &id);
        nodes.push(Node { keeper: Some(keeper), state: NodeState::Starting, ..Node::of(record) });
        drop(nodes);
        self.changed();
        let had_log = logs::file(&self.folder.root, &id).exists();
        Ok((Reserved { id, before, forgotten, had_log }, life))
    }

    /// Leaves things as they were before.
    async fn take_back(&self, reserved: Reserved, made: Option<(&Made, &Path)>) {
        let Reserved { id, before, forgotten, had_log } = reserved;
        let root = &self.folder.root;
        if let Some((made, path)) = made {
            made.unmake(&root.join(path));
        }
        self.memory.remove(&id);
        if !had_log {
            logs::remove(&logs::file(root, &id));
        }
        {
            let mut nodes = self.nodes();
            nodes.retain(|node| node.record.id != id);
            nodes.extend(before.map(Node::of));
            if let Some(record) = forgotten {
                nodes.insert(0, Node::of(record));
            }
        }
        self.changed();
        self.save_or_warn().await;
    }
}

/// An id that no node has had, here or elsewhere.
fn new_id(nodes: &[Node]) -> String {
    loop {
        let id = format!("node-{:012x}", rand::random_range(0..1_u64 << 48));
        if !nodes.iter().any(|node| node.is_called(&id)) {
            return id;
        }
    }
}
