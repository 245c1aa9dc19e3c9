//! `sutra import`: concepts and associations from `.jsonl` files, embeddings from `.npy` files beside them.
//!
//! Promises: memory is bounded whatever the files' size; all lines are looked through before the first is written; a bad line is told
//! with file, number and reason, and the others go on; concepts come before associations; what the server has just so is not
//! written again, so an import that was interrupted, or is repeated, does no harm.

mod embeddings;
mod lines;
mod pipeline;
mod progress;
mod survey;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use sutra_client::Client;

use crate::args;
use crate::connect;
use crate::exit::{Answer, Failure};
use crate::output::{Output, duration, grouped};
use embeddings::Embeddings;
use lines::{AssociationLine, Line, Lines};
use pipeline::{Pipeline, Place, Settled};
use progress::Progress;
use survey::{BadLine, Source, Survey, survey};

/// How often a request of an import is sent again: back-off makes that some seconds, so that an import rides over a restart of the server.
const RETRIES: u32 = 12;

/// Bad lines that are told one by one; the others are counted.
const TOLD: u64 = 20;
/// Associations of one source that are looked up together.
const RUN: usize = 256;

/// What an import did.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) concepts_written: u64,
    pub(crate) associations_written: u64,
    pub(crate) unchanged: u64,
    pub(crate) bad: u64,
    /// The first bad lines.
    pub(crate) bad_lines: Vec<BadLine>,
    pub(crate) seconds: f64,
    /// It was asked to stop before its end.
    pub(crate) stopped: bool,
    /// A concept to ask questions about.
    pub(crate) example: Option<String>,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} concepts and {} associations in {}",
            if self.stopped { "stopped after" } else { "imported" },
            grouped(self.concepts_written),
            grouped(self.associations_written),
            duration(Duration::from_secs_f64(self.seconds))
        )?;
        if self.unchanged > 0 {
            write!(f, "; {} were there already", grouped(self.unchanged))?;
        }
        if self.bad > 0 {
            let lines = if self.bad == 1 { "bad line was" } else { "bad lines were" };
            write!(f, "; {} {lines} left out", grouped(self.bad))?;
        }
        Ok(())
    }
}

pub(crate) fn run(import: &args::Import, output: Output) -> Result<Answer, Failure> {
    let summary = files(&import.server.address, &import.namespace.name, &import.paths, &AtomicBool::new(false))?;
    output.answer(&summary, || summary.to_string())?;
    Ok(if summary.bad == 0 { Answer::Yes } else { Answer::No })
}

/// Imports into the server at `address` until all is done or `stop` is set.
pub(crate) fn files(address: &str, namespace: &str, paths: &[PathBuf], stop: &AtomicBool) -> Result<Summary, Failure> {
    let began = Instant::now();
    let mut bad = Vec::new();
    let mut count = 0;
    let survey = survey(paths, |line| {
        count += 1;
        if count <= TOLD {
            bad.push(line);
        }
    })?;
    let summary = connect::runtime()?.block_on(async {
        let client = Client::connect(address).with_retries(RETRIES).await?.namespace(namespace);
        let check = client.stats().await?.concepts != 0;
        let summary =
            Summary { bad: count, bad_lines: Vec::new(), example: survey.example.clone(), ..Summary::default() };
        let pipeline = Pipeline::new(client, check);
        let mut import = Import { survey: &survey, pipeline, progress: Progress::new("concepts", 0), stop, summary };
        bad.into_iter().for_each(|line| import.tell(line));
        import.all().await?;
        Ok::<_, Failure>(import.summary)
    })?;
    Ok(Summary { seconds: began.elapsed().as_secs_f64(), ..summary })
}

struct Import<'a> {
    survey: &'a Survey,
    pipeline: Pipeline,
    progress: Progress,
    stop: &'a AtomicBool,
    summary: Summary,
}

/// Which records a pass over the files writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Concepts,
    Associations,
}

