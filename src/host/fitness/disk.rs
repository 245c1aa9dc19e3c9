//! How long a commit takes on the disk of the data folder, and how many there are in a second.
//!
//! It is a log's own way: a file that was filled with zeros, opened as a segment is, written by a
//! core's ring in whole blocks, one commit after the other. So many writers have one record each in
//! every commit, as group commit gathers them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use sutra_runtime::{
    Config, Core, DataFile, Event, Handler, Next, RegionSlice, RegionWriter, TimerId,
};

use crate::fitness::scratch::Scratch;
use crate::fitness::{FitnessError, histogram, micros, outcome_of};

/// Bytes of the file; commits begin again at its front where it ends.
const FILE: u64 = 16 << 20;
/// Bytes of a record with its header: a concept without an embedding.
const RECORD: usize = 512;

/// What was measured with so many writers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commits {
    /// Half of the commits took no longer, in µs.
    pub(crate) p50: f64,
    /// 99 of 100 took no longer.
    pub(crate) p99: f64,
    /// Commits a second.
    pub(crate) rate: f64,
    /// Records a second.
    pub(crate) records: f64,
}

/// Commits to a file in this folder for so long with each number of writers. Also says how the file
/// is written.
pub(crate) fn measure<const N: usize>(
    folder: &Path,
    writers: [usize; N],
    time: Duration,
) -> Result<(String, [Commits; N]), FitnessError> {
    let scratch = Scratch::make(folder)?;
    scratch.file.zero_fill(0..FILE)?;
    let mut found = Vec::with_capacity(N);
    for count in writers {
        found.push(commits(&scratch.file, count, time)?);
    }
    let mode = scratch.file.mode().to_string();
    Ok((mode, found.try_into().expect("one for each number of writers")))
}

fn commits(file: &Arc<DataFile>, writers: usize, time: Duration) -> Result<Commits, FitnessError> {
    let (sender, outcome) = channel();
    let file = Arc::clone(file);
    let config = Config { cpus: vec![0], pin: false, ..Config::default() };
    let running = sutra_runtime::start(config, move |_, core| {
        Log::begin(core, &file, writers, time, sender.clone())
    })?;
    let (times, elapsed) = outcome_of(running, &outcome, time)?;
    let rate = times.len() as f64 / elapsed.as_secs_f64();
    Ok(Commits {
        p50: micros(&times, 0.5),
        p99: micros(&times, 0.99),
        rate,
        records: rate * writers as f64,
    })
}

/// The times of all commits, and how long they took together.
type Outcome = io::Result<(Histogram<u64>, Duration)>;

/// A log that commits again whenever it has committed.
struct Log {
    file: Arc<DataFile>,
    commit: RegionSlice,
    offset: u64,
    begun: Instant,
    last: Instant,
    until: Instant,
    times: Histogram<u64>,
    outcome: Option<Sender<Outcome>>,
}

impl Log {
    fn begin(
        core: &mut Core<()>,
        file: &Arc<DataFile>,
        writers: usize,
        time: Duration,
        outcome: Sender<Outcome>,
    ) -> io::Result<Self> {
        let bytes = (writers * RECORD).next_multiple_of(file.alignment() as usize);
        let mut region = RegionWriter::new(bytes)?;
        region.writable().fill(0x5a);
        region.freeze(bytes);
        let commit = region.region().slice(0..bytes).expect("all of it is frozen");
        let now = Instant::now();
        core.write(file, 0, commit.clone(), 0);
        Ok(Self {
            file: Arc::clone(file),
            commit,
            offset: 0,
            begun: now,
            last: now,
            until: now + time,
            times: histogram(),
            outcome: Some(outcome),
        })
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(sender) = self.outcome.take() {
            // Unheard only if the caller is gone.
            let _ = sender.send(outcome);
        }
    }
}

impl Handler for Log {
    type Message = ();

    fn event(&mut self, core: &mut Core<()>, event: Event<'_>) {
        let Event::Written { result, .. } = event else { return };
        let now = Instant::now();
        if let Err(error) = result {
            return self.end(Err(error));
        }
        let taken = u64::try_from((now - self.last).as_nanos()).unwrap_or(u64::MAX);
        self.times.saturating_record(taken);
        if now >= self.until {
            let (times, elapsed) = (self.times.clone(), now - self.begun);
            return self.end(Ok((times, elapsed)));
        }
        let bytes = self.commit.len() as u64;
        self.offset += bytes;
        if self.offset + bytes > FILE {
            self.offset = 0;
        }
        self.last = now;
        core.write(&self.file, self.offset, self.commit.clone(), 0);
    }

    fn message(&mut self, _: &mut Core<()>, _: usize, (): ()) {}
    fn timer(&mut self, _: &mut Core<()>, _: TimerId) {}
    fn turn_end(&mut self, _: &mut Core<()>) -> Next {
        Next::Sleep
    }
    fn shutdown(&mut self, _: &mut Core<()>) {}
    fn drained(&self) -> bool {
        // A commit that is under way ends by itself, and then nothing follows.
        self.outcome.is_none()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn commits_are_counted_and_nothing_is_left_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (mode, [one, many]) =
            measure(folder.path(), [1, 32], Duration::from_millis(50)).unwrap();
        assert!(!mode.is_empty() && one.p50 > 0.0 && one.p50 <= one.p99);
        assert!(one.rate > 0.0 && many.records > many.rate * 31.0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let missing = Path::new("/nowhere/at-all");
        let error = measure(missing, [1], Duration::from_millis(1)).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at-all"), "{error}");
    }
}
