//! How an import is told from another thread that it should end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use tokio::sync::Notify;

/// No signal has this number.
const NOT_ASKED: i32 = 0;

/// Whether an import should end. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    signal: AtomicI32,
    has_begun: AtomicBool,
    news: Notify,
}

impl Stop {
    /// Asks it to end because of this signal, -1 for none. `false` if it was asked before.
    pub(crate) fn ask(&self, signal: i32) -> bool {
        let before =
            self.0.signal.compare_exchange(NOT_ASKED, signal, Ordering::Relaxed, Ordering::Relaxed);
        self.0.news.notify_one();
        before.is_ok()
    }

    /// The signal because of which it was asked.
    pub(crate) fn signal(&self) -> Option<i32> {
        Some(self.0.signal.load(Ordering::Relaxed)).filter(|signal| *signal != NOT_ASKED)
    }

    /// Whether it has begun to write: before that there is nothing to say at the end.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.has_begun.load(Ordering::Relaxed)
    }

    /// Marks that the import begins to write.
    pub(super) fn begin(&self) {
        self.0.has_begun.store(true, Ordering::Relaxed);
    }

    /// Waits until it is asked.
    pub(super) async fn asked(&self) {
        while self.signal().is_none() {
            self.0.news.notified().await;
        }
    }
}
