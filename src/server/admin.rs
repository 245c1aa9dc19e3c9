//! What the server's admin port shows, put together on the admin port's own thread.
//!
//! Every core is asked by a message for a copy of its counters, and all at once. So counting costs
//! the cores nothing that is shared, and being looked at some ten microseconds.

mod host;
mod metrics;
mod page;
mod recent;
mod seen;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use sutra_admin::{Detail, Readiness, Source, View};
use sutra_net::Postbox;
use tokio::sync::oneshot;

use crate::all_cores;
use crate::core::message::{Body, CoreStats, CoreView, Message};
use crate::report::ServerInfo;
use recent::Recent;
use seen::Seen;

/// The ways to the cores of a server, and what they all know of it; there once they run.
pub(crate) struct RunningCores {
    pub(crate) postboxes: Vec<Postbox<Message>>,
    pub(crate) info: Arc<ServerInfo>,
}

/// A server, as its admin port asks it.
pub(crate) struct ServerSource {
    cores: Arc<OnceLock<RunningCores>>,
    started: Instant,
    recent: Mutex<Recent>,
    /// What each core answered last.
    known: Mutex<Vec<CoreStats>>,
}

impl ServerSource {
    /// Nothing is to be seen before `cores` are there, but that the server recovers.
    pub(crate) fn new(cores: Arc<OnceLock<RunningCores>>, started: Instant) -> Self {
        Self { cores, started, recent: Mutex::default(), known: Mutex::default() }
    }

    fn recovering(&self) -> View {
        let status = "recovering: the log is being read";
        let uptime = self.started.elapsed();
        View {
            healthy: true,
            status: status.into(),
            readiness: Readiness::NotReady(status.into()),
            page: serde_json::json!({
                "status": status,
                "uptime_us": u64::try_from(uptime.as_micros()).unwrap_or(u64::MAX),
                "version": env!("CARGO_PKG_VERSION"),
            }),
            metrics: metrics::of_recovery(uptime),
        }
    }
}

impl RunningCores {
    /// Asks all of them at once.
    async fn look(&self) -> Vec<Option<CoreView>> {
        let ask = |postbox: &Postbox<Message>| {
            let (to, view) = oneshot::channel();
            // It has seen no sequence that the core has not.
            postbox.post(Message { clock: 0, body: Body::Look(to) });
            view
        };
        let asked: Vec<_> = self.postboxes.iter().map(ask).collect();
        let until = tokio::time::Instant::now() + seen::PATIENCE;
        let mut views = Vec::new();
        for view in asked {
            let answered = tokio::time::timeout_at(until, view).await;
            views.push(answered.ok().and_then(Result::ok));
        }
        views
    }
}

impl Source for ServerSource {
    async fn look(&self, detail: Detail) -> Option<View> {
        let Some(cores) = self.cores.get() else { return Some(self.recovering()) };
        let views = cores.look().await;
        let seen = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Seen::new(views, &mut known, Arc::clone(&cores.info))
        };
        if seen.is_silent() {
            return None;
        }
        let (problems, readiness) = (seen.problems(), seen.readiness());
        let status = if problems.is_empty() { "ok".to_owned() } else { problems.join("; ") };
        let all = seen.all();
        let recent = {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.note(Instant::now(), &all.latencies)
        };
        let metrics = metrics::of_server(&seen, &all, &readiness, recent, detail);
        let stats = all_cores::of_server(seen.info(), seen.cores(), all);
        let page = page::of_server(&stats, &status, &readiness);
        Some(View { healthy: problems.is_empty(), status, readiness, page, metrics })
    }
}
