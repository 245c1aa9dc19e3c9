//! The two passes of an import over its files: concepts first, then associations.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sutra_client::Client;

use super::dimensions::{Dimensions, Next};
use super::embeddings::Embeddings;
use super::lines::{AssociationLine, Bad, ConceptLine, Line};
use super::origin::Origin;
use super::pipeline::{Lookup, Pipeline, Settled};
use super::records::Records;
use super::repeats::Key;
use super::stop::Stop;
use super::summary::Summary;
use super::survey::{BadLine, Source, Survey};
use crate::exit::Failure;
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::words::counted;

/// Bad lines that are told one by one; the others are counted.
const TOLD: usize = 20;
/// Associations that are gathered (a few MB) to look up those of one source together, wherever they
/// stand among the others.
const GATHERED: usize = 16_384;
/// How long the requests under way may take when an import is told to stop, for the sake of a
/// summary that counts them.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Bad lines as they are found.
#[derive(Debug)]
pub(super) struct Told {
    output: Output,
    count: u64,
    lines: Vec<BadLine>,
}

impl Told {
    pub(super) fn new(output: Output) -> Self {
        Self { output, count: 0, lines: Vec::new() }
    }

    /// Says what is wrong with a line, unless many have been told already.
    pub(super) fn tell(&mut self, line: BadLine) {
        self.count += 1;
        if self.lines.len() < TOLD {
            self.output.note(&format!("{}:{}: {}", line.file.display(), line.line, line.reason));
            self.lines.push(line);
        }
    }
}

/// Progress through so many records.
fn counting(label: &'static str, total: u64, output: Output) -> Progress {
    let mut progress = Progress::new(label, Unit::Records, output);
    progress.begin(total);
    progress
}

/// Which records a pass over the files writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Concepts,
    Associations,
}

/// An import under way.
pub(super) struct Passes<'a> {
    survey: &'a Survey,
    namespace: &'a str,
    stop: &'a Stop,
    pipeline: Pipeline,
    progress: Progress,
    summary: Summary,
    told: Told,
    /// Lines that the server refused. Answers come in any order, so they are told when a pass is
    /// over; only the first are kept.
    refused: BTreeMap<Origin, String>,
    refused_count: u64,
    dimensions: Dimensions,
    /// Of the last concept that the server kept: how many numbers its vector has.
    kept: usize,
}

impl<'a> Passes<'a> {
    pub(super) fn new(
        survey: &'a Survey,
        namespace: &'a str,
        client: Client,
        lookup: Lookup,
        stop: &'a Stop,
        told: Told,
    ) -> Self {
        Self {
            survey,
            namespace,
            stop,
            pipeline: Pipeline::new(client, lookup),
            progress: counting("concepts", survey.concepts(), told.output),
            summary: Summary { example: survey.example.clone(), ..Summary::default() },
            told,
            refused: BTreeMap::new(),
            refused_count: 0,
            dimensions: Dimensions::default(),
            kept: 0,
        }
    }

    /// Writes everything, unless it is asked to stop or can't go on.
    pub(super) async fn all(&mut self) -> Result<(), Failure> {
        let survey = self.survey;
        for (at, source) in survey.new_sources().filter(|(_, source)| source.concepts > 0) {
            self.concepts(at, source).await?;
        }
        self.drain(Pass::Concepts).await?;
        if self.is_stopped() {
            return Ok(());
        }
        self.progress = counting("associations", survey.associations(), self.told.output);
        for (at, source) in survey.new_sources().filter(|(_, source)| source.associations > 0) {
            self.associations(at, source).await?;
        }
        self.drain(Pass::Associations).await
    }

