//! Flush, and the syncs of the relaxed durabilities.
//!
//! A core has flushed when everything that it had accepted before is committed. Where commits are
//! acknowledged before they are on stable storage, a sync that began after that must have ended,
//! too.

use std::io;
use std::time::{Duration, Instant};

use sutra_net::Context;
use sutra_store::Refusal;
use sutra_wire::Durability;

use crate::core::Core;
use crate::core::message::Message;
use crate::core::names::{QuestionNumber, Timer, Token};

struct Waiting {
    core: usize,
    number: QuestionNumber,
    /// Everything up to here must be committed.
    sequence: u64,
    /// The first sync that counts.
    sync: u64,
}

/// A flush that is done, or can't be: which core asked, and what it is told.
pub(super) struct Flushed {
    pub(super) core: usize,
    pub(super) number: QuestionNumber,
    pub(super) result: Result<(), String>,
}

/// The flushes that other cores wait for, and the syncs.
#[derive(Default)]
pub(super) struct Flushes {
    waiting: Vec<Waiting>,
    /// Syncs begun, and of those ended; a new one begins only when the last has ended.
    begun: u64,
    ended: u64,
    files_under_way: usize,
    /// When the syncs under way were begun.
    since: Option<Instant>,
    /// Whether the service's timer is set for a sync.
    timer: bool,
}

impl Flushes {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_syncing()
    }

    pub(super) fn begin(&mut self, core: &Core, asked_by: usize, number: QuestionNumber) {
        let sequence = core.shard().last_sequence();
        self.waiting.push(Waiting { core: asked_by, number, sequence, sync: u64::MAX });
    }

    /// Returns the flushes that have what they wait for, and begins the sync that others need.
    pub(super) fn check(&mut self, core: &mut Core, cx: &mut Context<'_, Message>) -> Vec<Flushed> {
        let mut flushed = self.take_done(core);
        if self.waiting.iter().any(|waiting| waiting.sync == self.begun + 1) {
            self.start_sync(core, cx);
            // A sync of no files has ended already.
            flushed.extend(self.take_done(core));
        }
        flushed
    }

    fn take_done(&mut self, core: &Core) -> Vec<Flushed> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let committed = core.shard().committed_sequence();
        let standing = standing(core.shard().health(), core.shard().is_proven());
        let (next_sync, relaxed) = (self.begun + 1, is_relaxed(core));
        let mut flushed = Vec::new();
        self.waiting.retain_mut(|waiting| {
            if waiting.sequence <= committed && waiting.sync == u64::MAX {
                waiting.sync = if relaxed { next_sync } else { 0 };
            }
            let result = match &standing {
                Standing::Keeps if waiting.sync <= self.ended => Ok(()),
                Standing::Keeps | Standing::Waits => return true,
                Standing::Fails(why) => Err(why.clone()),
            };
            flushed.push(Flushed { core: waiting.core, number: waiting.number, result });
            false
        });
        flushed
    }

    /// For how long a sync has been under way; zero where none is.
    pub(super) fn under_way(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Sees to it that a sync begins within `delay`.
    pub(super) fn sync_within(&mut self, cx: &mut Context<'_, Message>, delay: Duration) {
        if !std::mem::replace(&mut self.timer, true) {
            cx.wake_in(Timer::Sync, delay);
        }
    }

    /// Whether a sync is under way.
    pub(super) fn is_syncing(&self) -> bool {
        self.begun != self.ended
    }

    /// Begins a sync of every file with unsynced writes, unless one is under way; then the next
    /// check after its end begins another. None counts that proves nothing.
    pub(super) fn start_sync(&mut self, core: &mut Core, cx: &mut Context<'_, Message>) {
        self.timer = false;
        if self.is_syncing() || !is_relaxed(core) || !core.shard().is_proven() {
            return;
        }
        self.begun += 1;
        let files = core.shard_mut().next_sync();
        self.files_under_way = files.len();
        if files.is_empty() {
            self.ended = self.begun;
        } else {
            self.since = Some(cx.now());
        }
        for file in &files {
            cx.sync(file, Token::Sync);
        }
    }

    /// One file's sync has ended.
    pub(super) fn synced(&mut self, core: &mut Core, result: io::Result<()>) {
        if let Err(error) = result {
            let what = format!(
                "sync failed: {error}; a power cut would take what was acknowledged since the last"
            );
            core.shard_mut().fail(&io::Error::new(error.kind(), what));
            // It has not done what they wait for.
            for waiting in self.waiting.iter_mut().filter(|waiting| waiting.sync == self.begun) {
                waiting.sync += 1;
            }
        }
        self.files_under_way -= 1;
        if self.files_under_way == 0 {
            self.ended = self.begun;
            core.shard_mut().syncs_ended();
            self.since = None;
        }
    }
}

fn is_relaxed(core: &Core) -> bool {
    core.info().durability() != Durability::Always
}

/// What a flush may say of what has landed.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// The disk has it, once a sync has covered it.
    Keeps,
    /// That is not known yet.
    Waits,
    /// The disk may not have it.
    Fails(String),
}

/// What a flush may say, by a shard's health, and by whether syncs prove anything of it
/// ([`sutra_store::Shard::is_proven`]).
fn standing(health: Result<(), Refusal>, is_proven: bool) -> Standing {
    match health {
        // Without space the log takes no more, and keeps what it has.
        Ok(()) | Err(Refusal::Full { .. }) if is_proven => Standing::Keeps,
        Ok(()) => Standing::Waits,
        Err(refusal) => Standing::Fails(refusal.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_says_yes_only_of_what_the_disk_is_known_to_have() {
        let full = || Err(Refusal::Full { reason: "no space".into() });
        let failed = || Err(Refusal::Failed { reason: "an error".into() });
        assert_eq!(standing(Ok(()), true), Standing::Keeps);
        assert_eq!(standing(full(), true), Standing::Keeps);
        assert_eq!(standing(Ok(()), false), Standing::Waits);
        assert_eq!(standing(full(), false), Standing::Fails("no space".to_owned()));
        assert!(matches!(standing(failed(), true), Standing::Fails(_)));
    }
}
