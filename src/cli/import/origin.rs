//! Where a record of an import comes from.

/// Which line of which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) source: usize,
    pub(super) line: u64,
}
