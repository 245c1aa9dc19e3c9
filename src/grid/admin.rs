//! HTTP for people and Prometheus, of master and agent alike: `/health`, `/metrics`, and everything
//! as JSON on `/`.
//!
//! On a thread of its own, which asks its [`Source`] anew for every request. Only reads. Few
//! requests are answered at a time; others wait for them, and none for longer than [`PATIENCE`].
//! Connections are bounded in number and time ([`crate::admin_listener`]).

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};

use crate::admin_listener::AdminListener;

/// Requests that are answered at a time: a scraper, a probe, and people.
const AT_A_TIME: usize = 8;
/// How long a request waits for its turn and its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// What Prometheus reads.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why the admin port can't be served.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address can't be listened on.
    #[error(
        "admin port: can't listen on {address}: {source}; --admin gives this port another address, \
         --admin off serves none"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread can't be started.
    #[error(
        "admin port: can't start its thread: {source}; allow this user more processes (`ulimit -u`)"
    )]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
}

/// What there is to see at a moment.
#[derive(Clone, Debug)]
pub struct View {
    /// Whether all is well.
    pub healthy: bool,
    /// "ok", or what is wrong and what to do.
    pub status: String,
    /// Everything, for `/`.
    pub page: Value,
    /// For `/metrics`.
    pub metrics: Vec<Metric>,
}

/// What the admin port shows.
pub trait Source: Send + Sync + 'static {
    /// What there is to see now, with its lists or only counted; `None` where there is no answer in
    /// time.
    fn look(&self, lists: bool) -> impl Future<Output = Option<View>> + Send;
}

/// A number, or one for each value of a label.
#[derive(Clone, Debug)]
pub struct Metric {
    name: &'static str,
    help: &'static str,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    Counter(u64),
    Gauge(f64),
    Gauges { label: &'static str, values: Vec<(String, f64)> },
}

impl Metric {
    /// What only rises. Its name is shown with `_total` behind it.
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, values: Values::Counter(value) }
    }

    /// What rises and falls.
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, values: Values::Gauge(value) }
    }

    /// The same, for each value of a label.
    pub fn gauges<L: Into<String>>(
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> Self {
        let values = values.into_iter().map(|(value, number)| (value.into(), number)).collect();
        Self { name, help, values: Values::Gauges { label, values } }
    }
}

/// All of them, as Prometheus reads them.
fn exposition(metrics: Vec<Metric>) -> String {
    let mut registry = Registry::default();
    for Metric { name, help, values } in metrics {
        match values {
            Values::Counter(value) => registry.register(name, help, ConstCounter::new(value)),
            Values::Gauge(value) => {
                let gauge = Gauge::<f64, AtomicU64>::default();
                gauge.set(value);
                registry.register(name, help, gauge);
            }
            Values::Gauges { label, values } => {
                let family = Family::<Vec<(String, String)>, Gauge<f64, AtomicU64>>::default();
                for (value, number) in values {
                    family.get_or_create(&vec![(label.to_owned(), value)]).set(number);
                }
                registry.register(name, help, family);
            }
        }
    }
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing text into memory can't fail");
    text
}

/// A served admin port. Ends when dropped.
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It holds nothing that could be lost.
            let _ = thread.join();
        }
    }
}

/// Takes the address.
///
/// # Errors
/// It is in use, or none of this host's.
pub fn bind(address: SocketAddr) -> Result<TcpListener, AdminError> {
    let listener = TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|source| AdminError::Listen { address, source })
}

/// Serves it.
///
/// # Errors
/// The system refuses a thread, or what it needs.
pub fn start<S: Source>(listener: TcpListener, source: S) -> Result<Admin, AdminError> {
    let thread_error = |source| AdminError::Thread { source };
    let address = listener.local_addr().map_err(thread_error)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(thread_error)?;
    let (stop, stopped) = oneshot::channel();
    let serve = async move {
        let state = Arc::new(Served { source, permits: Semaphore::new(AT_A_TIME) });
        let router = Router::new()
            .route("/", get(page::<S>))
            .route("/health", get(health::<S>))
            .route("/metrics", get(metrics::<S>))
            .with_state(state);
        let listener = match AdminListener::new(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "the admin port is not served"),
        };
        // The end of this thread ends the connections that are left.
        tokio::select! {
            ended = axum::serve(listener, router).into_future() => if let Err(error) = ended {
                tracing::error!(%error, "the admin port is served no more");
            },
            _ = stopped => {}
        }
    };
    let thread = Builder::new()
        .name("admin".into())
        .spawn(move || runtime.block_on(serve))
        .map_err(thread_error)?;
    Ok(Admin { address, stop: Some(stop), thread: Some(thread) })
}

