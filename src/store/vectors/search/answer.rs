//! The part of a search that asks the index. What it found is ordered by the true vectors, and
//! vectors that it is known to miss are added. Where it can't be relied upon, all vectors are
//! scanned.

use super::strays::{Stray, Strays};
use super::{Shelf, Step, VectorSearch};
use crate::vectors::coarse::{Coarse, Hit, copy_of};
use crate::vectors::nearest::Candidate;
use crate::vectors::ordering::{Next, Ordering};

/// How many entries are read together after the shortlist: enough that their waits for memory
/// overlap.
const TOGETHER: usize = 16;
/// An entry with more vectors behind it than this passes every filter. Its vectors are filtered
/// when they are read.
const LOOKED_AT: usize = 64;
/// An entry with more vectors behind it than this is not worth a list of them: all are scanned.
const MOST_BEHIND: usize = 64 << 10;
/// An index search gives up after so many vectors that are not wanted, as it is one piece: about 2
/// ms of 384 numbers each. Where a tenth is wanted, the default width takes a third of that.
const PATIENCE: usize = 6_400;
/// The same in numbers, for long vectors; but so many at least.
const PATIENCE_NUMBERS: usize = PATIENCE * 384;
const LEAST_PATIENCE: usize = 400;

impl VectorSearch {
    /// Looks at everything, as the index can't be relied upon for this search.
    pub(super) fn scan_instead(&mut self) -> Step {
        self.ordering = None;
        match self.allowed {
            Some(_) => Step::Allowed(0),
            None => Step::All(0),
        }
    }

    /// Asks the index.
    pub(super) fn ask(
        &mut self,
        shelf: &Shelf<'_>,
        coarse: &Coarse,
    ) -> Result<Step, crate::StoreError> {
        let mut copy = Vec::new();
        if !copy_of(self.direction.vector(), &mut copy) {
            return Ok(self.scan_instead());
        }
        let (width, filtered) = (self.query.width(), self.query.is_filtered());
        let (checks, entries) = (coarse.checks(), coarse.entries());
        if checks.is_misleading(entries) {
            return Ok(self.scan_instead());
        }
        let hits = if !filtered && self.allowed.is_none() && !shelf.space.has_dead() {
            let hits = coarse.search(&copy, width, width)?;
            if hits.len() < width.min(entries) {
                return Ok(self.scan_instead());
            }
            hits
        } else {
            let is_wanted = |ordinal| {
                shelf.space.vector(ordinal).is_some_and(|vector| {
                    self.is_allowed(vector.node)
                        && (!filtered
                            || shelf
                                .records
                                .record(vector.node)
                                .is_some_and(|record| self.query.wants(&record)))
                })
            };
            let space = shelf.space;
            let wanted =
                |head| space.count_behind(head) > LOOKED_AT || space.behind(head).any(is_wanted);
            let patience =
                (PATIENCE_NUMBERS / space.dimension() as usize).clamp(LEAST_PATIENCE, PATIENCE);
            let candidates = coarse.search_among(&copy, width, patience, wanted)?;
            if candidates.gave_up {
                return Ok(self.scan_instead());
            }
            candidates.hits
        };
        if !checks.strays().is_empty() {
            let (heads, found) =
                (checks.strays().to_vec(), hits.iter().map(|hit| hit.head).collect());
            self.strays = Strays::new(heads, found, checks.has_gaps(entries));
        }
        self.ordering = Some(Ordering::new(hits, self.query.shortlist(), self.query.k(), width));
        Ok(Step::Order)
    }

    /// Reads vectors of what the index found, at most so many.
    pub(super) fn order(&mut self, shelf: &Shelf<'_>, most: usize) -> Step {
        let Some(mut ordering) = self.ordering.take() else {
            return Step::Zeros(shelf.space.zeros().len());
        };
        let mut left = most;
        while left > 0 {
            if !ordering.rest().is_empty() {
                let from = ordering.rest().len().saturating_sub(left);
                left -= ordering.rest().len() - from;
                let some: Vec<_> = ordering.rest().drain(from..).collect();
                self.scan(shelf, some.into_iter());
                continue;
            }
            match ordering.next(&self.found, TOGETHER) {
                Next::Read(range) => {
                    let hits = ordering.hits()[range].to_vec();
                    if hits.iter().any(|hit| shelf.space.count_behind(hit.head) > MOST_BEHIND) {
                        return self.scan_instead();
                    }
                    left = left.saturating_sub(hits.len());
                    self.read(shelf, &mut ordering, &hits);
                }
                Next::Unclear => return self.scan_instead(),
                Next::Found => {
                    self.ordering = Some(ordering);
                    return Step::Strays;
                }
            }
        }
        self.ordering = Some(ordering);
        Step::Order
    }

    /// Judges the first vector behind each of these entries, and leaves the others for later. All
    /// records are looked up before the first vector is read, so that the ways to them, each of
    /// which waits for memory three times, are waited for together.
    fn read(&mut self, shelf: &Shelf<'_>, ordering: &mut Ordering, hits: &[Hit]) {
        let space = shelf.space;
        let mut found = Vec::with_capacity(hits.len());
        for hit in hits {
            let mut behind = space.behind(hit.head);
            let Some(vector) = behind.next().and_then(|ordinal| space.vector(ordinal)) else {
                continue;
            };
            ordering.rest().extend(behind);
            let Some(record) = shelf.records.record(vector.node) else { continue };
            found.push((*hit, vector, record.get(), record.get().embedding.as_slice()));
        }
        for (hit, vector, record, embedding) in found {
            let similarity = self.direction.similarity(embedding, vector.length);
            ordering.note(hit, similarity);
            if self.query.wants(record) && self.is_allowed(vector.node) {
                self.found.offer(Candidate { similarity, id: record.id, node: vector.node });
            }
        }
    }

    /// Scans vectors that the index is known to miss, at most so many.
    pub(super) fn scan_strays(&mut self, shelf: &Shelf<'_>, most: usize) -> Step {
        for _ in 0..most {
            let ordinal = match self.strays.next(shelf.space, MOST_BEHIND) {
                Stray::Vector(ordinal) => ordinal,
                Stray::None => continue,
                Stray::TooMany => return self.scan_instead(),
                Stray::End if self.strays.show_gap(self.found.similarity(self.query.k())) => {
                    return self.scan_instead();
                }
                Stray::End => return Step::Zeros(shelf.space.zeros().len()),
            };
            if let Some(vector) = shelf.space.vector(ordinal)
                && self.is_allowed(vector.node)
                && let Some(candidate) = self.judge(shelf, vector)
            {
                self.strays.note(candidate.similarity);
                self.found.offer(candidate);
            }
        }
        Step::Strays
    }
}
