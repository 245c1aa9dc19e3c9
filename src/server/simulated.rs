//! A server on the cores of a simulation: the same service on the same shards, with a disk, a clock
//! and clients of the caller's own.

use std::sync::Arc;

use sutra_runtime::{
    ListenerId, RuntimeError, SimulatedConfig, SimulatedCores, Simulation, StartError, VirtualClock,
};
use sutra_store::{Clock, Disk, Keeper, OpenOptions, OpenReport, Store};

use crate::config::ServerConfig;
use crate::core::mailbox::MAILBOX;
use crate::crew::Crew;
use crate::error::ServerError;
use crate::report::{ServerInfo, StartReport};
use crate::trust::Trust;

/// The listener of native clients, at every core of a simulated server.
pub const NATIVE: ListenerId = ListenerId(0);
/// The listener of clients of the old protocol, likewise.
pub const COMPAT: ListenerId = ListenerId(1);

/// A server on the cores of a simulation.
pub struct SimulatedServer {
    world: Box<dyn Simulation>,
    keeper: Arc<Keeper>,
    recovery: OpenReport,
}

impl SimulatedServer {
    /// Opens the store on a disk and by a clock, and makes the cores that serve it. Of `config` it
    /// takes the durability, the limits, the segments' size and what concerns ids. `mailbox`: how
    /// many messages a mailbox between two cores holds, at most as many as a server's.
    ///
    /// # Errors
    /// The store can't be opened.
    pub fn start(
        config: &ServerConfig,
        cores: usize,
        mailbox: usize,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        time: &VirtualClock,
    ) -> Result<Self, ServerError> {
        let options = OpenOptions {
            cores,
            durability: config.durability,
            segment_bytes: config.segment_bytes,
            id_rule: config.id_rule,
            listening: String::new(),
        };
        let data = disk.folder().to_owned();
        let opened = Store::open_on(disk, clock, &options)?;
        let recovery = opened.report.clone();
        let report = StartReport {
            listening: Vec::new(),
            compat: Vec::new(),
            admin: None,
            cpus: Vec::new(),
            allowed: Vec::new(),
            pinned: false,
            durability: config.durability,
            id_rule: opened.id_rule,
            write_path: opened
                .shards
                .first()
                .map(sutra_store::Shard::write_path)
                .unwrap_or_default(),
            data,
            recovery: recovery.clone(),
            read_only: None,
        };
        let info = Arc::new(ServerInfo::new(&report, time.now(), Trust::default()));
        let keeper = Arc::clone(&opened.keeper);
        let crew = Crew::new(config, opened, COMPAT, &info);
        let simulated = SimulatedConfig { cores, mailbox: mailbox.clamp(1, MAILBOX) };
        let world = SimulatedCores::start(&simulated, time.clone(), |index, _| {
            Ok::<_, RuntimeError>(crew.handler(index))
        });
        let world = world.map_err(|error| match error {
            StartError::Runtime(error) | StartError::Handler { error, .. } => error,
        })?;
        Ok(Self { world: Box::new(world), keeper, recovery })
    }

    /// What the start found.
    pub fn recovery(&self) -> &OpenReport {
        &self.recovery
    }

    /// The cores, and everything that can happen to them.
    pub fn world(&mut self) -> &mut dyn Simulation {
        &mut *self.world
    }

    /// Ends in the middle of everything, as by kill -9 or a power cut.
    pub fn interrupt(self) {
        self.world.interrupt();
    }

    /// The last step of a clean stop, when the cores are over: notes in the store where it did.
    ///
    /// # Errors
    /// The disk refused.
    pub fn close(self) -> Result<(), ServerError> {
        let Self { world, keeper, .. } = self;
        drop(world);
        Ok(keeper.close()?)
    }
}