struct Served<S> {
    source: S,
    permits: Semaphore,
}

impl<S: Source> Served<S> {
    async fn look(&self, lists: bool) -> Option<View> {
        let look = async {
            let _permit = self.permits.acquire().await.ok()?;
            self.source.look(lists).await
        };
        tokio::time::timeout(PATIENCE, look).await.ok()?
    }
}

fn answer(status: StatusCode, kind: &'static str, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

fn json_answer(status: StatusCode, value: &Value) -> Response {
    answer(status, "application/json", format!("{value:#}\n"))
}

fn no_answer() -> Response {
    let status = "there is no answer in time; is this process stopped, or its host overloaded?";
    json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "healthy": false, "status": status }))
}

async fn page<S: Source>(State(served): State<Arc<Served<S>>>) -> Response {
    match served.look(true).await {
        Some(view) => json_answer(StatusCode::OK, &view.page),
        None => no_answer(),
    }
}

async fn health<S: Source>(State(served): State<Arc<Served<S>>>) -> Response {
    let Some(view) = served.look(false).await else { return no_answer() };
    let status = if view.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_answer(status, &json!({ "healthy": view.healthy, "status": view.status }))
}

async fn metrics<S: Source>(State(served): State<Arc<Served<S>>>) -> Response {
    match served.look(false).await {
        Some(view) => answer(StatusCode::OK, METRICS, exposition(view.metrics)),
        None => no_answer(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    struct Fixed(bool);

    impl Source for Fixed {
        async fn look(&self, lists: bool) -> Option<View> {
            let metrics = vec![
                Metric::counter("things", "Things done", 7),
                Metric::gauges(
                    "parts",
                    "Parts, by state",
                    "state",
                    [("up", 2.0), ("gave up", 1.0)],
                ),
            ];
            let status = if self.0 { "ok" } else { "the disk is full" }.to_owned();
            Some(View { healthy: self.0, status, page: json!({ "lists": lists }), metrics })
        }
    }

    fn get(admin: &Admin, path: &str) -> String {
        let mut stream = TcpStream::connect(admin.address()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn health_metrics_and_page_are_served() {
        let admin = start(bind("127.0.0.1:0".parse().unwrap()).unwrap(), Fixed(true)).unwrap();
        let health = get(&admin, "/health");
        assert!(health.starts_with("HTTP/1.1 200") && health.contains("\"ok\""), "{health}");
        let metrics = get(&admin, "/metrics");
        for line in ["things_total 7", "parts{state=\"up\"} 2.0", "parts{state=\"gave up\"} 1.0"] {
            assert!(metrics.contains(line), "{line}: {metrics}");
        }
        assert!(get(&admin, "/").contains("\"lists\": true"));
        assert!(get(&admin, "/nowhere").starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn connections_that_say_nothing_keep_no_one_out() {
        let admin = start(bind("127.0.0.1:0".parse().unwrap()).unwrap(), Fixed(true)).unwrap();
        let connect = || TcpStream::connect(admin.address()).unwrap();
        let mut silent: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
        // Half a request is no better.
        silent[99].write_all(b"GET /health HTTP/1.1\r\nHost:").unwrap();
        assert!(get(&admin, "/health").starts_with("HTTP/1.1 200"));
        assert_eq!(silent[0].read(&mut [0]).unwrap_or(0), 0, "the oldest has given its place");
    }

    #[test]
    fn what_is_not_well_is_503_with_the_reason() {
        let admin = start(bind("127.0.0.1:0".parse().unwrap()).unwrap(), Fixed(false)).unwrap();
        let health = get(&admin, "/health");
        assert!(
            health.starts_with("HTTP/1.1 503") && health.contains("the disk is full"),
            "{health}"
        );
        let taken = bind(admin.address()).unwrap_err().to_string();
        assert!(taken.contains("--admin"), "{taken}");
    }
}
