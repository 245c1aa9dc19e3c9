//! A whole snapshot: checked from end to end, and then read concept by concept with its vector, as
//! a server would have it.
//!
//! Promises: what can't be kept is counted and told by [`Findings`], so that nothing is lost in
//! silence. Memory: for each concept some 30 bytes, for each vector some 60, for each edge 36.
//!
//! Old servers kept numbers that no server of today takes. They become what the compat port makes
//! of them: the nearest that is allowed, and 1 where they are none.

use std::collections::{HashMap, HashSet};

use crate::associations::{self, Association};
use crate::created::full_time;
use crate::error::{Damage, ReadError, Section};
use crate::layout::{Header, Id};
use crate::read_at::ReadAt;
use crate::reader::{ConceptEntry, Entry, Reader, VectorEntry};

/// Most numbers of a vector that is kept: as many as today's servers take.
pub const MAX_NUMBERS: u32 = 65_536;

/// So many zero bytes at an id's end show that a caller's digits were padded: of ids that are
/// hashes one in four thousand million ends so.
const PADDING: usize = 4;

/// What a snapshot has that its concepts and associations do not show, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Vectors of another length than most: old servers wrote and never read them.
    pub other_lengths: u64,
    /// Vectors with a number that is not finite, without numbers, or with more than
    /// [`MAX_NUMBERS`].
    pub unusable_vectors: u64,
    /// Vectors of concepts that are not there.
    pub stray_vectors: u64,
    /// Strengths and confidences that were brought into the range that is allowed.
    pub adjusted: u64,
    /// Concepts that were read at some time; how often is not kept.
    pub accessed: u64,
    /// Ids that a caller's hexadecimal digits were padded to.
    pub padded: u64,
    /// The first of these.
    pub padded_example: Option<Id>,
}

/// A snapshot that was found whole.
pub struct Snapshot<S> {
    source: S,
    header: Header,
    learned: HashSet<Id>,
    vectors: HashMap<Id, Place>,
    dimension: u32,
    associations: Vec<Association>,
    findings: Findings,
}

/// Where a vector's numbers are.
#[derive(Clone, Copy)]
struct Place {
    at: u64,
    count: u32,
}

/// A concept with what is kept of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Concept {
    /// Where it begins in the file.
    pub at: u64,
    /// Which concept; all zeros is one as well.
    pub id: Id,
    /// Its text; `None` where that is longer than any server takes.
    pub content: Option<String>,
    /// Bytes of the text.
    pub content_bytes: u32,
    /// Its vector, empty where there is none that can be kept.
    pub embedding: Vec<f32>,
    /// Finite, not negative.
    pub strength: f32,
    /// From 0 to 1.
    pub confidence: f32,
    /// When it was learned, at the latest ([`full_time`]), in µs since 1970.
    pub created: u64,
}

impl<S: ReadAt> Snapshot<S> {
    /// Reads all of it once, and refuses what is damaged.
    pub fn open(source: S) -> Result<Self, ReadError> {
        let mut found = Gathered::default();
        let mut reader = Reader::new(&source)?;
        let header = *reader.header();
        while let Some(entry) = reader.next_entry()? {
            found.add(&entry)?;
        }
        drop(reader);
        let Gathered { learned, mut vectors, edges, mut findings } = found;
        let before = vectors.len();
        vectors.retain(|id, _| learned.contains(id));
        findings.stray_vectors = (before - vectors.len()) as u64;
        let before = vectors.len();
        vectors = usable(&source, vectors)?;
        findings.unusable_vectors = (before - vectors.len()) as u64;
        let dimension = most_frequent(vectors.values().map(|place| place.count));
        let before = vectors.len();
        vectors.retain(|_, place| place.count == dimension);
        findings.other_lengths = (before - vectors.len()) as u64;
        let mut associations = associations::of_edges(edges, &learned);
        for association in &mut associations {
            let kept = confidence(association.confidence);
            findings.adjusted += u64::from(is_changed(association.confidence, kept));
            association.confidence = kept;
        }
        Ok(Self { source, header, learned, vectors, dimension, associations, findings })
    }

    /// What the file says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many numbers the vectors have that are kept; 0 where there is none.
    pub fn dimension(&self) -> u32 {
        self.dimension
    }

    /// What was found beside concepts and associations.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Whether this concept is in it.
    pub fn has(&self, id: &Id) -> bool {
        self.learned.contains(id)
    }

    /// The associations, in the order of their ends.
    pub fn associations(&self) -> &[Association] {
        &self.associations
    }

    /// Its concepts, in the order of the file.
    pub fn concepts(&self) -> Result<Concepts<'_, S>, ReadError> {
        Ok(Concepts { snapshot: self, reader: Reader::new(&self.source)? })
    }
}

