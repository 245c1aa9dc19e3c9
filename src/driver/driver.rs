//! A shard with what drives it.

use std::collections::VecDeque;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_net::{BackgroundJob, Context, Histogram, ServiceMessage, background_job};
use sutra_store::{Acknowledged, Keeper, Marked, Prepared, Refusal, Shard};

/// What the write is for that carries the commit in flight; one of its owner's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit;

/// What the driver's timers are for; some of its owner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverTimer {
    /// What has failed is tried again: log space, or writing again what a sync did not land.
    Prepare,
    /// Jobs are offered to the background thread again.
    Offer,
    /// The data folder is looked at.
    Look,
}

/// How soon what has failed is tried again.
const PREPARE_AGAIN: Duration = Duration::from_secs(1);
/// How soon a job is offered again to a background thread that has too much to do.
const BACKGROUND_AGAIN: Duration = Duration::from_millis(10);
/// Between two looks at the folder. So writes to a folder that is gone are acknowledged for at most
/// twice this time.
const LOOK: Duration = Duration::from_millis(500);
/// Every so many looks the marks are raised. What is before a mark can't be missing at the next
/// start without an error.
const RAISE: u64 = 4;

/// A write or a sync that takes longer than this hangs: disks that work take a thousandth of it.
const HANGS: Duration = Duration::from_secs(5);

/// What is wrong where the disk has not finished something for so long, in words.
pub fn hanging(under_way: Duration) -> Option<String> {
    (under_way > HANGS).then(|| {
        format!(
            "the disk has not finished a write to the log for {} s; writes wait, reads go on: look \
             in the kernel's log for I/O errors, and whether the filesystem is frozen or its \
             network storage away",
            under_way.as_secs()
        )
    })
}

/// A job of the driver's that the background thread has ended.
pub enum Ended {
    /// Log space was made ready, or could not be.
    Prepared(Box<Prepared>),
    /// The end of a full segment was marked, or could not be made durable.
    Marked(Marked),
    /// The data folder was looked at: what has become of it, if it is not what it was.
    Looked(Option<Arc<str>>),
}

/// What has changed of a log's health.
pub enum Health {
    /// It takes no writes any more.
    Refuses(Refusal),
    /// It takes writes again.
    Takes,
}

/// The looks at a data folder.
struct Looks {
    keeper: Arc<Keeper>,
    count: u64,
    /// What has become of the folder, as was told last.
    lost: Option<Arc<str>>,
}

/// A shard with what drives it. It is used as the shard that it holds; what it adds is below.
///
/// `M` is what the owner's cores send each other: a job's end comes back as one.
pub struct ShardDriver<T, M: Send + 'static> {
    shard: Shard<T>,
    /// Makes a message of what has ended. The number is the highest sequence when the job began.
    message: fn(u64, Ended) -> M,
    /// Jobs that the background thread has not taken yet: at most one preparation, one mark, one
    /// look, and those of the owner.
    jobs: VecDeque<BackgroundJob<M>>,
    acknowledged: Vec<Acknowledged<T>>,
    looks: Option<Looks>,
    /// Whether the log takes writes, as was told last.
    is_writable: bool,
    /// Whether the timer is set by which what has failed is tried again.
    is_retrying: bool,
    /// When the commit in flight was begun.
    began: Option<Instant>,
    commits: Histogram,
}

impl<T, M: Send + 'static> Deref for ShardDriver<T, M> {
    type Target = Shard<T>;

    fn deref(&self) -> &Shard<T> {
        &self.shard
    }
}

impl<T, M: Send + 'static> DerefMut for ShardDriver<T, M> {
    fn deref_mut(&mut self) -> &mut Shard<T> {
        &mut self.shard
    }
}

