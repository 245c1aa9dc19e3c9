//! What reaches the master's core besides requests: its background jobs' results, and what agents have answered.

use sutra_compat::grid::{GridReply, SpawnedDetails};
use sutra_store::{Marked, Prepared};

/// A message to the master's core, from itself.
pub(crate) enum Message {
    /// Log space was made ready, or could not be.
    Prepared(Box<Prepared>),
    /// The log's progress was marked.
    Marked(Marked),
    /// An errand has ended: its number, and what the agent has answered, or why there is no answer.
    Answered { errand: usize, answer: Result<(GridReply, Option<SpawnedDetails>), String> },
}
