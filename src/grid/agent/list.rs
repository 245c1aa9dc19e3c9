//! The list of nodes on disk: which there are, what is wanted of each, and which process each was
//! last.
//!
//! It is written anew and renamed into place, so it is whole or the one before. What can't be read
//! stops the agent's start: an agent that took it for an empty list would leave processes that
//! nobody looks after.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sutra_wire::limits;

use crate::error::AgentError;
use crate::folder::{Folder, LIST};
use crate::paths::plain;
use crate::process::ProcessId;
use crate::restarts::Recent;

const FORMAT: u32 = 1;

/// Whether a node is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    /// The node is to run.
    Running,
    /// The node was stopped.
    Stopped,
    /// It ended too often, and waits for somebody to ask for it.
    GivenUp,
}

/// A node, as much of it as outlives the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Its data folder, from the agent's.
    pub(crate) path: PathBuf,
    pub(crate) port: u16,
    pub(crate) compat_port: u16,
    /// Where it serves HTTP; `None` where it does not, as of agents that knew none of it.
    #[serde(default)]
    pub(crate) admin: Option<SocketAddr>,
    /// Whether somebody asked for these ports; others may change when it is started again.
    pub(crate) asked_port: bool,
    pub(crate) asked_compat_port: bool,
    /// Its CPUs, as `--cores` reads them; empty for any.
    pub(crate) cores: String,
    pub(crate) memory_limit_mb: u64,
    /// How that limit is kept, in words: as it was when the process was started, whatever a later
    /// agent may do.
    #[serde(default)]
    pub(crate) memory: String,
    pub(crate) wanted: Wanted,
    /// Its process, where there was one when this was written.
    pub(crate) process: Option<ProcessId>,
    /// When that was started, in µs since 1970.
    pub(crate) started: u64,
    pub(crate) restarts: u32,
    /// The restarts that count against the limit.
    #[serde(default)]
    pub(crate) recent: Recent,
    /// Why it is as it is.
    pub(crate) detail: String,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    nodes: Vec<NodeRecord>,
}

/// The list, or an empty one where there has never been one.
pub(crate) fn load(root: &Path) -> Result<Vec<NodeRecord>, AgentError> {
    let file = root.join(LIST);
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(AgentError::file("read", &file)(error)),
    };
    let damaged = |problem: String| AgentError::Damaged { file: file.clone(), problem };
    let document: Document =
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    if document.format != FORMAT {
        let problem = format!(
            "its format is {}, this agent reads {FORMAT}; use the agent that wrote it",
            document.format
        );
        return Err(damaged(problem));
    }
    let mut ids = HashSet::new();
    for node in &document.nodes {
        let id = &node.id;
        if !is_label(id) || !(node.name.is_empty() || is_label(&node.name)) {
            return Err(damaged(format!("{id:?} or {:?} can't be a node's name", node.name)));
        }
        if !ids.insert(id) {
            return Err(damaged(format!("node {id} is there twice")));
        }
        if plain(&node.path).is_none_or(|path| path != node.path || path.as_os_str().is_empty()) {
            return Err(damaged(format!(
                "node {id} has the folder {:?}, which does not lie below the agent's",
                node.path
            )));
        }
    }
    if document.nodes.len() > limits::MAX_AGENT_NODES {
        return Err(damaged(format!("it has {} nodes", document.nodes.len())));
    }
    Ok(document.nodes)
}

/// Puts the list on stable storage.
pub(crate) fn save(folder: &Folder, nodes: Vec<NodeRecord>) -> Result<(), AgentError> {
    let document = Document { format: FORMAT, nodes };
    let text = serde_json::to_vec_pretty(&document).expect("plain values are JSON");
    folder.replace(LIST, &text)
}

/// Whether a text can name an agent or a node: it becomes part of file names, tables and addresses.
pub(crate) fn is_label(text: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    !text.is_empty()
        && text.len() <= limits::MAX_LABEL
        && !text.starts_with('.')
        && text.chars().all(fits)
}

#[cfg(test)]
pub(crate) fn sample(id: &str) -> NodeRecord {
    NodeRecord {
        id: id.into(),
        name: "orders".into(),
        path: Path::new("nodes").join(id),
        port: 20_001,
        compat_port: 20_002,
        admin: Some(SocketAddr::from(([127, 0, 0, 1], 20_003))),
        asked_port: true,
        asked_compat_port: false,
        cores: "1,".into(),
        memory_limit_mb: 512,
        memory: "unenforced: no".into(),
        wanted: Wanted::Running,
        process: Some(ProcessId { pid: 7, start: 8, boot: "b".into() }),
        started: 9,
        restarts: 1,
        recent: Recent::default(),
        detail: "it ended".into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_saved_is_loaded() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        assert!(load(place.path()).unwrap().is_empty());
        let nodes = vec![
            sample("node-1"),
            NodeRecord { process: None, wanted: Wanted::GivenUp, ..sample("node-2") },
        ];
        save(&folder, nodes.clone()).unwrap();
        assert_eq!(load(place.path()).unwrap(), nodes);
        let mut names = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(
            !names.any(|name| name.to_string_lossy().contains("new")),
            "no half-written file is left"
        );
    }

    #[test]
    fn every_damage_is_named_and_none_is_taken_for_an_empty_list() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        save(&folder, vec![sample("node-1")]).unwrap();
        let file = place.path().join(LIST);
        let whole = fs::read(&file).unwrap();
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).unwrap();
            let error = load(place.path()).unwrap_err();
            assert!(
                error.to_string().contains(LIST) && matches!(error, AgentError::Damaged { .. }),
                "{length}: {error}"
            );
        }
        let text = String::from_utf8(whole).unwrap();
        for (from, to) in [
            ("\"format\": 1", "\"format\": 2"),
            ("nodes/node-1", "../node-1"),
            ("nodes/node-1", "/etc"),
            ("\"node-1\"", "\"a/b\""),
            ("\"running\"", "\"dancing\""),
        ] {
            assert!(text.contains(from), "{from}");
            fs::write(&file, text.replace(from, to)).unwrap();
            assert!(matches!(load(place.path()), Err(AgentError::Damaged { .. })), "{to}");
        }
        save(&folder, vec![sample("node-1"), sample("node-1")]).unwrap();
        assert!(load(place.path()).unwrap_err().to_string().contains("twice"));
    }
}