impl<T, M> ShardDriver<T, M>
where
    M: ServiceMessage<Token: From<Commit>, Timer: From<DriverTimer>>,
{
    /// Drives a shard; `message` wraps what has ended, with the highest sequence when it began.
    pub fn new(shard: Shard<T>, message: fn(u64, Ended) -> M) -> Self {
        let (jobs, acknowledged) = (VecDeque::new(), Vec::new());
        Self {
            shard,
            message,
            jobs,
            acknowledged,
            looks: None,
            is_writable: true,
            is_retrying: false,
            began: None,
            commits: Histogram::default(),
        }
    }

    /// Begins to look at the data folder, twice a second. Of a store's shards one does.
    pub fn begin_looks(&mut self, cx: &mut Context<'_, M>, keeper: Arc<Keeper>) {
        self.looks = Some(Looks { keeper, count: 0, lost: None });
        cx.wake_in(DriverTimer::Look.into(), LOOK);
    }

    /// Begins a commit of what has gathered, unless one is in flight; whether it did. Its end comes
    /// to the owner's `written` as [`Commit`], and from there to [`ShardDriver::committed`].
    pub fn commit(&mut self, cx: &mut Context<'_, M>) -> bool {
        let Some(commit) = self.shard.next_commit() else { return false };
        cx.write(&commit.file, commit.offset, commit.bytes, Commit.into());
        self.began = Some(cx.read_clock());
        true
    }

    /// The commit in flight has ended. Returns those whose writes were in it, in order; to be given
    /// back to [`ShardDriver::recycle`].
    pub fn committed(
        &mut self,
        cx: &mut Context<'_, M>,
        result: io::Result<()>,
    ) -> Vec<Acknowledged<T>> {
        if let Some(began) = self.began.take() {
            self.commits.record(cx.read_clock().saturating_duration_since(began), 1);
        }
        let mut acknowledged = std::mem::take(&mut self.acknowledged);
        self.shard.commit_finished(result, |entry| acknowledged.push(entry));
        acknowledged
    }

    /// For how long the commit in flight has been under way; zero where none is.
    pub fn commit_under_way(&self, now: Instant) -> Duration {
        self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began))
    }

    /// How long commits took, from the write's start to its end: on stable storage, where writes
    /// are acknowledged then.
    pub fn commits(&self) -> &Histogram {
        &self.commits
    }

    /// Takes an emptied vector back, for its memory.
    pub fn recycle(&mut self, acknowledged: Vec<Acknowledged<T>>) {
        debug_assert!(acknowledged.is_empty(), "all of them were told");
        self.acknowledged = acknowledged;
    }

    /// Has the background make ready what the shard will need, and mark what is full. To be called
    /// at the end of a turn.
    pub fn prepare(&mut self, cx: &mut Context<'_, M>) {
        if let Some(job) = self.shard.next_preparation() {
            self.run_own(cx, move || Ended::Prepared(Box::new(job.run())));
        }
        if let Some(job) = self.shard.next_mark() {
            self.run_own(cx, move || Ended::Marked(job.run()));
        }
        // By then the shard gives the job again that has failed.
        if self.shard.health().is_err() && !std::mem::replace(&mut self.is_retrying, true) {
            cx.wake_in(DriverTimer::Prepare.into(), PREPARE_AGAIN);
        }
    }

    /// A job has ended. Returns what changed by it, if anything: log space, so that writes that
    /// were held back are to be tried again, or the folder.
    pub fn ended(&mut self, cx: &mut Context<'_, M>, ended: Ended) -> Option<Change> {
        match ended {
            Ended::Prepared(prepared) => {
                // What went wrong is the shard's health by now.
                let _ = self.shard.prepared(*prepared);
                Some(Change::Space)
            }
            Ended::Marked(marked) => {
                let was_well = self.shard.health().is_ok();
                self.shard.marked(marked);
                (self.shard.health().is_ok() != was_well).then_some(Change::Space)
            }
            Ended::Looked(lost) => self.looked(cx, lost).then_some(Change::Folder),
        }
    }

    fn looked(&mut self, cx: &mut Context<'_, M>, lost: Option<Arc<str>>) -> bool {
        let Some(looks) = &mut self.looks else { return false };
        cx.wake_in(DriverTimer::Look.into(), LOOK);
        if looks.lost == lost {
            return false;
        }
        looks.lost.clone_from(&lost);
        self.shard.set_lost(lost);
        true
    }

    /// What has become of the data folder, where it is not what it was.
    pub fn lost(&self) -> Option<Arc<str>> {
        self.looks.as_ref().and_then(|looks| looks.lost.clone())
    }

    /// One of the driver's timers has come.
    pub fn timer(&mut self, cx: &mut Context<'_, M>, timer: DriverTimer) {
        match timer {
            DriverTimer::Prepare => {
                self.is_retrying = false;
                self.prepare(cx);
            }
            DriverTimer::Offer => self.start_jobs(cx),
            DriverTimer::Look => self.look(cx),
        }
    }

    fn look(&mut self, cx: &mut Context<'_, M>) {
        let Some(looks) = &mut self.looks else { return };
        looks.count += 1;
        let job = looks.keeper.look_job(looks.count.is_multiple_of(RAISE));
        self.run_own(cx, move || Ended::Looked(job.run()));
    }

    fn run_own(&mut self, cx: &mut Context<'_, M>, job: impl FnOnce() -> Ended + Send + 'static) {
        let (message, sequence) = (self.message, self.shard.last_sequence());
        self.run(cx, move || message(sequence, job()));
    }

    /// Runs a job on the background thread, in its turn. The owner bounds how many wait.
    pub fn run(&mut self, cx: &mut Context<'_, M>, job: impl FnOnce() -> M + Send + 'static) {
        self.jobs.push_back(background_job(job));
        self.start_jobs(cx);
    }

    fn start_jobs(&mut self, cx: &mut Context<'_, M>) {
        while let Some(job) = self.jobs.pop_front() {
            if let Err(job) = cx.background(job) {
                self.jobs.push_front(job);
                return cx.wake_in(DriverTimer::Offer.into(), BACKGROUND_AGAIN);
            }
        }
    }

    /// Whether the log has stopped taking writes, or takes them again, since this was asked last.
    pub fn health_change(&mut self) -> Option<Health> {
        let change = match (self.shard.health(), self.is_writable) {
            (Err(refusal), true) => Health::Refuses(refusal),
            (Ok(()), false) => Health::Takes,
            _ => return None,
        };
        self.is_writable = !self.is_writable;
        Some(change)
    }
}

/// What a job's end has changed for writes that were held back or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There may be room in the log, or it is written again after a failed sync.
    Space,
    /// The data folder has gone, or is back: [`ShardDriver::lost`] says which.
    Folder,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_hangs_that_takes_far_longer_than_a_slow_one() {
        assert_eq!(hanging(Duration::ZERO), None);
        assert_eq!(hanging(HANGS), None);
        let words = hanging(Duration::from_secs(61)).unwrap_or_default();
        assert!(words.contains("for 61 s") && words.contains("kernel's log"), "{words}");
    }
}
