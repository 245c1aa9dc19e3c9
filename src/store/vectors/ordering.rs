//! What an index search found, on its way to be ordered by the true vectors; and whether its answer
//! can be relied upon.
//!
//! The copies place vectors roughly: how roughly shows as the true similarities come in. So
//! candidates are read, best first, until the next can't be among the best any more. Where not even
//! the last of them is clearly worse, there may be better ones that were not seen: the copies can't
//! tell these vectors apart, or the index has looked in the wrong region.

use super::coarse::Hit;
use super::nearest::Nearest;

/// A similarity by copies may be off by so many times the usual error.
const ERRORS: f32 = 3.0;
/// The result that is compared with the index's worst hit is the last one asked for, but its rank
/// is at most the search's width over this.
const TENTH: usize = 10;

/// What is found of the entries of an index, and what was read of them.
pub(super) struct Ordering {
    hits: Vec<Hit>,
    next: usize,
    /// How many are read whatever they are like.
    least: usize,
    /// How many of the best are asked for, and how wide the search was.
    k: usize,
    width: usize,
    /// Vectors of the entry before `next` that are yet to be read.
    rest: Vec<u32>,
    /// Sum of the squares of the errors of the copies, and of how many.
    error: f32,
    read: u32,
}

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// The vectors of these entries are to be read.
    Read(std::ops::Range<usize>),
    /// None of the others is among the best.
    Found,
    /// There may be better ones that were not found.
    Unclear,
}

impl Ordering {
    pub(super) fn new(hits: Vec<Hit>, least: usize, k: usize, width: usize) -> Self {
        Self { hits, next: 0, least, k, width, rest: Vec::new(), error: 0.0, read: 0 }
    }

    pub(super) fn hits(&self) -> &[Hit] {
        &self.hits
    }

    /// What is to be read next, at most so many entries.
    pub(super) fn next(&mut self, found: &Nearest, most: usize) -> Next {
        let from = self.next;
        let end = match from < self.least {
            true => self.least,
            false => from + most,
        };
        let is_worse = |hit: &Hit, than: Option<f32>| {
            than.is_some_and(|than| hit.similarity + self.error() < than)
        };
        match self.hits.get(from) {
            Some(hit) if from < self.least || !is_worse(hit, found.similarity(self.k)) => {
                self.next = end.min(self.hits.len());
                Next::Read(from..self.next)
            }
            Some(_) => Next::Found,
            None => {
                let rank = self.k.min((self.width / TENTH).max(1));
                match self.hits.last() {
                    Some(last) if is_worse(last, found.similarity(rank)) => Next::Found,
                    _ => Next::Unclear,
                }
            }
        }
    }

    fn error(&self) -> f32 {
        ERRORS * (self.error / self.read.max(1) as f32).sqrt()
    }

    /// A vector of a hit was read.
    pub(super) fn note(&mut self, hit: Hit, similarity: f32) {
        self.error += (hit.similarity - similarity).powi(2);
        self.read += 1;
    }

    /// Vectors that wait to be read, as their entry has many.
    pub(super) fn rest(&mut self) -> &mut Vec<u32> {
        &mut self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::super::nearest::Candidate;
    use super::*;

    /// Reads what is to be read, where entry n has similarity `of(n)` and its copy is off by
    /// `error`; how many were read.
    fn read(count: u32, k: usize, error: f32, of: impl Fn(u32) -> f32) -> (usize, Next) {
        let hits: Vec<_> =
            (0..count).map(|head| Hit { head, similarity: of(head) + error }).collect();
        let (mut ordering, mut nearest, mut read) =
            (Ordering::new(hits, 20, k, 100), Nearest::new(k + 16), 0);
        loop {
            match ordering.next(&nearest, 16) {
                Next::Read(range) => {
                    for at in range {
                        let hit = ordering.hits()[at];
                        let similarity = of(hit.head);
                        nearest.offer(Candidate { similarity, id: [0; 16], node: hit.head });
                        ordering.note(hit, similarity);
                        read += 1;
                    }
                }
                next => return (read, next),
            }
        }
    }

    #[test]
    fn as_many_are_read_as_can_be_among_the_best() {
        assert_eq!(read(100, 10, 0.001, |head| 0.9 - head as f32 / 1000.0), (20, Next::Found));
        assert_eq!(read(100, 10, 0.01, |head| 0.9 - head as f32 / 1000.0), (52, Next::Found));
    }

    #[test]
    fn an_answer_whose_end_is_as_good_as_its_beginning_is_unclear() {
        assert_eq!(read(100, 10, 0.001, |head| 0.9 - head as f32 / 1e5), (100, Next::Unclear));
        assert_eq!(read(100, 10, 0.001, |_| 0.9), (100, Next::Unclear));
        assert_eq!(read(0, 10, 0.001, |_| 0.9), (0, Next::Unclear));
        // All that were found are asked for: then the best tenth tells.
        assert_eq!(read(100, 100, 0.001, |head| 0.9 - head as f32 / 1000.0), (100, Next::Found));
    }
}
