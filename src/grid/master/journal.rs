//! The log of the registry: a shard of the store, driven by the master's one core as a storage server drives its own.
//!
//! Entries wait here in their order until the log has room; what is to be answered waits with the last entry of its change, and is answered when that
//! has landed. Commits land in order, so by then all of the change is on the disk.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use sutra_net::{BackgroundJob, Context, background_job};
use sutra_store::{Acknowledged, NamespaceId, OpenManifest, PrepareJob, Refusal, Shard};
use sutra_wire::{Checked, ConceptKey, ConceptRecord, FrameBuffer, Status};

use super::records::Entry;
use super::replies::Answer;
use super::service::{JOURNAL_TIMER, LOOK_TIMER, Message};

/// The write that carries the commit in flight.
const COMMIT: u64 = 0;
/// Entries that wait; with more, requests that change something wait in their connections.
const QUEUE: usize = 4096;
/// How soon what the background could not do, or not take, is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Every so many looks at the data folder the marks are raised.
const RAISE: u64 = 4;

/// The log of the registry.
pub(crate) struct Journal {
    shard: Shard<Option<Answer>>,
    queue: VecDeque<(Entry, Option<Answer>)>,
    jobs: VecDeque<BackgroundJob<Message>>,
    acknowledged: Vec<Acknowledged<Option<Answer>>>,
    buffer: FrameBuffer,
    is_writable: bool,
    manifest: Arc<OpenManifest>,
    looks: u64,
}

/// The end of a change: whom to answer, and whether it is in the log.
pub(crate) type Landed = (Answer, Result<u64, Refusal>);

impl Journal {
    pub(crate) fn new(shard: Shard<Option<Answer>>, manifest: Arc<OpenManifest>) -> Self {
        Self {
            shard,
            queue: VecDeque::new(),
            jobs: VecDeque::new(),
            acknowledged: Vec::new(),
            buffer: FrameBuffer::new(),
            is_writable: true,
            manifest,
            looks: 0,
        }
    }

    /// Whether another change may come.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() < QUEUE
    }

    /// Whether changes are taken, or why not.
    pub(crate) fn health(&self) -> Result<(), Refusal> {
        self.shard.health()
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

    /// Moves what waits into the log, begins a commit, and has the background make room. Returns what the log refuses.
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
        if let Some(commit) = self.shard.next_commit() {
            cx.write(&commit.file, commit.offset, commit.bytes, COMMIT);
        }
        if let Some(job) = self.shard.work() {
            self.jobs.push_back(background_job(move || prepared(job)));
        }
        if let Some(job) = self.shard.next_mark() {
            self.jobs.push_back(background_job(move || Message::Marked(job.run())));
        }
        self.start_jobs(cx);
        refused
    }

    /// Has the background look at the data folder, and now and then raise the marks.
    pub(crate) fn look(&mut self, cx: &mut Context<'_, Message>) {
        self.looks += 1;
        let job = self.manifest.look_job(self.looks.is_multiple_of(RAISE));
        self.jobs.push_back(background_job(move || Message::Looked(job.run())));
        self.start_jobs(cx);
    }

    /// What a look has found.
    pub(crate) fn looked(&mut self, cx: &mut Context<'_, Message>, lost: Option<Arc<str>>) {
        self.shard.set_lost(lost);
        cx.wake_in(LOOK_TIMER, AGAIN);
    }

    /// At most one preparation, one mark and one look wait.
    fn start_jobs(&mut self, cx: &mut Context<'_, Message>) {
        while let Some(job) = self.jobs.pop_front() {
            if let Err(job) = cx.background(job) {
                self.jobs.push_front(job);
                return cx.wake_in(JOURNAL_TIMER, AGAIN);
            }
        }
    }

    /// The commit in flight has ended.
    pub(crate) fn committed(&mut self, result: io::Result<()>) -> Vec<Landed> {
        let acknowledged = &mut self.acknowledged;
        self.shard.commit_finished(result, |entry| acknowledged.push(entry));
        let landed = acknowledged.drain(..).filter_map(|entry| {
            let Acknowledged { ticket, sequence, effect } = entry;
            Some((ticket?, effect.map(|_| sequence)))
        });
        landed.collect()
    }

    /// Log space was made ready, or could not be.
    pub(crate) fn prepared(&mut self, cx: &mut Context<'_, Message>, prepared: sutra_store::Prepared) {
        if self.shard.prepared(prepared).is_err() {
            // By then the shard gives the job again.
            cx.wake_in(JOURNAL_TIMER, 2 * AGAIN);
        }
    }

    /// What is full was marked.
    pub(crate) fn marked(&mut self, marked: sutra_store::Marked) {
        self.shard.marked(marked);
    }

    /// Tells whoever reads the master's log when changes stop being taken, and when they are taken again.
    pub(crate) fn tell_health(&mut self) {
        match (self.shard.health(), self.is_writable) {
            (Err(refusal), true) => tracing::error!("changes are refused, what is known is told: {refusal}"),
            (Ok(()), false) => tracing::info!("changes are taken again"),
            _ => return,
        }
        self.is_writable = !self.is_writable;
    }
}

fn prepared(job: PrepareJob) -> Message {
    Message::Prepared(Box::new(job.run()))
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

/// The code that a refused change is answered with.
pub(crate) fn status_of(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::Full { .. } => Status::StorageFull,
        Refusal::Failed { .. } | Refusal::Lost { .. } => Status::StorageFailed,
        Refusal::TooLarge { .. } | Refusal::Dimension { .. } => Status::InvalidArgument,
        Refusal::Stalled => Status::Busy,
    }
}
