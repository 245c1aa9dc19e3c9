//! From a configuration to a running server, and its end: in order, or by a server that follows.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use sutra_admin::Admin;
use sutra_net::{Passed, Postbox};
use sutra_runtime::{Listener, Pulse, Running};
use sutra_store::{
    Ahead, Finding, Keeper, OpenOptions, Opened, Severity, Store, open_read_only, stored_cores,
};

use crate::admin::{self, RunningCores, ServerSource};
use crate::config::ServerConfig;
use crate::core::message::{Message, WriteTicket};
use crate::cores::{Cores, Served};
use crate::cpus::Seats;
use crate::error::ServerError;
use crate::files::allow_enough;
use crate::imports::ImportRecord;
use crate::inherited::Inherited;
use crate::ports::{PortFacts, Ports, Spoken};
use crate::report::{ServerInfo, StartReport};
use crate::takeover::{AdminFacts, Departing, Door, Estate, Left, Predecessor, Profile};
use crate::trust::Trust;

/// A running server.
pub struct Server {
    running: Running,
    admin: Option<Admin>,
    manifest: Arc<Keeper>,
    report: StartReport,
    seats: Seats,
    /// When the service started, by the first of those that took over since.
    started: Instant,
    config: ServerConfig,
    ports: Vec<PortFacts>,
    cores: Vec<Postbox<Message>>,
    /// Where a server that follows comes in; `None` where the system refuses that.
    door: Option<Door>,
    /// Whether it was asked to stop.
    is_stopping: Arc<AtomicBool>,
    /// The server before this one, until it has left.
    departing: Option<Departing>,
    /// What is known of its files.
    trust: Arc<Trust>,
}

/// How long a server's connections may be silent.
pub struct IdleTimeout(Vec<Postbox<Message>>);

impl IdleTimeout {
    /// From here on so long, and for ever where it is `None`.
    pub fn set(&self, timeout: Option<Duration>) {
        self.0.iter().for_each(|core| core.set_idle_timeout(timeout));
    }
}

/// How a server ended.
pub enum End {
    /// It was asked to, and everything is stored.
    Stopped,
    /// This process follows, and serves already.
    TakenOver(Following),
    /// One was to follow and could not. The server goes on in this process, with the same
    /// connections.
    Back(Box<Server>),
}

/// A process that has taken over. It waits until this is dropped before it counts itself as the one
/// that the service manager looks after.
pub struct Following {
    /// Which.
    pub pid: u32,
    _left: Left,
}

/// Opens the store, recovers it, and serves it. Returns when clients can connect.
pub fn start(config: ServerConfig) -> Result<Server, ServerError> {
    start_on(config, Inherited::default())
}

/// The same, on sockets that the service manager has opened.
pub fn start_on(config: ServerConfig, sockets: Inherited) -> Result<Server, ServerError> {
    let started = Instant::now();
    let seats = Seats::choose(&config)?;
    allow_enough(seats.cores())?;
    // Addresses first: a port in use should be said before a long recovery, not after it.
    let ports = Ports::open(&config, sockets, &[], seats.cores())?;
    let mut new = Starting::new(config, seats, started);
    new.serve_admin(None)?;
    let cores = new.prepare()?;
    let opened = new.open(&ports)?;
    new.serve(cores, opened, ports, Vec::new(), Vec::new(), || {})
}

/// Takes over from the server of the same folder: its sockets, its folder and its connections.
/// Returns when clients are served from here.
///
/// # Errors
/// As [`start`]; also where no server runs, or it can't be taken over. It goes on, as if nothing
/// had been asked of it; or, where most of this was done already, after the time that it takes to
/// read its store again.
///
/// `serving` is called when nothing can fail any more, before anything is received.
pub fn take_over(config: ServerConfig, serving: impl FnOnce()) -> Result<Server, ServerError> {
    let predecessor = Predecessor::find(&config)?;
    let mut departing = None;
    let taken = take_over_from(&predecessor, config).and_then(|ready| {
        let Ready { new, cores, ports, ahead, estate } = ready;
        let opened = ahead.open(&ports.listed()).map_err(|error| new.seats.explained(error))?;
        let opened = Openable { opened, read_only: None };
        let begin = || {
            departing = Some(predecessor.serving());
            serving();
        };
        new.serve(cores, opened, ports, estate.listeners, estate.connections, begin)
    });
    let mut server = taken.inspect_err(|error| predecessor.decline(&error.to_string()))?;
    server.departing = departing;
    Ok(server)
}

/// Whether a store is in this folder already, of whatever rules.
pub fn has_store(folder: &Path) -> bool {
    stored_cores(folder).is_some()
}

/// A server that has everything but the store.
struct Ready {
    new: Starting,
    cores: Cores,
    ports: Ports,
    ahead: Ahead,
    estate: Estate,
}

