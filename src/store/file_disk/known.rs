//! What was opened and made in a data folder, by identity, so that a look tells what has become of
//! it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sutra_runtime::{FileIdentity, Folder};

use crate::disk::{SegmentName, shard_folder};

/// What was opened and made in a folder.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    shards: BTreeMap<u16, Arc<Folder>>,
    /// The manifest as it was last read or written.
    manifest: Option<FileIdentity>,
    /// Segments, each no shorter than this.
    segments: BTreeMap<SegmentName, FileIdentity>,
}

impl Known {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A shard's folder in the data folder, which is held from the first time on.
    pub(super) fn shard(&self, data: &Folder, shard: u16) -> io::Result<Arc<Folder>> {
        if let Some(folder) = self.state().shards.get(&shard) {
            return Ok(Arc::clone(folder));
        }
        let folder = Arc::new(data.folder(&shard_folder(shard))?);
        self.state().shards.insert(shard, Arc::clone(&folder));
        Ok(folder)
    }

    /// The shards' folders that are held.
    pub(super) fn shards(&self) -> Vec<Arc<Folder>> {
        self.state().shards.values().cloned().collect()
    }

    /// The manifest was read or written, and is this file now.
    pub(super) fn note_manifest(&self, identity: Option<FileIdentity>) {
        self.state().manifest = identity;
    }

    /// Whether there is a manifest and it is as it was last read or written.
    pub(super) fn is_manifest(&self, found: Option<FileIdentity>) -> bool {
        found.is_some() && found == self.state().manifest
    }

    /// A segment was made or opened.
    pub(super) fn remember(&self, name: SegmentName, identity: FileIdentity) {
        self.state().segments.insert(name, identity);
    }

    /// The store removes a segment.
    pub(super) fn forget(&self, name: SegmentName) {
        self.state().segments.remove(&name);
    }

    /// The store removes a shard's folder.
    pub(super) fn forget_shard(&self, shard: u16) {
        self.state().shards.remove(&shard);
    }

    /// Whether a segment of this name was another file.
    pub(super) fn is_another(&self, name: SegmentName, identity: &FileIdentity) -> bool {
        self.state().segments.get(&name).is_some_and(|known| !known.is(identity))
    }

    /// A file was made longer.
    pub(super) fn grew(&self, identity: &FileIdentity) {
        let mut state = self.state();
        if let Some(known) = state.segments.values_mut().find(|known| known.is(identity)) {
            known.length = known.length.max(identity.length);
        }
    }

    /// What has become of the shards' folders and the segments, where they are not what they were.
    pub(super) fn look(&self, data: &Folder) -> io::Result<Option<String>> {
        let (shards, segments) = {
            let state = self.state();
            (state.shards.clone(), state.segments.clone())
        };
        let here = data.path();
        for (shard, held) in &shards {
            let (name, held) = (shard_folder(*shard), held.identity()?);
            match (held, data.known_as(&name)?) {
                (Some(held), Some(found)) if held.is(&found) => {}
                (_, Some(_)) => {
                    return Ok(Some(changed(&here.join(name), "is another folder than it was")));
                }
                (_, None) => return Ok(Some(changed(&here.join(name), "was removed"))),
            }
        }
        for (name, known) in &segments {
            let Some(shard) = shards.get(&name.shard) else { continue };
            let path = || here.join(name.to_string());
            match shard.known_as(&name.file_name())? {
                Some(found) if found.is(known) && found.length >= known.length => {}
                Some(found) if found.is(known) => {
                    let what = format!("was cut from {} bytes to {}", known.length, found.length);
                    return Ok(Some(changed(&path(), &what)));
                }
                // It may have been removed by the store itself since the list was copied.
                None if !self.state().segments.contains_key(name) => {}
                Some(_) => return Ok(Some(changed(&path(), "is another file than it was"))),
                None => return Ok(Some(changed(&path(), "was removed"))),
            }
        }
        Ok(None)
    }
}

/// What happened to something in the folder, and what helps.
pub(super) fn changed(path: &Path, what: &str) -> String {
    format!(
        "{} {what}: put back what was there, or save what this process holds (of a storage server \
         by sutra export) and start on a new folder",
        path.display()
    )
}
