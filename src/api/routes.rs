//! Every path with its parameters, and the client that they share.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use sutra_admin::{Asked, Code, Parameter, Refusal, Routes};
use sutra_client::Client;
use tokio::sync::OnceCell;

use crate::refused::refused;
use crate::{concepts, find, neighbors, path, search};

/// How long the server may take for one answer: a little less than the admin port waits.
const TIMEOUT: Duration = Duration::from_secs(6);

const NAMESPACE: Parameter = ("namespace", "the concepts' namespace; without it the default one");
const CURSOR: Parameter = ("cursor", "where the answer before this one ended");
const TYPE: Parameter = ("type", "only associations of these types, separated by commas");
const CONFIDENCE: Parameter = ("min_confidence", "only of at least this confidence, 0 to 1");

/// What the read API tells of a server's data. It can be served before the server answers.
#[derive(Clone, Default)]
pub struct Api {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    address: OnceLock<String>,
    client: OnceCell<Client>,
}

impl Api {
    /// From now on the server answers at this address.
    pub fn serve(&self, address: String) {
        // A server does not move.
        let _ = self.shared.address.set(address);
    }

    /// Its paths.
    pub fn routes(&self) -> Routes {
        let routes = Routes::default().get(
            "/api/v1/concepts",
            "the concepts, page by page, in no particular order; a page is full, but for the last \
             one and where filling it takes longer than a second",
            &[("limit", "at most so many, 1 to 1000; 50 unless it is said"), CURSOR, NAMESPACE],
            self.handler(concepts::list),
        );
        let routes = routes.get(
            "/api/v1/concepts/{concept}",
            "a concept, by its name or its id",
            &[NAMESPACE],
            self.handler(concepts::one),
        );
        let routes = routes.get(
            "/api/v1/concepts/{concept}/neighbors",
            "a concept's neighbours, with the association that leads to each",
            &[
                TYPE,
                ("direction", "only associations that lead this way: out, in, or both"),
                CONFIDENCE,
                ("limit", "at most so many, 1 to 1000; 50 unless it is said"),
                CURSOR,
                NAMESPACE,
            ],
            self.handler(neighbors::list),
        );
        self.searches(routes)
    }

    /// Adds what looks for something.
    fn searches(&self, routes: Routes) -> Routes {
        let routes = routes.get(
            "/api/v1/path",
            "the shortest paths between two concepts",
            &[
                ("from", "a concept, by its name or its id"),
                ("to", "another one"),
                TYPE,
                ("direction", "only over associations followed this way: out, in, or both"),
                ("max_depth", "of at most so many associations; 6 unless it is said"),
                (
                    "alternatives",
                    "up to so many paths of the same length, 1 to 64; 1 unless it is said",
                ),
                NAMESPACE,
            ],
            self.handler(path::find),
        );
        let routes = routes.get(
            "/api/v1/search",
            "the concepts whose embeddings are most like a concept's, or like a vector",
            &[
                ("like", "a concept, by its name or its id; it is left out itself"),
                ("vector", "numbers, separated by commas, in place of a concept"),
                ("k", "at most so many, 1 to 1000; 10 unless it is said"),
                ("min_strength", "only concepts of at least this strength"),
                CONFIDENCE,
                ("near", "only concepts in the neighbourhood of this one"),
                ("within", "how many associations that neighbourhood reaches"),
                ("exact", "1 compares with every vector instead of asking the index"),
                NAMESPACE,
            ],
            self.handler(search::find),
        );
        routes.get(
            "/api/v1/find",
            "the concepts whose names or contents have a text in them, found by looking at all",
            &[
                ("text", "what to look for; capital or small makes no difference"),
                ("limit", "so many or a few more, 1 to 500; 20 unless it is said"),
                CURSOR,
                NAMESPACE,
            ],
            self.handler(find::containing),
        )
    }

    /// What answers: `answer`, with a client for the namespace that was asked for.
    fn handler<F, A>(
        &self,
        answer: F,
    ) -> impl Fn(Asked) -> std::pin::Pin<Box<dyn Future<Output = A::Output> + Send>>
    + Send
    + Sync
    + use<F, A>
    where
        F: Fn(Client, Asked) -> A + Copy + Send + Sync + 'static,
        A: Future<Output = Result<Value, Refusal>> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        move |asked| {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let client = shared.client().await?;
                let client = client.namespace(asked.text("namespace").unwrap_or_default());
                answer(client, asked).await
            })
        }
    }
}

impl Shared {
    async fn client(&self) -> Result<&Client, Refusal> {
        let address = self.address.get().ok_or_else(|| {
            Refusal::new(Code::Unavailable, "recovering: the log is being read; ask again soon")
        })?;
        let connect = || Client::connect(address.as_str()).with_timeout(TIMEOUT).into_future();
        self.client.get_or_try_init(connect).await.map_err(refused)
    }
}
