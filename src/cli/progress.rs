//! How far something long has come: a bar with rate and time left on a terminal, else a plain line
//! every few seconds.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use sutra_store::Advance;

use crate::output::{Output, is_watched};
use crate::words::{bytes, duration, grouped};

/// How often plain lines are written.
const EVERY: Duration = Duration::from_secs(5);

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    Bytes,
    Records,
}

impl Unit {
    fn words(self, number: u64) -> String {
        match self {
            Unit::Bytes => bytes(number),
            Unit::Records => grouped(number),
        }
    }

    fn style(self) -> ProgressStyle {
        let style = ProgressStyle::with_template(match self {
            Unit::Bytes => {
                "{msg:12} {wide_bar} {binary_bytes}/{binary_total_bytes}  \
                 {binary_bytes_per_sec}  {eta} left"
            }
            Unit::Records => "{msg:12} {wide_bar} {human_pos}/{human_len}  {rate}  {eta} left",
        });
        style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate)
    }
}

/// Progress towards a total.
pub(crate) struct Progress {
    label: &'static str,
    unit: Unit,
    /// 0 where nobody knows.
    total: u64,
    done: u64,
    began: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
    output: Output,
}

impl Progress {
    /// Says nothing before it has begun.
    pub(crate) fn new(label: &'static str, unit: Unit, output: Output) -> Self {
        let now = Instant::now();
        Self { label, unit, total: 0, done: 0, began: now, told: now, bar: None, output }
    }

    /// Begins to count up to `total`.
    pub(crate) fn begin(&mut self, total: u64) {
        (self.total, self.done) = (total, 0);
        (self.began, self.told) = (Instant::now(), Instant::now());
        self.clear();
        self.bar = is_watched().then(|| {
            ProgressBar::new(total).with_message(self.label).with_style(self.unit.style())
        });
    }

    /// So many more are done.
    pub(crate) fn advance(&mut self, more: u64) {
        self.done += more;
        match &self.bar {
            Some(bar) => bar.inc(more),
            None if self.told.elapsed() >= EVERY => {
                self.told = Instant::now();
                self.output.note(&self.line(self.began.elapsed()));
            }
            None => {}
        }
    }

    /// The reading of a store has come so far; each of its phases begins anew.
    pub(crate) fn follow(&mut self, Advance { phase, done, total }: Advance) {
        if (self.label, self.total) != (phase, total) {
            self.label = phase;
            self.begin(total);
        }
        self.advance(done.saturating_sub(self.done));
    }

    fn line(&self, taken: Duration) -> String {
        let rate = self.done as f64 / taken.as_secs_f64().max(1e-9);
        let words = |number| self.unit.words(number);
        let mut line = format!("{}: {}", self.label, words(self.done));
        if self.total > 0 {
            line += &format!(" of {}", words(self.total));
        }
        line += &format!(", {}/s", words(rate as u64));
        if self.total > 0 {
            let left = self.total.saturating_sub(self.done) as f64 / rate.max(1e-9);
            line += &format!(", {} left", duration(Duration::from_secs_f64(left.min(1e9))));
        }
        line
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl sutra_backup::Progress for Progress {
    fn begin(&mut self, bytes: u64) {
        Progress::begin(self, bytes);
    }

    fn advance(&mut self, bytes: u64) {
        Progress::advance(self, bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The bar's rate without the fractions.
fn rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // Where the bar is drawn is no place to report that it can't be.
    let _ = write!(out, "{}/s", grouped(state.per_sec() as u64));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(unit: Unit, done: u64, total: u64) -> String {
        let mut progress = Progress::new("all", unit, Output::new(false));
        (progress.done, progress.total) = (done, total);
        progress.line(Duration::from_secs(2))
    }

    #[test]
    fn a_plain_line_tells_rate_and_time_left_in_its_unit() {
        let records = line(Unit::Records, 2_000, 10_000);
        assert_eq!(records, "all: 2,000 of 10,000, 1,000/s, 8.0 s left");
        let bytes = line(Unit::Bytes, 4 << 20, 8 << 20);
        assert_eq!(bytes, "all: 4.00 MiB of 8.00 MiB, 2.00 MiB/s, 2.0 s left");
    }

    #[test]
    fn where_nobody_knows_the_total_only_what_is_done_is_told() {
        assert_eq!(line(Unit::Bytes, 4 << 20, 0), "all: 4.00 MiB, 2.00 MiB/s");
    }
}
