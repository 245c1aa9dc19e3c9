//! Options of a client, and the future that connects it.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use crate::grid::Place;
use crate::{Client, ClientError, blocking};

/// What a client is made with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) pool_size: usize,
    pub(crate) spin: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), retries: 3, pool_size: 1, spin: Duration::ZERO }
    }
}

/// A client about to connect: set options, then `.await` it, or call [`Connect::blocking`].
#[derive(Clone, Debug)]
#[must_use = "a client connects when this is awaited"]
pub struct Connect {
    address: String,
    options: Options,
}

impl Connect {
    pub(crate) fn to(address: impl Into<String>) -> Self {
        Self { address: address.into(), options: Options::default() }
    }

    /// The time that a call may take in all: connecting, waiting for room, retries and the answer.
    /// 10 seconds by default.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// How often a call is tried again, within its timeout, after a connection could not be made or
    /// was lost, or the server said that it is busy or shutting down. 3 by default.
    pub fn with_retries(mut self, retries: u32) -> Self {
        self.options.retries = retries;
        self
    }

    /// Connections per server core, used in turn; 1 by default and at least 1. One carries many
    /// requests at a time: more of them help where large records would delay small ones behind
    /// them.
    pub fn with_pool_size(mut self, connections: usize) -> Self {
        self.options.pool_size = connections.max(1);
        self
    }

    /// How long a call looks for its answer without sleeping, before it waits as usual; not at all
    /// by default.
    ///
    /// This trades a CPU for the tens of microseconds that falling asleep and being woken take.
    /// Inside an asynchronous application the spinning call keeps its thread from other tasks, so
    /// keep it near the time that an answer takes.
    pub fn with_spin(mut self, spin: Duration) -> Self {
        self.options.spin = spin;
        self
    }

    /// Connects a client for code that is not asynchronous.
    pub fn blocking(self) -> Result<blocking::Client, ClientError> {
        blocking::Client::open(self)
    }
}

impl IntoFuture for Connect {
    type Output = Result<Client, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let place: Place = self.address.parse()?;
            Client::open(place, self.options).await
        })
    }
}
