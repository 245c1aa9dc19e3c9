//! What a repair has come to, for people and programs.

use std::path::PathBuf;

use serde::Serialize;

use crate::salvage::Finding;

/// What a repair has come to.
#[derive(Clone, Debug, Serialize)]
pub struct RepairReport {
    /// Where the damaged store is.
    pub from: PathBuf,
    /// Where the new one is.
    pub to: PathBuf,
    /// Shards of both.
    pub cores: u16,
    /// How names become ids in both.
    pub id_rule: String,
    /// Entries that were written anew.
    pub entries: u64,
    /// Bytes of the new logs.
    pub bytes: u64,
    /// Where the list of all findings is.
    pub list: PathBuf,
    /// What was not as it was written, and what is lost by it.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

impl RepairReport {
    /// Places in the logs where entries may be lost.
    pub fn losses(&self) -> u64 {
        self.findings.iter().map(|finding| finding.lost.len() as u64).sum()
    }

    /// Whether something that was deleted may be back.
    pub fn may_bring_back(&self) -> bool {
        self.findings.iter().flat_map(|finding| &finding.lost).any(|loss| loss.may_bring_back())
    }
}