/// Does all that can fail without the folder, and has the other server hand over what it has.
fn take_over_from(predecessor: &Predecessor, config: ServerConfig) -> Result<Ready, ServerError> {
    let before = predecessor.profile();
    // The service goes on, and so does the time that it is up.
    let started = before.started();
    let seats = Seats::after(&config, before)?;
    allow_enough(seats.cores())?;
    let ports = Ports::open(&config, Inherited::default(), &before.ports, seats.cores())?;
    let mut new = Starting::new(config, seats, started);
    let is_theirs = before.admin.as_ref().is_some_and(|theirs| new.has_asked_for(theirs));
    if !is_theirs {
        new.serve_admin(None)?;
    }
    let cores = new.prepare()?;
    // The store is read while the other one serves it, so that little is left to be read.
    let ahead = Ahead::read(&new.config.data, new.options(&ports))
        .map_err(|error| new.seats.explained(error))?;
    let mut estate = predecessor.estate()?;
    new.seats.take_marks(std::mem::take(&mut estate.marks));
    if is_theirs {
        new.serve_admin(estate.admin.take())?;
    }
    Ok(Ready { new, cores, ports, ahead, estate })
}

/// A store that is to be served, and what is damaged of one that is only read.
struct Openable {
    opened: Opened<WriteTicket>,
    read_only: Option<Vec<Finding>>,
}

fn log_finding(finding: &Finding) {
    let Finding { severity, file, offset, what, .. } = finding;
    if *severity == Severity::Damage {
        tracing::error!(file, offset, what, "the store is damaged");
    } else {
        tracing::warn!(file, offset, what, "the store is not as a server leaves it");
    }
}

/// A server that is being started.
struct Starting {
    config: ServerConfig,
    seats: Seats,
    started: Instant,
    admin: Option<Admin>,
    seen: Arc<OnceLock<RunningCores>>,
}

impl Starting {
    fn new(config: ServerConfig, seats: Seats, started: Instant) -> Self {
        Self { config, seats, started, admin: None, seen: Arc::default() }
    }

    /// Whether its admin port is to be where this one is.
    fn has_asked_for(&self, port: &AdminFacts) -> bool {
        self.config.admin.is_some_and(|asked| asked == port.asked || asked == port.address)
    }

    /// Serves the admin port, if there is to be one, on a listener that is there or a new one.
    fn serve_admin(&mut self, listener: Option<std::net::TcpListener>) -> Result<(), ServerError> {
        let Some(address) = self.config.admin else { return Ok(()) };
        let listener = listener.map_or_else(|| sutra_admin::bind(address), Ok)?;
        let data = self.config.data.clone();
        let source = Arc::new(ServerSource::new(Arc::clone(&self.seen), self.started, data));
        let routes = admin::routes(&source).with(self.config.api.clone());
        self.admin = Some(sutra_admin::start(listener, source, routes)?);
        Ok(())
    }

    fn prepare(&self) -> Result<Cores, ServerError> {
        Cores::prepare(&self.config, &self.seats)
    }

    fn options(&self, ports: &Ports) -> OpenOptions {
        OpenOptions {
            cores: self.seats.cores(),
            durability: self.config.durability,
            segment_bytes: self.config.segment_bytes,
            id_rule: self.config.id_rule,
            listening: ports.listed(),
        }
    }

    fn open(&self, ports: &Ports) -> Result<Openable, ServerError> {
        let (data, options) = (&self.config.data, self.options(ports));
        let opened = if self.config.read_only {
            open_read_only(data, &options).map(|(opened, findings)| {
                findings.iter().for_each(log_finding);
                Openable { opened, read_only: Some(findings) }
            })
        } else {
            Store::open(data, options).map(|opened| Openable { opened, read_only: None })
        };
        opened.map_err(|error| self.seats.explained(error))
    }

