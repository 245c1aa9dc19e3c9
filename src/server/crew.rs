//! What the handlers of a server's cores are made of, on whichever backend they run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sutra_compat::Dialect;
use sutra_net::{Front, Identity, Limits, Loads};
use sutra_runtime::ListenerId;
use sutra_store::{Keeper, LastBackup, Namespaces, Opened, Shard};

use crate::config::ServerConfig;
use crate::core::Core;
use crate::core::message::WriteTicket;
use crate::legacy::Legacy;
use crate::report::ServerInfo;
use crate::service::StorageService;

/// What the cores' handlers are made of.
pub(crate) struct Crew {
    /// By core: its shard, until it begins.
    shards: Mutex<Vec<Option<Shard<WriteTicket>>>>,
    namespaces: Arc<Namespaces>,
    keeper: Arc<Keeper>,
    last_backup: Option<LastBackup>,
    info: Arc<ServerInfo>,
    identity: Identity,
    dialect: Dialect,
    loads: Arc<Loads>,
    first_compat: ListenerId,
    limits: Limits,
    /// From how long on requests are kept as slow.
    slow: Option<Duration>,
    cores: usize,
}

impl Crew {
    /// Of a store that is open. Listeners from `first_compat` on are of the old protocol.
    pub(crate) fn new(
        config: &ServerConfig,
        opened: Opened<WriteTicket>,
        first_compat: ListenerId,
        info: &Arc<ServerInfo>,
    ) -> Self {
        let cores = opened.shards.len();
        Self {
            identity: Identity {
                store: opened.store_id,
                started: opened.started,
                durability: config.durability,
            },
            dialect: Dialect { numbering: config.numbering, id_rule: opened.id_rule },
            shards: Mutex::new(opened.shards.into_iter().map(Some).collect()),
            namespaces: opened.namespaces,
            last_backup: opened.keeper.last_backup(),
            keeper: opened.keeper,
            info: Arc::clone(info),
            loads: Arc::new(Loads::new(cores)),
            first_compat,
            limits: config.limits.clone(),
            slow: config.slow,
            cores,
        }
    }

    /// The handler of a core, with its shard.
    pub(crate) fn handler(&self, index: usize) -> Front<StorageService> {
        let shard = self.shards.lock().unwrap_or_else(PoisonError::into_inner)[index].take();
        let shard = shard.expect("each core begins once");
        let looking = (index == 0).then(|| Arc::clone(&self.keeper));
        let (namespaces, info) = (Arc::clone(&self.namespaces), Arc::clone(&self.info));
        let mut core = Core::new(shard, namespaces, looking, info, self.cores);
        if let Some(backup) = self.last_backup.filter(|_| index == 0) {
            core.set_last_backup(backup);
        }
        let service = StorageService::new(core, self.identity.clone(), self.cores);
        let legacy = Box::new(Legacy::new(self.dialect));
        let front = Front::new(service, self.limits.clone()).keeping_slow(self.slow);
        front.with_translator(legacy, self.first_compat, Arc::clone(&self.loads))
    }
}
