//! The log of the registry: a shard of the store, driven by the master's one core as a storage
//! server drives its own (`sutra-driver`).
//!
//! Entries wait here in their order until the log has room; what is to be answered waits with the
//! last entry of its change, and is answered when that has landed. Commits land in order, so by
//! then all of the change is on the disk.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use sutra_driver::{DriverTimer, Ended, Health, ShardDriver, hanging};
use sutra_net::Context;
use sutra_store::{Acknowledged, Keeper, NamespaceId, Refusal, Shard};
use sutra_wire::{Checked, ConceptKey, ConceptRecord, FrameBuffer};

use crate::answer::Answer;
use crate::message::Message;
use crate::records::Entry;

/// Entries that wait; with more, requests that change something wait in their connections.
const QUEUE: usize = 4096;

/// The log of the registry.
pub(crate) struct Journal {
    shard: ShardDriver<Option<Answer>, Message>,
    queue: VecDeque<(Entry, Option<Answer>)>,
    buffer: FrameBuffer,
    manifest: Arc<Keeper>,
}

/// A change that has ended: whom to answer, and whether the change is in the log.
pub(crate) type Landed = (Answer, Result<u64, Refusal>);

impl Journal {
    pub(crate) fn new(shard: Shard<Option<Answer>>, manifest: Arc<Keeper>) -> Self {
        let shard = ShardDriver::new(shard, |_, ended| Message::Driver(ended));
        Self { shard, queue: VecDeque::new(), buffer: FrameBuffer::new(), manifest }
    }

    /// Begins to look at the data folder.
    pub(crate) fn begin(&mut self, cx: &mut Context<'_, Message>) {
        self.shard.begin_looks(cx, Arc::clone(&self.manifest));
    }

    /// Whether another change may come.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() < QUEUE
    }

    /// Whether changes are taken, or why not.
    pub(crate) fn health(&self) -> Result<(), Refusal> {
        self.shard.health()
    }

    /// What is wrong with the log, if anything is.
    pub(crate) fn trouble(&self, now: Instant) -> Option<String> {
        match self.health() {
            Err(refusal) => Some(format!("changes are refused: {refusal}")),
            Ok(()) => hanging(self.shard.commit_under_way(now)),
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.shard.pending() == 0
    }

    pub(crate) fn last_sequence(&self) -> u64 {
        self.shard.last_sequence()
    }

    pub(crate) fn shard(&self) -> &Shard<Option<Answer>> {
        &self.shard
    }

    /// Takes a change, to be answered when it has landed. It has at least one entry.
    pub(crate) fn log(&mut self, entries: Vec<Entry>, answer: Option<Answer>) {
        debug_assert!(!entries.is_empty(), "a change is answered with its last entry");
        self.queue.extend(entries.into_iter().map(|entry| (entry, None)));
        if let Some((_, last)) = self.queue.back_mut() {
            *last = answer;
        }
    }

    /// Moves what waits into the log, begins a commit, and has the background make room. Returns
    /// what the log refuses.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_, Message>) -> Vec<Landed> {
        let mut refused = Vec::new();
        while let Some((entry, answer)) = self.queue.front() {
            match append(&mut self.shard, &mut self.buffer, entry, answer.clone()) {
                Ok(()) => {}
                Err(refusal) if refusal.is_stalled() => break,
                Err(refusal) => refused.extend(answer.clone().map(|answer| (answer, Err(refusal)))),
            }
            self.queue.pop_front();
        }
        self.shard.commit(cx);
        self.shard.prepare(cx);
        refused
    }

    /// The commit in flight has ended.
    pub(crate) fn committed(
        &mut self,
        cx: &mut Context<'_, Message>,
        result: io::Result<()>,
    ) -> Vec<Landed> {
        let mut acknowledged = self.shard.committed(cx, result);
        let landed = acknowledged.drain(..).filter_map(|entry| {
            let Acknowledged { ticket, sequence, effect } = entry;
            Some((ticket?, effect.map(|_| sequence)))
        });
        let landed = landed.collect();
        self.shard.recycle(acknowledged);
        landed
    }

    /// The background has done something for the log. Returns whether changes that were held back
    /// may be taken now.
    pub(crate) fn ended(&mut self, cx: &mut Context<'_, Message>, ended: Ended) -> bool {
        self.shard.ended(cx, ended).is_some()
    }

    /// One of the log's timers has come.
    pub(crate) fn timer(&mut self, cx: &mut Context<'_, Message>, timer: DriverTimer) {
        self.shard.timer(cx, timer);
    }

    /// Tells whoever reads the master's log when changes stop being taken, and when they are taken
    /// again.
    pub(crate) fn tell_health(&mut self) {
        match self.shard.health_change() {
            Some(Health::Refuses(refusal)) => {
                tracing::error!("changes are refused, what is known is told: {refusal}");
            }
            Some(Health::Takes) => tracing::info!("changes are taken again"),
            None => {}
        }
    }
}

fn append(
    shard: &mut Shard<Option<Answer>>,
    buffer: &mut FrameBuffer,
    entry: &Entry,
    answer: Option<Answer>,
) -> Result<(), Refusal> {
    const OURS: &str = "what the master writes is a valid record";
    buffer.clear();
    match entry.record() {
        Some(record) => {
            sutra_wire::archive(buffer, &record);
            let record = Checked::<ConceptRecord>::new(buffer).expect(OURS);
            shard.learn(record, NamespaceId::DEFAULT, answer).map(drop)
        }
        None => {
            sutra_wire::archive(buffer, &entry.key());
            let key = Checked::<ConceptKey>::new(buffer).expect(OURS);
            shard.delete(key, NamespaceId::DEFAULT, answer).map(drop)
        }
    }
}