    /// Serves a store with the sockets and connections of a server before this one, if there was
    /// one. `begin` is called when nothing can fail any more.
    fn serve(
        self,
        cores: Cores,
        opened: Openable,
        ports: Ports,
        listeners: Vec<Vec<Listener>>,
        mut connections: Vec<Vec<Passed>>,
        begin: impl FnOnce(),
    ) -> Result<Server, ServerError> {
        let Self { config, seats, started, admin, seen } = self;
        let Openable { opened, read_only } = opened;
        let (native, compat) = (ports.addresses(Spoken::Native), ports.addresses(Spoken::Compat));
        let first = opened.shards.first();
        let report = StartReport {
            listening: native,
            compat,
            admin: admin.as_ref().map(Admin::address),
            pinned: seats.pinned,
            allowed: seats.allowed.clone(),
            durability: config.durability,
            id_rule: opened.id_rule,
            write_path: first.map(sutra_store::Shard::write_path).unwrap_or_default(),
            data: config.data.clone(),
            recovery: opened.report.clone(),
            cpus: seats.placement.cpus.clone(),
            read_only,
        };
        let trust = Trust::new(config.data.clone(), opened.store_id, report.read_only.as_deref());
        let info = Arc::new(ServerInfo::new(&report, started, trust));
        let trust = Arc::clone(info.trust());
        let manifest = Arc::clone(&opened.keeper);
        let (facts, first_compat) = (ports.facts(), ports.first_compat());
        connections.resize_with(seats.cores(), Vec::new);
        let listeners = ports.by_core(listeners, seats.cores());
        let served = Served { opened, listeners, first_compat, connections };
        let running = cores.start(&config, served, &info, begin)?;
        let (running, postboxes) = (running.running, running.postboxes);
        let is_stopping = Arc::new(AtomicBool::new(false));
        let port = admin.as_ref().zip(config.admin);
        let port = port.map(|(admin, asked)| AdminFacts { asked, address: admin.address() });
        let profile =
            Profile::new(&config, report.cpus.clone(), report.pinned, facts.clone(), port, started);
        let door = open_door(&config, profile, postboxes.clone(), &running);
        let _set_once = seen.set(RunningCores { postboxes: postboxes.clone(), info });
        Ok(Server {
            running,
            admin,
            manifest,
            report,
            seats,
            started,
            config,
            ports: facts,
            cores: postboxes,
            door,
            is_stopping,
            departing: None,
            trust,
        })
    }
}

/// Where a server that follows comes in. None follows one that only reads.
fn open_door(
    config: &ServerConfig,
    profile: Profile,
    cores: Vec<Postbox<Message>>,
    running: &Running,
) -> Option<Door> {
    if config.read_only {
        return None;
    }
    let (is_managed, stopper) = (config.is_managed, running.stopper());
    let door = Door::open(&config.data, profile, cores, is_managed, stopper);
    door.inspect_err(|error| tracing::warn!(%error, "this server can't be taken over")).ok()
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
        self.stopper()();
    }

    /// The same as [`Server::shutdown`], to be kept where signals are handled.
    pub fn stopper(&self) -> impl Fn() + Clone + Send + Sync + 'static {
        let (is_stopping, stop) = (Arc::clone(&self.is_stopping), self.running.stopper());
        move || {
            is_stopping.store(true, Ordering::SeqCst);
            stop();
        }
    }

    /// A way to set how long connections may be silent, while it runs.
    pub fn idle_timeout(&self) -> IdleTimeout {
        IdleTimeout(self.cores.clone())
    }

    /// The server that was taken over, where it has not been waited for yet.
    pub fn take_departing(&mut self) -> Option<Departing> {
        self.departing.take()
    }

    /// Waits until it has ended: because it was asked to stop, or because another process takes
    /// over.
    pub fn wait(mut self) -> Result<End, ServerError> {
        self.running.settle();
        self.trust.end();
        match self.door.take().and_then(Door::close) {
            Some(left) if self.is_stopping.load(Ordering::SeqCst) => {
                left.successor.dismiss();
                self.close()
            }
            Some(left) => self.hand_over(left),
            None => self.close(),
        }
    }

    /// Notes in the store where it stopped.
    fn close(self) -> Result<End, ServerError> {
        self.running.join()?;
        drop(self.admin);
        self.manifest.close()?;
        Ok(End::Stopped)
    }

    fn hand_over(self, mut left: Left) -> Result<End, ServerError> {
        let Self { running, admin, manifest, seats, config, ports, started, .. } = self;
        let admin = admin.and_then(Admin::into_listener);
        let early = std::mem::take(&mut left.early);
        let estate = Estate::collect(early, &left.parted, ports.len(), seats.cores(), admin);
        let connections = estate.count();
        let given = match manifest.release() {
            Ok(()) => left.successor.give(&estate, &seats.placement),
            // The folder is still this process's, and so is everything else.
            Err(error) => Err(left.successor.sent_away(&error.to_string())),
        };
        let pause_us = u64::try_from(left.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let pid = left.successor.pid;
        match given {
            Ok(()) => {
                tracing::info!(pid, connections, pause_us, "taken over");
                // What the cores still hold goes with this process.
                Ok(End::TakenOver(Following { pid, _left: left }))
            }
            Err(why) => {
                tracing::error!(pid, why, "the successor could not start: this server goes on");
                drop((left, manifest));
                running.join()?;
                go_on(config, seats, &ports, estate, started)
                    .map(|server| End::Back(Box::new(server)))
            }
        }
    }
}

/// Serves what a successor did not take after all.
fn go_on(
    config: ServerConfig,
    seats: Seats,
    before: &[PortFacts],
    estate: Estate,
    started: Instant,
) -> Result<Server, ServerError> {
    let ports = Ports::open(&config, Inherited::default(), before, seats.cores())?;
    let mut new = Starting::new(config, seats, started);
    new.serve_admin(estate.admin)?;
    let cores = new.prepare()?;
    let opened = new.open(&ports)?;
    new.serve(cores, opened, ports, estate.listeners, estate.connections, || {})
}
