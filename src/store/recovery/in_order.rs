//! A shard's segments, gone through in their order.

use std::sync::Arc;
use std::time::Duration;

use super::behind::{Behind, Beyond};
use super::{Loaded, Recovery, Replayed};
use crate::StoreError;
use crate::commit::Fault;
use crate::disk::{CheckpointName, SegmentName};
use crate::format::SegmentHeader;

impl Recovery {
    /// Goes on from the segment that the log ended in when it was read ahead, or begins.
    pub(super) fn run(
        mut self,
        ahead: Option<(Loaded, SegmentHeader)>,
    ) -> Result<Replayed, StoreError> {
        let started = self.source.clock.monotonic();
        let mut names = self.names()?;
        // The segment that the log ends in so far, and the fault that was met there.
        let mut tail: Option<(Loaded, SegmentHeader, Fault)> = None;
        if let Some((mut loaded, header)) = ahead {
            names.retain(|name| name.number > loaded.name.number);
            self.refresh(&mut loaded)?;
            let fault = self.go_through(&mut loaded, &header)?;
            tail = Some((loaded, header, fault));
        }
        let mut behind = Behind::default();
        for name in &names {
            let mut loaded = self.source.load(*name)?;
            let header = match loaded.header.clone() {
                Ok(header) => header,
                // A store's first segments were durable before its manifest: they are never half
                // made.
                Err(_)
                    if name.number > self.source.mark.segment
                        && Some(name) == names.last()
                        && loaded.is_half_made() =>
                {
                    behind.beyond.push(Beyond { name: *name, empty: None });
                    break;
                }
                Err(fault) => return Err(self.header_fault(*name, &fault)),
            };
            self.check_header(*name, &header, &loaded)?;
            loaded.writer.freeze(header.first_commit());
            let taken = self.take_if_state(loaded, &header, tail.is_some())?;
            let Some(mut loaded) = taken else { continue };
            if let Some((before, _, fault)) = &mut tail {
                if let Err(here) = self.verify(&mut loaded, &header) {
                    self.pass_over((before, fault), &mut behind, loaded, &header, here)?;
                    continue;
                }
                self.go_on_after((before, fault), &mut behind)?;
            }
            self.memory.push(name.number, Arc::clone(loaded.writer.region()), loaded.bytes);
            let fault = self.go_through(&mut loaded, &header)?;
            tail = Some((loaded, header, fault));
        }
        if let Some(error) = behind.short {
            return Err(error);
        }
        let (tail, header, _) = tail.ok_or_else(|| self.no_log())?;
        let beyond = behind.beyond.into_iter().map(|segment| segment.name).collect();
        let Self { source, exchange, graph, memory, expected, mut report, .. } = self;
        report.bytes = memory.bytes();
        report.elapsed = Duration::from_micros(source.clock.monotonic().saturating_sub(started));
        let (rest, vectors) =
            (Some(exchange.tell_rest()), self.vectors.filter(|_| !self.is_doubtful));
        Ok(Replayed {
            source,
            rest,
            graph,
            memory,
            vectors,
            expected,
            report,
            tail,
            header,
            beyond,
        })
    }

    /// Applies the commits of a segment; returns why there are no more. Nothing that was durable
    /// once is missing behind them.
    fn go_through(
        &mut self,
        loaded: &mut Loaded,
        header: &SegmentHeader,
    ) -> Result<Fault, StoreError> {
        let fault = self.replay(loaded, header)?;
        let (name, mark) = (loaded.name, self.source.mark);
        if let Some(proof) = self.proof_of_loss(loaded, header) {
            return Err(self.lost(name, loaded.writer.frozen(), &fault, name, proof));
        }
        let end = loaded.writer.frozen();
        if name.number == mark.segment && end < mark.offset as usize {
            return Err(self.short_of_mark(name, end, &fault));
        }
        Ok(fault)
    }

    /// Reads what has come to a segment since it was read.
    pub(super) fn refresh(&mut self, loaded: &mut Loaded) -> Result<(), StoreError> {
        self.source.refresh(loaded)?;
        self.memory.note_loaded(loaded.name.number, loaded.bytes);
        Ok(())
    }

    /// The shard's segments in order, none missing.
    pub(super) fn names(&self) -> Result<Vec<SegmentName>, StoreError> {
        let shard = self.source.shard;
        let files = match self.source.disk.list(shard)? {
            // A segment may have been made just before a kill: its name is not on the disk yet, and
            // a power cut would take with it what is written to it from now on.
            Some(files) => {
                self.source.disk.sync_shard(shard)?;
                files
            }
            None => Vec::new(),
        };
        let mut names = Vec::with_capacity(files.len());
        for file in files {
            match SegmentName::parse(shard, &file) {
                Some(name) if self.source.segments.contains(&name.number) => names.push(name),
                // Left of a change of the number of cores.
                Some(_) => {}
                None if CheckpointName::is_one(&file) => {}
                None => tracing::warn!(shard, file, "ignoring a file that is not the store's"),
            }
        }
        names.sort_unstable();
        let first = self.source.segments.start;
        let expected = (first..).map(|number| SegmentName { shard, number });
        let found = expected
            .zip(names.iter().copied().map(Some).chain([None]))
            .find(|(expected, name)| *name != Some(*expected));
        match found {
            // One in the middle, or one that the log had reached.
            Some((missing, later))
                if later.is_some() || missing.number <= self.source.mark.segment =>
            {
                Err(StoreError::Missing { file: self.source.path(missing) })
            }
            _ => Ok(names),
        }
    }
}
