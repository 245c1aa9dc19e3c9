//! The folder of the new store: empty at first, a store at last, and in between nothing that a
//! start would take for one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use sutra_runtime::{Folder, in_context};
use sutra_wire::Durability;

use super::report::RepairReport;
use crate::StoreError;
use crate::disk::{Disk, SegmentName, shard_folder};
use crate::file_disk::FileDisk;
use crate::lock::LOCK;
use crate::manifest::Manifest;

/// Is there from before the first segment until the manifest is.
const UNFINISHED: &str = "repair-unfinished";
/// What was found, and what is lost: one JSON document a line.
const LIST: &str = "repair-report.jsonl";
const MANIFEST: &str = "manifest.json";

/// The new store's folder.
pub(super) struct Target {
    disk: Arc<dyn Disk>,
    folder: Folder,
}

/// Refuses a folder in which a repair was interrupted: it is no store.
pub(crate) fn check_finished(folder: &Path) -> Result<(), StoreError> {
    let is_there = |name| folder.join(name).exists();
    match is_there(UNFINISHED) && !is_there(MANIFEST) {
        true => Err(StoreError::Unfinished { folder: folder.to_owned() }),
        false => Ok(()),
    }
}

impl Target {
    /// Makes the folder, or clears away what an interrupted repair has left in it, and locks it.
    pub(super) fn prepare(from: &Path, to: &Path) -> Result<Self, StoreError> {
        let is_in = |above: &Path, below: &Path| {
            let real = |path: &Path| {
                path.ancestors().find_map(|known| {
                    let rest = path.strip_prefix(known).ok()?;
                    Some(fs::canonicalize(known).ok()?.join(rest))
                })
            };
            real(above).zip(real(below)).is_some_and(|(above, below)| below.starts_with(above))
        };
        if is_in(from, to) {
            let what = format!(
                "{} is in the folder that is to be repaired: choose a place outside of it, as \
                 nothing in there is changed",
                to.display()
            );
            return Err(StoreError::Option(what));
        }
        let is_ours = to.join(UNFINISHED).exists() && !to.join(MANIFEST).exists();
        if !is_ours && !is_empty(to)? {
            let what = format!(
                "{} is not empty: choose a folder that is not there yet, or an empty one",
                to.display()
            );
            return Err(StoreError::Option(what));
        }
        let disk = FileDisk::open(to, Durability::Always, "sutra repair")?;
        let folder = Folder::open(to)?;
        let target = Self { disk: Arc::new(disk), folder };
        target.write(UNFINISHED, format!("sutra repair of {}\n", from.display()).as_bytes())?;
        target.clear()?;
        Ok(target)
    }

    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Where the list is.
    pub(super) fn list(&self) -> PathBuf {
        self.folder.path().join(LIST)
    }

    fn clear(&self) -> Result<(), StoreError> {
        for name in self.folder.names()? {
            let Some(shard) = name.strip_prefix("shard-").and_then(|rest| rest.parse().ok()) else {
                continue;
            };
            if name != shard_folder(shard) {
                continue;
            }
            for file in self.disk.list(shard)?.unwrap_or_default() {
                if let Some(name) = SegmentName::parse(shard, &file) {
                    self.disk.remove(name)?;
                }
            }
            self.disk.sync_shard(shard)?;
        }
        Ok(())
    }

    /// Writes a file, durably.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.path().join(name);
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::NOFOLLOW;
        let mut file = self.folder.file(name, flags)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(in_context("write to", &path))?;
        self.folder.sync()
    }

    /// Writes what was found, one document a line: what the repair has come to, then each finding.
    pub(super) fn write_list(&self, report: &RepairReport) -> Result<(), StoreError> {
        let mut lines = serde_json::to_vec(report).expect("strings and numbers become JSON");
        lines.push(b'\n');
        for finding in &report.findings {
            serde_json::to_writer(&mut lines, finding).expect("strings and numbers become JSON");
            lines.push(b'\n');
        }
        Ok(self.write(LIST, &lines)?)
    }

    /// Makes it a store.
    pub(super) fn finish(&self, manifest: &Manifest) -> Result<(), StoreError> {
        manifest.write(&*self.disk)?;
        self.folder.remove(UNFINISHED)?;
        self.folder.sync()?;
        Ok(self.disk.note_use(false)?)
    }
}

/// Whether a folder is absent or empty. What a lock leaves behind is nothing: a repair that is
/// killed at once has come no further.
fn is_empty(folder: &Path) -> Result<bool, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(in_context("look into", folder)(error).into()),
    };
    for entry in entries {
        if entry.map_err(in_context("look into", folder))?.file_name() != LOCK {
            return Ok(false);
        }
    }
    Ok(true)
}
