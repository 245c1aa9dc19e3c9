//! The index of a space, and a new one that may be built beside it: which of them there is, and
//! whether it is here or with a job.

use std::sync::Arc;

use crate::StoreError;
use crate::vectors::coarse::Coarse;

/// Where the index of a space is.
#[expect(clippy::large_enum_variant, reason = "there is one for each namespace with vectors")]
pub(in crate::vectors) enum Slot {
    /// There is none: all vectors are scanned.
    Empty,
    /// It serves searches; a new one may be on the way beside it.
    Home { coarse: Arc<Coarse>, rebuild: Option<Rebuild> },
    /// A job has it. What was known of it when it was given away: bytes, and entries to be checked.
    Lent { memory: u64, unchecked: u64 },
}

/// A new index on the way. `todo` are the ordinals that it is to hold yet.
pub(in crate::vectors) enum Rebuild {
    Home {
        coarse: Coarse,
        todo: Vec<u32>,
    },
    /// A job has it; it had so many bytes.
    Lent {
        memory: u64,
        todo: Vec<u32>,
    },
}

fn unchecked(coarse: &Coarse) -> u64 {
    coarse.checks().unchecked(coarse.entries())
}

impl Slot {
    /// An index that serves, alone.
    pub(super) fn home(coarse: Coarse) -> Self {
        Self::Home { coarse: Arc::new(coarse), rebuild: None }
    }

    pub(in crate::vectors) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    pub(super) fn is_rebuilding(&self) -> bool {
        matches!(self, Self::Home { rebuild: Some(_), .. })
    }

    /// Takes the index for a job, or makes one of this dimension. `None` where it can't be had now,
    /// as another job reads it.
    pub(super) fn lend(&mut self, dimension: usize) -> Result<Option<Coarse>, StoreError> {
        let coarse = match std::mem::replace(self, Self::Empty) {
            Self::Empty => Coarse::new(dimension)?,
            Self::Home { coarse, rebuild: None } => match Arc::try_unwrap(coarse) {
                Ok(coarse) => coarse,
                Err(coarse) => {
                    *self = Self::Home { coarse, rebuild: None };
                    return Ok(None);
                }
            },
            other @ (Self::Home { .. } | Self::Lent { .. }) => {
                *self = other;
                return Ok(None);
            }
        };
        *self = Self::Lent { memory: coarse.memory(), unchecked: unchecked(&coarse) };
        Ok(Some(coarse))
    }

    /// Has a new index built beside the one that serves.
    pub(super) fn begin_rebuild(&mut self, coarse: Coarse, todo: Vec<u32>) {
        if let Self::Home { rebuild, .. } = self {
            *rebuild = Some(Rebuild::Home { coarse, todo });
        }
    }

    /// Takes the new index, with what it is to hold yet. [`Slot::rebuild_lent`] is to follow.
    pub(super) fn take_rebuild(&mut self) -> Option<(Coarse, Vec<u32>)> {
        let Self::Home { rebuild, .. } = self else { return None };
        match rebuild.take()? {
            Rebuild::Home { coarse, todo } => Some((coarse, todo)),
            lent @ Rebuild::Lent { .. } => {
                *rebuild = Some(lent);
                None
            }
        }
    }

    /// A job has the new index.
    pub(super) fn rebuild_lent(&mut self, coarse: &Coarse, todo: Vec<u32>) {
        if let Self::Home { rebuild, .. } = self {
            *rebuild = Some(Rebuild::Lent { memory: coarse.memory(), todo });
        }
    }

    /// The new index has come back; these are still to be put into it. Returns it where it is not
    /// waited for any more, as the old one has failed meanwhile.
    pub(super) fn rebuild_returned(
        &mut self,
        coarse: Coarse,
        left: impl Iterator<Item = u32>,
    ) -> Option<Coarse> {
        let Self::Home { rebuild, .. } = self else { return Some(coarse) };
        let Some(Rebuild::Lent { mut todo, .. }) = rebuild.take() else { return Some(coarse) };
        todo.extend(left);
        *rebuild = Some(Rebuild::Home { coarse, todo });
        None
    }

    /// The new index failed.
    pub(super) fn give_up_rebuild(&mut self) {
        if let Self::Home { rebuild, .. } = self {
            *rebuild = None;
        }
    }

    /// Entries that are to be checked before the index is complete.
    pub(super) fn unchecked(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Home { coarse, .. } => unchecked(coarse),
            Self::Lent { unchecked, .. } => *unchecked,
        }
    }

    /// Bytes of memory that the indexes hold.
    pub(super) fn memory(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Lent { memory, .. } => *memory,
            Self::Home { coarse, rebuild } => {
                coarse.memory() + rebuild.as_ref().map_or(0, Rebuild::memory)
            }
        }
    }

    /// The indexes that are here.
    pub(super) fn into_indexes(self) -> impl Iterator<Item = Arc<Coarse>> {
        let (serving, new) = match self {
            Self::Home { coarse, rebuild: Some(Rebuild::Home { coarse: new, .. }) } => {
                (Some(coarse), Some(Arc::new(new)))
            }
            Self::Home { coarse, .. } => (Some(coarse), None),
            Self::Empty | Self::Lent { .. } => (None, None),
        };
        serving.into_iter().chain(new)
    }
}

impl Rebuild {
    fn memory(&self) -> u64 {
        let (index, todo) = match self {
            Self::Home { coarse, todo } => (coarse.memory(), todo),
            Self::Lent { memory, todo } => (*memory, todo),
        };
        index + (todo.capacity() * size_of::<u32>()) as u64
    }
}
