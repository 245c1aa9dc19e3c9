//! From a configuration to a running server, and its orderly end.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sutra_admin::Admin;
use sutra_net::{ListenError, Postbox, first_overlap, inherit, listen};
use sutra_runtime::{
    Config, Cores, Listener, ListenerId, Placement, Pulse, Running, RuntimeError, StartError,
    allowed_cpus, cpu_quota,
};
use sutra_store::{Keeper, OpenOptions, Opened, Store, StoreError, stored_cores};

use crate::admin::{self, RunningCores, ServerSource};
use crate::config::ServerConfig;
use crate::core::mailbox::MAILBOX;
use crate::core::message::{Message, WriteTicket};
use crate::crew::Crew;
use crate::error::ServerError;
use crate::imports::ImportRecord;
use crate::inherited::{self, Inherited};
use crate::report::{ServerInfo, StartReport};

/// The listeners of one address, one a core.
type Port = (ListenerId, Vec<Listener>);

/// The way to each core, once that has begun.
type Postboxes = Arc<Mutex<Vec<Option<Postbox<Message>>>>>;

/// Addresses to listen on: far more than a host has reasons for.
const MOST_PORTS: usize = 64;
/// Open files that a server needs whatever its size: the standard streams, the lock, the manifest,
/// and some for connections.
const FILES: u64 = 32;
/// Open files that a core needs: its two rings, its bells, listeners, folder and log segments, and
/// some to spare.
const FILES_PER_CORE: u64 = 20;
/// Open files that connections leave free for what is opened later: the next manifest, and for each
/// core its next segment and checkpoint.
const RESERVED: u64 = 8;
const RESERVED_PER_CORE: u64 = 6;

/// A running server.
pub struct Server {
    running: Running,
    admin: Option<Admin>,
    manifest: Arc<Keeper>,
    report: StartReport,
    /// Its CPUs are its own for as long as it runs.
    _placement: Placement,
}

/// Opens the store, recovers it, and serves it. Returns when clients can connect.
pub fn start(config: ServerConfig) -> Result<Server, ServerError> {
    start_on(config, Inherited::default())
}

