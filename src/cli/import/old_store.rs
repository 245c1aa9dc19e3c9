//! An old server's folder as something to import: its snapshot's records, what that server lost,
//! and what its format does not hold.
//!
//! Promises: a snapshot that is damaged is refused before anything is written, with the place, and
//! with the older one beside it where that is whole. Memory: as [`sutra_compat_files::Snapshot`]
//! says, some hundred bytes for each concept. The old server held all of it.

use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sutra_compat::kept_under;
use sutra_compat_files::{
    BACKUP, Concept, Concepts, Findings, LostWrites, OldFolder, ReadError, Reader, SNAPSHOT,
    Snapshot, WAL, lost_writes,
};
use sutra_wire::limits::MAX_PAYLOAD;
use sutra_wire::{AssociationKind, ConceptId};

use super::lines::{AssociationLine, Bad, ConceptLine, Line, Numbered, Times};
use crate::exit::Failure;
use crate::words::{counted, local_time};

/// A snapshot that was found whole.
pub(super) struct OldStore {
    path: PathBuf,
    snapshot: Snapshot<File>,
    lost: LostWrites,
    /// How many concepts the snapshot before it has, where these are more.
    backup: Option<u32>,
}

impl fmt::Debug for OldStore {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("OldStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl OldStore {
    /// Reads a folder's snapshot, and what its log says.
    pub(super) fn of_folder(folder: &Path, files: &OldFolder) -> Result<Self, Failure> {
        let Some(path) = &files.snapshot else {
            return Err(Failure::Usage(format!(
                "cannot import {}: there is no {SNAPSHOT} in it{}",
                folder.display(),
                offer(files.backup.as_deref())
            )));
        };
        let snapshot =
            open(path).map_err(|error| refused(path, &error, files.backup.as_deref()))?;
        let lost = match &files.wal {
            None => LostWrites::default(),
            Some(wal) => {
                let log = File::open(wal).map(BufReader::new);
                let lost = log.and_then(|log| lost_writes(log, &snapshot));
                lost.map_err(|error| {
                    Failure::Usage(format!("cannot read {}: {error}", wal.display()))
                })?
            }
        };
        let backup = files.backup.as_deref().and_then(|path| larger(path, &snapshot));
        Ok(Self { path: path.clone(), snapshot, lost, backup })
    }

    /// Reads a snapshot that was named itself.
    pub(super) fn of_file(path: &Path) -> Result<Self, Failure> {
        let beside = path.with_file_name(BACKUP);
        let backup = Some(beside.as_path()).filter(|beside| *beside != path);
        let snapshot = open(path).map_err(|error| refused(path, &error, backup))?;
        Ok(Self { path: path.to_owned(), snapshot, lost: LostWrites::default(), backup: None })
    }

    /// The snapshot's file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its concepts, then its associations.
    pub(super) fn records(&self) -> Result<OldRecords<'_>, Failure> {
        let concepts =
            self.snapshot.concepts().map_err(|error| refused(&self.path, &error, None))?;
        Ok(OldRecords { store: self, concepts: Some(concepts), next: 0, number: 0 })
    }

    /// Its associations alone, numbered as among all records.
    pub(super) fn associations(&self) -> OldRecords<'_> {
        let number = u64::from(self.snapshot.header().concepts);
        OldRecords { store: self, concepts: None, next: 0, number }
    }

    /// What is to be told of it.
    pub(super) fn report(&self) -> OldReport {
        let Findings {
            other_lengths,
            unusable_vectors,
            stray_vectors,
            adjusted,
            accessed,
            padded,
            padded_example,
        } = *self.snapshot.findings();
        let digits = |id: &[u8; 16]| ConceptId(*id).to_string();
        OldReport {
            file: self.path.clone(),
            written: self.snapshot.header().flushed,
            lost_concepts: self.lost.concepts,
            lost_associations: self.lost.associations,
            lost_examples: self.lost.examples.iter().map(digits).collect(),
            unreadable_log_entries: self.lost.unreadable,
            vectors_of_other_lengths: other_lengths,
            vectors_unusable: unusable_vectors,
            vectors_without_concept: stray_vectors,
            numbers_adjusted: adjusted,
            access_counts: accessed,
            padded_ids: padded,
            padded_example: padded_example.as_ref().map(digits),
            backup_concepts: self.backup,
            dimension: self.snapshot.dimension(),
            associations: self.snapshot.associations().len() as u64,
        }
    }
}

fn open(path: &Path) -> Result<Snapshot<File>, ReadError> {
    Snapshot::open(File::open(path)?)
}

/// How many concepts a snapshot has, where these are more than another one's and it is whole. Only
/// where it says that they are more, all of it is read.
fn larger(path: &Path, than: &Snapshot<File>) -> Option<u32> {
    let claimed = Reader::new(&File::open(path).ok()?).ok()?.header().concepts;
    let is_larger = claimed > than.header().concepts && open(path).is_ok();
    is_larger.then_some(claimed)
}

fn refused(path: &Path, error: &ReadError, backup: Option<&Path>) -> Failure {
    let offer = match error {
        ReadError::Damaged(_) => offer(backup),
        ReadError::Io(_) => String::new(),
    };
    Failure::Usage(format!("cannot import {}: {error}{offer}", path.display()))
}

/// Words that offer the older snapshot, where it is whole.
fn offer(backup: Option<&Path>) -> String {
    let whole = backup.and_then(|path| Some((path, open(path).ok()?)));
    whole.map_or_else(String::new, |(path, snapshot)| {
        let header = snapshot.header();
        format!(
            ". The snapshot before it is whole, with {} of {}: `sutra import {}` takes that",
            counted(u64::from(header.concepts), "concept"),
            local_time(header.flushed),
            path.display()
        )
    })
}

