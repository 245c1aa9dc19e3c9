//! What is asked for where a new node is, and the record that this makes beside the nodes that
//! there are.
//!
//! Checks and chooses; changes nothing.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::error::Refusal;
use crate::list::{NodeRecord, Wanted, is_label};
use crate::mounts::Mounts;
use crate::node::Node;
use crate::restarts::Recent;
use crate::{cpus, paths, ports};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewNode {
    pub(crate) name: String,
    pub(crate) storage_path: String,
    pub(crate) cores: String,
    pub(crate) memory_limit_mb: u64,
    pub(crate) port: u32,
    pub(crate) compat_port: u32,
}

/// What the agent has for a new node.
pub(crate) struct Offer<'a> {
    /// The agent's folder.
    pub(crate) root: &'a Path,
    /// Where nodes listen.
    pub(crate) ip: IpAddr,
    /// CPUs, in the order in which they are given away.
    pub(crate) cpus: Vec<usize>,
    pub(crate) max_nodes: u32,
    /// How the memory limit that is asked for will be kept, in words.
    pub(crate) memory: String,
}

impl NewNode {
    /// The record of the node that is asked for. One that runs no more is taken up again, under
    /// its old id, where its folder or, where no folder is named, its name is asked for: it comes
    /// second, as it was.
    pub(crate) fn record(
        &self,
        nodes: &[Node],
        offer: &Offer<'_>,
    ) -> Result<(NodeRecord, Option<NodeRecord>), Refusal> {
        let new_id = new_id(nodes);
        let path = self.path(nodes, offer.root, &new_id)?;
        let before = nodes.iter().find(|node| !node.is_active() && node.record().path == path);
        let before = before.map(|node| node.record().clone());
        let is_other = |node: &Node| before.as_ref().is_none_or(|before| before.id != node.id());
        self.check_path(nodes.iter().filter(|node| is_other(node)), offer.root, &path)?;
        if let Some(node) = self.named(nodes).filter(|node| is_other(node)) {
            return Err(Refusal::NameTaken { name: self.name.clone(), node: node.id().to_owned() });
        }
        let active: Vec<&Node> = nodes.iter().filter(|node| node.is_active()).collect();
        if active.len() >= offer.max_nodes as usize {
            return Err(Refusal::Full { running: active.len(), most: offer.max_nodes });
        }
        let [port, compat_port] = self.ports(&active, offer.ip, before.as_ref())?;
        let held: Vec<usize> =
            active.iter().flat_map(|node| cpus::read(&node.record().cores)).collect();
        let record = NodeRecord {
            id: before.as_ref().map_or(new_id, |before| before.id.clone()),
            name: match &before {
                Some(before) if self.name.is_empty() => before.name.clone(),
                _ => self.name.clone(),
            },
            path,
            port,
            compat_port,
            admin: before.as_ref().and_then(|before| before.admin),
            asked_port: self.port != 0,
            asked_compat_port: self.compat_port != 0,
            cores: cpus::written(&cpus::choose(&self.cores, &offer.cpus, &held)?),
            memory_limit_mb: self.memory_limit_mb,
            memory: offer.memory.clone(),
            wanted: Wanted::Running,
            process: None,
            started: 0,
            restarts: before.as_ref().map_or(0, |before| before.restarts),
            recent: Recent::default(),
            detail: String::new(),
        };
        Ok((record, before))
    }

    /// Whether the name can be one.
    pub(crate) fn check_name(&self) -> Result<(), Refusal> {
        if self.name.is_empty() || is_label(&self.name) {
            return Ok(());
        }
        Err(Refusal::Name { name: self.name.clone() })
    }

    /// The node that has the name that is asked for.
    fn named<'n>(&self, nodes: &'n [Node]) -> Option<&'n Node> {
        nodes.iter().find(|node| !self.name.is_empty() && node.is_called(&self.name))
    }

    /// The folder, from the agent's: that of the node of this name, the one that is asked for, or
    /// one of its own.
    fn path(&self, nodes: &[Node], root: &Path, new_id: &str) -> Result<PathBuf, Refusal> {
        match self.named(nodes) {
            Some(node) if self.storage_path.is_empty() && !node.is_active() => {
                Ok(node.record().path.clone())
            }
            _ => paths::resolve(root, &self.storage_path, new_id),
        }
    }

    /// Whether no other node's folder is this one, or lies in or around it.
    fn check_path<'n>(
        &self,
        mut others: impl Iterator<Item = &'n Node>,
        root: &Path,
        path: &Path,
    ) -> Result<(), Refusal> {
        let mounts = Mounts::now();
        match others.find(|node| mounts.overlap(&root.join(&node.record().path), &root.join(path)))
        {
            None => Ok(()),
            Some(other) => {
                let path = root.join(path).to_string_lossy().into_owned();
                Err(Refusal::PathTaken { path, node: other.id().to_owned() })
            }
        }
    }

    /// The ports that are asked for; or those that the node had before, or free ones.
    fn ports(
        &self,
        active: &[&Node],
        ip: IpAddr,
        before: Option<&NodeRecord>,
    ) -> Result<[u16; 2], Refusal> {
        let mut taken: HashSet<u16> = active.iter().flat_map(|node| node.ports()).collect();
        let had = |port: fn(&NodeRecord) -> u16| before.map_or(0, port);
        let port = ports::choose(ip, self.port, had(|record| record.port), &taken)?;
        taken.insert(port);
        let compat_port =
            ports::choose(ip, self.compat_port, had(|record| record.compat_port), &taken)?;
        Ok([port, compat_port])
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
