//! Who an agent is, to its master and to whoever asks.

/// Who an agent is.
#[derive(Clone, Debug)]
pub(crate) struct AgentIdentity {
    pub(crate) id: String,
    /// The master's address.
    pub(crate) master: String,
    /// Where the master reaches it.
    pub(crate) endpoint: String,
    /// Where it serves HTTP, if it does.
    pub(crate) admin: Option<String>,
    /// What tells it from another agent with its id.
    pub(crate) incarnation: u64,
    pub(crate) max_nodes: u32,
}
