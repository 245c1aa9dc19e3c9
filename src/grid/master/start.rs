//! From a configuration to a running master, and its orderly end.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sutra_net::{Front, Identity, ListenError, Loads, first_overlap, listen};
use sutra_runtime::{Config, ListenerId, Pulse, Running, RuntimeError, StartError, allowed_cpus};
use sutra_store::{Keeper, NamespaceId, OpenOptions, Opened, Shard, Store, StoreError};
use sutra_wire::grid::AgentRegistered;
use sutra_wire::{Checked, ConceptId, ConceptRecord, Durability};

use crate::answer::Answer;
use crate::api;
use crate::config::MasterConfig;
use crate::core::{MasterCore, wall_clock};
use crate::error::MasterError;
use crate::forward;
use crate::journal::Journal;
use crate::legacy::GridLegacy;
use crate::message::{Home, Message, post};
use crate::proving;
use crate::records::{self, Known, Unreadable};
use crate::registry::{Moment, Patience, Registry};
use crate::service::{MasterService, Setup};
use crate::start_report::StartReport;
use crate::summary::MasterSource;
use sutra_admin::{self as admin, Admin};

/// Messages between cores: there is one core, which sends itself none.
const MAILBOX: usize = 16;
/// Addresses to listen on: far more than a host has reasons for.
const MOST_PORTS: usize = 64;
/// Ids that are read back at a time.
const PAGE: u32 = 1024;
/// Descriptors that connections leave free: for the next segment and manifest, and for what is
/// asked of agents.
const RESERVED_FILES: u64 = 32;

/// A running master.
pub struct Master {
    running: Running,
    /// The threads that speak to agents.
    threads: [JoinHandle<()>; 2],
    admin: Option<Admin>,
    manifest: Arc<Keeper>,
    report: StartReport,
}

/// Opens the registry's log, reads it back, and serves it. Returns when agents can connect.
///
/// # Errors
/// A setting that can't be, an address that can't be had, a data folder that is in use, damaged, or
/// a storage server's.
pub fn start(config: MasterConfig) -> Result<Master, MasterError> {
    check_times(&config)?;
    let cpus = choose_cpu(config.cpu)?;
    // Addresses first, so that a port in use is reported before anything is read.
    let (ports, listening, compat) = open_ports(&config)?;
    let admin_listener = config.admin.map(admin::bind).transpose()?;

    let opened = open_log(&config, &listening)?;
    let shard = opened.shards.into_iter().next().expect("a store of one core has one shard");
    let patience =
        Patience { degraded_after: config.degraded_after, offline_after: config.offline_after };
    let (registry, starts) = read_back(&shard, patience, &config)?;

    let home: Home = Arc::new(OnceLock::new());
    let no_thread = |source| MasterError::Thread { source };
    let (done, answered) = (Arc::clone(&home), Arc::clone(&home));
    let (errands, errand_thread) =
        forward::start(move |errand| post(&done, Message::Done(errand))).map_err(no_thread)?;
    let (proofs, proof_thread) =
        proving::start(move |number, answer| post(&answered, Message::Answered { number, answer }))
            .map_err(no_thread)?;
    let admin = admin_listener
        .map(|listener| {
            let reached = admin::reached_at(&listener);
            let source = MasterSource::new(Arc::clone(&home), config.data.clone(), reached);
            let source = Arc::new(source);
            let routes = api::routes(&source);
            admin::start(listener, source, routes)
        })
        .transpose()?;
    let report = StartReport {
        listening,
        compat,
        admin: admin.as_ref().map(Admin::address),
        data: config.data.clone(),
        cpu: config.cpu,
        degraded_after: config.degraded_after,
        offline_after: config.offline_after,
        agents: registry.agents(),
        nodes: registry.nodes(),
        recovery: opened.report,
    };
    let setup = Setup {
        identity: Identity {
            store: opened.store_id,
            started: opened.started,
            durability: Durability::Always,
        },
        core: MasterCore::new(
            terms(&config),
            registry,
            Journal::new(shard, Arc::clone(&opened.keeper)),
            starts + 1,
        ),
        errands,
        proofs,
        home,
        starts: starts + 1,
    };

    Ok(Master {
        running: serve(config, cpus, setup, ports)?,
        threads: [errand_thread, proof_thread],
        admin,
        manifest: opened.keeper,
        report,
    })
}

