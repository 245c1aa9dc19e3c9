//! Which connection a request goes to: the server's cores as its last Hello gave them, and the pool that leads to them.

use std::sync::{Arc, PoisonError, RwLock};

use sutra_wire::ConceptId;

use crate::connection::Connection;
use crate::deadline::Deadline;
use crate::handshake::ServerInfo;
use crate::pool::Pool;
use crate::slot::Slot;
use crate::{ClientError, Endpoint, connect};

/// The server as it is known, replaced when a new connection finds it changed.
pub(crate) struct Topology {
    endpoint: Endpoint,
    pool_size: usize,
    known: RwLock<Known>,
}

struct Known {
    info: ServerInfo,
    pool: Pool<Slot>,
}

impl Known {
    fn new(connection: Arc<Connection>, pool_size: usize) -> Self {
        let info = *connection.info();
        // Where the rule of owners is not known, the server forwards, and one set of connections does for all cores.
        let pool = Pool::new(info.layout.map_or(1, |layout| layout.cores()), pool_size, |_| Slot::default());
        pool.first(connection.core()).put(connection);
        Self { info, pool }
    }
}

impl Topology {
    /// Learns the layout by a first connection, to the first core.
    pub(crate) async fn discover(
        endpoint: Endpoint,
        pool_size: usize,
        deadline: &Deadline,
    ) -> Result<Self, ClientError> {
        let connection = deadline.limit(&endpoint.to_string(), connect::connect(&endpoint, Some(0))).await.flatten()?;
        let known = RwLock::new(Known::new(Arc::new(connection), pool_size));
        Ok(Self { endpoint, pool_size, known })
    }

    /// What the server said last.
    pub(crate) fn info(&self) -> ServerInfo {
        self.known.read().unwrap_or_else(PoisonError::into_inner).info
    }

    /// A connection to the core that owns the concept, or to the first core. Cost where it is there: two short locks.
    pub(crate) async fn connection(
        &self,
        concept: Option<ConceptId>,
        deadline: &Deadline,
    ) -> Result<Arc<Connection>, ClientError> {
        let (slot, core) = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let core = known.info.layout.map(|layout| concept.map_or(0, |id| layout.owner(&id)));
            (known.pool.next(core.unwrap_or(0)).clone(), core)
        };
        let (connection, made) = slot.connection(&self.endpoint, core, deadline).await?;
        if made {
            self.adopt(&connection);
        }
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
            tracing::warn!(endpoint = %self.endpoint, "the server has another store than before");
        }
        if old.layout == new.layout {
            known.info = new;
        } else {
            tracing::info!(endpoint = %self.endpoint, before = old.cores, now = new.cores, "the server's cores changed");
            *known = Known::new(connection.clone(), self.pool_size);
        }
    }
}
