//! What a server knows of the state of its files: whether it only reads them, what was damaged at
//! its start, and what it has found on the disk since.
//!
//! A scrub runs on a thread of its own, with low priority, at a bandwidth of its own. It reads from
//! the disk and not from memory, up to where the logs were marked as durable when it began: what is
//! there never changes. What it finds damaged on the disk is whole in this server's memory.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use sutra_store::{Advance, Clock, Finding, Severity, SystemClock, VerifyReport};
use sutra_wire::ScrubReport;

/// What a scrub reads a second where nobody says: a tenth of what a good disk does, so that commits
/// hardly notice.
const BANDWIDTH: u64 = 50 << 20;
/// The longest that a scrub sleeps before it looks whether it is to end.
const NAP: Duration = Duration::from_millis(100);
/// Of the damaged places so many are told in words; the log has all.
const TOLD: usize = 20;
/// How low the thread's priority is: below that of the cores.
const NICENESS: i32 = 10;

/// What is known of a server's files.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    data: PathBuf,
    /// The store's random number; a scrub of any other says nothing of this one.
    store: u64,
    read_only: bool,
    /// Places that were damaged when the store was opened to be read.
    damaged: u64,
    is_ending: AtomicBool,
    scrub: Mutex<ScrubReport>,
}

impl Trust {
    /// That of a server whose store was opened for writing, or, with what is damaged, for reading.
    pub(crate) fn new(data: PathBuf, store: u64, read_only: Option<&[Finding]>) -> Self {
        let is_damage = |finding: &&Finding| finding.severity == Severity::Damage;
        let damaged = read_only.unwrap_or_default().iter().filter(is_damage).count() as u64;
        Self { data, store, read_only: read_only.is_some(), damaged, ..Self::default() }
    }

    fn scrub(&self) -> MutexGuard<'_, ScrubReport> {
        self.scrub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a scrub goes, or how the last one ended.
    pub(crate) fn report(&self) -> ScrubReport {
        self.scrub().clone()
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Places that are known to be damaged: since the start, or since the last scrub.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged + self.scrub().damaged
    }

    /// What is wrong with the files, and what helps.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.damaged > 0 {
            return Some(format!(
                "degraded: {} of the store are damaged, and what is whole is served read-only; \
                 `sutra verify` lists them, `sutra restore` and `sutra repair` help",
                places(self.damaged)
            ));
        }
        let scrub = self.scrub();
        let first = scrub.findings.first().map(String::as_str).unwrap_or_default();
        (scrub.damaged > 0).then(|| {
            format!(
                "a scrub found {} damaged on the disk; this server's memory has what was written: \
                 back up now with `sutra backup`, before it is stopped, and restore that into a \
                 new folder; the first: {first}",
                places(scrub.damaged)
            )
        })
    }

    /// What is to be known of them where nothing is wrong.
    pub(crate) fn note(&self) -> Option<&'static str> {
        self.read_only.then_some("read-only: no writes are taken")
    }

    /// The server ends: so does what runs.
    pub(crate) fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Begins a scrub that reads so many bytes a second at most, unless one is under way.
    ///
    /// # Errors
    /// The system has no room for a thread, in words.
    pub(crate) fn begin_scrub(self: &Arc<Self>, bandwidth: u64) -> Result<(), String> {
        {
            let mut scrub = self.scrub();
            if std::mem::replace(&mut scrub.is_running, true) {
                return Ok(());
            }
            (scrub.done, scrub.total) = (0, 0);
        }
        let bandwidth = if bandwidth == 0 { BANDWIDTH } else { bandwidth };
        let trust = Arc::clone(self);
        let thread = Builder::new().name("scrub".to_owned());
        let begun = thread.spawn(move || trust.run_scrub(bandwidth));
        begun.map(drop).map_err(|error| {
            self.scrub().is_running = false;
            format!("a scrub can't begin, as there is no room for its thread: {error}")
        })
    }

    fn run_scrub(&self, bandwidth: u64) {
        // On Linux niceness belongs to the thread (sched(7)).
        let _ = rustix::process::nice(NICENESS);
        let began = Instant::now();
        let mut watch = |advance: Advance| {
            {
                let mut scrub = self.scrub();
                (scrub.done, scrub.total) = (advance.done, advance.total);
            }
            let due = Duration::from_secs_f64(advance.done as f64 / bandwidth as f64);
            while !self.is_ending.load(Ordering::Relaxed) {
                match due.checked_sub(began.elapsed()) {
                    Some(left) if !left.is_zero() => std::thread::sleep(left.min(NAP)),
                    _ => return true,
                }
            }
            false
        };
        let scrubbed = sutra_store::scrub(&self.data, self.store, &mut watch);
        self.ended(scrubbed.map_err(|error| error.to_string()));
    }

    fn ended(&self, scrubbed: Result<VerifyReport, String>) {
        let mut scrub = self.scrub();
        scrub.is_running = false;
        scrub.ended += 1;
        let report = match scrubbed {
            Ok(report) => report,
            Err(failed) => {
                tracing::warn!(failed, "a scrub could not be done");
                scrub.failed = failed;
                return;
            }
        };
        scrub.failed.clear();
        (scrub.last_ended, scrub.last_bytes) = (SystemClock.now(), report.bytes);
        scrub.damaged = report.damaged();
        let damage = || report.findings.iter().filter(|one| one.severity == Severity::Damage);
        for finding in damage() {
            tracing::error!(
                file = finding.file,
                offset = finding.offset,
                what = finding.what,
                "a scrub found damage on the disk; this server's memory has what was written"
            );
        }
        let told = damage().take(TOLD);
        scrub.findings =
            told.map(|one| format!("{}, byte {}: {}", one.file, one.offset, one.what)).collect();
        tracing::info!(bytes = report.bytes, damaged = scrub.damaged, "a scrub has ended");
    }
}

fn places(count: u64) -> String {
    match count {
        1 => "1 place".to_owned(),
        count => format!("{count} places"),
    }
}
