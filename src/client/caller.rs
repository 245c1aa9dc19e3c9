//! One call: a request goes to where it belongs, and is repeated where that makes sense, within the
//! time that the call may take.

use std::sync::Arc;
use std::time::Duration;

use sutra_wire::Opcode;

use crate::address::Address;
use crate::answer::Answer;
use crate::deadline::Deadline;
use crate::in_flight::Reply;
use crate::options::Options;
use crate::pending::Pending;
use crate::request::Request;
use crate::retry::{self, Retry};
use crate::topology::Topology;
use crate::{ClientError, ServerInfo, backoff};

/// Makes calls to one server, for one namespace. Cloning is cheap and shares the connections.
#[derive(Clone)]
pub(crate) struct Caller {
    server: Arc<Server>,
    namespace: Arc<str>,
}

struct Server {
    name: String,
    options: Options,
    topology: Topology,
}

impl Caller {
    /// Connects, for the default namespace.
    pub(crate) async fn open(address: Address, options: Options) -> Result<Self, ClientError> {
        let deadline = Deadline::of(Opcode::Hello, options.timeout);
        let mut failures = 0;
        let topology = loop {
            match Topology::discover(address.clone(), options.pool_size, &deadline).await {
                Ok(topology) => break topology,
                Err(error) => {
                    failures += 1;
                    let wait = backoff::delay(failures);
                    if failures > options.retries
                        || retry::after(&error) == Retry::No
                        || wait >= deadline.remaining()
                    {
                        return Err(error);
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        };
        let name = topology.name();
        Ok(Self { server: Arc::new(Server { name, options, topology }), namespace: "".into() })
    }

    /// A caller of the same server, for another namespace.
    pub(crate) fn with_namespace(&self, namespace: &str) -> Self {
        Self { server: self.server.clone(), namespace: namespace.into() }
    }

    /// The namespace of requests that name none.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What errors call the server.
    pub(crate) fn server_name(&self) -> &str {
        &self.server.name
    }

    /// What the server said of itself last.
    pub(crate) fn server_info(&self) -> ServerInfo {
        self.server.topology.info()
    }

    /// The time that a call of this request may take, from now on.
    pub(crate) fn deadline(&self, request: &Request) -> Deadline {
        Deadline::of(request.opcode(), self.server.options.timeout)
    }

    /// Sends a request and waits for its answer, repeating it where that makes sense.
    pub(crate) async fn call(&self, request: &Request) -> Result<Answer<'_>, ClientError> {
        let deadline = self.deadline(request);
        let first = self.attempt(request, &deadline).await;
        self.settle(request, &deadline, first).await
    }

    /// Sends a request to where it belongs.
    pub(crate) async fn start(
        &self,
        request: &Request,
        deadline: &Deadline,
        at_once: bool,
    ) -> Result<Pending, ClientError> {
        let connection = self.server.topology.connection(request.concept(), deadline).await?;
        Pending::send(&connection, request, deadline, at_once).await
    }

    async fn attempt(&self, request: &Request, deadline: &Deadline) -> Result<Reply, ClientError> {
        let spin = self.server.options.spin;
        self.start(request, deadline, !spin.is_zero()).await?.wait(deadline, spin).await
    }

    /// Repeats a request whose first attempt failed, where that makes sense and as long as there is
    /// time.
    pub(crate) async fn settle(
        &self,
        request: &Request,
        deadline: &Deadline,
        first: Result<Reply, ClientError>,
    ) -> Result<Answer<'_>, ClientError> {
        let mut result = first;
        let mut failures = 0;
        // Of an attempt that may have reached the server before its connection was lost.
        let mut lost = None;
        loop {
            let error =
                match result.and_then(|reply| Answer::new(self.server_name(), deadline, reply)) {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
            failures += 1;
            let wait = match retry::after(&error) {
                Retry::No => return Err(error.after(lost)),
                Retry::Reconnect => Duration::ZERO,
                Retry::Wait => backoff::delay(failures),
            };
            if failures > self.server.options.retries || wait >= deadline.remaining() {
                return Err(error.after(lost));
            }
            let (endpoint, operation) = (self.server_name(), deadline.operation());
            tracing::debug!(endpoint, operation, failures, %error, "trying again");
            if matches!(error, ClientError::Closed { .. }) {
                lost = Some(error);
            }
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            result = self.attempt(request, deadline).await;
        }
    }
}
