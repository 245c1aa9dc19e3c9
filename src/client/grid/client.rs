//! A client of the grid's master.

use std::sync::Arc;
use std::time::Duration;

use rkyv::Deserialize;
use rkyv::api::high::HighDeserializer;
use rkyv::rancor::Error;
use sutra_wire::grid::{
    AdminPorts, AgentHeartbeat, AgentInfo, AgentKey, AgentRegistered, AgentRegistration,
    AgentReport, Agents, AgentsRequest, Cluster, HeartbeatAck, NodeInfo, NodeKey, Nodes,
    NodesRequest, SpawnNode, WatchRequest,
};
use sutra_wire::{Health, Payload, Status};

use crate::answer::Answer;
use crate::deadline::Deadline;
use crate::grid::{DEFAULT_PORT, GridCall, Watch};
use crate::in_flight::Reply;
use crate::options::Options;
use crate::pending::Pending;
use crate::request::Request;
use crate::retry::{self, Retry};
use crate::slot::Slot;
use crate::{ClientError, Endpoint, backoff};

/// A client of the grid's master: it asks where storage nodes are, and has them started and
/// stopped.
///
/// It keeps one connection, made when it is first needed and made again when it is lost. Cloning is
/// cheap and shares it; calls may run side by side. Either port of the master will do.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn example() -> Result<(), sutra_client::ClientError> {
/// use sutra_client::GridClient;
/// use sutra_client::grid::SpawnNode;
///
/// let grid = GridClient::new("grid-master:7002").with_timeout(Duration::from_secs(30)).with_retries(3);
/// for agent in grid.agents().await? {
///     println!("{} on {} has {} of {} storage nodes", agent.agent_id, agent.hostname, agent.nodes, agent.max_nodes);
/// }
/// let wanted = SpawnNode { agent_id: "rack-1".into(), name: "words".into(), ..SpawnNode::default() };
/// println!("it listens on {}", grid.spawn_node(&wanted).await?.report.endpoint);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct GridClient {
    address: String,
    slot: Arc<Slot>,
    timeout: Duration,
    retries: u32,
}

impl GridClient {
    /// A client of the master at `address` (`HOST:PORT`, the port 7001 if it is left out). Connects
    /// with the first call.
    pub fn new(address: impl Into<String>) -> Self {
        let Options { timeout, retries, .. } = Options::default();
        Self { address: address.into(), slot: Arc::default(), timeout, retries }
    }

    /// The time that a call may take in all; 10 seconds by default. Starting a node takes as long
    /// as the node's recovery.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a call is tried again, within its timeout, after a connection could not be made or
    /// was lost, or the master said that it is busy or shutting down. 3 by default. Starting a node
    /// is not tried again where the request may have arrived.
    pub fn with_retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Where the master is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// An agent takes up its work.
    pub async fn register_agent(
        &self,
        registration: &AgentRegistration,
    ) -> Result<AgentRegistered, ClientError> {
        self.ask(GridCall::Register(registration.clone())).await
    }

    /// An agent is there. `None` where the master does not know it: it must register.
    pub async fn heartbeat(
        &self,
        heartbeat: &AgentHeartbeat,
    ) -> Result<Option<HeartbeatAck>, ClientError> {
        self.find(GridCall::Heartbeat(heartbeat.clone())).await
    }

    /// An agent's nodes have changed. `false` where the master does not know the agent: it must
    /// register.
    pub async fn report_nodes(&self, report: &AgentReport) -> Result<bool, ClientError> {
        self.was_found(GridCall::Report(report.clone())).await
    }

    /// Where an agent and its nodes serve HTTP has changed. `false` where the master does not know
    /// the agent: it must register.
    pub async fn report_admin_ports(&self, ports: &AdminPorts) -> Result<bool, ClientError> {
        self.was_found(GridCall::ReportAdminPorts(ports.clone())).await
    }

    /// Has the master forget an agent, whichever has the name. Whether there was one.
    pub async fn unregister_agent(&self, agent_id: &str) -> Result<bool, ClientError> {
        self.leave(agent_id, 0).await
    }

    /// An agent takes its leave, and nobody else of its name. Whether it was registered.
    pub async fn leave(&self, agent_id: &str, incarnation: u64) -> Result<bool, ClientError> {
        self.was_found(GridCall::Unregister(AgentKey { agent_id: agent_id.into(), incarnation }))
            .await
    }

    /// Has a storage node started; returns when its health answers.
    pub async fn spawn_node(&self, spawn: &SpawnNode) -> Result<NodeInfo, ClientError> {
        self.ask(GridCall::Spawn(spawn.clone())).await
    }

    /// Has a storage node stopped, by its id or name; returns when its process has ended. Whether
    /// there was such a node.
    pub async fn stop_node(&self, node: &str) -> Result<bool, ClientError> {
        self.was_found(GridCall::Stop(NodeKey { node: node.into() })).await
    }

