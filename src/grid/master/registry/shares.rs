//! How many agents come from which address.

use std::collections::BTreeMap;

use super::facts::Origin;

/// How many agents an address has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) proven: usize,
    pub(super) unproven: usize,
    pub(super) asked: usize,
}

/// How many agents there are, and whose.
#[derive(Debug, Default)]
pub(super) struct Shares {
    pub(super) of: BTreeMap<Option<Origin>, Share>,
    pub(super) all: Share,
}

impl Shares {
    pub(super) fn change(&mut self, origin: Option<Origin>, change: impl Fn(&mut Share)) {
        change(&mut self.all);
        let share = self.of.entry(origin).or_default();
        change(share);
        if *share == Share::default() {
            self.of.remove(&origin);
        }
    }

    pub(super) fn of(&self, origin: Option<Origin>) -> Share {
        self.of.get(&origin).copied().unwrap_or_default()
    }
}

/// The count that an agent belongs to.
pub(super) fn counted(share: &mut Share, is_proven: bool) -> &mut usize {
    if is_proven { &mut share.proven } else { &mut share.unproven }
}