    /// Tells the bad lines that are left to tell, and what was done.
    pub(super) fn end(self) -> Summary {
        let Passes {
            survey,
            progress,
            mut summary,
            mut told,
            refused,
            refused_count,
            dimensions,
            ..
        } = self;
        drop(progress);
        let late = refused_count - refused.len() as u64;
        let path = |source: usize| survey.sources[source].input.path.clone();
        for (origin, reason) in refused {
            told.tell(BadLine { file: path(origin.source), line: origin.line, reason });
        }
        summary.decisions = dimensions.decisions(path);
        told.count += late;
        let untold = told.count - told.lines.len() as u64;
        if untold > 0 {
            told.output.note(&format!("… and {}", counted(untold, "more bad line")));
        }
        summary.bad = told.count;
        summary.bad_lines = told.lines;
        summary
    }

    async fn concepts(&mut self, at: usize, source: &Source) -> Result<(), Failure> {
        let mut rows = source
            .embeddings
            .as_deref()
            .map(Embeddings::open)
            .transpose()
            .map_err(Failure::Usage)?;
        let mut records = Records::of(&source.input)?;
        while let Some((number, line)) = records.next()? {
            if self.is_stopped() {
                return Ok(());
            }
            if matches!(line, Ok(Line::Association(_)) | Err(Bad { has_row: false, .. })) {
                continue;
            }
            let row =
                rows.as_mut().map(Embeddings::next_row).transpose().map_err(Failure::Usage)?;
            let origin = Origin { source: at, line: number };
            let Some((key, Line::Concept(mut concept))) = self.wanted(origin, line) else {
                continue;
            };
            concept.embedding = concept.embedding.or(row);
            self.make_room(Pass::Concepts).await?;
            if self.pipeline.must_drain(key) {
                self.drain(Pass::Concepts).await?;
            }
            self.concept(origin, key, concept).await?;
        }
        Ok(())
    }

    /// Sends a concept; the first with a vector of its length alone, as it may decide about the
    /// others.
    async fn concept(
        &mut self,
        origin: Origin,
        key: Key,
        concept: ConceptLine,
    ) -> Result<(), Failure> {
        let numbers = concept.embedding.as_ref().map_or(0, Vec::len);
        let namespace = concept.namespace.as_deref().unwrap_or(self.namespace).to_owned();
        let next =
            if numbers == 0 { Next::Send } else { self.dimensions.next(&namespace, numbers) };
        match next {
            Next::Send => self.pipeline.concept(origin, key, concept),
            Next::Refuse(decided, by) => {
                let file = self.survey.sources[by.source].input.path.display();
                let reason = format!(
                    "its embedding has {}; \
                     {file}:{} decided that all of this namespace have {decided}",
                    counted(numbers as u64, "number"),
                    by.line
                );
                self.refuse(origin, reason);
                self.progress.advance(1);
            }
            Next::SendAlone => {
                self.drain(Pass::Concepts).await?;
                if self.is_stopped() {
                    return Ok(());
                }
                let refused = self.refused_count;
                self.kept = numbers;
                self.pipeline.concept(origin, key, concept);
                self.drain(Pass::Concepts).await?;
                let is_taken =
                    self.refused_count == refused && self.kept == numbers && !self.is_stopped();
                self.dimensions.sent(&namespace, numbers, origin, is_taken);
            }
        }
        Ok(())
    }

    /// Takes note of a line that is not imported.
    fn refuse(&mut self, origin: Origin, reason: String) {
        self.refused_count += 1;
        self.refused.insert(origin, reason);
        if self.refused.len() > TOLD {
            self.refused.pop_last();
        }
    }

    async fn associations(&mut self, at: usize, source: &Source) -> Result<(), Failure> {
        let mut records = Records::with_associations(&source.input)?;
        let mut gathered = Gathered::default();
        while let Some((number, line)) = records.next()? {
            if self.is_stopped() {
                return Ok(());
            }
            if !matches!(line, Ok(Line::Association(_))) {
                continue;
            }
            let origin = Origin { source: at, line: number };
            let Some((key, Line::Association(line))) = self.wanted(origin, line) else { continue };
            if self.pipeline.must_drain(key) || gathered.keys.contains(&key) {
                self.send(&mut gathered).await?;
                self.drain(Pass::Associations).await?;
            }
            gathered.add(origin, key, line);
            if gathered.keys.len() >= if self.pipeline.looks_up() { GATHERED } else { 1 } {
                self.send(&mut gathered).await?;
            }
        }
        self.send(&mut gathered).await
    }

