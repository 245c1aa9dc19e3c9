//! Why a log is refused: what is wrong, in which file, and where in it.

use super::{Loaded, Recovery};
use crate::StoreError;
use crate::commit::Fault;
use crate::disk::SegmentName;
use crate::format::{HeaderFault, SegmentHeader};
use crate::marks::Position;

impl Recovery {
    pub(super) fn damage(&self, name: SegmentName, commit: usize, fault: &Fault) -> StoreError {
        self.source.damaged(name, commit + fault.at, fault.what)
    }

    pub(super) fn header_fault(&self, name: SegmentName, fault: &HeaderFault) -> StoreError {
        match fault {
            HeaderFault::Invalid(what) => self.source.damaged(name, 0, *what),
            HeaderFault::Format(version) => StoreError::Version {
                file: self.source.path(name),
                what: format!("its format is {version}"),
            },
        }
    }

    pub(super) fn check_header(
        &self,
        name: SegmentName,
        header: &SegmentHeader,
        loaded: &Loaded,
    ) -> Result<(), StoreError> {
        let what = if (header.number, header.shard) != (name.number, name.shard) {
            format!(
                "this is segment {} of shard {}, under another's name",
                header.number, header.shard
            )
        } else if header.store != self.source.store {
            "this segment belongs to another store".to_owned()
        } else if loaded.bytes as u64 > header.capacity {
            format!("the file has {} bytes, its segment {}", loaded.bytes, header.capacity)
        } else if loaded.bytes < header.first_commit() {
            "the file ends before its first commit".to_owned()
        } else {
            return Ok(());
        };
        Err(self.source.damaged(name, 0, what))
    }

    /// A shard has no segment of a log.
    pub(super) fn no_log(&self) -> StoreError {
        let number = self.source.segments.start.max(self.source.mark.segment);
        let name = SegmentName { shard: self.source.shard, number };
        let what = "this shard has no log, which is there before the manifest is";
        self.source.damaged(name, 0, what)
    }

    /// The log ends before the place up to which it was whole once.
    pub(super) fn short_of_mark(
        &self,
        name: SegmentName,
        commit: usize,
        fault: &Fault,
    ) -> StoreError {
        let Position { segment, offset } = self.source.mark;
        let marked = SegmentName { number: segment, ..name };
        let what = format!(
            "{}; the manifest says that the log was whole once up to byte {offset} of {marked}",
            fault.what
        );
        self.source.damaged(name, commit + fault.at, what)
    }

    /// A commit that was durable once does not stand whole where it should.
    pub(super) fn lost(
        &self,
        name: SegmentName,
        commit: usize,
        fault: &Fault,
        later: SegmentName,
        proof: usize,
    ) -> StoreError {
        let what = format!(
            "{}; a later commit, at byte {proof} of {later}, shows that it was whole once",
            fault.what
        );
        self.source.damaged(name, commit + fault.at, what)
    }
}