/// The same, on sockets that the service manager has opened.
pub fn start_on(config: ServerConfig, sockets: Inherited) -> Result<Server, ServerError> {
    let started_at = Instant::now();
    let files = allow_all_files();
    let allowed = allowed_cpus();
    let (placement, pinned) = choose_cpus(&config, &allowed, cpu_quota())?;
    let cores = placement.cpus.len();
    let needed = files_needed(cores);
    if let Some(limit) = files.filter(|limit| *limit < needed) {
        return Err(ServerError::FileLimit { limit, cores, needed });
    }
    // Addresses first: a port in use should be said before a long recovery, not after it.
    let ports = Ports::open(&config, sockets, cores)?;
    let seen = Arc::new(OnceLock::new());
    let source = Arc::new(ServerSource::new(Arc::clone(&seen), started_at));
    let routes = admin::routes(&source).with(config.api.clone());
    let admin = config.admin.map(sutra_admin::bind).transpose()?;
    let admin = admin.map(|listener| sutra_admin::start(listener, source, routes)).transpose()?;
    let options = OpenOptions {
        cores,
        durability: config.durability,
        segment_bytes: config.segment_bytes,
        id_rule: config.id_rule,
        listening: ports.native.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let opened =
        Store::open(&config.data, options).map_err(|error| explained(error, pinned, &allowed))?;
    let report = StartReport {
        listening: ports.native.clone(),
        compat: ports.compat.clone(),
        admin: admin.as_ref().map(Admin::address),
        pinned,
        allowed,
        durability: config.durability,
        write_path: opened.shards.first().map(sutra_store::Shard::write_path).unwrap_or_default(),
        data: config.data.clone(),
        recovery: opened.report.clone(),
        cpus: placement.cpus.clone(),
    };
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let started = since_1970.saturating_sub(started_at.elapsed());
    let info = Arc::new(ServerInfo::new(&report, started_at, started));
    let manifest = Arc::clone(&opened.keeper);
    let postboxes = Arc::new(Mutex::new(vec![None; cores]));
    let running = run_cores(&config, &placement, pinned, ports, opened, &info, &postboxes)?;
    let postboxes = std::mem::take(&mut *postboxes.lock().unwrap_or_else(PoisonError::into_inner));
    let postboxes = postboxes.into_iter().flatten().collect();
    // Set once, here.
    let _ = seen.set(RunningCores { postboxes, info });
    Ok(Server { running, admin, manifest, report, _placement: placement })
}

/// The listeners of a server, all open.
struct Ports {
    /// By address, one a core.
    listeners: Vec<Port>,
    /// From this number on they are of the old protocol.
    first_compat: ListenerId,
    /// Where they listen.
    native: Vec<SocketAddr>,
    compat: Vec<SocketAddr>,
}

impl Ports {
    fn open(config: &ServerConfig, sockets: Inherited, cores: usize) -> Result<Self, ServerError> {
        let (native, compat) =
            (wanted(&config.listen, &sockets.native), wanted(&config.compat, &sockets.compat));
        let all = [native.as_slice(), &compat].concat();
        if native.is_empty() || all.len() > MOST_PORTS {
            return Err(ServerError::Ports { count: all.len(), most: MOST_PORTS });
        }
        if let Some((address, earlier)) = first_overlap(&all) {
            return Err(ServerError::ListenTwice { address, earlier });
        }
        let mut listeners = open_ports(&native, sockets.native, cores, 0)?;
        let first_compat = u8::try_from(listeners.len()).expect("MOST_PORTS at most");
        let compat = open_ports(&compat, sockets.compat, cores, first_compat)
            .map_err(ServerError::Compat)?;
        let (native, compat_addresses) = (addresses(&listeners), addresses(&compat));
        listeners.extend(compat);
        Ok(Self {
            listeners,
            first_compat: ListenerId(first_compat),
            native,
            compat: compat_addresses,
        })
    }
}

/// Starts the cores' threads, each with its shard and its listeners.
fn run_cores(
    config: &ServerConfig,
    placement: &Placement,
    pinned: bool,
    ports: Ports,
    opened: Opened<WriteTicket>,
    info: &Arc<ServerInfo>,
    postboxes: &Postboxes,
) -> Result<Running, ServerError> {
    let cores = placement.cpus.len();
    // What each core's thread takes when it begins.
    let mut by_core: Vec<Vec<_>> = (0..cores).map(|_| Vec::new()).collect();
    for (id, listeners) in ports.listeners {
        for (taken, listener) in by_core.iter_mut().zip(listeners) {
            taken.push((id, listener));
        }
    }
    let by_core = Mutex::new(by_core);
    let crew = Crew::new(config, opened, ports.first_compat, info);
    let runtime = Config {
        cpus: placement.cpus.clone(),
        pin: pinned,
        spin: config.spin,
        mailbox: MAILBOX,
        reserved_files: RESERVED + RESERVED_PER_CORE * cores as u64,
        ..Config::default()
    };
    let postboxes = Arc::clone(postboxes);
    let running = sutra_runtime::start(runtime, move |index, core| {
        postboxes.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(Postbox::of(core));
        let listeners =
            std::mem::take(&mut by_core.lock().unwrap_or_else(PoisonError::into_inner)[index]);
        for (id, listener) in listeners {
            core.listen(listener, id)?;
        }
        Ok::<_, RuntimeError>(crew.handler(index))
    });
    running.map_err(|error| match error {
        StartError::Runtime(error) | StartError::Handler { error, .. } => error.into(),
    })
}

/// Where a port is to listen: where the sockets do that were handed over for it, or else where the
/// settings say.
fn wanted(configured: &[SocketAddr], sockets: &[TcpListener]) -> Vec<SocketAddr> {
    if sockets.is_empty() { configured.to_vec() } else { inherited::addresses(sockets) }
}

/// Takes the sockets that were handed over, or opens a listener a core on each address; numbered
/// from `first` on.
fn open_ports(
    addresses: &[SocketAddr],
    sockets: Vec<TcpListener>,
    cores: usize,
    first: u8,
) -> Result<Vec<Port>, ListenError> {
    let own = |address: &SocketAddr| -> Result<Vec<Listener>, ListenError> {
        Ok(listen(*address, cores)?.into_iter().map(Listener::from).collect())
    };
    let all = if sockets.is_empty() {
        addresses.iter().map(own).collect::<Result<Vec<_>, _>>()?
    } else {
        let taken = sockets.into_iter().map(|socket| inherit(socket, cores));
        taken.collect::<Result<Vec<_>, _>>()?
    };
    Ok((first..).map(ListenerId).zip(all).collect())
}

/// Where they listen: with the ports that the system chose where it was asked to.
fn addresses(ports: &[Port]) -> Vec<SocketAddr> {
    ports.iter().filter_map(|(_, listeners)| listeners.first()?.local_addr().ok()).collect()
}

/// Raises the soft limit on open files, which many hosts set to 1,024 for programs that use
/// select(2), to the hard one: every connection is a file. Returns how many files that allows;
/// `None` for no limit.
pub fn allow_all_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    // Refused only if another thread lowered the hard limit just now; then the soft one stays as it
    // is.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok();
    if raised { limit.maximum } else { limit.current }
}

