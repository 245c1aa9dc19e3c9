//! What an import says while it runs: a bar with rate and time left on a terminal, else a plain
//! line every few seconds.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::output::{Output, is_watched};
use crate::words::{duration, grouped};

/// How often plain lines are written.
const EVERY: Duration = Duration::from_secs(5);

/// Progress towards a known number.
pub(crate) struct Progress {
    label: &'static str,
    total: u64,
    done: u64,
    began: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
    output: Output,
}

impl Progress {
    /// Begins to count up to `total`.
    pub(crate) fn new(label: &'static str, total: u64, output: Output) -> Self {
        let bar = is_watched().then(|| {
            let style = ProgressStyle::with_template(
                "{msg:12} {wide_bar} {human_pos}/{human_len}  {rate}  {eta} left",
            );
            let bar = ProgressBar::new(total).with_message(label);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.with_key("rate", rate));
            bar
        });
        let now = Instant::now();
        Self { label, total, done: 0, began: now, told: now, bar, output }
    }

    /// One more is done.
    pub(crate) fn advance(&mut self) {
        self.done += 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            // The clock is read now and then only.
            None if self.done.is_multiple_of(256) && self.told.elapsed() >= EVERY => {
                self.told = Instant::now();
                self.output.note(&line(self.label, self.done, self.total, self.began.elapsed()));
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The bar's rate without the fractions.
fn rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // Where the bar is drawn is no place to report that it can't be.
    let _ = write!(out, "{}/s", grouped(state.per_sec() as u64));
}

fn line(label: &str, done: u64, total: u64, taken: Duration) -> String {
    let rate = done as f64 / taken.as_secs_f64().max(1e-9);
    let left =
        Duration::from_secs_f64((total.saturating_sub(done) as f64 / rate.max(1e-9)).min(1e9));
    format!(
        "{label}: {} of {}, {}/s, {} left",
        grouped(done),
        grouped(total),
        grouped(rate as u64),
        duration(left)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_tells_rate_and_time_left() {
        assert_eq!(
            line("concepts", 2_000, 10_000, Duration::from_secs(2)),
            "concepts: 2,000 of 10,000, 1,000/s, 8.0 s left"
        );
    }
}
