//! What `tune` has changed so far, and what stood there before: a file on the host itself.
//!
//! It is written before anything is changed. So whatever happens then, undoing knows what was
//! there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};

use serde::{Deserialize, Serialize};

use crate::root::Root;
use crate::tune::content::Content;

/// Where it is, and the folder that is locked while a host is changed.
pub(super) const FOLDER: &str = "/var/lib/sutra-tune";
pub(super) const FILE: &str = "/var/lib/sutra-tune/state.json";

/// What this version writes.
const VERSION: u32 = 1;

/// What was changed so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    /// The settings that were chosen.
    pub(super) applied: Vec<String>,
    /// How they are applied at boot; `None` where they are not.
    pub(super) boot: Option<Boot>,
    /// By path.
    pub(super) files: BTreeMap<String, Changed>,
    /// Folders that were made, in the order in which they were.
    pub(super) folders: Vec<String>,
}

/// What applies the settings at boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Where this program is on the host.
    pub program: String,
    /// The data folder, from the host's root on.
    pub data: String,
}

/// A file that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Changed {
    /// For the sake of these settings.
    pub(super) settings: Vec<String>,
    /// Whether it is a value of the running kernel.
    pub(super) is_live: bool,
    /// What was there before the first change.
    pub(super) former: Content,
    /// What the last change left.
    pub(super) left: Content,
}

impl State {
    /// Nothing was changed.
    pub(super) fn new() -> Self {
        let (applied, boot, files, folders) = Default::default();
        Self { version: VERSION, applied, boot, files, folders }
    }

    /// That of a host.
    pub(super) fn read(root: &Root) -> io::Result<Self> {
        let text = match fs::read_to_string(root.at(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::new()),
            Err(error) => return Err(error),
        };
        let state: Self = serde_json::from_str(&text).map_err(io::Error::other)?;
        match state.version {
            VERSION => Ok(state),
            other => {
                let cure = "undo with the release of sutra that wrote it";
                Err(io::Error::other(format!("it is of version {other}; {cure}")))
            }
        }
    }

    /// Keeps it, or removes it where nothing is changed any more.
    pub(super) fn write(&self, root: &Root) -> io::Result<()> {
        if self.files.is_empty() && self.applied.is_empty() {
            return Content::Missing.put(&root.at(FILE));
        }
        let mut text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        text.push('\n');
        Content::installed(text).put(&root.at(FILE))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::root::tests::Sample;

    #[test]
    fn a_state_is_kept_and_one_of_another_version_refused() {
        let sample = Sample::new(&[("/var/lib/sutra-tune/x", "")]);
        let root = sample.root();
        assert_eq!(State::read(&root).unwrap(), State::new());
        let changed = Changed {
            settings: vec!["swappiness".into()],
            is_live: true,
            former: Content::Missing,
            left: Content::installed("1\n".into()),
        };
        let mut state = State::new();
        state.applied.push("swappiness".into());
        state.files.insert("/proc/sys/vm/swappiness".into(), changed);
        state.write(&root).unwrap();
        assert_eq!(State::read(&root).unwrap(), state);
        State::new().write(&root).unwrap();
        assert!(!root.has(FILE));
        sample.write(
            FILE,
            "{\"version\":9,\"applied\":[],\"boot\":null,\"files\":{},\"folders\":[]}",
        );
        assert!(State::read(&root).unwrap_err().to_string().contains("version 9"));
    }
}
