//! Where a repair puts the new store, and the list of what it has found.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::report::RepairReport;
use crate::StoreError;
use crate::disk::Disk;
use crate::manifest::Manifest;
use crate::new_store::NewStore;

/// What was found, and what is lost: one JSON document a line.
const LIST: &str = "repair-report.jsonl";

/// The new store, and the list beside it.
pub(super) struct Target {
    store: NewStore,
    disk: Arc<dyn Disk>,
}

impl Target {
    /// Makes the folder, or clears away what an interrupted attempt has left in it, and locks it.
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
        let store = NewStore::begin(to, &format!("sutra repair of {}", from.display()))?;
        let disk = Arc::clone(store.disk()) as Arc<dyn Disk>;
        Ok(Self { store, disk })
    }

    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The new store's random number.
    pub(super) fn number(&self) -> u64 {
        self.store.number()
    }

    /// Where the list is.
    pub(super) fn list(&self) -> PathBuf {
        self.disk.folder().join(LIST)
    }

    /// Writes what was found, one document a line: what the repair has come to, then each finding.
    pub(super) fn write_list(&self, report: &RepairReport) -> Result<(), StoreError> {
        let mut lines = serde_json::to_vec(report).expect("strings and numbers become JSON");
        lines.push(b'\n');
        for finding in &report.findings {
            serde_json::to_writer(&mut lines, finding).expect("strings and numbers become JSON");
            lines.push(b'\n');
        }
        Ok(self.store.write(LIST, &lines)?)
    }

    /// Makes it a store.
    pub(super) fn finish(self, manifest: &Manifest) -> Result<(), StoreError> {
        self.store.finish(manifest)
    }
}