fn check_times(config: &MasterConfig) -> Result<(), MasterError> {
    let MasterConfig { degraded_after, offline_after, heartbeat, .. } = config;
    if *heartbeat < Duration::from_millis(20) {
        return Err(MasterError::Times(format!(
            "a heartbeat every {heartbeat:?} is too often; take 20 ms or more"
        )));
    }
    if heartbeat >= degraded_after || degraded_after >= offline_after {
        return Err(MasterError::Times(format!(
            "an agent that sends a heartbeat every {heartbeat:?}, is degraded \
             after {degraded_after:?} and offline after {offline_after:?} would never be well: \
             each of these has to be longer than the one before"
        )));
    }
    Ok(())
}

fn terms(config: &MasterConfig) -> AgentRegistered {
    let milliseconds = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    AgentRegistered {
        master_version: env!("CARGO_PKG_VERSION").into(),
        heartbeat_ms: milliseconds(config.heartbeat),
        degraded_after_ms: milliseconds(config.degraded_after),
        offline_after_ms: milliseconds(config.offline_after),
    }
}

fn choose_cpu(wanted: Option<usize>) -> Result<Vec<usize>, MasterError> {
    let available = allowed_cpus();
    match wanted {
        Some(cpu) if available.contains(&cpu) => Ok(vec![cpu]),
        Some(wanted) => {
            let available = available.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            Err(MasterError::Cpu { wanted, available })
        }
        None => Ok(available.into_iter().take(1).collect()),
    }
}

/// Listeners with their numbers.
type Listeners = Vec<(ListenerId, TcpListener)>;
/// Listeners, and where they listen: natively, and for old clients.
type Ports = (Listeners, Vec<SocketAddr>, Vec<SocketAddr>);

fn open_ports(config: &MasterConfig) -> Result<Ports, MasterError> {
    let all: Vec<SocketAddr> = config.listen.iter().chain(&config.compat).copied().collect();
    if all.is_empty() || all.len() > MOST_PORTS {
        return Err(MasterError::Ports { count: all.len(), most: MOST_PORTS });
    }
    if let Some((address, earlier)) = first_overlap(&all) {
        return Err(MasterError::ListenTwice { address, earlier });
    }
    // None is numbered as a translator's own port: the first bytes of each connection tell what it
    // speaks. So native clients are served on the compat port, too.
    let mut id = 0;
    let mut open = |addresses: &[SocketAddr]| -> Result<Listeners, ListenError> {
        let mut ports = Vec::with_capacity(addresses.len());
        for address in addresses {
            ports.push((ListenerId(id), listen(*address, 1)?.remove(0)));
            id += 1;
        }
        Ok(ports)
    };
    let bound = |ports: &[(ListenerId, TcpListener)]| -> Vec<SocketAddr> {
        ports.iter().filter_map(|(_, listener)| listener.local_addr().ok()).collect()
    };
    let mut ports = open(&config.listen)?;
    let compat = open(&config.compat).map_err(MasterError::Compat)?;
    let (listening, compat_listening) = (bound(&ports), bound(&compat));
    ports.extend(compat);
    Ok((ports, listening, compat_listening))
}

