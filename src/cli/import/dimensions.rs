//! How many numbers the vectors of each namespace have, as far as an import decides that.
//!
//! Requests overtake each other, and the first vector that the server takes decides for all of its
//! namespace. So the first line of each length is sent alone: then it is the first line that
//! decides, and which one did can be said.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Serialize;

use super::origin::Origin;

/// Lengths of vectors that were sent, and what they have decided.
#[derive(Default)]
pub(super) struct Dimensions(HashMap<String, Namespace>);

#[derive(Default)]
struct Namespace {
    sent: Vec<usize>,
    decided: Option<(usize, Origin)>,
    refused: u64,
}

/// What to do with a line's vector.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Send it: one of its length was sent before.
    Send,
    /// Send it while nothing else is under way: it is the first of its length.
    SendAlone,
    /// The line there has decided on this many numbers.
    Refuse(usize, Origin),
}

/// Which line decided, where others were refused for it.
#[derive(Debug, Serialize)]
pub(crate) struct Decision {
    pub(crate) namespace: String,
    pub(crate) numbers: usize,
    pub(crate) file: PathBuf,
    pub(crate) line: u64,
    pub(crate) refused: u64,
}

impl Dimensions {
    pub(super) fn next(&mut self, namespace: &str, numbers: usize) -> Next {
        let Some(known) = self.0.get_mut(namespace) else { return Next::SendAlone };
        match known.decided {
            Some((decided, origin)) if decided != numbers => {
                known.refused += 1;
                Next::Refuse(decided, origin)
            }
            Some(_) => Next::Send,
            None if known.sent.contains(&numbers) => Next::Send,
            None => Next::SendAlone,
        }
    }

    /// A vector that was sent alone was taken, or refused.
    pub(super) fn sent(&mut self, namespace: &str, numbers: usize, origin: Origin, is_taken: bool) {
        let known = self.0.entry(namespace.to_owned()).or_default();
        known.sent.push(numbers);
        if is_taken {
            known.decided = Some((numbers, origin));
        }
    }

    /// The decisions for which lines were refused, by namespace.
    pub(super) fn decisions(self, path: impl Fn(usize) -> PathBuf) -> Vec<Decision> {
        let mut decisions: Vec<_> = self
            .0
            .into_iter()
            .filter(|(_, known)| known.refused > 0)
            .filter_map(|(namespace, known)| {
                let (numbers, Origin { source, line }) = known.decided?;
                Some(Decision {
                    namespace,
                    numbers,
                    file: path(source),
                    line,
                    refused: known.refused,
                })
            })
            .collect();
        decisions.sort_by(|a, b| a.namespace.cmp(&b.namespace));
        decisions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_vector_that_is_taken_decides_and_those_of_other_lengths_are_refused() {
        let mut dimensions = Dimensions::default();
        let origin = |line| Origin { source: 0, line };
        assert_eq!(dimensions.next("", 384), Next::SendAlone);
        dimensions.sent("", 384, origin(1), false);
        assert_eq!(
            (dimensions.next("", 384), dimensions.next("", 3)),
            (Next::Send, Next::SendAlone)
        );
        dimensions.sent("", 3, origin(2), true);
        assert_eq!(
            (dimensions.next("", 3), dimensions.next("", 384)),
            (Next::Send, Next::Refuse(3, origin(2)))
        );
        assert_eq!(dimensions.next("other", 384), Next::SendAlone);
        let decisions = dimensions.decisions(|_| PathBuf::from("a.jsonl"));
        assert_eq!((decisions.len(), decisions[0].line, decisions[0].refused), (1, 2, 1));
    }
}