impl Import<'_> {
    async fn all(&mut self) -> Result<(), Failure> {
        let survey = self.survey;
        self.progress = Progress::new("concepts", survey.concepts());
        for (at, source) in survey.sources.iter().enumerate().filter(|(_, source)| source.concepts > 0) {
            self.concepts(at, source).await?;
        }
        self.drain(Pass::Concepts).await?;
        self.progress = Progress::new("associations", survey.associations());
        for (at, source) in survey.sources.iter().enumerate().filter(|(_, source)| source.associations > 0) {
            self.associations(at, source).await?;
        }
        self.drain(Pass::Associations).await?;
        if self.summary.bad > TOLD {
            self.progress.say(&format!("… and {} more bad lines", grouped(self.summary.bad - TOLD)));
        }
        Ok(())
    }

    async fn concepts(&mut self, at: usize, source: &Source) -> Result<(), Failure> {
        let mut rows = source.embeddings.as_deref().map(Embeddings::open).transpose().map_err(Failure::Usage)?;
        let mut lines = open(source)?;
        while let Some((number, text)) = lines.next().map_err(|error| unreadable(source, &error))? {
            if self.is_stopped() {
                return Ok(());
            }
            let line = text.parse();
            if matches!(line, Ok(Line::Association(_))) {
                continue;
            }
            let row = rows.as_mut().map(Embeddings::next_row).transpose().map_err(Failure::Usage)?;
            let Ok(Line::Concept(mut concept)) = line else {
                self.progress.advance();
                continue;
            };
            concept.embedding = concept.embedding.or(row);
            self.make_room(Pass::Concepts).await?;
            self.pipeline.concept(Place { source: at, line: number }, concept);
        }
        Ok(())
    }

    async fn associations(&mut self, at: usize, source: &Source) -> Result<(), Failure> {
        let mut lines = open(source)?;
        let mut run: Vec<(Place, AssociationLine)> = Vec::new();
        while let Some((number, text)) = lines.next().map_err(|error| unreadable(source, &error))? {
            if self.is_stopped() {
                return Ok(());
            }
            let Ok(Line::Association(line)) = text.parse() else { continue };
            let goes_on = run.last().is_some_and(|(_, last)| {
                run.len() < RUN && last.source == line.source && last.namespace == line.namespace
            });
            if !goes_on {
                self.make_room(Pass::Associations).await?;
                self.pipeline.associations(std::mem::take(&mut run));
            }
            run.push((Place { source: at, line: number }, line));
        }
        self.make_room(Pass::Associations).await?;
        self.pipeline.associations(run);
        Ok(())
    }

    fn is_stopped(&mut self) -> bool {
        self.summary.stopped |= self.stop.load(Ordering::Relaxed);
        self.summary.stopped
    }

    async fn make_room(&mut self, pass: Pass) -> Result<(), Failure> {
        while self.pipeline.is_full() {
            self.settle(pass).await?;
        }
        Ok(())
    }

    async fn drain(&mut self, pass: Pass) -> Result<(), Failure> {
        while self.settle(pass).await? {}
        Ok(())
    }

    async fn settle(&mut self, pass: Pass) -> Result<bool, Failure> {
        let mut settled = Vec::new();
        let more = self.pipeline.settle(&mut settled).await?;
        for outcome in settled {
            self.progress.advance();
            match (outcome, pass) {
                (Settled::Written, Pass::Concepts) => self.summary.concepts_written += 1,
                (Settled::Written, Pass::Associations) => self.summary.associations_written += 1,
                (Settled::Unchanged, _) => self.summary.unchanged += 1,
                (Settled::Bad(place, reason), _) => {
                    self.summary.bad += 1;
                    let file = self.survey.sources[place.source].path.clone();
                    self.tell(BadLine { file, line: place.line, reason });
                }
            }
        }
        Ok(more)
    }

    /// Says what is wrong with a line, unless many have been told already.
    fn tell(&mut self, line: BadLine) {
        if (self.summary.bad_lines.len() as u64) < TOLD {
            self.progress.say(&format!("{}:{}: {}", line.file.display(), line.line, line.reason));
            self.summary.bad_lines.push(line);
        }
    }
}

fn open(source: &Source) -> Result<Lines<std::io::BufReader<std::fs::File>>, Failure> {
    Lines::open(&source.path).map_err(|error| unreadable(source, &error))
}

fn unreadable(source: &Source, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("cannot read {}: {error}", source.path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_was_written_left_and_left_out() {
        let summary = Summary {
            concepts_written: 3_900,
            associations_written: 4_604,
            unchanged: 12,
            bad: 1,
            seconds: 2.0,
            ..Summary::default()
        };
        assert_eq!(
            summary.to_string(),
            "imported 3,900 concepts and 4,604 associations in 2.0 s; 12 were there already; 1 bad line was left out"
        );
    }
}