fn open_log(
    config: &MasterConfig,
    listening: &[SocketAddr],
) -> Result<Opened<Option<Answer>>, StoreError> {
    let options = OpenOptions {
        cores: 1,
        durability: Durability::Always,
        segment_bytes: config.segment_bytes,
        id_rule: None,
        listening: listening.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    Store::open(&config.data, options)
}

/// Reads the registry from the log, and how often a master has started on it.
fn read_back(
    shard: &Shard<Option<Answer>>,
    patience: Patience,
    config: &MasterConfig,
) -> Result<(Registry, u64), MasterError> {
    let at = Moment { now: Instant::now(), wall: wall_clock() };
    let (mut registry, mut starts, mut nodes) = (Registry::new(patience), 0, Vec::new());
    let (mut ids, mut from) = (Vec::new(), Some(0));
    while let Some(next) = from {
        ids.clear();
        from = shard.concepts(NamespaceId::DEFAULT, next, PAGE, &mut ids);
        for id in &ids {
            let Some(stored) = shard.concept(NamespaceId::DEFAULT, &ConceptId(*id)) else {
                continue;
            };
            let record =
                Checked::<ConceptRecord>::new(&stored).expect("the log holds what was validated");
            match records::read(&record.name, &record.content) {
                Ok(Known::Starts(count)) => starts = count,
                Ok(Known::Agent { agent_id, facts }) => registry.restore_agent(agent_id, facts, at),
                Ok(Known::Node { agent_id, report, claim }) => {
                    nodes.push((agent_id, report, claim));
                }
                Err(unreadable) => return Err(unreadable_record(config, &record.name, unreadable)),
            }
        }
    }
    for (agent_id, report, claim) in nodes {
        let node_id = report.node_id.clone();
        if !registry.restore_node(agent_id, report, claim, at) {
            // The last commit before a crash may hold the first part of an agent's leave.
            tracing::info!(node_id, "a node whose agent has left is forgotten");
        }
    }
    Ok((registry, starts))
}

/// Starts the core, which listens and answers.
fn serve(
    config: MasterConfig,
    cpus: Vec<usize>,
    setup: Setup,
    listeners: Listeners,
) -> Result<Running, RuntimeError> {
    let pin = config.cpu.is_some();
    let runtime =
        Config { cpus, pin, mailbox: MAILBOX, reserved_files: RESERVED_FILES, ..Config::default() };
    let (loads, limits) = (Arc::new(Loads::new(1)), config.limits);
    let setup = Mutex::new(Some((setup, listeners)));
    sutra_runtime::start(runtime, move |_, core| {
        let taken = setup.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (setup, listeners) = taken.expect("there is one core, which is built once");
        for (id, listener) in listeners {
            core.listen(listener, id)?;
        }
        let front = Front::new(MasterService::new(setup), limits.clone());
        Ok::<_, RuntimeError>(front.speaking_either(Box::new(GridLegacy), Arc::clone(&loads)))
    })
    .map_err(|error| match error {
        StartError::Runtime(error) | StartError::Handler { error, .. } => error,
    })
}

fn unreadable_record(config: &MasterConfig, name: &str, unreadable: Unreadable) -> MasterError {
    let (problem, cure) = match unreadable {
        Unreadable::Foreign => (
            "it is none of a grid's master; does a storage server keep its data there?".to_owned(),
            "give the master a folder of its own with --data",
        ),
        Unreadable::Damaged(problem) => {
            (problem, "start it with the version that wrote it, or put back the folder as it was")
        }
    };
    MasterError::Record { folder: config.data.clone(), name: name.to_owned(), problem, cure }
}

impl Master {
    /// Where it listens for native clients.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.report.listening
    }

    /// Where it listens for the old grid's clients.
    pub fn compat(&self) -> &[SocketAddr] {
        &self.report.compat
    }

    /// What the start found and set up.
    pub fn report(&self) -> &StartReport {
        &self.report
    }

    /// Whether its core turns, for a thread that is none of its own.
    pub fn pulse(&self) -> Pulse {
        self.running.pulse()
    }

    /// Asks it to stop: accepts nothing more, finishes what was received, tells those who watch.
    /// Returns at once.
    pub fn shutdown(&self) {
        self.running.shutdown();
    }

    /// The same as [`Master::shutdown`], to be kept where signals are handled.
    pub fn stopper(&self) -> impl Fn() + Clone + Send + Sync + 'static {
        self.running.stopper()
    }

    /// Waits until it has stopped, and notes in the log where it did.
    ///
    /// # Errors
    /// What ended it before its time, or what the disk refused.
    ///
    /// # Panics
    /// Where one of its threads panicked.
    pub fn wait(self) -> Result<(), MasterError> {
        self.running.join()?;
        drop(self.admin);
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        Ok(self.manifest.close()?)
    }
}
