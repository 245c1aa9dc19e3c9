//! The port: its paths, its thread, and how many requests are answered at a time.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200 while the process answers, with what is wrong; 503 where it does not |
//! | `/readyz` | 200 where requests are to be sent here; 503 while it recovers or drains |
//! | `/health` | 200 where all is well; 503 with what is wrong |
//! | `/metrics` | for Prometheus, in the format that it asks for; `?cores=1` has metrics of each
//! core as well |
//! | `/stats.json` | everything |
//! | `/` | the page for people (`page.rs`) |
//! | `/api/v1/…` | the read API (`routes.rs`) |
//!
//! Who restarts what is not alive asks `/healthz`: a full disk is no reason to. Who is to be woken
//! asks `/health`.

use std::future::IntoFuture;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};

use crate::answer::{answer, json_answer};
use crate::error::AdminError;
use crate::exposition;
use crate::host_name;
use crate::listener::AdminListener;
use crate::page::page;
use crate::routes::{Routes, nowhere, only_read};
use crate::view::{Detail, Readiness, Source, View};

/// Requests that are answered at a time: a scraper, a probe, and people.
const AT_A_TIME: usize = 8;
/// How long a request waits for its turn and its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A served admin port. Ends when dropped.
pub struct Admin {
    address: SocketAddr,
    /// The same that is served.
    listener: Option<TcpListener>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends, and gives the listener back, with whoever waits there to be served.
    pub fn into_listener(mut self) -> Option<TcpListener> {
        self.listener.take()
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

/// Where others reach what listens there, `host:port`: by this host's name where it listens on
/// every address.
pub fn reached_at(listener: &TcpListener) -> String {
    match listener.local_addr() {
        Ok(address) if address.ip().is_unspecified() => {
            let host = rustix::system::uname();
            format!("{}:{}", host.nodename().to_string_lossy(), address.port())
        }
        Ok(address) => address.to_string(),
        Err(_) => String::new(),
    }
}

/// Serves it: what `source` shows, and the paths of its read API.
///
/// # Errors
/// The system refuses a thread, or what it needs.
pub fn start<S: Source>(
    listener: TcpListener,
    source: Arc<S>,
    routes: Routes,
) -> Result<Admin, AdminError> {
    let thread_error = |source| AdminError::Thread { source };
    let address = listener.local_addr().map_err(thread_error)?;
    let kept = listener.try_clone().map_err(thread_error)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(thread_error)?;
    let (stop, stopped) = oneshot::channel();
    let serve = async move {
        let state = Arc::new(Served { source, permits: Semaphore::new(AT_A_TIME) });
        // What tells more than figures.
        let mut told = Router::new()
            .route("/stats.json", get(stats::<S>))
            .with_state(Arc::clone(&state))
            .merge(routes.router(S::KIND));
        if address.ip().is_loopback() {
            told = told.route_layer(middleware::from_fn(host_name::check));
        }
        let router = Router::new()
            .route("/", get(page))
            .route("/health", get(health::<S>))
            .route("/healthz", get(alive::<S>))
            .route("/readyz", get(ready::<S>))
            .route("/metrics", get(metrics::<S>))
            .with_state(state)
            .merge(told)
            .fallback(nowhere)
            .method_not_allowed_fallback(only_read);
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
    Ok(Admin { address, listener: Some(kept), stop: Some(stop), thread: Some(thread) })
}

struct Served<S> {
    source: Arc<S>,
    permits: Semaphore,
}

impl<S: Source> Served<S> {
    async fn look(&self, detail: Detail) -> Option<View> {
        let look = async {
            let _permit = self.permits.acquire().await.ok()?;
            self.source.look(detail).await
        };
        tokio::time::timeout(PATIENCE, look).await.ok()?
    }
}

fn no_answer() -> Response {
    let status = "there is no answer in time; is this process stopped, or its host overloaded?";
    json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "healthy": false, "status": status }))
}

async fn stats<S: Source>(State(served): State<Arc<Served<S>>>) -> Response {
    match served.look(Detail { lists: true, cores: false }).await {
        Some(view) => json_answer(StatusCode::OK, &view.page),
        None => no_answer(),
    }
}

