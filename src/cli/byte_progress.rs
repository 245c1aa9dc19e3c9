//! What a backup or a restore says while it runs: a bar with rate and time left on a terminal, else
//! a plain line now and then.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sutra_backup::Progress;

use crate::output::{Output, is_watched};
use crate::words::{bytes, duration};

/// How often plain lines are written.
const EVERY: Duration = Duration::from_secs(30);

/// Progress in bytes.
pub(crate) struct ByteProgress {
    label: &'static str,
    total: u64,
    done: u64,
    began: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
    output: Output,
}

impl ByteProgress {
    /// Says nothing before it has begun.
    pub(crate) fn new(label: &'static str, output: Output) -> Self {
        let now = Instant::now();
        Self { label, total: 0, done: 0, began: now, told: now, bar: None, output }
    }

    fn line(&self) -> String {
        let (label, seconds) = (self.label, self.began.elapsed().as_secs_f64().max(1e-9));
        let rate = self.done as f64 / seconds;
        let mut line = format!("{label}: {}, {}/s", bytes(self.done), bytes(rate as u64));
        if self.total > 0 {
            let left = self.total.saturating_sub(self.done) as f64 / rate.max(1e-9);
            let left = duration(Duration::from_secs_f64(left.min(1e9)));
            line += &format!(", {} in all, {left} left", bytes(self.total));
        }
        line
    }
}

impl Progress for ByteProgress {
    fn begin(&mut self, bytes: u64) {
        (self.total, self.began, self.told) = (bytes, Instant::now(), Instant::now());
        self.bar = is_watched().then(|| {
            let style = ProgressStyle::with_template(
                "{msg:8} {wide_bar} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  \
                 {eta} left",
            );
            let bar = ProgressBar::new(bytes).with_message(self.label);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
    }

    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        match &self.bar {
            Some(bar) => bar.inc(bytes),
            None if self.told.elapsed() >= EVERY => {
                self.told = Instant::now();
                self.output.note(&self.line());
            }
            None => {}
        }
    }
}

impl Drop for ByteProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