    /// A storage node by its id or name, and where it is.
    pub async fn node(&self, node: &str) -> Result<Option<NodeInfo>, ClientError> {
        self.find(GridCall::Node(NodeKey { node: node.into() })).await
    }

    /// All storage nodes, or those of one agent, in the order of their ids.
    pub async fn nodes(&self, agent_id: Option<&str>) -> Result<Vec<NodeInfo>, ClientError> {
        let mut request = NodesRequest {
            agent_id: agent_id.unwrap_or_default().into(),
            ..NodesRequest::default()
        };
        let mut all = Vec::new();
        loop {
            let page: Nodes = self.ask(GridCall::Nodes(request.clone())).await?;
            all.extend(page.nodes);
            match all.last() {
                Some(last) if page.more => request.after = last.report.node_id.clone(),
                _ => return Ok(all),
            }
        }
    }

    /// All agents, in the order of their names.
    pub async fn agents(&self) -> Result<Vec<AgentInfo>, ClientError> {
        let mut request = AgentsRequest::default();
        let mut all = Vec::new();
        loop {
            let page: Agents = self.ask(GridCall::Agents(request.clone())).await?;
            all.extend(page.agents);
            match all.last() {
                Some(last) if page.more => request.after = last.agent_id.clone(),
                _ => return Ok(all),
            }
        }
    }

    /// The grid as a whole.
    pub async fn cluster(&self) -> Result<Cluster, ClientError> {
        self.ask(GridCall::Cluster).await
    }

    /// Whether the grid is as it should be, and what is not, in words.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.ask(GridCall::Health).await
    }

    /// What happens from now on; with the number of an event that was seen, also what has happened
    /// since. On a connection of its own. When this returns, the master has begun to watch:
    /// whatever is asked of it afterwards is seen.
    pub async fn watch(&self, after: u64) -> Result<Watch, ClientError> {
        let call = GridCall::Watch(WatchRequest { after });
        let deadline = Deadline::of(call.opcode(), self.timeout);
        Watch::open(&self.endpoint()?, call, &deadline).await
    }

    fn endpoint(&self) -> Result<Endpoint, ClientError> {
        Endpoint::parse(&self.address, DEFAULT_PORT)
    }

    async fn ask<T: Owned>(&self, call: GridCall) -> Result<T, ClientError> {
        self.call(&call, async |answer| Ok(answer.view::<T>()?.checked().to_owned())).await
    }

    async fn find<T: Owned>(&self, call: GridCall) -> Result<Option<T>, ClientError> {
        self.call(&call, async |answer| {
            Ok(answer.found::<T>()?.map(|view| view.checked().to_owned()))
        })
        .await
    }

    async fn was_found(&self, call: GridCall) -> Result<bool, ClientError> {
        self.call(&call, async |answer| Ok(answer.was_found())).await
    }

    /// Asks, again where that makes sense and as long as there is time.
    async fn call<T>(
        &self,
        call: &GridCall,
        read: impl AsyncFn(Answer<'_>) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let endpoint = self.endpoint()?;
        let deadline = Deadline::of(call.opcode(), self.timeout);
        let request = Request::Grid(call.clone());
        let mut failures = 0;
        loop {
            let reply = self.attempt(&endpoint, &request, &deadline).await;
            let error = match reply.and_then(|reply| Answer::new(&self.address, &deadline, reply)) {
                Ok(answer) => return read(answer).await,
                Err(error) => error,
            };
            failures += 1;
            let wait = match retry::after(&error) {
                Retry::No => return Err(error),
                Retry::Reconnect
                    if matches!(error, ClientError::Closed { .. }) && !call.is_repeatable() =>
                {
                    return Err(error);
                }
                Retry::Reconnect => Duration::ZERO,
                // What it was doing for this call it goes on with, or the agent does.
                Retry::Wait if is_shutting_down(&error) && !call.is_repeatable() => {
                    return Err(error);
                }
                Retry::Wait => backoff::delay(failures),
            };
            if failures > self.retries || wait >= deadline.remaining() {
                return Err(error);
            }
            tracing::debug!(
                master = self.address,
                operation = deadline.operation(),
                failures,
                %error,
                "trying again"
            );
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        deadline: &Deadline,
    ) -> Result<Reply, ClientError> {
        let (connection, _) = self.slot.connection(endpoint, None, deadline).await?;
        Pending::send(&connection, request, deadline, false)
            .await?
            .wait(deadline, Duration::ZERO)
            .await
    }
}

fn is_shutting_down(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status: Status::ShuttingDown, .. })
}

/// A reply that is copied out of its archive.
trait Owned: Payload<Archived: Deserialize<Self, HighDeserializer<Error>>> + Sized {}

impl<T: Payload<Archived: Deserialize<T, HighDeserializer<Error>>>> Owned for T {}

impl std::fmt::Debug for GridClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GridClient").field("master", &self.address).finish_non_exhaustive()
    }
}
