//! What a store remembers of the files that were imported into it at starts.

use std::collections::HashSet;
use std::sync::Arc;

use sutra_store::Keeper;

use crate::error::ServerError;

/// The digests of files that were imported into the store of a running server, kept in its
/// manifest.
#[derive(Clone, Debug)]
pub struct ImportRecord(Arc<Keeper>);

impl ImportRecord {
    pub(crate) fn new(manifest: Arc<Keeper>) -> Self {
        Self(manifest)
    }

    /// Which of the files it was given, in their order.
    pub fn known(&self, digests: &[String]) -> Vec<bool> {
        let known: HashSet<String> = self.0.imports().into_iter().collect();
        digests.iter().map(|digest| known.contains(digest)).collect()
    }

    /// Remembers these files, durably. Blocks on the disk.
    ///
    /// # Errors
    /// The manifest can't be written; then they are not remembered.
    pub fn remember(&self, digests: Vec<String>) -> Result<(), ServerError> {
        Ok(self.0.remember_imports(digests)?)
    }
}
