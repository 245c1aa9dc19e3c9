//! What everything that an agent does to its nodes needs: the table of them, what starts their
//! processes, and how long things may take.
//!
//! It calls nothing of that: those call it.

use crate::config::Timings;
use crate::launch::Launcher;
use crate::table::NodeTable;

/// An agent's nodes, and what is done to them by.
pub(crate) struct AgentCore {
    nodes: NodeTable,
    launcher: Launcher,
    timings: Timings,
}

impl AgentCore {
    pub(crate) fn new(nodes: NodeTable, launcher: Launcher, timings: Timings) -> Self {
        Self { nodes, launcher, timings }
    }

    pub(crate) fn nodes(&self) -> &NodeTable {
        &self.nodes
    }

    pub(crate) fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    pub(crate) fn timings(&self) -> &Timings {
        &self.timings
    }
}
