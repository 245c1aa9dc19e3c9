//! Whether an index finds what it holds: each vector is searched for by its own copy, and one that
//! is not found is a *stray*.
//!
//! A graph can lose vectors: where many lie close together, their links lead to each other, and the
//! way to others is pruned. No rule of building it rules that out, so it is looked at. Strays are
//! scanned by every search; where they are many, the graph leads nowhere.
//!
//! What was inserted is checked when nothing is left to be inserted. When an eighth has come since,
//! all is checked anew, as what comes later can cut off what was there.

/// All are checked anew when more than one in so many came since they last were; and while vectors
/// keep coming, when they have doubled.
const ANEW: u64 = 8;
/// One stray in so many: too many of them to trust the graph at all. Measured with 1,500 and 5,000
/// vectors of 48 to 384 numbers, one of them 10 to 1,000 times as large as the others. At 32 some
/// of these graphs were trusted and had recall 0.94; at 128 none is.
const MISLEADING: u64 = 128;
/// One stray in so many: a few were missed, as in any such graph. More, and the graph has gaps:
/// near a stray there may be others.
const GAPS: u64 = 512;

/// What is known of an index's entries, each by its head's ordinal.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Checks {
    /// Not checked since they were inserted; empty where all are to be checked.
    fresh: Vec<u32>,
    /// How many came since all were checked.
    since: u64,
    /// To be checked in this pass; and where these are all that there were, how many had come since
    /// the last such pass.
    todo: Vec<u32>,
    whole: Option<u64>,
    /// Not found in this pass.
    missed: Vec<u32>,
    strays: Vec<u32>,
}

impl Checks {
    /// The checks that a checkpoint has kept.
    pub(super) fn restored(fresh: Vec<u32>, strays: Vec<u32>) -> Self {
        Self { since: fresh.len() as u64, fresh, strays, ..Self::default() }
    }

    /// An entry was inserted, into an index of so many.
    pub(super) fn inserted(&mut self, head: u32, entries: usize) {
        self.since += 1;
        match self.is_whole_due(entries) {
            true => self.fresh = Vec::new(),
            false => self.fresh.push(head),
        }
    }

    fn is_whole_due(&self, entries: usize) -> bool {
        self.since * ANEW > entries as u64
    }

    /// Whether a check should come next, for an index of so many entries. `is_idle`: nothing is to
    /// be inserted.
    pub(super) fn is_due(&self, entries: usize, is_idle: bool) -> bool {
        match is_idle {
            true => self.unchecked(entries) > 0,
            false => !self.todo.is_empty() || self.since * 2 > (entries as u64).max(16_384),
        }
    }

    /// Entries that are to be checked before the index is complete.
    pub(super) fn unchecked(&self, entries: usize) -> u64 {
        let coming = if self.is_whole_due(entries) { self.since } else { self.fresh.len() as u64 };
        coming + self.todo.len() as u64
    }

    /// Begins a pass, while none is under way. `all` gives every entry.
    pub(super) fn begin(&mut self, entries: usize, all: impl FnOnce() -> Vec<u32>) {
        self.whole = self.is_whole_due(entries).then_some(self.since);
        self.missed = Vec::new();
        self.todo = match self.whole {
            Some(_) => all(),
            None => std::mem::take(&mut self.fresh),
        };
        if self.whole.is_some() {
            (self.fresh, self.since) = (Vec::new(), 0);
        }
    }

    /// The next to be checked.
    pub(super) fn next(&self) -> Option<u32> {
        self.todo.last().copied()
    }

    /// What [`Checks::next`] gave was checked. Returns, at the end of a whole pass, how many
    /// entries had come since the last.
    pub(super) fn checked(&mut self, is_found: bool) -> u64 {
        let head = self.todo.pop();
        self.missed.extend(head.filter(|_| !is_found));
        if !self.todo.is_empty() {
            return 0;
        }
        self.todo = Vec::new();
        let missed = std::mem::take(&mut self.missed);
        match self.whole {
            Some(_) => self.strays = missed,
            None => self.strays.extend(missed),
        }
        self.whole.take().unwrap_or(0)
    }

    /// Entries that are not found by their own vector.
    pub(super) fn strays(&self) -> &[u32] {
        &self.strays
    }

    /// Entries that a checkpoint says are to be checked.
    pub(super) fn unchecked_entries(&self) -> impl Iterator<Item = u32> {
        self.fresh.iter().chain(&self.todo).copied()
    }

    /// Whether all entries are to be checked.
    pub(super) fn is_unknown(&self, entries: usize) -> bool {
        self.is_whole_due(entries) || self.whole.is_some()
    }

    /// Whether the graph misses so many that it is of no use.
    pub(super) fn is_misleading(&self, entries: usize) -> bool {
        self.strays.len() as u64 * MISLEADING > entries as u64
    }

    /// Whether it misses so many that near one of them others may be missed.
    pub(super) fn has_gaps(&self, entries: usize) -> bool {
        self.strays.len() as u64 * GAPS > entries as u64
    }

    pub(super) fn memory(&self) -> usize {
        let lists = [&self.fresh, &self.todo, &self.missed, &self.strays];
        lists.iter().map(|list| list.capacity() * size_of::<u32>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(checks: &mut Checks, entries: u32, is_found: impl Fn(u32) -> bool) -> usize {
        checks.begin(entries as usize, || (0..entries).collect());
        let mut looked_at = 0;
        while let Some(head) = checks.next() {
            checks.checked(is_found(head));
            looked_at += 1;
        }
        looked_at
    }

    #[test]
    fn what_is_new_is_checked_once_and_everything_anew_after_an_eighth() {
        let mut checks = Checks::default();
        (0..1000).for_each(|head| checks.inserted(head, head as usize + 1));
        assert!(
            checks.is_due(1000, true) && checks.unchecked(1000) == 1000 && checks.is_unknown(1000)
        );
        assert_eq!(pass(&mut checks, 1000, |head| head % 200 != 7), 1000);
        assert_eq!(
            (checks.strays().len(), checks.unchecked(1000), checks.is_due(1000, true)),
            (5, 0, false)
        );
        assert!(checks.has_gaps(1000) && !checks.is_misleading(1000));
        (1000..1100).for_each(|head| checks.inserted(head, head as usize + 1));
        assert_eq!((checks.unchecked(1100), checks.is_unknown(1100)), (100, false));
        assert!(!checks.is_due(1100, false), "while more are to be inserted");
        assert_eq!(pass(&mut checks, 1100, |_| false), 100);
        assert_eq!(checks.strays().len(), 105);
        assert!(checks.is_misleading(1100));
        (1100..1200).for_each(|head| checks.inserted(head, head as usize + 1));
        assert_eq!(pass(&mut checks, 1200, |_| true), 1200);
        assert!(checks.strays().is_empty(), "what is found again is no stray any more");
    }
}
