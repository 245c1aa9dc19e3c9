//! Damage of every kind, at random places.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use super::source::{HEADER, Source};
use crate::format::{COMMIT_ENTRY, SEGMENT_HEADER};

/// What is damaged, or how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Manifest,
    Header,
    Commit,
    Entry,
    Body,
    Padding,
    Checkpoint,
    Lock,
    /// Blocks of zeros anywhere.
    Zeros,
    /// A file that ends too early.
    Cut,
    /// A file that is not there.
    Missing,
}

/// What was changed.
pub(super) struct Hit {
    pub(super) kind: Kind,
    pub(super) file: String,
    /// The bytes that are others now, or gone.
    pub(super) bytes: BTreeSet<usize>,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.bytes.first(), self.bytes.last());
        write!(f, "{} bytes of {} from {first:?} to {last:?}", self.bytes.len(), self.file)
    }
}

/// Damages a copy of a store; `None` where that came out as it was.
pub(super) fn damage(source: &Source, data: &Path, kind: Kind, random: &mut StdRng) -> Option<Hit> {
    let (file, within) = place(source, data, kind, random);
    let path = data.join(&file);
    let before = fs::read(&path).unwrap();
    let mut after = before.clone();
    match kind {
        Kind::Missing => {
            fs::remove_file(&path).unwrap();
            return Some(Hit { kind, file, bytes: (0..before.len()).collect() });
        }
        Kind::Cut => after.truncate(random.random_range(0..before.len())),
        Kind::Zeros => {
            let block = *[512, 4096, 16384].choose(random).unwrap();
            let at = random.random_range(0..before.len()) / block * block;
            let end = (at + block).min(before.len());
            after[at..end].fill(0);
        }
        _ if within.is_empty() => return None,
        _ => flip(&mut after, within, random),
    }
    let bytes: BTreeSet<usize> =
        (0..before.len()).filter(|at| after.get(*at) != Some(&before[*at])).collect();
    // What is behind the log's end and zero may lack.
    let matters = |at: &&usize| before[**at] != 0 || after.get(**at).is_some_and(|byte| *byte != 0);
    bytes.iter().find(matters)?;
    fs::write(&path, &after).unwrap();
    let bytes = bytes.iter().filter(|at| matters(at)).copied().collect();
    Some(Hit { kind, file, bytes })
}

/// Flips bits, or writes noise or zeros, within a range.
fn flip(bytes: &mut [u8], within: std::ops::Range<usize>, random: &mut StdRng) {
    let at = random.random_range(within.clone());
    match random.random_range(0..3) {
        0 => bytes[at] ^= 1 << random.random_range(0..8),
        1 => {
            let end = (at + random.random_range(1..16)).min(within.end);
            random.fill_bytes(&mut bytes[at..end]);
        }
        _ => bytes[within].fill(0),
    }
}

/// A file, and a stretch of it.
fn place(
    source: &Source,
    data: &Path,
    kind: Kind,
    random: &mut StdRng,
) -> (String, std::ops::Range<usize>) {
    let whole = |file: &str| {
        let length = fs::metadata(data.join(file)).unwrap().len() as usize;
        (file.to_owned(), 0..length)
    };
    let any = |random: &mut StdRng, end: &str| {
        let files: Vec<_> = source.files.iter().filter(|file| file.ends_with(end)).collect();
        files.choose(random).unwrap().to_string()
    };
    match kind {
        Kind::Manifest => whole("manifest.json"),
        Kind::Lock => whole("lock"),
        Kind::Checkpoint => whole(&any(random, ".index")),
        // A spare segment and a checkpoint may lack: that is no damage, and nobody can tell.
        Kind::Missing => {
            let used: BTreeSet<_> = source.entries.iter().map(|entry| &entry.file).collect();
            let mut files: Vec<&str> = used.into_iter().map(String::as_str).collect();
            files.push("manifest.json");
            whole(files.choose(random).unwrap())
        }
        Kind::Zeros | Kind::Cut => {
            // The lock is no data.
            let end = *[".log", ".log", ".log", ".index", "json"].choose(random).unwrap();
            whole(&any(random, end))
        }
        Kind::Header => {
            // A spare segment's is made anew.
            let used: BTreeSet<_> = source.entries.iter().map(|entry| &entry.file).collect();
            let used: Vec<_> = used.into_iter().collect();
            (used.choose(random).unwrap().to_string(), 0..SEGMENT_HEADER)
        }
        Kind::Commit => {
            let commit = source.commits.choose(random).unwrap();
            (commit.file.clone(), commit.at..commit.at + COMMIT_ENTRY)
        }
        Kind::Padding => {
            let commit = source.commits.choose(random).unwrap();
            (commit.file.clone(), commit.end..commit.padded)
        }
        Kind::Entry => {
            let entry = source.entries.choose(random).unwrap();
            (entry.file.clone(), entry.at..entry.at + HEADER)
        }
        Kind::Body => {
            let entry = source.entries.choose(random).unwrap();
            (entry.file.clone(), entry.at + HEADER..entry.at + entry.bytes)
        }
    }
}