    async fn send(&mut self, gathered: &mut Gathered) -> Result<(), Failure> {
        gathered.keys.clear();
        gathered.of.clear();
        for run in std::mem::take(&mut gathered.runs) {
            self.make_room(Pass::Associations).await?;
            if self.is_stopped() {
                break;
            }
            self.pipeline.associations(run);
        }
        Ok(())
    }

    /// The line and its key, unless it is bad, which was told already, or a later one makes it
    /// void.
    fn wanted(&mut self, origin: Origin, line: Result<Line, Bad>) -> Option<(Key, Line)> {
        let found = line.ok().map(|line| (Key::of(&line, self.namespace), line));
        let is_void =
            found.as_ref().is_some_and(|(key, _)| self.survey.repeats.is_void(*key, origin));
        if is_void {
            self.summary.repeated += 1;
        }
        if is_void || found.is_none() {
            self.progress.advance(1);
            return None;
        }
        found
    }

    fn is_stopped(&mut self) -> bool {
        self.summary.stopped |= self.stop.signal().is_some();
        self.summary.stopped
    }

    async fn make_room(&mut self, pass: Pass) -> Result<(), Failure> {
        while self.pipeline.is_full() && self.settle(pass).await? {}
        Ok(())
    }

    /// Waits for all that is under way; not for long once it is asked to stop.
    async fn drain(&mut self, pass: Pass) -> Result<(), Failure> {
        while self.settle(pass).await? {}
        if self.is_stopped() {
            let last = async {
                while self.settle_one(pass).await? {}
                Ok(())
            };
            return tokio::time::timeout(LAST_ANSWERS, last).await.unwrap_or(Ok(()));
        }
        Ok(())
    }

    /// Waits for one request; `false` when none is under way or it is asked to stop.
    async fn settle(&mut self, pass: Pass) -> Result<bool, Failure> {
        let stop = self.stop;
        tokio::select! {
            biased;
            () = stop.asked() => Ok(false),
            more = self.settle_one(pass) => more,
        }
    }

    async fn settle_one(&mut self, pass: Pass) -> Result<bool, Failure> {
        let mut settled = Vec::new();
        let more = self.pipeline.settle(&mut settled).await;
        for outcome in settled {
            self.progress.advance(1);
            match (outcome, pass) {
                (Settled::Written { vector_removed }, Pass::Concepts) => {
                    self.summary.concepts_written += 1;
                    self.summary.vectors_removed += u64::from(vector_removed);
                }
                (Settled::Written { .. }, Pass::Associations) => {
                    self.summary.associations_written += 1;
                }
                (Settled::Unchanged, _) => self.summary.unchanged += 1,
                (Settled::Kept(numbers), _) => {
                    self.summary.kept += 1;
                    self.kept = numbers;
                }
                (Settled::Bad(origin, reason), _) => self.refuse(origin, reason),
            }
        }
        Ok(more?)
    }
}

/// Associations to send, those of one source and namespace together.
#[derive(Default)]
struct Gathered {
    runs: Vec<Vec<(Origin, Key, AssociationLine)>>,
    /// Where in `runs` those of a source and namespace are.
    of: HashMap<(String, Option<String>), usize>,
    keys: std::collections::HashSet<Key>,
}

impl Gathered {
    fn add(&mut self, origin: Origin, key: Key, line: AssociationLine) {
        self.keys.insert(key);
        let next = self.runs.len();
        let run = *self.of.entry((line.source.clone(), line.namespace.clone())).or_insert(next);
        if run == next {
            self.runs.push(Vec::new());
        }
        self.runs[run].push((origin, key, line));
    }
}
