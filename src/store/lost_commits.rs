//! Whether a background job's sync has failed that may have covered commits.
//!
//! The job says so as soon as it knows: its end may reach the shard only after a sync of the core's
//! own that succeeds, as the kernel tells of a failure once. Cost of a look: one exchange.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use sutra_runtime::error_number;

/// Shared by a shard and its job: the number of the job's error, 0 for none.
#[derive(Clone, Debug, Default)]
pub(crate) struct LostCommits(Arc<AtomicI32>);

impl LostCommits {
    /// A sync failed, and commits may be lost with it.
    pub(crate) fn tell(&self, error: &io::Error) {
        self.0.store(error_number(error), Ordering::Release);
    }

    /// What the system said, told once.
    pub(crate) fn take(&self) -> Option<io::Error> {
        match self.0.swap(0, Ordering::AcqRel) {
            0 => None,
            number => Some(io::Error::from_raw_os_error(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_once_and_by_its_name() {
        let (shard, job) = <(LostCommits, LostCommits)>::default();
        assert!(shard.take().is_none() && job.take().is_none());
        let job = shard.clone();
        job.tell(&io::Error::from_raw_os_error(28));
        assert_eq!(shard.take().and_then(|error| error.raw_os_error()), Some(28));
        assert!(shard.take().is_none());
        job.tell(&io::Error::other("of no number"));
        let error = shard.take().expect("an error without a number is one");
        assert!(error.to_string().contains("Input/output error"), "{error}");
    }
}
