//! Reading a shard that another process still writes, so that little is left to be read when that
//! one lets go of it.
//!
//! Whatever is torn here may be whole a moment later. So nothing is judged by what is missing: that
//! is left to the reading under the lock, which goes on where this one ended.

use std::sync::Arc;

use super::{ReadAhead, Recovery, Replayed, Source};
use crate::StoreError;
use crate::exchange::Exchange;
use crate::marks::Position;
use crate::vectors::{Records, Vectors};

impl ReadAhead {
    /// Reads what is there. Blocks until those that it exchanges edges with are done too.
    pub(crate) fn new(source: Source, exchange: Exchange) -> Result<Self, StoreError> {
        Recovery::new(source, exchange).read_ahead(None)
    }

    /// Reads what has come since.
    pub(crate) fn go_on(mut self, exchange: Exchange) -> Result<Self, StoreError> {
        self.recovery.exchange = exchange;
        self.recovery.read_ahead(Some(self.tail))
    }

    /// Reads the rest, when nobody else writes it any more: the log must be whole up to `mark`.
    /// Where what is there `is_stable`, it needs no sync.
    pub(crate) fn finish(
        mut self,
        mark: Position,
        is_stable: bool,
        exchange: Exchange,
    ) -> Result<Replayed, StoreError> {
        self.recovery.exchange = exchange;
        self.recovery.source.mark = mark;
        self.recovery.source.is_stable = is_stable;
        self.recovery.run(Some(self.tail))
    }

    pub(crate) fn records(&self) -> Records<'_> {
        Records::of(self.recovery.graph.table(), &self.recovery.memory)
    }

    /// The vectors of what was read so far: what follows is made visible among them.
    pub(crate) fn set_vectors(&mut self, vectors: Vectors) {
        self.recovery.vectors = Some(vectors);
    }

    /// How far it has come, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.recovery.memory.bytes()
    }
}

impl Recovery {
    fn read_ahead(
        mut self,
        mut tail: Option<(super::Loaded, crate::format::SegmentHeader)>,
    ) -> Result<ReadAhead, StoreError> {
        let mut names = self.names()?;
        if let Some((loaded, header)) = &mut tail {
            names.retain(|name| name.number > loaded.name.number);
            self.refresh(loaded)?;
            self.replay(loaded, header)?;
        }
        for name in names {
            let mut loaded = self.source.load(name)?;
            // One that is being made, or that the log has not come to, or has passed over.
            let Ok(header) = loaded.header.clone() else { break };
            if self.check_header(name, &header, &loaded).is_err() {
                break;
            }
            loaded.writer.freeze(header.first_commit());
            let taken = self.take_if_state(loaded, &header, tail.is_some())?;
            let Some(mut loaded) = taken else { continue };
            if tail.is_some() && self.verify(&mut loaded, &header).is_err() {
                break;
            }
            self.memory.push(name.number, Arc::clone(loaded.writer.region()), loaded.bytes);
            self.replay(&mut loaded, &header)?;
            tail = Some((loaded, header));
        }
        let tail = tail.ok_or_else(|| self.no_log())?;
        let alone = Exchange::among(1).into_iter().next().expect("one was asked for");
        std::mem::replace(&mut self.exchange, alone).tell_rest().take_in(&mut self.graph);
        Ok(ReadAhead { recovery: self, tail })
    }
}
