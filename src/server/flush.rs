//! Flush, and the syncs of the relaxed durabilities.
//!
//! A core has flushed when everything that it had accepted before is committed and, where commits are acknowledged before they are on stable
//! storage, a sync that began after that has ended.

use std::io;
use std::time::Duration;

use sutra_net::Context;
use sutra_store::Refusal;
use sutra_wire::Durability;

use crate::fan_out::Part;
use crate::message::Message;
use crate::service::{SYNC, SYNC_TIMER, StorageService};

struct Waiting {
    core: usize,
    job: usize,
    /// Everything up to here must be committed.
    sequence: u64,
    /// The first sync that counts.
    sync: u64,
}

#[derive(Default)]
pub(crate) struct Flushes {
    waiting: Vec<Waiting>,
    /// Syncs begun, and of those ended; a new one begins only when the last has ended.
    begun: u64,
    ended: u64,
    files_under_way: usize,
    failed: Option<String>,
    /// Whether the service's timer is set for a sync.
    timer: bool,
}

impl Flushes {
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.begun == self.ended
    }
}

impl StorageService {
    fn is_relaxed(&self) -> bool {
        self.info.durability != Durability::Always
    }

    pub(crate) fn flush(&mut self, cx: &mut Context<'_, Message>, core: usize, job: usize) {
        let sequence = self.shard.last_sequence();
        self.flushes.waiting.push(Waiting { core, job, sequence, sync: u64::MAX });
        self.check_flushes(cx);
    }

    /// Concludes the flushes that have what they wait for, and begins the sync that others need.
    pub(crate) fn check_flushes(&mut self, cx: &mut Context<'_, Message>) {
        let committed = self.shard.committed_sequence();
        // Without space the log takes no more, and keeps what it has.
        let failed = self.shard.health().err().filter(|refusal| !matches!(refusal, Refusal::Full { .. }));
        let failed = failed.map(|refusal| refusal.to_string()).or_else(|| self.flushes.failed.clone());
        let mut at = 0;
        while at < self.flushes.waiting.len() {
            let (next_sync, relaxed) = (self.flushes.begun + 1, self.is_relaxed());
            let waiting = &mut self.flushes.waiting[at];
            if waiting.sequence <= committed && waiting.sync == u64::MAX {
                waiting.sync = if relaxed { next_sync } else { 0 };
            }
            if failed.is_some() || waiting.sync <= self.flushes.ended {
                let Waiting { core, job, .. } = self.flushes.waiting.swap_remove(at);
                self.tell(cx, core, job, Part::Done(failed.clone().map_or(Ok(()), Err)));
            } else {
                at += 1;
            }
        }
        if self.flushes.waiting.iter().any(|waiting| waiting.sync == self.flushes.begun + 1) {
            self.start_sync(cx);
        }
    }

    /// Sees to it that a sync begins within `delay`.
    pub(crate) fn sync_within(&mut self, cx: &mut Context<'_, Message>, delay: Duration) {
        if !std::mem::replace(&mut self.flushes.timer, true) {
            cx.wake_in(SYNC_TIMER, delay);
        }
    }

    /// Begins a sync of every file with unsynced writes, unless one is under way (its end comes back here).
    pub(crate) fn start_sync(&mut self, cx: &mut Context<'_, Message>) {
        self.flushes.timer = false;
        if self.flushes.begun != self.flushes.ended || !self.is_relaxed() {
            return;
        }
        self.flushes.begun += 1;
        let files = self.shard.next_sync();
        self.flushes.files_under_way = files.len();
        if files.is_empty() {
            self.flushes.ended = self.flushes.begun;
            return self.check_flushes(cx);
        }
        for file in &files {
            cx.sync(file, SYNC);
        }
    }

    /// One file's sync has ended.
    pub(crate) fn synced(&mut self, _cx: &mut Context<'_, Message>, result: io::Result<()>) {
        if let Err(error) = result {
            self.shard.fail(&error);
            self.flushes.failed =
                Some(format!("sync failed: {error}; what was acknowledged since the last one may be lost"));
        }
        self.flushes.files_under_way -= 1;
        if self.flushes.files_under_way == 0 {
            self.flushes.ended = self.flushes.begun;
        }
    }
}
