//! From a configuration to a running agent, and its orderly end.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use sutra_admin::{self as admin, Admin};
use sutra_runtime::allowed_cpus;
use sutra_wire::limits;
use tokio::net::TcpListener;

use crate::config::{AgentConfig, OnStop};
use crate::core::AgentCore;
use crate::error::AgentError;
use crate::folder::Folder;
use crate::housekeeping::keep_house;
use crate::identity::AgentIdentity;
use crate::launch::Launcher;
use crate::link::Link;
use crate::list::is_label;
use crate::memory::Memory;
use crate::overview::AgentSource;
use crate::standing::Standing;
use crate::supervisor::Supervisor;
use crate::table::NodeTable;
use crate::{host, list, listener, overview};

/// What the start has found and set up.
#[derive(Clone, Debug)]
pub struct AgentStart {
    /// Where the agent listens.
    pub listening: SocketAddr,
    /// Where it tells the master that it is reached.
    pub endpoint: String,
    /// Where it serves HTTP.
    pub admin: Option<SocketAddr>,
    /// Its folder.
    pub data: PathBuf,
    /// Nodes that were still running.
    pub adopted: usize,
    /// Nodes that should run, did not, and are being started.
    pub started: usize,
    /// How memory limits are kept, in words.
    pub memory: String,
}

/// An agent with its folder, its nodes and its port, in a tokio runtime.
pub struct Agent {
    who: Arc<AgentIdentity>,
    on_stop: OnStop,
    core: Arc<AgentCore>,
    supervisor: Arc<Supervisor>,
    standing: Arc<Standing>,
    listener: TcpListener,
    _admin: Option<Admin>,
    start: AgentStart,
}

/// Runs an agent until `shutdown` is ready, and then ends it in order.
///
/// # Errors
/// Where it can't start.
pub async fn run(
    config: AgentConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), AgentError> {
    Agent::start(config).await?.run(shutdown).await;
    Ok(())
}

impl Agent {
    /// Takes the folder and the port, adopts the nodes that still run and starts those that should.
    ///
    /// # Errors
    /// Where the folder, the list in it, the address or a setting can't be used. Nothing has been
    /// done to any node then.
    pub async fn start(config: AgentConfig) -> Result<Self, AgentError> {
        check(&config)?;
        let program = match &config.program {
            Some(program) => program.clone(),
            None => std::env::current_exe()
                .map_err(AgentError::file("find", "/proc/self/exe".as_ref()))?,
        };
        let folder = Folder::open(&config.data)?;
        let records = list::load(folder.root())?;
        let listener = TcpListener::bind(config.listen).await;
        let wrong = |source| AgentError::Listen { address: config.listen, source };
        let listener = listener.map_err(wrong)?;
        let listening = listener.local_addr().map_err(wrong)?;
        let admin_listener = config.admin.map(admin::bind).transpose()?;
        let advertise = config.advertise.clone().unwrap_or_else(|| match listening.ip() {
            ip if ip.is_unspecified() => host::name(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => ip.to_string(),
        });
        let endpoint = host::endpoint(&advertise, listening.port());
        let memory = Memory::probe();
        let memory_limits = memory.words(1);
        let data = folder.root().to_owned();
        let admin_address = admin_listener.as_ref().and_then(|port| port.local_addr().ok());
        let admin_ip = admin_address.map(|address| address.ip());
        let who = Arc::new(AgentIdentity {
            id: config.id.clone(),
            master: config.master.clone(),
            endpoint,
            admin: admin_address.map(|address| host::reached_at(address, &advertise)),
            incarnation: folder.incarnation(),
            max_nodes: config.max_nodes,
        });
        let launcher = Launcher::new(program, data.clone(), listening.ip(), admin_ip, memory);
        let nodes = NodeTable::new(folder, advertise);
        let core = Arc::new(AgentCore::new(nodes, launcher, config.timings.clone()));
        let supervisor =
            Arc::new(Supervisor::new(Arc::clone(&core), config.max_nodes, allowed_cpus()));
        let (adopted, started) = supervisor.take_over(records);
        core.nodes().save_or_warn().await;
        let standing = Arc::new(Standing::new());
        let source = AgentSource::new(Arc::clone(&who), Arc::clone(&core), Arc::clone(&standing));
        let source = Arc::new(source);
        let routes = overview::routes(&source);
        let admin =
            admin_listener.map(|listener| admin::start(listener, source, routes)).transpose()?;
        let start = AgentStart {
            listening,
            endpoint: who.endpoint.clone(),
            admin: admin.as_ref().map(Admin::address),
            data,
            adopted,
            started,
            memory: memory_limits,
        };
        Ok(Self {
            who,
            on_stop: config.on_stop,
            core,
            supervisor,
            standing,
            listener,
            _admin: admin,
            start,
        })
    }

    /// What the start has found and set up.
    pub fn report(&self) -> &AgentStart {
        &self.start
    }

    /// Works until `shutdown` is ready; then leaves the nodes or stops them, as configured.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { who, on_stop, core, supervisor, standing, listener, _admin, start: _ } = self;
        let mut link = Link::new(Arc::clone(&who), Arc::clone(&core), standing);
        let serving = tokio::spawn(listener::serve(listener, who, Arc::clone(&supervisor)));
        let keeping_house = {
            let core = Arc::clone(&core);
            tokio::spawn(async move { keep_house(core.nodes()).await })
        };
        tokio::select! {
            () = shutdown => {}
            // The link to the master goes on for ever.
            () = link.run() => {}
        }
        supervisor.close();
        serving.abort();
        match on_stop {
            OnStop::Leave => tracing::info!(
                "ending; the nodes go on, and the next agent on this folder adopts them"
            ),
            OnStop::Stop => {
                tracing::info!("ending; stopping the nodes");
                supervisor.stop_all().await;
                link.unregister().await;
            }
        }
        keeping_house.abort();
        core.nodes().save_or_warn().await;
    }
}

fn check(config: &AgentConfig) -> Result<(), AgentError> {
    if !is_label(&config.id) {
        let problem = format!(
            "{:?} can't be an agent's name; use at most {} letters, digits, '-', '_' and '.', \
             and begin with no '.'",
            config.id,
            limits::MAX_LABEL
        );
        return Err(AgentError::Setting { setting: "--id", problem });
    }
    if !(1..=limits::MAX_AGENT_NODES).contains(&(config.max_nodes as usize)) {
        let problem = format!("{} is not from 1 to {}", config.max_nodes, limits::MAX_AGENT_NODES);
        return Err(AgentError::Setting { setting: "--max-nodes", problem });
    }
    let is_host =
        |host: &String| !host.is_empty() && !host.contains(['/', ' ', '\n']) && host.len() < 256;
    if config.advertise.as_ref().is_some_and(|host| !is_host(host)) {
        let problem = "is not a host; give a name or an address without a port".into();
        return Err(AgentError::Setting { setting: "--advertise", problem });
    }
    Ok(())
}
