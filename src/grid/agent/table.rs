//! All nodes of an agent: what is known of each, the list of them on disk, and the number of the
//! last change.
//!
//! Promises: a report is never older than the number that it bears, and an older list never
//! replaces a newer one on disk. Starts and stops nothing.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sutra_wire::grid::{NodeAdminPort, NodeReport};
use tokio::sync::watch;

use crate::error::{AgentError, Refusal};
use crate::folder::Folder;
use crate::list::{self, NodeRecord};
use crate::mounts::Mounts;
use crate::node::Node;
use crate::orders::NodeTask;
use crate::{host, ports};

/// All nodes of an agent.
pub(crate) struct NodeTable {
    folder: Arc<Folder>,
    /// The host that nodes are reached by.
    advertise: String,
    nodes: Mutex<Vec<Node>>,
    /// The number of the last change.
    revision: watch::Sender<u64>,
    /// Held while the list is written, so that an older one never replaces a newer.
    saving: tokio::sync::Mutex<()>,
    /// The list on disk is older than what is known.
    is_unsaved: AtomicBool,
}

impl NodeTable {
    pub(crate) fn new(folder: Folder, advertise: String) -> Self {
        Self {
            folder: Arc::new(folder),
            advertise,
            nodes: Mutex::new(Vec::new()),
            // Above those of the agent that was here before, as far as the clock has not been
            // turned back; a registration tells all anyway.
            revision: watch::Sender::new(host::now()),
            saving: tokio::sync::Mutex::new(()),
            is_unsaved: AtomicBool::new(false),
        }
    }

