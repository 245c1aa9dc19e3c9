//! The state in front of a log, read back: what was visible when a store was made over. And what is
//! visible of a shard that was read, to be written as state.
//!
//! All of it was on stable storage before the manifest named it. So here no tail is torn: whatever
//! is not whole is damage.

use std::sync::Arc;

use sutra_wire::ConceptId;

use super::load::Loaded;
use super::replay::MAX_SEQUENCE;
use super::{Recovery, Replayed};
use crate::StoreError;
use crate::commit::{self, Expected};
use crate::format::{Covered, Entry, SegmentHeader};
use crate::graph::Graph;
use crate::log_memory::LogMemory;
use crate::marks::Position;

impl Recovery {
    /// Takes in a segment whose header was checked and is below the watermark, if it is one of
    /// state; else gives it back. Behind a log there is none.
    pub(super) fn take_if_state(
        &mut self,
        loaded: Loaded,
        header: &SegmentHeader,
        is_behind_log: bool,
    ) -> Result<Option<Loaded>, StoreError> {
        let Some(covered) = loaded.covered() else { return Ok(Some(loaded)) };
        if is_behind_log {
            let what = "this is state, and stands behind a log";
            return Err(self.source.damaged(loaded.name, 0, what));
        }
        self.take_state(loaded, header, covered).map(|()| None)
    }

    fn take_state(
        &mut self,
        mut loaded: Loaded,
        header: &SegmentHeader,
        covered: Covered,
    ) -> Result<(), StoreError> {
        let name = loaded.name;
        let damaged = |at: usize, what: String| Err(self.source.damaged(name, at, what));
        if loaded.bytes as u64 != header.capacity {
            let what =
                format!("the file has {} bytes, its state {}", loaded.bytes, header.capacity);
            return damaged(0, what);
        }
        if covered.sequence >= MAX_SEQUENCE || covered.commit == u64::MAX {
            return damaged(0, "its sequences or commits can't be that many".to_owned());
        }
        self.memory.push(name.number, Arc::clone(loaded.writer.region()), loaded.bytes);
        let mut expected = Expected::first_of_state(self.source.shard);
        while loaded.writer.frozen() < loaded.bytes {
            let start = loaded.writer.frozen();
            let (seed, block) = (header.seed(), header.block as usize);
            let commit = commit::verify(loaded.rest(), seed, block, &expected)
                .map_err(|fault| self.damage(name, start, &fault))?;
            if commit.sequence > covered.sequence {
                let what = "the state has more than its header says that it covers";
                return Err(self.source.damaged(name, start, what));
            }
            self.apply_commit(&mut loaded, &commit)?;
            expected = expected.behind(&commit);
        }
        self.expected = self.expected.behind_state(covered);
        Ok(())
    }
}

/// What is visible of a shard that was read.
pub(crate) struct Visible {
    graph: Graph,
    memory: LogMemory,
    covered: Covered,
}

impl Replayed {
    /// What is visible of it. It is not to be served or written on.
    pub(crate) fn into_visible(self) -> Visible {
        let Expected { number, sequence, .. } = self.expected;
        let covered = Covered { commit: number - 1, sequence };
        Visible { graph: self.graph, memory: self.memory, covered }
    }
}

impl Visible {
    /// Up to where its log was read.
    pub(crate) fn covered(&self) -> Covered {
        self.covered
    }

    /// How many concepts and associations there are.
    pub(crate) fn count(&self) -> u64 {
        self.graph.table().concepts() + self.graph.associations()
    }

    /// All that belongs here: who owns it, its sequence, and where its entry is.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (ConceptId, u64, Position)> + '_ {
        self.graph.entries()
    }

    /// The entry that stands there.
    pub(crate) fn entry(&self, at: Position) -> Option<Entry<'_>> {
        self.memory.entry(at)
    }
}