/// Open files that a server of so many cores needs, its connections not counted.
pub fn files_needed(cores: usize) -> u64 {
    FILES + FILES_PER_CORE * cores as u64
}

/// The CPU of each core, and whether its thread stays there. Unpinned cores may outnumber the CPUs:
/// they share them.
fn choose_cpus(
    config: &ServerConfig,
    allowed: &[usize],
    quota: Option<usize>,
) -> Result<(Placement, bool), ServerError> {
    let paid = quota.map_or(allowed.len(), |quota| quota.min(allowed.len()));
    let (count, is_asked) = match &config.cores {
        Cores::List(list) if !list.iter().all(|cpu| allowed.contains(cpu)) => {
            return Err(ServerError::Cores { wanted: listed(list), available: listed(allowed) });
        }
        Cores::List(list) if config.pin => {
            return Ok((marked(Placement::of(list), quota), true));
        }
        Cores::List(list) => return Ok((Placement::unpinned(list.clone()), false)),
        Cores::Count(count) => (*count, true),
        // What a store was made for it can be served with on any host.
        Cores::All => (stored_cores(&config.data).unwrap_or(paid), false),
    };
    if config.pin && count > allowed.len() && is_asked {
        return Err(ServerError::TooManyCores { wanted: count, available: listed(allowed) });
    }
    if config.pin && count <= allowed.len() {
        return Ok((
            marked(Placement::least_used(allowed, count, paid < allowed.len()), quota),
            true,
        ));
    }
    if config.pin {
        let cpus = listed(allowed);
        tracing::warn!(
            cores = count,
            cpus,
            "the store was made for more cores than there are CPUs: not pinned"
        );
    }
    Ok((Placement::unpinned(allowed.iter().copied().cycle().take(count).collect()), false))
}

/// Says what may be in the way of these CPUs.
fn marked(placement: Placement, quota: Option<usize>) -> Placement {
    let cpus = listed(&placement.cpus);
    if !placement.shared.is_empty() {
        let shared = listed(&placement.shared);
        tracing::warn!(
            cpus,
            shared,
            "another server is pinned to CPUs of this one; --cores names others"
        );
    }
    if let Some(quota) = quota.filter(|quota| *quota < placement.cpus.len()) {
        tracing::warn!(
            cpus,
            quota,
            "the CPU quota pays for fewer CPUs: threads will be held; try --no-pin"
        );
    }
    placement
}

/// The list as `--cores` reads it.
fn listed(cpus: &[usize]) -> String {
    let text = cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if cpus.len() == 1 { text + "," } else { text }
}

/// Another number of cores than the store's is refused with words that work here.
fn explained(error: StoreError, pinned: bool, allowed: &[usize]) -> ServerError {
    match error {
        StoreError::Cores { stored, .. } => {
            let no_pin = if pinned && stored > allowed.len() { " --no-pin" } else { "" };
            ServerError::StoredCores { flags: format!("--cores {stored}{no_pin}"), source: error }
        }
        error => error.into(),
    }
}

impl Server {
    /// Where it listens.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.report.listening
    }

    /// What the start found and set up.
    pub fn report(&self) -> &StartReport {
        &self.report
    }

    /// What its store remembers of the files that were imported into it at starts.
    pub fn imports(&self) -> ImportRecord {
        ImportRecord::new(Arc::clone(&self.manifest))
    }

    /// Whether its cores turn, for a thread that is none of them.
    pub fn pulse(&self) -> Pulse {
        self.running.pulse()
    }

    /// Asks it to stop: accepts nothing more, finishes what was received, commits. Returns at once.
    pub fn shutdown(&self) {
        self.running.shutdown();
    }

    /// The same as [`Server::shutdown`], to be kept where signals are handled.
    pub fn stopper(&self) -> impl Fn() + Clone + Send + Sync + 'static {
        self.running.stopper()
    }

    /// Waits until it has stopped, and notes in the store where it did.
    pub fn wait(self) -> Result<(), ServerError> {
        self.running.join()?;
        drop(self.admin);
        Ok(self.manifest.close()?)
    }
}
