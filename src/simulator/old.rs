//! Clients of the old protocol: what they can ask for, as they word it, and what they read.
//!
//! The messages are written and read by the libraries that old clients use, over enums as theirs
//! are. So the product's own reader and writer (`sutra-compat`) are not what checks them.

mod answer;
mod request;

use rmp_serde::{to_vec, to_vec_named};
use sutra_wire::{Direction, PathMode};

use self::answer::{Answer, reply_of};
use self::request::Request;
use crate::operation::{Concept, Edge, Likeness, Operation, Wanted, Way};
use crate::plan::Plan;
use crate::random::Random;
use crate::reply::Reply;

/// Bytes of the length before a message.
const PREFIX: usize = 4;

/// How a client's messages are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// MessagePack with fields by name, as the Python clients do.
    Named,
    /// MessagePack with fields in order.
    Arrays,
    /// bincode, as some Rust clients do.
    Bincode,
}

impl Shape {
    pub(crate) fn draw(random: &mut Random) -> Shape {
        *random.pick(&[Shape::Named, Shape::Named, Shape::Arrays, Shape::Bincode])
    }

    /// What becomes of an operation where this client asks for it: old clients know no times, no
    /// pages and no directions, and most of them no namespaces.
    pub(crate) fn adapt(self, plan: &Plan, operation: Operation) -> Operation {
        let space = |space| if self == Shape::Named { space } else { 0 };
        let concept = |of: Concept| Concept { space: space(of.space), ..of };
        match operation {
            Operation::Learn(of, mut record) => {
                if space(of.space) != of.space {
                    record.namespace.clone_from(&plan.spaces[0].name);
                    // Which may be of another length there.
                    record.embedding.clear();
                }
                if !plan.is_named(of.id) {
                    record.name.clear();
                }
                (record.created, record.updated) = (0, 0);
                Operation::Learn(concept(of), record)
            }
            Operation::Associate(edge, mut record) => {
                let edge = Edge { space: space(edge.space), ..edge };
                record.namespace.clone_from(&plan.spaces[edge.space].name);
                (record.created, record.updated) = (0, 0);
                Operation::Associate(edge, record)
            }
            Operation::Delete { concept: of, .. } if self == Shape::Bincode => {
                Operation::Query(concept(of))
            }
            Operation::Delete { concept: of, .. } => {
                Operation::Delete { concept: concept(of), is_counted: false }
            }
            Operation::Query(of) => Operation::Query(concept(of)),
            Operation::Association { edge, .. } | Operation::Dissociate(edge)
                if self == Shape::Bincode =>
            {
                self.neighbors(Concept { space: edge.space, id: edge.source })
            }
            Operation::Association { edge, .. } => Operation::Association {
                edge: Edge { space: space(edge.space), ..edge },
                any_kind: true,
            },
            Operation::Dissociate(edge) => {
                Operation::Dissociate(Edge { space: space(edge.space), ..edge })
            }
            Operation::Neighbors(wanted) => self.neighbors(wanted.concept),
            Operation::Concepts { .. } if self == Shape::Bincode => Operation::Stats,
            Operation::Concepts { space: of, .. } => {
                Operation::Concepts { space: space(of), limit: 0 }
            }
            Operation::Path(way) => Operation::Path(Way {
                space: space(way.space),
                direction: Direction::Both,
                alternatives: 1,
                mode: PathMode::Shortest,
                ..way
            }),
            Operation::Search(likeness) if space(likeness.space) != likeness.space => {
                Operation::Stats
            }
            Operation::Search(likeness) => {
                Operation::Search(Likeness { exact: false, near: None, ..likeness })
            }
            Operation::Cut => Operation::Health,
            Operation::Stats | Operation::Flush | Operation::Health => operation,
        }
    }

    fn neighbors(self, of: Concept) -> Operation {
        let space = if self == Shape::Named { of.space } else { 0 };
        Operation::Neighbors(Wanted {
            concept: Concept { space, ..of },
            direction: Direction::Both,
            kinds: Vec::new(),
            minimum_confidence: 0.0,
            limit: 0,
        })
    }

    /// The message of an operation that was adapted.
    pub(crate) fn message(self, plan: &Plan, operation: &Operation) -> Vec<u8> {
        let request = Request::of(plan, operation, self == Shape::Named);
        let body = match self {
            Shape::Named => to_vec_named(&request).map_err(|error| error.to_string()),
            Shape::Arrays => to_vec(&request).map_err(|error| error.to_string()),
            Shape::Bincode => bincode::serialize(&request).map_err(|error| error.to_string()),
        };
        let body = body.expect("texts and numbers can be written into memory");
        let length = u32::try_from(body.len()).expect("a request has some kilobytes");
        [&length.to_be_bytes()[..], &body].concat()
    }

    /// The reply that these bytes begin with, where it has come whole, and its length.
    pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], usize)> {
        let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        Some((bytes.get(PREFIX..PREFIX + length)?, PREFIX + length))
    }

    /// Reads the reply to an operation that was adapted.
    pub(crate) fn read(
        self,
        plan: &Plan,
        operation: &Operation,
        message: &[u8],
    ) -> Result<Reply, String> {
        let answer: Answer = match self {
            Shape::Named | Shape::Arrays => {
                rmp_serde::from_slice(message).map_err(|error| error.to_string())
            }
            Shape::Bincode => bincode::deserialize(message).map_err(|error| error.to_string()),
        }
        .map_err(|error| format!("an old client can't read the reply to {operation}: {error}"))?;
        reply_of(plan, operation, answer)
    }
}