/// What all checks ask for.
const BRIEF: Detail = Detail { lists: false, cores: false };

fn checked(is_well: bool, view: &View) -> Response {
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_answer(status, &json!({ "healthy": view.healthy, "status": view.status }))
}

async fn health<S: Source>(State(served): State<Arc<Served<S>>>) -> Response {
    served.look(BRIEF).await.map_or_else(no_answer, |view| checked(view.healthy, &view))
}

async fn alive<S: Source>(State(served): State<Arc<Served<S>>>) -> Response {
    served.look(BRIEF).await.map_or_else(no_answer, |view| checked(true, &view))
}

async fn ready<S: Source>(State(served): State<Arc<Served<S>>>) -> Response {
    let Some(view) = served.look(BRIEF).await else { return no_answer() };
    match view.readiness {
        Readiness::Ready => {
            json_answer(StatusCode::OK, &json!({ "ready": true, "status": view.status }))
        }
        Readiness::NotReady(status) => json_answer(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "ready": false, "status": status }),
        ),
    }
}

async fn metrics<S: Source>(
    State(served): State<Arc<Served<S>>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = exposition::wanted(&accept.collect::<Vec<_>>().join(","));
    let cores = query.is_some_and(|query| query.split('&').any(|word| word == "cores=1"));
    match served.look(Detail { lists: false, cores }).await {
        Some(view) => {
            answer(StatusCode::OK, format.content_type(), exposition::show(&view.metrics, format))
        }
        None => no_answer(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    use crate::metric::Metric;

    struct Fixed(bool);

    impl Source for Fixed {
        const KIND: &'static str = "thing";

        async fn look(&self, Detail { lists, cores }: Detail) -> Option<View> {
            let mut metrics = vec![Metric::counter("things", "Things done", 7)];
            if cores {
                metrics.push(Metric::gauges("core_things", "Things", "core", [("0", 7.0)]));
            }
            let status = if self.0 { "ok" } else { "the disk is full" }.to_owned();
            let readiness = match self.0 {
                true => Readiness::Ready,
                false => Readiness::NotReady("draining".into()),
            };
            let page = json!({ "lists": lists });
            Some(View { healthy: self.0, status, readiness, page, metrics })
        }
    }

    fn started(is_well: bool) -> Admin {
        let routes = Routes::default().get(
            "/api/v1/things/{thing}",
            "one thing",
            &[("size", "how large")],
            async |asked| {
                let size = asked.number("size", 1, 1..=9)?;
                Ok(json!({ "thing": asked.required("thing")?, "size": size }))
            },
        );
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        start(listener, Arc::new(Fixed(is_well)), routes).unwrap()
    }

    fn get(admin: &Admin, path: &str) -> String {
        get_as(admin, path, "Host: localhost\r\nAccept: */*")
    }

    fn get_as(admin: &Admin, path: &str, headers: &str) -> String {
        ask(admin, "GET", path, headers)
    }

    fn ask(admin: &Admin, method: &str, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(admin.address()).unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn health_metrics_and_page_are_served() {
        let admin = started(true);
        let health = get(&admin, "/health");
        assert!(health.starts_with("HTTP/1.1 200") && health.contains("\"ok\""), "{health}");
        for path in ["/healthz", "/readyz"] {
            assert!(get(&admin, path).starts_with("HTTP/1.1 200"), "{path}");
        }
        let metrics = get(&admin, "/metrics");
        assert!(metrics.contains("things_total 7") && !metrics.contains("core"), "{metrics}");
        for (accept, kind, has_end) in [
            ("*/*", "text/plain; version=0.0.4", false),
            ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text", true),
            ("application/vnd.google.protobuf", "application/vnd.google.protobuf; proto=", false),
        ] {
            let headers = format!("Host: localhost\r\nAccept: {accept}");
            let metrics = get_as(&admin, "/metrics", &headers);
            assert!(metrics.contains(&format!("content-type: {kind}")), "{metrics}");
            assert!(metrics.contains("Things done"), "{metrics}");
            assert_eq!(metrics.ends_with("# EOF\n"), has_end, "{metrics}");
        }
        assert!(get(&admin, "/metrics?cores=1").contains("core_things{core=\"0\"} 7.0"));
        assert!(get(&admin, "/stats.json").contains("\"lists\": true"));
        let page = get(&admin, "/");
        for words in ["text/html", "content-security-policy: default-src 'none'", "no-store"] {
            assert!(page.contains(words), "{words} in {page}");
        }
        assert!(get(&admin, "/nowhere").starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn paths_of_the_read_api_are_listed_and_answer_with_what_was_asked() {
        let admin = started(true);
        let index = get(&admin, "/api/v1");
        for words in ["\"kind\": \"thing\"", "/api/v1/things/{thing}", "how large"] {
            assert!(index.contains(words), "{words} in {index}");
        }
        let thing = get(&admin, "/api/v1/things/a%2Fb%20c?size=3");
        assert!(thing.contains("\"thing\": \"a/b c\"") && thing.contains("\"size\": 3"), "{thing}");
        for (path, status, words) in [
            ("/api/v1/things/a?size=10", "400", "from 1 to 9"),
            ("/api/v1/things/a?color=red", "400", "size"),
            ("/api/v1/things/%ff", "400", "path"),
            ("/api/v1/nothing", "404", "/api/v1 lists"),
        ] {
            let refused = get(&admin, path);
            assert!(refused.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {refused}");
            assert!(refused.contains(words) && refused.contains("\"code\""), "{path}: {refused}");
        }
    }

    #[test]
    fn what_is_only_read_refuses_other_methods_and_says_which_it_takes() {
        let admin = started(true);
        let headers = "Host: localhost\r\nContent-Length: 0";
        for path in ["/", "/health", "/metrics", "/stats.json", "/api/v1", "/api/v1/things/a"] {
            for method in ["POST", "PUT", "DELETE"] {
                let refused = ask(&admin, method, path, headers);
                assert!(refused.starts_with("HTTP/1.1 405"), "{method} {path}: {refused}");
                assert!(refused.contains("allow: GET,HEAD"), "{method} {path}: {refused}");
                assert!(refused.contains("method_not_allowed"), "{method} {path}: {refused}");
            }
        }
        for path in ["/nowhere", "/api/v1/nothing"] {
            let refused = ask(&admin, "POST", path, headers);
            assert!(refused.starts_with("HTTP/1.1 404"), "{path}: {refused}");
        }
    }

    #[test]
    fn a_page_of_another_host_can_not_read_this_ones() {
        let admin = started(true);
        for path in ["/api/v1", "/api/v1/things/a", "/stats.json"] {
            let refused = get_as(&admin, path, "Host: evil.example");
            assert!(refused.starts_with("HTTP/1.1 403"), "{path}: {refused}");
            assert!(refused.contains("evil.example"), "{path}: {refused}");
        }
        // Scrapers and probes may know this host by a name of its own.
        for path in ["/metrics", "/health", "/healthz", "/readyz"] {
            let answered = get_as(&admin, path, "Host: sutra-1:9050");
            assert!(answered.starts_with("HTTP/1.1 200"), "{path}: {answered}");
        }
    }

    #[test]
    fn connections_that_say_nothing_keep_no_one_out() {
        let admin = started(true);
        let connect = || TcpStream::connect(admin.address()).unwrap();
        let mut silent: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
        // Half a request is no better.
        silent[99].write_all(b"GET /health HTTP/1.1\r\nHost:").unwrap();
        assert!(get(&admin, "/health").starts_with("HTTP/1.1 200"));
        assert_eq!(silent[0].read(&mut [0]).unwrap_or(0), 0, "the oldest has given its place");
    }

    #[test]
    fn what_is_not_well_is_503_with_the_reason_and_alive_all_the_same() {
        let admin = started(false);
        let health = get(&admin, "/health");
        assert!(
            health.starts_with("HTTP/1.1 503") && health.contains("the disk is full"),
            "{health}"
        );
        let ready = get(&admin, "/readyz");
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("draining"), "{ready}");
        let alive = get(&admin, "/healthz");
        assert!(alive.starts_with("HTTP/1.1 200") && alive.contains("disk is full"), "{alive}");
        let taken = bind(admin.address()).unwrap_err().to_string();
        assert!(taken.contains("--admin"), "{taken}");
    }
}