    /// The agent's folder.
    pub(crate) fn root(&self) -> &Path {
        self.folder.root()
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        // What a panicking task has left is still the best that is known.
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has changed, under the lock: a report has no newer number than what it tells.
    fn count_change(&self, _nodes: &MutexGuard<'_, Vec<Node>>) {
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// Something about a node, if it is there.
    pub(crate) fn look<T>(&self, id: &str, look: impl FnOnce(&Node) -> T) -> Option<T> {
        self.nodes().iter().find(|node| node.id() == id).map(look)
    }

    /// Changes a node, if it is there, and tells the master.
    pub(crate) fn change<T>(&self, id: &str, change: impl FnOnce(&mut Node) -> T) -> Option<T> {
        let mut nodes = self.nodes();
        let changed = nodes.iter_mut().find(|node| node.id() == id).map(change);
        self.count_change(&nodes);
        changed
    }

    /// Changes a node in what the master is told later, or never.
    pub(crate) fn note<T>(&self, id: &str, change: impl FnOnce(&mut Node) -> T) -> Option<T> {
        self.nodes().iter_mut().find(|node| node.id() == id).map(change)
    }

    /// There is one more node.
    pub(crate) fn add(&self, node: Node) {
        let mut nodes = self.nodes();
        nodes.push(node);
        self.count_change(&nodes);
    }

    /// A node did not come to be: it is taken off again. `before` is what it was, where it was
    /// there before, and `forgotten` the node that had made place for it.
    pub(crate) fn take_back(&self, id: &str, before: Option<Node>, forgotten: Option<Node>) {
        let mut nodes = self.nodes();
        nodes.retain(|node| node.id() != id);
        nodes.extend(before);
        if let Some(forgotten) = forgotten {
            nodes.insert(0, forgotten);
        }
        self.count_change(&nodes);
    }

    /// Changes which nodes there are, at one moment, and tells the master; or refuses to.
    pub(crate) fn arrange<T, E>(
        &self,
        change: impl FnOnce(&mut Vec<Node>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut nodes = self.nodes();
        let changed = change(&mut nodes)?;
        self.count_change(&nodes);
        Ok(changed)
    }

    /// The number of the last change, to be waited for.
    pub(crate) fn revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// All nodes, and the number of the last change to them.
    pub(crate) fn report(&self) -> (u64, Vec<NodeReport>) {
        let nodes = self.nodes();
        let reports = nodes.iter().map(|node| node.report(&self.advertise, self.root())).collect();
        (*self.revision.borrow(), reports)
    }

    /// A node by its id or name.
    pub(crate) fn status(&self, name: &str) -> Option<NodeReport> {
        let nodes = self.nodes();
        let node = nodes
            .iter()
            .find(|node| node.id() == name)
            .or_else(|| nodes.iter().find(|node| node.is_called(name)));
        node.map(|node| node.report(&self.advertise, self.root()))
    }

    /// Gives a node other ports where nobody asked for its own and somebody else has them by now.
    /// `admin_ip` is where it serves HTTP, if it does.
    pub(crate) fn renew_ports(
        &self,
        id: &str,
        ip: IpAddr,
        admin_ip: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        let mut nodes = self.nodes();
        let others = nodes.iter().filter(|node| node.is_active() && node.id() != id);
        let mut taken: HashSet<u16> = others.flat_map(Node::ports).collect();
        if let Some(node) = nodes.iter_mut().find(|node| node.id() == id) {
            let own = ports::renew(ip, node.record(), taken.clone())?;
            taken.extend(own);
            let admin = admin_ip.map(|ip| ports::renew_admin(ip, node.record(), &taken));
            node.set_ports(own, admin.transpose()?);
        }
        Ok(())
    }

    /// Where nodes serve HTTP.
    pub(crate) fn admin_ports(&self) -> Vec<NodeAdminPort> {
        self.nodes().iter().filter_map(|node| node.admin_port(&self.advertise)).collect()
    }

    /// Another node that runs, or is to, on the folder of this one, or in or around it.
    pub(crate) fn in_the_way(&self, record: &NodeRecord) -> Option<String> {
        let (root, mounts) = (self.root(), Mounts::now());
        let overlaps = |other: &&Node| {
            mounts.overlap(&root.join(&other.record().path), &root.join(&record.path))
        };
        let nodes = self.nodes();
        let mut others = nodes.iter().filter(|node| node.is_active() && node.id() != record.id);
        others.find(overlaps).map(|other| other.id().to_owned())
    }

    /// The tasks that look after nodes.
    pub(crate) fn tasks(&self) -> Vec<NodeTask> {
        self.nodes().iter().filter_map(|node| node.task().cloned()).collect()
    }

    /// The nodes' processes, where they have one.
    pub(crate) fn pids(&self) -> Vec<(String, Option<u32>)> {
        self.nodes().iter().map(|node| (node.id().to_owned(), node.pid())).collect()
    }

    /// The nodes whose health should answer and has not for so long, and for how long.
    pub(crate) fn silent(&self, least: Duration) -> Vec<(String, Duration)> {
        let nodes = self.nodes();
        let times = nodes.iter().filter_map(|node| Some((node.id().to_owned(), node.silence()?)));
        times.filter(|(_, time)| *time >= least).collect()
    }

    /// Puts the list on stable storage, as it is when this has its turn.
    pub(crate) async fn save(&self) -> Result<(), AgentError> {
        let _turn = self.saving.lock().await;
        let records: Vec<NodeRecord> =
            self.nodes().iter().map(|node| node.record().clone()).collect();
        let folder = Arc::clone(&self.folder);
        let saved = tokio::task::spawn_blocking(move || list::save(&folder, records)).await;
        let saved =
            saved.unwrap_or_else(|error| Err(AgentError::file("write", self.root())(error.into())));
        self.is_unsaved.store(saved.is_err(), Ordering::Relaxed);
        saved
    }

    /// The same where the work goes on without: it is tried again.
    pub(crate) async fn save_or_warn(&self) {
        if let Err(error) = self.save().await {
            tracing::warn!(
                %error,
                "the list of nodes is not on disk as it should be; it is tried again"
            );
        }
    }

    /// Whether the list on disk is older than what is known.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.is_unsaved.load(Ordering::Relaxed)
    }
}
