//! Whose a name is: the node's that has had it longest.
//!
//! A node's id counts as one of its names, so no other node gets its calls by taking the id for a
//! name, nor the other way round. A stopped node keeps its name, until another node is started
//! under it.

use super::facts::{Change, Node};
use super::state::Registry;

impl Registry {
    /// A node by its id or its name.
    pub(crate) fn find(&self, key: &str) -> Option<&Node> {
        self.called(key).min_by_key(|node| (node.claim, &node.report.node_id))
    }

    /// All nodes that have this id or this name.
    pub(super) fn called<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a Node> {
        let from = (key.to_owned(), String::new());
        let same = self.names.range(from..).take_while(move |(other, _)| *other == key);
        let named: Vec<&Node> = same.filter_map(|(_, id)| self.nodes.get(id)).collect();
        named.into_iter().chain(self.nodes.get(key))
    }

    /// The number of a claim that is made now.
    pub(super) fn claim(&mut self) -> u64 {
        self.next_claim += 1;
        self.next_claim - 1
    }

    /// A node has been started under this name because somebody asked for that. Others that have
    /// the name and are not there come behind it.
    pub(super) fn give_name(&mut self, name: &str, to: &str) {
        if name.is_empty() {
            return;
        }
        let unused = |node: &&Node| {
            !node.is_there() && node.report.node_id != to && node.report.name == name
        };
        let others: Vec<String> =
            self.called(name).filter(unused).map(|node| node.report.node_id.clone()).collect();
        for node_id in others {
            let claim = self.claim();
            if let Some(node) = self.nodes.get_mut(&node_id) {
                node.claim = claim;
                self.changes.push(Change::Node(node_id));
            }
        }
    }

    /// Nodes that are there and have a name that is another's, each with that one.
    pub(super) fn conflicts(&self) -> Vec<(&Node, &Node)> {
        let mut shared: Vec<&str> = Vec::new();
        let mut last = None;
        for (name, id) in &self.names {
            let is_an_id = self.nodes.get(name).is_some_and(|node| node.report.node_id != *id);
            if (is_an_id || last == Some(name)) && shared.last() != Some(&name.as_str()) {
                shared.push(name);
            }
            last = Some(name);
        }
        let of = |name: &str| -> Vec<(&Node, &Node)> {
            let Some(holder) = self.find(name) else { return Vec::new() };
            let is_other = |node: &&Node| {
                node.is_there()
                    && node.report.name == name
                    && node.report.node_id != holder.report.node_id
            };
            self.called(name).filter(is_other).map(|node| (node, holder)).collect()
        };
        shared.into_iter().flat_map(of).collect()
    }
}