/// The concepts of a snapshot, one after the other.
pub struct Concepts<'a, S> {
    snapshot: &'a Snapshot<S>,
    reader: Reader<'a, S>,
}

impl<S: ReadAt> Concepts<'_, S> {
    /// The next concept; `None` behind the last.
    pub fn next_concept(&mut self) -> Result<Option<Concept>, ReadError> {
        let Some(Entry::Concept(entry)) = self.reader.next_entry()? else { return Ok(None) };
        let vector = self.snapshot.vectors.get(&entry.id);
        let embedding = vector.map(|place| numbers(&self.snapshot.source, *place)).transpose()?;
        let ConceptEntry { at, id, content, content_bytes, .. } = entry;
        Ok(Some(Concept {
            at,
            id,
            content: content.map(str::to_owned),
            content_bytes,
            embedding: embedding.unwrap_or_default(),
            strength: strength(entry.strength),
            confidence: confidence(entry.confidence),
            created: full_time(self.snapshot.header.flushed, entry.created),
        }))
    }
}

/// What the entries of a file are, before they are held against each other.
#[derive(Default)]
struct Gathered {
    learned: HashSet<Id>,
    vectors: HashMap<Id, Place>,
    edges: Vec<Association>,
    findings: Findings,
}

impl Gathered {
    fn add(&mut self, entry: &Entry<'_>) -> Result<(), Damage> {
        match *entry {
            Entry::Concept(concept) => self.concept(&concept),
            Entry::Edge(edge) => {
                let (source, target, confidence) = (edge.source, edge.target, edge.confidence);
                self.edges.push(Association { source, target, confidence });
                Ok(())
            }
            Entry::Vector(VectorEntry { at, id, count, numbers_at }) => {
                match self.vectors.insert(id, Place { at: numbers_at, count }) {
                    None => Ok(()),
                    Some(_) => Err(Damage::Twice { at, section: Section::Vectors, id }),
                }
            }
        }
    }

    fn concept(&mut self, concept: &ConceptEntry<'_>) -> Result<(), Damage> {
        let &ConceptEntry { at, id, accesses, .. } = concept;
        if !self.learned.insert(id) {
            return Err(Damage::Twice { at, section: Section::Concepts, id });
        }
        let findings = &mut self.findings;
        findings.accessed += u64::from(accesses > 0);
        let numbers = [
            (concept.strength, strength(concept.strength)),
            (concept.confidence, confidence(concept.confidence)),
        ];
        let changed = numbers.iter().filter(|(was, is)| is_changed(*was, *is)).count();
        findings.adjusted += changed as u64;
        if id[id.len() - PADDING..] == [0; PADDING] && id != [0; 16] {
            findings.padded += 1;
            findings.padded_example.get_or_insert(id);
        }
        Ok(())
    }
}

/// Those of the vectors that a server takes. They are read in the order of the file: so the same
/// one is refused each time, and the disk is read from front to back.
fn usable<S: ReadAt>(
    source: &S,
    vectors: HashMap<Id, Place>,
) -> Result<HashMap<Id, Place>, ReadError> {
    let mut kept = HashMap::with_capacity(vectors.len());
    let mut in_order: Vec<_> = vectors.into_iter().collect();
    in_order.sort_unstable_by_key(|(_, place)| place.at);
    for (id, place) in in_order {
        let is_long = !(1..=MAX_NUMBERS).contains(&place.count);
        if !is_long && numbers(source, place)?.iter().all(|number| number.is_finite()) {
            kept.insert(id, place);
        }
    }
    Ok(kept)
}

/// A vector's numbers, at most [`MAX_NUMBERS`].
fn numbers<S: ReadAt>(source: &S, place: Place) -> Result<Vec<f32>, ReadError> {
    let mut bytes = vec![0; place.count as usize * 4];
    let mut filled = 0;
    while filled < bytes.len() {
        match source.read_at(place.at + filled as u64, &mut bytes[filled..])? {
            0 => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
            count => filled += count,
        }
    }
    let (numbers, _) = bytes.as_chunks::<4>();
    Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

/// The number that occurs most often, the greatest of several; 0 of none.
fn most_frequent(numbers: impl Iterator<Item = u32>) -> u32 {
    let mut counts: HashMap<u32, usize> = HashMap::new();
    numbers.for_each(|number| *counts.entry(number).or_default() += 1);
    let most = counts.into_iter().max_by_key(|(number, count)| (*count, *number));
    most.map_or(0, |(number, _)| number)
}

fn strength(number: f32) -> f32 {
    if number.is_finite() { number.max(0.0) } else { 1.0 }
}

fn confidence(number: f32) -> f32 {
    if number.is_finite() { number.clamp(0.0, 1.0) } else { 1.0 }
}

/// Whether a number was brought into its range; -0 is 0.
fn is_changed(was: f32, is: f32) -> bool {
    was.is_nan() || was != is
}
