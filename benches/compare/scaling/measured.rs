//! What was measured with more than one core, as it is written to `report.json`.

use serde::{Deserialize, Serialize};

use super::super::cell::{Shape, fair};
use crate::spread::Spread;

/// All that was measured with more than one core, and sizes that the model needs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Scaling {
    pub(crate) points: Vec<Point>,
    pub(crate) turns: Vec<Turning>,
    /// Vectors that are searched.
    pub(crate) vectors: usize,
    /// Bytes of the mailbox from one core to another.
    pub(crate) mailbox_bytes: usize,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    Query,
    Learn,
    Health,
    Search,
    /// A search that looks at every vector.
    Scan,
}

impl Question {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Question::Query => "query",
            Question::Learn => "learn",
            Question::Health => "health",
            Question::Search => "search",
            Question::Scan => "search, exact",
        }
    }
}

/// One server under one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) question: Question,
    pub(crate) cores: usize,
    /// Whether each request goes to the core that owns what it is about.
    pub(crate) is_aware: bool,
    pub(crate) shape: Shape,
    /// For searches, how many vectors there are; else 0.
    pub(crate) vectors: usize,
    /// One entry for each round; `None` for a round that was not fair.
    pub(crate) rounds: Vec<Option<Costs>>,
    pub(crate) failed: Option<String>,
}

/// What a request cost the server, over all its cores: CPU time in µs, messages, wake-ups and
/// turns. `per_second` is the rate of requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Costs {
    pub(crate) cpu_us: f64,
    pub(crate) per_second: f64,
    pub(crate) messages: f64,
    pub(crate) wakes: f64,
    pub(crate) turns: f64,
}

/// A server on which one core works: how long its turns look into the mailboxes of all cores, and
/// its resident memory in bytes while it was empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Turning {
    pub(crate) cores: usize,
    /// The mean over the turns, in ns; one entry for each round.
    pub(crate) mailboxes_ns: Vec<f64>,
    pub(crate) resident: u64,
}

impl Point {
    /// A figure over the fair rounds; `None` if half of them or more were not fair, or if the point
    /// failed.
    pub(crate) fn spread(&self, figure: impl Fn(&Costs) -> f64) -> Option<Spread> {
        if self.failed.is_some() { None } else { fair(&self.rounds, figure) }
    }

    pub(crate) fn cpu(&self) -> Option<Spread> {
        self.spread(|costs| costs.cpu_us)
    }
}

impl Scaling {
    /// The point of a question on `cores` cores. For searches it is the one over all vectors.
    pub(crate) fn point(
        &self,
        question: Question,
        cores: usize,
        is_aware: bool,
        shape: (usize, usize),
    ) -> Option<&Point> {
        let shape = Shape::closed(shape);
        let vectors =
            if matches!(question, Question::Search | Question::Scan) { self.vectors } else { 0 };
        let is_it = |point: &&Point| {
            (point.question, point.cores, point.is_aware, point.vectors)
                == (question, cores, is_aware, vectors)
                && point.shape == shape
        };
        self.points.iter().find(is_it)
    }

    /// The point of the search on one core over half of the vectors.
    pub(crate) fn half(&self) -> Option<&Point> {
        self.points.iter().find(|point| {
            (point.question, point.cores, point.vectors) == (Question::Search, 1, self.vectors / 2)
        })
    }
}
