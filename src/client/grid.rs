//! Stand-in until the real one is merged.
#![allow(missing_docs, clippy::unused_async)]
use crate::ClientError;
use std::time::Duration;
use sutra_wire::grid::*;
#[derive(Clone)]
pub struct GridClient(String);
impl GridClient {
    pub fn new(address: impl Into<String>) -> Self { Self(address.into()) }
    pub fn with_timeout(self, _: Duration) -> Self { self }
    pub fn with_retries(self, _: u32) -> Self { self }
    fn no<T>(&self) -> Result<T, ClientError> { Err(ClientError::connect(&self.0, std::io::ErrorKind::ConnectionRefused.into())) }
    pub async fn register_agent(&self, _: &AgentRegistration) -> Result<AgentRegistered, ClientError> { self.no() }
    pub async fn heartbeat(&self, _: &AgentHeartbeat) -> Result<Option<HeartbeatAck>, ClientError> { self.no() }
    pub async fn report_nodes(&self, _: &AgentReport) -> Result<bool, ClientError> { self.no() }
    pub async fn unregister_agent(&self, _: &str) -> Result<bool, ClientError> { self.no() }
    pub async fn spawn_node(&self, _: &SpawnNode) -> Result<NodeInfo, ClientError> { self.no() }
    pub async fn stop_node(&self, _: &str) -> Result<bool, ClientError> { self.no() }
    pub async fn node(&self, _: &str) -> Result<Option<NodeInfo>, ClientError> { self.no() }
    pub async fn nodes(&self, _: Option<&str>) -> Result<Vec<NodeInfo>, ClientError> { self.no() }
    pub async fn agents(&self) -> Result<Vec<AgentInfo>, ClientError> { self.no() }
    pub async fn cluster(&self) -> Result<Cluster, ClientError> { self.no() }
    pub async fn watch(&self, _: u64) -> Result<Watch, ClientError> { self.no() }
}
pub struct Watch;
impl Watch { pub async fn next(&mut self) -> Result<Option<GridEvent>, ClientError> { Ok(None) } }
