//! From a configuration to a running master, and its orderly end.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sutra_net::{Identity, Loads, Net, listen};
use sutra_runtime::{Config, ListenerId, Running, StartError, available_cpus};
use sutra_store::{OpenManifest, OpenOptions, OpenReport, Store};
use sutra_wire::Durability;

use super::config::MasterConfig;
use super::error::MasterError;
use super::errands::Errands;
use super::legacy::GridLegacy;
use super::records::restore;
use super::registry::{Ages, Registry};
use super::service::{MasterService, Ticket, moment};

/// Small: a registry of thousands of nodes fits one segment, and a start zero-fills little.
const SEGMENT_BYTES: u64 = 16 << 20;

/// A running master.
pub struct Master {
    running: Running,
    manifest: Arc<OpenManifest>,
    report: StartReport,
}

/// What a start found and set up.
#[derive(Clone, Debug)]
pub struct StartReport {
    /// Where it listens.
    pub listening: Vec<SocketAddr>,
    /// Where else, for those who know the old port.
    pub compat: Vec<SocketAddr>,
    /// The data folder.
    pub data: PathBuf,
    /// Agents that it knows from before.
    pub agents: u32,
    /// Their nodes.
    pub nodes: u32,
    /// What recovery read.
    pub recovery: OpenReport,
}

impl fmt::Display for StartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        writeln!(f, "listening   {}", list(&self.listening))?;
        if !self.compat.is_empty() {
            writeln!(f, "compat      {} (bincode agents and consoles of the old grid)", list(&self.compat))?;
        }
        writeln!(f, "data        {}", self.data.display())?;
        writeln!(f, "known       {} agents, {} storage nodes", self.agents, self.nodes)?;
        write!(f, "recovered   {}", self.recovery)
    }
}

/// Opens the registry, reads it back and serves it. Returns when agents and clients can connect.
///
/// # Errors
/// A wrong setting, an address in use, a folder in use by another master, damaged or foreign.
pub fn start(config: MasterConfig) -> Result<Master, MasterError> {
    config.check()?;
    let all: Vec<SocketAddr> = config.listen.iter().chain(&config.compat).copied().collect();
    for (at, address) in all.iter().enumerate() {
        if address.port() != 0 && all[..at].contains(address) {
            return Err(MasterError::ListenTwice { address: *address });
        }
    }
    let cpus = cpus(config.cpu)?;
    let native = open_ports(&config.listen)?;
    let compat = open_ports(&config.compat).map_err(|error| match error {
        MasterError::Listen(error) => MasterError::Compat(error),
        other => other,
    })?;
    let (listening, compat_listening) = (addresses(&native), addresses(&compat));

    let mut opened = Store::open(
        &config.data,
        OpenOptions {
            cores: 1,
            durability: Durability::Always,
            segment_bytes: SEGMENT_BYTES,
            id_rule: None,
            listening: listening.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        },
    )?;
    let shard = opened.shards.pop().expect("a store of one core has one shard");
    let started = moment(Instant::now());
    let mut registry = Registry::new(Ages { degraded: config.degraded_after, offline: config.offline_after });
    restore::<Ticket>(&shard, &mut registry, started)?;
    let known = registry.cluster();
    let report = StartReport {
        listening,
        compat: compat_listening,
        data: config.data.clone(),
        agents: known.agents,
        nodes: known.nodes,
        recovery: opened.report,
    };
    let identity = Identity { store: opened.store_id, started: opened.started, durability: Durability::Always };
    let manifest = Arc::clone(&opened.manifest);
    let listeners: Vec<_> = native.into_iter().chain(compat).collect();
    // What the core's thread takes when it builds its part.
    let parts = Mutex::new(Some((shard, registry, listeners)));
    let runtime = Config { cpus, pin: config.cpu.is_some(), ..Config::default() };
    let running = sutra_runtime::start(runtime, move |_, core| {
        let parts = parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (shard, registry, listeners) = parts.expect("the one core is built once");
        for (id, listener) in listeners {
            core.listen(listener, id).map_err(MasterError::Runtime)?;
        }
        let errands = Errands::start(sutra_net::Postbox::of(core)).map_err(MasterError::Errands)?;
        let service =
            MasterService::new(registry, shard, errands, identity.clone(), started, config.clone());
        let net = Net::new(service, config.limits.clone());
        let net = net.with_translator(Box::new(GridLegacy), Arc::new(Loads::new(1)));
        Ok::<_, MasterError>(net.speaking_either())
    })
    .map_err(|error| match error {
        StartError::Runtime(error) => MasterError::Runtime(error),
        StartError::Handler { error, .. } => error,
    })?;
    Ok(Master { running, manifest, report })
}

fn cpus(wanted: Option<usize>) -> Result<Vec<usize>, MasterError> {
    let available = available_cpus();
    match wanted {
        None => Ok(available.into_iter().take(1).collect()),
        Some(cpu) if available.contains(&cpu) => Ok(vec![cpu]),
        Some(wanted) => {
            let available = available.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            Err(MasterError::Core { wanted, available })
        }
    }
}

/// All ports are the native listener's kind: it takes whichever protocol comes.
fn open_ports(all: &[SocketAddr]) -> Result<Vec<(ListenerId, TcpListener)>, MasterError> {
    let mut ports = Vec::new();
    for address in all {
        for listener in listen(*address, 1)? {
            ports.push((ListenerId(0), listener));
        }
    }
    Ok(ports)
}

fn addresses(ports: &[(ListenerId, TcpListener)]) -> Vec<SocketAddr> {
    ports.iter().filter_map(|(_, listener)| listener.local_addr().ok()).collect()
}

impl Master {
    /// Where it listens.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.report.listening
    }

    /// What the start found and set up.
    pub fn report(&self) -> &StartReport {
        &self.report
    }

    /// Asks it to stop: accepts nothing more, finishes what was received. Returns at once.
    pub fn shutdown(&self) {
        self.running.shutdown();
    }

    /// The same as [`Master::shutdown`], to be kept where signals are handled.
    pub fn stopper(&self) -> impl Fn() + Clone + Send + Sync + 'static {
        self.running.stopper()
    }

    /// Waits until it has stopped, and notes in the registry's log where it did.
    ///
    /// # Errors
    /// What ended it before its time.
    pub fn wait(self) -> Result<(), MasterError> {
        self.running.join().map_err(MasterError::from)?;
        Ok(self.manifest.close()?)
    }
}
