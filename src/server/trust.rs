//! What a server knows of the state of its files: whether it only reads them, what was damaged at
//! its start, and what it has found on the disk since.
//!
//! A scrub runs on a thread of its own, with low priority, at a bandwidth of its own. It reads from
//! the disk and not from memory, up to where the logs were marked as durable when it began: what is
//! there never changes. What it finds damaged on the disk is whole in this server's memory, unless
//! the store was opened to be read only.

mod pace;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use sutra_store::{Advance, Clock, Finding, Severity, SystemClock, VerifyReport};
use sutra_wire::ScrubReport;

use self::pace::Pace;

/// What a scrub reads a second where nobody says: a tenth of what a good disk does, so that commits
/// hardly notice.
const BANDWIDTH: u64 = 50 << 20;
/// The least that one reads a second, whatever is asked for: it is to come to an end.
const LEAST_BANDWIDTH: u64 = 1 << 20;
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
    /// What a scrub may read a second: whoever asked last has said so.
    bandwidth: AtomicU64,
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

    /// Places that are known to be damaged. A scrub finds again most of what the start has found.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.max(self.scrub().damaged)
    }

    /// What is wrong with the files, and what helps.
    pub(crate) fn problem(&self) -> Option<String> {
        let damaged = self.damaged();
        if damaged == 0 {
            return None;
        }
        if self.read_only {
            return Some(format!(
                "degraded: {} of the store are damaged, and what is whole is served read-only; \
                 `sutra verify` lists them, `sutra restore` and `sutra repair` help",
                places(damaged)
            ));
        }
        let scrub = self.scrub();
        let first = scrub.findings.first().map(String::as_str).unwrap_or_default();
        Some(format!(
            "a scrub found {} damaged on the disk; this server's memory has what was written: \
             back up now with `sutra backup`, before it is stopped, and restore that into a \
             new folder; the first: {first}",
            places(damaged)
        ))
    }

    /// What is to be known of them where nothing is wrong.
    pub(crate) fn note(&self) -> Option<&'static str> {
        self.read_only.then_some("read-only: no writes are taken")
    }

    /// The server ends: so does what runs.
    pub(crate) fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Begins a scrub that reads so many bytes a second at most, or what is usual where that is 0.
    /// One that is under way goes on, with that bandwidth where one is given.
    ///
    /// # Errors
    /// The system has no room for a thread, in words.
    pub(crate) fn begin_scrub(self: &Arc<Self>, bandwidth: u64) -> Result<(), String> {
        {
            let mut scrub = self.scrub();
            let is_under_way = std::mem::replace(&mut scrub.is_running, true);
            match bandwidth {
                0 if is_under_way => {}
                0 => self.bandwidth.store(BANDWIDTH, Ordering::Relaxed),
                asked => self.bandwidth.store(asked.max(LEAST_BANDWIDTH), Ordering::Relaxed),
            }
            if is_under_way {
                return Ok(());
            }
            (scrub.done, scrub.total) = (0, 0);
        }
        let trust = Arc::clone(self);
        let thread = Builder::new().name("scrub".to_owned());
        let begun = thread.spawn(move || trust.run_scrub());
        begun.map(drop).map_err(|error| {
            self.scrub().is_running = false;
            format!("a scrub can't begin, as there is no room for its thread: {error}")
        })
    }

    fn run_scrub(&self) {
        // On Linux niceness belongs to the thread (sched(7)).
        let _ = rustix::process::nice(NICENESS);
        let (mut pace, mut last) = (Pace::default(), Instant::now());
        let mut watch = |advance: Advance| {
            {
                let mut scrub = self.scrub();
                (scrub.done, scrub.total) = (advance.done, advance.total);
            }
            while !self.is_ending.load(Ordering::Relaxed) {
                let now = Instant::now();
                let bandwidth = self.bandwidth.load(Ordering::Relaxed);
                let rest = pace.rest(advance.done, bandwidth, now - last);
                last = now;
                if rest.is_zero() {
                    return true;
                }
                std::thread::sleep(rest.min(NAP));
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
        let of = |severity| report.findings.iter().filter(move |one| one.severity == severity);
        let words = match self.read_only {
            true => "a scrub found damage on the disk",
            false => "a scrub found damage on the disk; this server's memory has what was written",
        };
        for Finding { file, offset, what, .. } in of(Severity::Damage) {
            tracing::error!(file, offset, what, "{words}");
        }
        for Finding { file, offset, what, .. } in of(Severity::Replaceable) {
            tracing::warn!(file, offset, what, "the next start makes this again; check the disk");
        }
        let told = of(Severity::Damage).take(TOLD).chain(of(Severity::Replaceable).take(TOLD));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn finding(severity: Severity) -> Finding {
        Finding {
            severity,
            file: "shard-000/segment-00000000.log".to_owned(),
            offset: 4096,
            length: 0,
            what: "it is not what was written".to_owned(),
            lost: Vec::new(),
            help: "",
        }
    }

    /// A server whose start has found so much, and its scrub the second.
    fn scrubbed(start: Option<&[Finding]>, found: &[Finding]) -> Arc<Trust> {
        let trust = Arc::new(Trust::new(PathBuf::new(), 1, start));
        trust.ended(Ok(VerifyReport { findings: found.to_vec(), ..VerifyReport::default() }));
        trust
    }

    #[test]
    fn only_a_server_that_wrote_its_store_has_in_memory_what_a_scrub_finds_damaged() {
        let damage = [finding(Severity::Damage)];
        let trust = scrubbed(None, &damage);
        assert!(trust.problem().unwrap().contains("memory has what was written: back up now"));
        // What both have found is one place.
        for start in [&damage[..], &[]] {
            let trust = scrubbed(Some(start), &damage);
            assert_eq!(trust.damaged(), 1);
            let problem = trust.problem().unwrap();
            assert!(problem.contains("degraded: 1 place of"), "{problem}");
            assert!(!problem.contains("memory"), "{problem}");
        }
    }

    #[test]
    fn a_checkpoint_that_is_made_again_is_told_and_is_no_damage() {
        let trust = scrubbed(None, &[finding(Severity::Replaceable), finding(Severity::Harmless)]);
        assert_eq!((trust.damaged(), trust.problem()), (0, None));
        assert_eq!(trust.report().findings.len(), 1);
        let both = [finding(Severity::Replaceable), finding(Severity::Damage)];
        let trust = scrubbed(None, &both);
        assert_eq!((trust.damaged(), trust.report().findings.len()), (1, 2));
    }

    #[test]
    fn a_scrub_under_way_goes_on_with_the_bandwidth_that_was_asked_for_last() {
        let trust = Arc::new(Trust::default());
        trust.scrub().is_running = true;
        for (asked, expected) in [(1 << 30, 1 << 30), (0, 1 << 30), (1, LEAST_BANDWIDTH)] {
            trust.begin_scrub(asked).unwrap();
            assert_eq!(trust.bandwidth.load(Ordering::Relaxed), expected, "{asked}");
        }
    }
}
