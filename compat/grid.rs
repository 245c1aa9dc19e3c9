//! The old grid's protocol: bincode 1 behind a big-endian length, as the old agents and consoles
//! speak it, and as our master speaks it to agents.
//!
//! The variants stand in the old order, with the old fields in theirs. What later fields there are
//! (`SpawnOptions`, `SpawnedDetails`) stand behind them, where old readers do not see them, as they
//! ignore trailing bytes. They are absent in what old writers send.

use bincode::Options;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::CompatError;
use crate::{MAX_MESSAGE, PREFIX_BYTES};

/// What is asked of a master, or by it of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are the old protocol's own")]
pub enum GridRequest {
    /// An agent takes up its work.
    RegisterAgent {
        agent_id: String,
        hostname: String,
        platform: String,
        max_storage_nodes: u32,
        version: String,
        agent_endpoint: String,
    },
    /// An agent is there.
    Heartbeat { agent_id: String, storage_node_count: u32, timestamp: u64 },
    /// An agent takes its leave.
    UnregisterAgent { agent_id: String },
    /// Have an agent start a node.
    SpawnStorageNode { agent_id: String, storage_path: String, memory_limit_mb: u64, port: u32 },
    /// Have it stop one.
    StopStorageNode { agent_id: String, node_id: String },
    /// How a node is.
    GetStorageNodeStatus { node_id: String },
    /// All agents.
    ListAgents,
    /// The grid as a whole.
    GetClusterStatus,
}

/// What a master or an agent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are the old protocol's own")]
pub enum GridReply {
    /// To `RegisterAgent`.
    RegisterAgentOk { success: bool, master_version: String, error_message: Option<String> },
    /// To `Heartbeat`.
    HeartbeatOk { acknowledged: bool, timestamp: u64 },
    /// To `UnregisterAgent`.
    UnregisterAgentOk,
    /// To `SpawnStorageNode`.
    SpawnStorageNodeOk {
        node_id: String,
        endpoint: String,
        success: bool,
        error_message: Option<String>,
    },
    /// To `StopStorageNode`.
    StopStorageNodeOk { success: bool, error_message: Option<String> },
    /// To `GetStorageNodeStatus`.
    GetStorageNodeStatusOk { node_id: String, status: String, pid: u32, endpoint: String },
    /// To `ListAgents`.
    ListAgentsOk { agents: Vec<AgentRecord> },
    /// To `GetClusterStatus`.
    GetClusterStatusOk {
        total_agents: u32,
        healthy_agents: u32,
        total_storage_nodes: u32,
        running_storage_nodes: u32,
        status: String,
    },
    /// What went wrong.
    Error { message: String },
}

/// An agent in `ListAgentsOk`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are the old protocol's own")]
pub struct AgentRecord {
    pub agent_id: String,
    pub hostname: String,
    pub platform: String,
    pub status: String,
    pub max_storage_nodes: u32,
    pub current_storage_nodes: u32,
    /// In seconds since 1970.
    pub last_heartbeat: u64,
}

/// Behind the fields of `SpawnStorageNode`: what the old message had no place for. In such a
/// message `port` is the native one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SpawnOptions {
    /// The node's name; empty for none.
    pub name: String,
    /// Its CPUs; empty for any.
    pub cores: String,
    /// Where it shall listen for clients of the old protocol; 0 for any free port.
    pub compat_port: u32,
}

/// Behind the fields of `SpawnStorageNodeOk`: what the old message had no place for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SpawnedDetails {
    /// Where the node listens for native clients.
    pub native_endpoint: String,
    /// Its data folder on its host.
    pub storage_path: String,
    /// The CPUs of its cores.
    pub cores: String,
    /// How its memory limit is kept, in words.
    pub memory_enforcement: String,
    /// When its process started, in µs since 1970.
    pub started: u64,
    /// Its process.
    pub pid: u32,
}

/// Behind the fields of `GetStorageNodeStatus`: who the one that is asked is thought to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentClaim {
    /// The agent's name.
    pub agent_id: String,
    /// As it registered. Only the agent and its master know it.
    pub incarnation: u64,
}

/// Behind the fields of a reply: what the old message had no place for.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplyDetails {
    /// Of a node that was started.
    Spawned(SpawnedDetails),
    /// Of a node that was not: whether what was asked for can't be, as opposed to what the host
    /// refuses.
    Refused {
        /// Whether asking for something else helps.
        is_usage: bool,
    },
    /// To a claim: whether this is that agent.
    Agent {
        /// Whether it is.
        is_it: bool,
    },
}

impl ReplyDetails {
    fn append(&self, out: &mut Vec<u8>) -> bincode::Result<()> {
        match self {
            Self::Spawned(details) => bincode::serialize_into(out, details),
            Self::Refused { is_usage: flag } | Self::Agent { is_it: flag } => {
                bincode::serialize_into(out, flag)
            }
        }
    }
}

fn options() -> impl Options {
    bincode::options()
        .with_fixint_encoding()
        .allow_trailing_bytes()
        .with_limit(u64::from(MAX_MESSAGE))
}

/// Appends a message with its length in front.
fn append<T: Serialize, E: Serialize>(message: &T, extension: Option<&E>, out: &mut Vec<u8>) {
    append_by(
        message,
        |out| extension.map_or(Ok(()), |extension| bincode::serialize_into(out, extension)),
        out,
    );
}

