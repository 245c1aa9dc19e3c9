//! What has gone wrong, and what it explains.

use sutra_wire::Status;

/// What has gone wrong since the server was started.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Excuses {
    pub(super) was_full: bool,
    pub(super) has_failed: bool,
}

impl Excuses {
    /// Whether it explains a refusal.
    pub(super) fn explain(self, status: Status) -> bool {
        match status {
            Status::StorageFull => self.was_full || self.has_failed,
            Status::StorageFailed => self.has_failed,
            _ => false,
        }
    }
}
