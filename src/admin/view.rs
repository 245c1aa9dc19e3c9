//! What there is to see of a process, and who is asked for it.

use std::future::Future;

use serde_json::Value;

use crate::metric::Metric;

/// Whether requests are to be sent here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// They are answered.
    Ready,
    /// They are not, for this reason.
    NotReady(String),
}

/// What there is to see at a moment.
#[derive(Clone, Debug)]
pub struct View {
    /// Whether all is well.
    pub healthy: bool,
    /// "ok", or what is wrong and what to do.
    pub status: String,
    /// Whether requests are to be sent here.
    pub readiness: Readiness,
    /// Everything, for `/stats.json`.
    pub page: Value,
    /// For `/metrics`.
    pub metrics: Vec<Metric>,
}

/// How much of it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    /// With lists of what there is, or only counted.
    pub lists: bool,
    /// With metrics of each core beside those of all.
    pub cores: bool,
}

/// What an admin port shows.
pub trait Source: Send + Sync + 'static {
    /// What it is, in a word: server, master, agent.
    const KIND: &'static str;

    /// What there is to see now; `None` where there is no answer in time.
    fn look(&self, detail: Detail) -> impl Future<Output = Option<View>> + Send;
}
