//! The requests of the grid's master.

use sutra_wire::grid::{
    AdminPorts, AgentHeartbeat, AgentKey, AgentRegistration, AgentReport, AgentsRequest, NodeKey,
    NodesRequest, SpawnNode, WatchRequest,
};
use sutra_wire::{FrameBuffer, Header, Opcode, encode_archive, encode_empty};

/// A request to the master, ready to be archived into a connection's send buffer, once for each
/// attempt.
#[derive(Clone, Debug)]
pub(crate) enum GridCall {
    Register(AgentRegistration),
    Heartbeat(AgentHeartbeat),
    Report(AgentReport),
    ReportAdminPorts(AdminPorts),
    Unregister(AgentKey),
    Spawn(SpawnNode),
    Stop(NodeKey),
    Node(NodeKey),
    Nodes(NodesRequest),
    Agents(AgentsRequest),
    Cluster,
    Health,
    Watch(WatchRequest),
}

impl GridCall {
    pub(crate) fn opcode(&self) -> Opcode {
        match self {
            GridCall::Register(_) => Opcode::RegisterAgent,
            GridCall::Heartbeat(_) => Opcode::AgentHeartbeat,
            GridCall::Report(_) => Opcode::ReportNodes,
            GridCall::ReportAdminPorts(_) => Opcode::ReportAdminPorts,
            GridCall::Unregister(_) => Opcode::UnregisterAgent,
            GridCall::Spawn(_) => Opcode::SpawnNode,
            GridCall::Stop(_) => Opcode::StopNode,
            GridCall::Node(_) => Opcode::Node,
            GridCall::Nodes(_) => Opcode::Nodes,
            GridCall::Agents(_) => Opcode::Agents,
            GridCall::Cluster => Opcode::Cluster,
            GridCall::Health => Opcode::Health,
            GridCall::Watch(_) => Opcode::Watch,
        }
    }

    /// Whether it may be sent again where it may have arrived before: what it does twice is no more
    /// than once.
    pub(crate) fn is_repeatable(&self) -> bool {
        !matches!(self, GridCall::Spawn(_))
    }

    pub(crate) fn encode(&self, out: &mut FrameBuffer, header: Header) {
        match self {
            GridCall::Register(registration) => encode_archive(out, header, registration),
            GridCall::Heartbeat(heartbeat) => encode_archive(out, header, heartbeat),
            GridCall::Report(report) => encode_archive(out, header, report),
            GridCall::ReportAdminPorts(ports) => encode_archive(out, header, ports),
            GridCall::Unregister(key) => encode_archive(out, header, key),
            GridCall::Spawn(spawn) => encode_archive(out, header, spawn),
            GridCall::Stop(key) | GridCall::Node(key) => encode_archive(out, header, key),
            GridCall::Nodes(request) => encode_archive(out, header, request),
            GridCall::Agents(request) => encode_archive(out, header, request),
            GridCall::Cluster | GridCall::Health => encode_empty(out, header),
            GridCall::Watch(request) => encode_archive(out, header, request),
        }
    }
}