/// Appends a message, and after it what `extension` writes.
fn append_by<T: Serialize>(
    message: &T,
    extension: impl FnOnce(&mut Vec<u8>) -> bincode::Result<()>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    let written = bincode::serialize_into(&mut *out, message).and_then(|()| extension(out));
    written.expect("writing plain values into memory can't fail");
    let length = u32::try_from(out.len() - start - PREFIX_BYTES)
        .expect("what is listed is bounded far below 4 GiB");
    out[start..start + PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
}

/// Reads a message, and what stands behind its old fields, where that is one.
fn read<T: DeserializeOwned + Serialize, E: DeserializeOwned>(
    message: &[u8],
) -> Result<(T, Option<E>), CompatError> {
    let wrong = |error: bincode::Error| match *error {
        bincode::ErrorKind::Custom(problem) => CompatError::UnknownOperation { name: problem },
        bincode::ErrorKind::InvalidUtf8Encoding(_) => {
            CompatError::Value { place: "a text of the message", problem: "is not UTF-8".into() }
        }
        _ => CompatError::Truncated { inside: "the message" },
    };
    let value: T = options().deserialize(message).map_err(wrong)?;
    let length = options().serialized_size(&value).map_err(wrong)?;
    let rest =
        usize::try_from(length).ok().and_then(|length| message.get(length..)).unwrap_or_default();
    let extension = if rest.is_empty() { None } else { options().deserialize(rest).ok() };
    Ok((value, extension))
}

impl GridRequest {
    /// Reads a request without its length; a spawn request's options, where there are some.
    ///
    /// # Errors
    /// Where the bytes are no request.
    pub fn read(message: &[u8]) -> Result<(Self, Option<SpawnOptions>), CompatError> {
        let (request, options) = read(message)?;
        let is_spawn = matches!(request, Self::SpawnStorageNode { .. });
        Ok((request, options.filter(|_| is_spawn)))
    }

    /// Appends the request behind its length.
    pub fn append(&self, options: Option<&SpawnOptions>, out: &mut Vec<u8>) {
        append(self, options, out);
    }

    /// Who the one that is asked for a node's status is thought to be, where the message says so.
    ///
    /// # Errors
    /// Where the bytes are no request.
    pub fn read_claim(message: &[u8]) -> Result<Option<AgentClaim>, CompatError> {
        let (request, claim) = read::<Self, AgentClaim>(message)?;
        Ok(claim.filter(|_| matches!(request, Self::GetStorageNodeStatus { .. })))
    }

    /// Appends the request behind its length, with who is thought to be asked.
    pub fn append_with_claim(&self, claim: &AgentClaim, out: &mut Vec<u8>) {
        append(self, Some(claim), out);
    }
}

impl GridReply {
    /// Reads a reply without its length; what a spawned node has besides, where it is told.
    ///
    /// # Errors
    /// Where the bytes are no reply.
    pub fn read(message: &[u8]) -> Result<(Self, Option<SpawnedDetails>), CompatError> {
        let (reply, details) = read(message)?;
        let is_spawned = matches!(reply, Self::SpawnStorageNodeOk { .. });
        Ok((reply, details.filter(|_| is_spawned)))
    }

    /// The same with whatever may stand behind a reply of its kind.
    ///
    /// # Errors
    /// Where the bytes are no reply.
    pub fn read_with_details(message: &[u8]) -> Result<(Self, Option<ReplyDetails>), CompatError> {
        let (reply, flag) = read::<Self, bool>(message)?;
        let details = match &reply {
            Self::SpawnStorageNodeOk { success: true, .. } => {
                Self::read(message)?.1.map(ReplyDetails::Spawned)
            }
            Self::SpawnStorageNodeOk { .. } => {
                flag.map(|is_usage| ReplyDetails::Refused { is_usage })
            }
            Self::GetStorageNodeStatusOk { .. } | Self::Error { .. } => {
                flag.map(|is_it| ReplyDetails::Agent { is_it })
            }
            _ => None,
        };
        Ok((reply, details))
    }

    /// Appends the reply behind its length.
    pub fn append(&self, details: Option<&SpawnedDetails>, out: &mut Vec<u8>) {
        append(self, details, out);
    }

    /// The same with whatever is to stand behind it.
    pub fn append_with_details(&self, details: Option<&ReplyDetails>, out: &mut Vec<u8>) {
        append_by(self, |out| details.map_or(Ok(()), |details| details.append(out)), out);
    }
}

/// A long `ListAgentsOk` in the making: records are written as they come, so that a page costs what
/// is in it.
#[derive(Debug, Default)]
pub struct AgentList {
    /// The number of records so far, then the records.
    bytes: Vec<u8>,
}

impl AgentList {
    const COUNT: usize = size_of::<u64>();
    const VARIANT: u32 = 6;

    /// Goes on with what [`AgentList::into_bytes`] gave, or begins where that is empty.
    pub fn resume(bytes: Vec<u8>) -> Self {
        if bytes.len() < Self::COUNT {
            Self { bytes: vec![0; Self::COUNT] }
        } else {
            Self { bytes }
        }
    }

    /// Adds a record.
    pub fn push(&mut self, record: &AgentRecord) {
        if let Some(count) = self.bytes.first_chunk_mut::<{ Self::COUNT }>() {
            *count = (u64::from_le_bytes(*count) + 1).to_le_bytes();
        }
        bincode::serialize_into(&mut self.bytes, record)
            .expect("writing plain values into memory can't fail");
    }

    /// To be kept until there is more.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends the message behind its length.
    pub fn finish(self, out: &mut Vec<u8>) {
        let variant = Self::VARIANT.to_le_bytes();
        let length = u32::try_from(variant.len() + self.bytes.len())
            .expect("what is listed is bounded far below 4 GiB");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&variant);
        out.extend_from_slice(&self.bytes);
    }
}
