//! The folder of an old server: `storage.dat`, and a `wal.log` without entries.
//!
//! Promises: what the format can hold is in it, and what it can't is counted and told. Memory: 16
//! bytes for each concept and 36 for each association, for the associations stand there from both
//! ends and once.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use sutra_compat::known_by;
use sutra_compat_files::{Association, Edges, SNAPSHOT, WAL, Writer, low_bits};
use sutra_wire::{ArchivedConceptRecord, AssociationKind, ConceptId, IdRule};

use super::folder::NewFolder;
use super::format::{Edge, End, Finished, Format, NotHeld};
use crate::words::{counted, grouped};

pub(super) struct OldFormat {
    folder: NewFolder,
    writer: Writer<File, File>,
    learned: HashSet<[u8; 16]>,
    associations: Vec<Association>,
    numbers: usize,
    names: u64,
    /// Names by which an old server would look for another concept.
    renamed: u64,
    types: u64,
    /// Namespaces of the store that are not exported.
    others: u64,
}

impl OldFormat {
    /// `others`: how many namespaces the store has beside the one that is exported.
    pub(super) fn begin(folder: NewFolder, others: u64) -> io::Result<Self> {
        let writer = Writer::new(folder.file(SNAPSHOT)?, folder.spool()?)?;
        Ok(Self {
            folder,
            writer,
            learned: HashSet::new(),
            associations: Vec::new(),
            numbers: 0,
            names: 0,
            renamed: 0,
            types: 0,
            others,
        })
    }
}

impl Format for OldFormat {
    fn concept(&mut self, end: &End, record: Option<&ArchivedConceptRecord>) -> io::Result<()> {
        let Some(record) = record else { return Ok(()) };
        let id = known_by(end.id.0);
        let numbers = [record.strength.to_native(), record.confidence.to_native()];
        let created = low_bits(record.created.to_native());
        self.writer.concept(&id, &record.content, numbers, 0, created)?;
        self.learned.insert(id);
        if !record.embedding.is_empty() {
            self.numbers = record.embedding.len();
            let embedding: Vec<f32> =
                record.embedding.iter().map(|number| number.to_native()).collect();
            self.writer.vector(&id, &embedding)?;
        }
        if !record.name.is_empty() {
            let by_old_rule = ConceptId::from_name_by(IdRule::Legacy, &record.name);
            self.names += 1;
            self.renamed += u64::from(by_old_rule.map(|id| id.0) != Ok(id));
        }
        Ok(())
    }

    fn association(&mut self, edge: &Edge<'_>) -> io::Result<()> {
        let &Edge { source, target, kind, confidence, .. } = edge;
        self.types += u64::from(kind != AssociationKind::SEMANTIC);
        let (source, target) = (known_by(source.id.0), known_by(target.id.0));
        self.associations.push(Association { source, target, confidence });
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Finished> {
        let Self { folder, writer, learned, associations, numbers, names, renamed, types, others } =
            *self;
        let concepts = learned.len() as u64;
        let all = associations.len() as u64;
        let Edges { edges, several, between_unlearned } = Edges::of(associations, &learned);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (file, header) = writer.finish(edges, now.as_micros() as u64)?;
        file.sync_all()?;
        folder.file(WAL)?.sync_all()?;
        folder.finish()?;
        let mut not_held = Vec::new();
        let mut part = |what, count: u64, words: String| {
            if count > 0 {
                not_held.push(NotHeld { what, count, words });
            }
        };
        part("names", names, format!("the names of {}", counted(names, "concept")));
        part(
            "other_ids",
            renamed,
            format!(
                "the way from {} to their concepts: by its rule they mean other ids, and the \
                     32 digits still find them",
                counted(renamed, "name")
            ),
        );
        part(
            "times",
            concepts,
            format!(
                "when {} were learned, but for the low 32 bits of the µs",
                counted(concepts, "concept")
            ),
        );
        part("directions", all, format!("direction and times of {}", counted(all, "association")));
        part(
            "types",
            types,
            format!("the type of {}: all become semantic", counted(types, "association")),
        );
        part(
            "several",
            several,
            format!(
                "{} of two concepts that have another, as sure or surer",
                counted(several, "association")
            ),
        );
        part(
            "between_unlearned",
            between_unlearned,
            format!(
                "{} between two concepts that are not learned",
                counted(between_unlearned, "association")
            ),
        );
        part(
            "namespaces",
            others,
            format!("{}: --namespace exports another one", counted(others, "other namespace")),
        );
        let advice = (header.vectors > 0).then(|| {
            format!(
                "its vectors have {} numbers: start the old server with VECTOR_DIMENSION={numbers}",
                grouped(numbers as u64)
            )
        });
        Ok(Finished { not_held, advice })
    }
}
