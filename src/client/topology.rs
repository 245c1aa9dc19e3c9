//! Which connection a request goes to.
//!
//! It knows the server's cores as its last Hello gave them, and the pool that leads to them. It
//! knows where the server is, and finds a grid's node again that has moved.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sutra_wire::ConceptId;
use tokio::time::timeout;

use crate::address::Address;
use crate::connection::Connection;
use crate::deadline::Deadline;
use crate::grid::GridNode;
use crate::handshake::ServerInfo;
use crate::pool::Pool;
use crate::retry::{self, Retry};
use crate::slot::Slot;
use crate::{ClientError, Endpoint, dial};

/// How long a grid's node may leave a connection to it unmade, or a doubtful one unproven, before
/// its master is asked where it is.
const SILENCE: Duration = Duration::from_secs(2);

/// The server as it is known, replaced when a new connection finds it changed.
pub(crate) struct Topology {
    address: Address,
    pool_size: usize,
    known: RwLock<Known>,
    /// Held while a node that is gone is looked for: one call asks the master, the others wait for
    /// the outcome.
    moving: tokio::sync::Mutex<()>,
}

struct Known {
    endpoint: Endpoint,
    info: ServerInfo,
    pool: Pool<Slot>,
}

impl Known {
    fn new(endpoint: Endpoint, connection: Arc<Connection>, pool_size: usize) -> Self {
        let info = *connection.info();
        // Where the rule of owners is not known, the server forwards, and one set of connections
        // does for all cores.
        let pool = Pool::new(info.layout.map_or(1, |layout| layout.cores()), pool_size, |_| {
            Slot::default()
        });
        pool.first(connection.core()).put(connection);
        Self { endpoint, info, pool }
    }

    /// Learns the layout by a first connection, to the first core.
    async fn discover(
        endpoint: Endpoint,
        pool_size: usize,
        deadline: &Deadline,
    ) -> Result<Self, ClientError> {
        let connection = deadline
            .limit(&endpoint.to_string(), dial::connect(&endpoint, Some(0)))
            .await
            .flatten()?;
        Ok(Self::new(endpoint, Arc::new(connection), pool_size))
    }
}

impl Topology {
    /// Finds the server and learns its layout.
    pub(crate) async fn discover(
        address: Address,
        pool_size: usize,
        deadline: &Deadline,
    ) -> Result<Self, ClientError> {
        let endpoint = address.locate(deadline).await?;
        let known = RwLock::new(Known::discover(endpoint, pool_size, deadline).await?);
        Ok(Self { address, pool_size, known, moving: tokio::sync::Mutex::default() })
    }

    /// What errors call the server.
    pub(crate) fn name(&self) -> String {
        self.address.to_string()
    }

    /// What the server said last.
    pub(crate) fn info(&self) -> ServerInfo {
        self.known.read().unwrap_or_else(PoisonError::into_inner).info
    }

    /// A connection to the core that owns the concept, or to the first core. Cost where it is
    /// there: two short locks.
    pub(crate) async fn connection(
        &self,
        concept: Option<ConceptId>,
        deadline: &Deadline,
    ) -> Result<Arc<Connection>, ClientError> {
        let (slot, core, endpoint, store) = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let core = known.info.layout.map(|layout| concept.map_or(0, |id| layout.owner(&id)));
            (
                known.pool.next(core.unwrap_or(0)).clone(),
                core,
                known.endpoint.clone(),
                known.info.store,
            )
        };
        let connecting = slot.connection(&endpoint, core, deadline);
        let Address::Node(node) = &self.address else {
            let (connection, made) = connecting.await?;
            if made {
                self.adopt(&connection);
            }
            return Ok(connection);
        };
        // A host that has gone silent refuses nothing: the node may be on another by now.
        let Ok(found) = timeout(SILENCE, connecting).await else {
            return self.follow(node, &endpoint, deadline).await;
        };
        match found {
            Ok((connection, false)) => Ok(connection),
            Ok((connection, true)) if connection.info().store == store => {
                self.adopt(&connection);
                Ok(connection)
            }
            // Another server has this address now: the node is elsewhere, or starts again.
            Ok(_) => self.follow(node, &endpoint, deadline).await,
            Err(error) if retry::after(&error) == Retry::Reconnect => self
                .follow(node, &endpoint, deadline)
                .await
                .map_err(|lost| if is_masters(&lost) { error } else { lost }),
            Err(error) => Err(error),
        }
    }

    /// Asks the master where the node is that was at `before`, and connects to it there.
    async fn follow(
        &self,
        node: &GridNode,
        before: &Endpoint,
        deadline: &Deadline,
    ) -> Result<Arc<Connection>, ClientError> {
        let _moving = deadline.limit(&node.to_string(), self.moving.lock()).await?;
        let moved = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            (known.endpoint != *before)
                .then(|| (known.pool.first(0).clone(), known.endpoint.clone()))
        };
        if let Some((slot, endpoint)) = moved {
            // Another call has found it.
            return slot
                .connection(&endpoint, Some(0), deadline)
                .await
                .map(|(connection, _)| connection);
        }
        let endpoint = node.locate(deadline).await?;
        let known = Known::discover(endpoint, self.pool_size, deadline).await?;
        tracing::info!(%node, endpoint = %known.endpoint, %before, "the node was found");
        let connection =
            known.pool.first(0).connection(&known.endpoint, Some(0), deadline).await?.0;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(connection)
    }

    /// Takes over what a new connection says about the server.
    fn adopt(&self, connection: &Arc<Connection>) {
        let new = *connection.info();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let old = known.info;
        if old == new || (old.store == new.store && old.started > new.started) {
            return;
        }
        if old.store != new.store {
            tracing::warn!(server = self.name(), "the server has another store than before");
        }
        if old.layout == new.layout {
            known.info = new;
        } else {
            tracing::info!(
                server = self.name(),
                before = old.cores,
                now = new.cores,
                "the server's cores changed"
            );
            *known = Known::new(known.endpoint.clone(), connection.clone(), self.pool_size);
        }
    }
}

/// Whether it was the master that could not be asked: then the node's own error says more.
fn is_masters(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Connect { .. } | ClientError::Closed { .. } | ClientError::TimedOut { .. }
    )
}
