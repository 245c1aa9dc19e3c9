//! The read API: paths under `/api/v1` that answer with JSON.
//!
//! The layers above say what each path tells. Here all of them get the same: parameters are checked
//! by name, few requests are answered at a time, none for long, and every refusal has one form.
//! `/api/v1` lists the paths with their parameters.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, RawQuery};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::answer::json_answer;
use crate::asked::Asked;
use crate::refusal::{Code, Refusal};

/// Requests that are answered at a time; the others wait.
const AT_A_TIME: usize = 8;
/// How long a request waits for its turn and its answer: longer than a client of the server does.
const PATIENCE: Duration = Duration::from_secs(8);
/// Where the list of all paths is.
const INDEX: &str = "/api/v1";

type Answer = Pin<Box<dyn Future<Output = Result<Value, Refusal>> + Send>>;
type Handler = Arc<dyn Fn(Asked) -> Answer + Send + Sync>;

/// A parameter of a path: its name and what it says.
pub type Parameter = (&'static str, &'static str);

#[derive(Clone)]
struct Route {
    path: &'static str,
    what: &'static str,
    parameters: &'static [Parameter],
    handler: Handler,
}

/// The paths of a read API.
#[derive(Clone, Default)]
pub struct Routes {
    routes: Vec<Route>,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|route| route.path)).finish()
    }
}

impl Routes {
    /// Adds a path, which may have parts in braces. `what` and `parameters` are shown to people.
    #[must_use]
    pub fn get<F>(
        mut self,
        path: &'static str,
        what: &'static str,
        parameters: &'static [Parameter],
        handler: impl Fn(Asked) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Value, Refusal>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |asked| Box::pin(handler(asked)));
        self.routes.push(Route { path, what, parameters, handler });
        self
    }

    /// Adds another's paths.
    #[must_use]
    pub fn with(mut self, more: Self) -> Self {
        self.routes.extend(more.routes);
        self
    }

    /// What serves them. `kind` is who tells all this.
    pub(crate) fn router(self, kind: &'static str) -> Router {
        let index = self.index(kind);
        let index = Route {
            path: INDEX,
            what: "",
            parameters: &[],
            handler: Arc::new(move |_| {
                let index = index.clone();
                Box::pin(async { Ok(index) })
            }),
        };
        let permits = Arc::new(Semaphore::new(AT_A_TIME));
        let mut router = Router::new();
        for route in self.routes.into_iter().chain([index]) {
            let (path, route, permits) = (route.path, Arc::new(route), Arc::clone(&permits));
            let answer = move |path: Result<RawPathParams, RawPathParamsRejection>,
                               RawQuery(query): RawQuery| {
                let (route, permits) = (Arc::clone(&route), Arc::clone(&permits));
                async move {
                    match asked(path, query, route.parameters) {
                        Ok(asked) => answered(&route.handler, asked, &permits).await,
                        Err(refusal) => refusal.into_response(),
                    }
                }
            };
            router = router.route(path, get(answer));
        }
        router.route(&format!("{INDEX}/{{*rest}}"), any(nowhere))
    }

    fn index(&self, kind: &str) -> Value {
        let paths = self.routes.iter().map(|route| {
            let parameters = route.parameters.iter();
            let parameters: Vec<_> =
                parameters.map(|(name, what)| json!({ "name": name, "what": what })).collect();
            json!({ "path": route.path, "what": route.what, "parameters": parameters })
        });
        let paths: Vec<_> = paths.collect();
        json!({ "kind": kind, "version": env!("CARGO_PKG_VERSION"), "paths": paths })
    }
}

fn asked(
    path: Result<RawPathParams, RawPathParamsRejection>,
    query: Option<String>,
    known: &[Parameter],
) -> Result<Asked, Refusal> {
    let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let query = query.unwrap_or_default();
    match &path {
        Ok(path) => Asked::new(path, &query, &known),
        // The path has no parts in braces.
        Err(RawPathParamsRejection::MissingPathParams(_)) => Asked::new([], &query, &known),
        Err(error) => Err(Refusal::new(Code::BadRequest, format!("the path: {error}"))),
    }
}

async fn answered(handler: &Handler, asked: Asked, permits: &Semaphore) -> Response {
    let answer = async {
        let _permit = permits.acquire().await.ok();
        handler(asked).await
    };
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(value)) => json_answer(StatusCode::OK, &value),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            let message =
                format!("there was no answer within {seconds} s; is the host overloaded?");
            Refusal::new(Code::TimedOut, message).into_response()
        }
    }
}

/// Where nothing is, in words.
pub(crate) async fn nowhere() -> Response {
    let message = format!("there is no such path; {INDEX} lists the read API");
    Refusal::new(Code::NotFound, message).into_response()
}

/// Where something is that knows no such method, in words. Which it knows is in a header.
pub(crate) async fn only_read() -> Response {
    let message = "this path is only read: it answers to GET and HEAD alone";
    Refusal::new(Code::WrongMethod, message).into_response()
}
