//! How a client connects: its options, and the future that makes it.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use crate::address::Address;
use crate::caller::Caller;
use crate::options::Options;
use crate::{Client, ClientError, blocking};

/// A client about to connect: set options, then `.await` it, or call [`Connect::blocking`].
#[derive(Clone, Debug)]
#[must_use = "a client connects when this is awaited"]
pub struct Connect {
    address: String,
    options: Options,
}

impl Client {
    /// Connects to the server at `address` (`HOST:PORT`, the port 50050 if it is left out), or to
    /// the storage node of a grid at `grid://HOST:PORT/NODE`. The grid's master is asked where that
    /// is, and again when the node is gone: one that is started elsewhere is found. Options can be
    /// set on what is returned, before it is awaited.
    pub fn connect(address: impl Into<String>) -> Connect {
        Connect { address: address.into(), options: Options::default() }
    }
}

impl blocking::Client {
    /// Connects with default options; with others: [`crate::Client::connect`], `with_…`,
    /// [`Connect::blocking`].
    pub fn connect(address: impl Into<String>) -> Result<Self, ClientError> {
        Client::connect(address).blocking()
    }
}

impl Connect {
    /// The time that a call may take in all: connecting, waiting for room, retries and the answer.
    /// 10 seconds by default.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// How often a call is tried again, within its timeout; 3 by default. It is tried again where a
    /// connection could not be made or was lost, and where the server is busy or shutting down.
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
        blocking::Client::open(self.into_future())
    }
}

impl IntoFuture for Connect {
    type Output = Result<Client, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let address: Address = self.address.parse()?;
            Caller::open(address, self.options).await.map(Client::new)
        })
    }
}
