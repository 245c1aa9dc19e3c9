//! What the server's admin port shows, put together on the admin port's own thread.
//!
//! Every core is asked by a message for a copy of its counters, and all at once. So counting costs
//! the cores nothing that is shared, and being looked at some ten microseconds.

mod metrics;
mod page;
mod recent;
mod seen;
mod slow;
mod stats;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use sutra_admin::{Asked, Code, Detail, Readiness, Refusal, Routes, Source, View};
use sutra_net::Postbox;
use tokio::sync::oneshot;

use crate::all_cores;
use crate::core::message::{Body, CoreStats, Message};
use crate::report::ServerInfo;
use recent::Recent;
use seen::Seen;

/// The ways to the cores of a server, and what they all know of it; there once they run.
pub(crate) struct RunningCores {
    pub(crate) postboxes: Vec<Postbox<Message>>,
    pub(crate) info: Arc<ServerInfo>,
}

const RECOVERING: &str = "recovering: the log is being read";

/// What the server tells of itself in its read API.
pub(crate) fn routes(source: &Arc<ServerSource>) -> Routes {
    let (of_stats, of_slow) = (Arc::clone(source), Arc::clone(source));
    let stats = "everything that is counted since the start, with latencies by bucket and by core";
    let slow = "the last requests that took long, the newest first, with what each stage took";
    Routes::default()
        .get("/api/v1/stats", stats, &[], move |_: Asked| {
            let source = Arc::clone(&of_stats);
            async move { source.stats().await }
        })
        .get("/api/v1/slow", slow, &slow::PARAMETERS, move |asked: Asked| {
            let source = Arc::clone(&of_slow);
            async move { source.slow(&asked).await }
        })
}

/// A server, as its admin port asks it.
pub(crate) struct ServerSource {
    cores: Arc<OnceLock<RunningCores>>,
    started: Instant,
    /// The data folder.
    data: PathBuf,
    recent: Mutex<Recent>,
    /// What each core answered last.
    known: Mutex<Vec<CoreStats>>,
}

impl ServerSource {
    /// Nothing is to be seen before `cores` are there, but that the server recovers.
    pub(crate) fn new(cores: Arc<OnceLock<RunningCores>>, started: Instant, data: PathBuf) -> Self {
        Self { cores, started, data, recent: Mutex::default(), known: Mutex::default() }
    }

    /// Asks the cores. `None` where none of them answers in time.
    async fn seen(&self, cores: &RunningCores) -> Option<Seen> {
        let views = cores.ask(Body::Look).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = Seen::new(views, &mut known, Arc::clone(&cores.info));
        (!seen.is_silent()).then_some(seen)
    }

    fn running(&self) -> Result<&RunningCores, Refusal> {
        self.cores.get().ok_or_else(|| Refusal::new(Code::Unavailable, RECOVERING))
    }

    async fn stats(&self) -> Result<Value, Refusal> {
        let seen = self.seen(self.running()?).await.ok_or_else(no_core_answers)?;
        Ok(stats::of_server(&seen))
    }

    async fn slow(&self, asked: &Asked) -> Result<Value, Refusal> {
        let limit = slow::limit(asked)?;
        let by_core = self.running()?.ask(Body::LookAtSlow).await;
        slow::of_server(by_core, limit).ok_or_else(no_core_answers)
    }

    fn recovering(&self) -> View {
        let status = RECOVERING;
        let uptime = self.started.elapsed();
        View {
            healthy: true,
            status: status.into(),
            readiness: Readiness::NotReady(status.into()),
            page: json!({
                "status": status,
                "uptime_us": u64::try_from(uptime.as_micros()).unwrap_or(u64::MAX),
                "version": env!("CARGO_PKG_VERSION"),
            }),
            metrics: metrics::of_recovery(uptime, &self.data),
        }
    }
}

fn no_core_answers() -> Refusal {
    let why = "no core answers in time; is this process stopped, or its host overloaded?";
    Refusal::new(Code::Unavailable, why)
}

impl RunningCores {
    /// Asks all of them at once. `None` for one that does not answer in time.
    async fn ask<T>(&self, question: impl Fn(oneshot::Sender<T>) -> Body) -> Vec<Option<T>> {
        let ask = |postbox: &Postbox<Message>| {
            let (to, view) = oneshot::channel();
            // It has seen no sequence that the core has not.
            postbox.post(Message { clock: 0, body: question(to) });
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
    const KIND: &'static str = "server";

    async fn look(&self, detail: Detail) -> Option<View> {
        let Some(cores) = self.cores.get() else { return Some(self.recovering()) };
        let seen = self.seen(cores).await?;
        let (problems, readiness) = (seen.problems(), seen.readiness());
        let status = seen.status();
        let all = seen.all();
        let recent = {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.note(Instant::now(), &all.latencies)
        };
        let metrics = metrics::of_server(&seen, &all, &readiness, recent, detail);
        let stats = all_cores::of_server(seen.info(), seen.cores(), Instant::now(), all);
        let page = page::of_server(&stats, &status, &readiness);
        Some(View { healthy: problems.is_empty(), status, readiness, page, metrics })
    }
}