/// The records of a snapshot, one after the other.
pub(super) struct OldRecords<'a> {
    store: &'a OldStore,
    /// `None` when all were read.
    concepts: Option<Concepts<'a, File>>,
    /// The next of the associations.
    next: usize,
    number: u64,
}

impl OldRecords<'_> {
    /// The next record with its number, from 1.
    pub(super) fn next(&mut self) -> Result<Option<Numbered>, Failure> {
        let path = &self.store.path;
        if let Some(concepts) = &mut self.concepts {
            let concept = concepts.next_concept().map_err(|error| refused(path, &error, None))?;
            if let Some(concept) = concept {
                self.number += 1;
                return Ok(Some((self.number, concept_line(concept))));
            }
            self.concepts = None;
        }
        let snapshot = &self.store.snapshot;
        let Some(association) = snapshot.associations().get(self.next) else { return Ok(None) };
        self.next += 1;
        self.number += 1;
        let digits = |id| ConceptId(kept_under(id)).to_string();
        // When it was made nobody knows; it was there when the snapshot was written.
        let written = snapshot.header().flushed;
        let line = AssociationLine {
            source: digits(association.source),
            target: digits(association.target),
            kind: AssociationKind::SEMANTIC,
            confidence: association.confidence,
            times: Times { created: written, updated: written },
            namespace: None,
        };
        Ok(Some((self.number, Ok(Line::Association(line)))))
    }
}

fn concept_line(concept: Concept) -> Result<Line, Bad> {
    let Concept { at, id, content, content_bytes, embedding, strength, confidence, created } =
        concept;
    let bad = |reason: String| {
        let id = ConceptId(id);
        Bad { reason: format!("the concept {id} at byte {at}: {reason}"), has_row: false }
    };
    let content = content.ok_or_else(|| {
        bad(format!("its content has {content_bytes} bytes, the limit is {MAX_PAYLOAD}"))
    })?;
    let line = ConceptLine {
        name: ConceptId(kept_under(id)).to_string(),
        called: None,
        content,
        embedding: Some(embedding).filter(|numbers| !numbers.is_empty()),
        strength,
        confidence,
        times: Times { created, updated: created },
        namespace: None,
    };
    line.check().map_err(bad)?;
    Ok(Line::Concept(line))
}

/// What is to be told of an old server's folder beside what was imported.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OldReport {
    file: PathBuf,
    /// µs since 1970.
    written: u64,
    lost_concepts: u64,
    lost_associations: u64,
    lost_examples: Vec<String>,
    unreadable_log_entries: u64,
    vectors_of_other_lengths: u64,
    vectors_unusable: u64,
    vectors_without_concept: u64,
    numbers_adjusted: u64,
    access_counts: u64,
    padded_ids: u64,
    padded_example: Option<String>,
    backup_concepts: Option<u32>,
    dimension: u32,
    associations: u64,
}

impl OldReport {
    /// Whether old clients find its concepts by the old servers' rule for ids alone.
    pub(super) fn needs_old_rule(&self) -> bool {
        self.padded_ids > 0
    }

    /// Those ids in words.
    pub(super) fn padded_ids(&self) -> String {
        let example = self.padded_example.as_deref().unwrap_or_default();
        format!("{} of {}, such as {example},", self.padded_ids, self.file.display())
    }
}

impl Display for OldReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} is of {}", self.file.display(), local_time(self.written))?;
        if let Some(concepts) = self.backup_concepts {
            let concepts = counted(u64::from(concepts), "concept");
            write!(f, "\n  the snapshot before it, {BACKUP}, has more: {concepts}")?;
        }
        let (concepts, associations) = (
            counted(self.lost_concepts, "concept"),
            counted(self.lost_associations, "association"),
        );
        if self.lost_concepts + self.lost_associations > 0 {
            write!(
                f,
                "\n  the old server had acknowledged and lost {concepts} and {associations}, of \
                 which {WAL} has no contents"
            )?;
        }
        self.lost_examples.iter().try_for_each(|id| write!(f, "\n    {id}"))?;
        if self.lost_concepts > self.lost_examples.len() as u64 {
            write!(f, "\n    …")?;
        }
        let mut part = |count: u64, words: String| match count {
            0 => Ok(()),
            _ => write!(f, "\n  {words}"),
        };
        let vectors = |count| counted(count, "embedding");
        part(
            self.unreadable_log_entries,
            format!("{} in {WAL} can't be read", counted(self.unreadable_log_entries, "write")),
        )?;
        part(
            self.vectors_of_other_lengths,
            format!(
                "{} left out: not of {} as most have: the old server used no such either",
                vectors(self.vectors_of_other_lengths),
                counted(u64::from(self.dimension), "number")
            ),
        )?;
        part(
            self.vectors_unusable,
            format!(
                "{} left out: empty, too long, or with a number that is not finite",
                vectors(self.vectors_unusable)
            ),
        )?;
        part(
            self.vectors_without_concept,
            format!("{} left out: of no concept", vectors(self.vectors_without_concept)),
        )?;
        part(
            self.numbers_adjusted,
            format!(
                "{} brought into the range that is allowed, of strengths and confidences",
                counted(self.numbers_adjusted, "number")
            ),
        )?;
        part(
            self.access_counts,
            format!("how often {} were read is not kept", counted(self.access_counts, "concept")),
        )?;
        part(
            self.associations,
            "its associations have no types and directions: they are semantic now, from the \
             smaller id to the greater one"
                .into(),
        )
    }
}
