//! How far the reading of a store has come: a bar on a terminal, else a plain line every few
//! seconds.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sutra_store::Advance;

use crate::output::{Output, is_watched};
use crate::words::bytes;

/// How often plain lines are written.
const EVERY: Duration = Duration::from_secs(5);

/// Progress through a store's bytes.
pub(crate) struct Reading {
    output: Output,
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Reading {
    pub(crate) fn new(output: Output) -> Self {
        let bar = is_watched().then(|| {
            let style = ProgressStyle::with_template(
                "{msg:12} {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left",
            );
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { output, bar, told: Instant::now() }
    }

    /// So much is done; always to go on.
    pub(crate) fn advance(&mut self, advance: Advance) -> bool {
        let Advance { phase, done, total } = advance;
        match &self.bar {
            Some(bar) => {
                bar.set_message(phase);
                bar.set_length(total);
                bar.set_position(done);
            }
            None if self.told.elapsed() >= EVERY => {
                self.told = Instant::now();
                self.output.note(&format!("{phase}: {} of {}", bytes(done), bytes(total)));
            }
            None => {}
        }
        true
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
