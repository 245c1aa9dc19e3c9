//! Where the master asks for nodes: the old protocol's messages, bincode behind a big-endian
//! length, one after the other on a connection.
//!
//! Bounded: connections, bytes of a message, and the time that one may take to arrive or to be
//! sent. Where every place is taken, a new connection gets that of the one that has been silent
//! longest, so connections that say nothing keep no master out. What was begun goes on when the one
//! who asked has gone. The master learns of it by the next report.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sutra_compat::PREFIX_BYTES;
use sutra_compat::grid::{GridReply, GridRequest, ReplyDetails, SpawnOptions, SpawnedDetails};
use sutra_wire::grid::{NodeReport, NodeState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};

use crate::error::Refusal;
use crate::identity::AgentIdentity;
use crate::new_node::NewNode;
use crate::supervisor::Supervisor;

/// A master has one or a few. More than this come from something that goes wrong elsewhere.
const CONNECTIONS: usize = 64;
/// Far more than the longest request, of which a path is most.
const MOST: usize = 64 << 10;
/// A connection without a request for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// A message that has begun arrives, and an answer goes, within this.
const TRANSFER: Duration = Duration::from_secs(10);
/// How long to look whether a connection has ended. Next to nothing beside the start of a process.
const NOW: Duration = Duration::from_millis(5);
/// After accept(2) has failed, as it does where no file is free.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers for ever.
pub(crate) async fn serve(
    listener: TcpListener,
    who: Arc<AgentIdentity>,
    supervisor: Arc<Supervisor>,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let room_wanted = Arc::new(Notify::new());
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection can't be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        if permits.available_permits() == 0 {
            // Wakes the one that has waited longest.
            room_wanted.notify_one();
        }
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let (who, supervisor, room_wanted) =
            (Arc::clone(&who), Arc::clone(&supervisor), Arc::clone(&room_wanted));
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &who, &supervisor, &room_wanted).await {
                tracing::debug!(%peer, %error, "a connection has ended");
            }
            drop(permit);
        });
    }
}

async fn converse(
    mut stream: TcpStream,
    who: &Arc<AgentIdentity>,
    supervisor: &Arc<Supervisor>,
    room_wanted: &Notify,
) -> io::Result<()> {
    // An answer is one small segment that nothing follows.
    stream.set_nodelay(true)?;
    loop {
        let mut prefix = [0; PREFIX_BYTES];
        let read = tokio::select! {
            read = timeout(IDLE, stream.read_exact(&mut prefix)) => read?,
            () = room_wanted.notified() => return Ok(()),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        };
        let length = u32::from_be_bytes(prefix) as usize;
        if length > MOST {
            let message = format!(
                "message of {length} bytes is over this agent's limit of {MOST}; \
                 is this the right port?"
            );
            send(&mut stream, &GridReply::Error { message }, None).await?;
            return Ok(());
        }
        let mut message = vec![0; length];
        timeout(TRANSFER, stream.read_exact(&mut message)).await??;
        let claim = GridRequest::read_claim(&message).ok().flatten();
        // The incarnation is told to nobody: who names one is told whether it is the right one.
        let claimed = claim.map(|claim| ReplyDetails::Agent {
            is_it: claim.agent_id == who.id && claim.incarnation == who.incarnation,
        });
        let (reply, details) = match GridRequest::read(&message) {
            // Whoever asked has given up, and may have asked another agent for the same by now.
            Ok((GridRequest::SpawnStorageNode { .. }, _)) if has_ended(&stream).await => {
                return Ok(());
            }
            Ok((request, options)) => {
                let (who, supervisor) = (Arc::clone(who), Arc::clone(supervisor));
                // A task of its own, which the connection's end does not end.
                let answered =
                    tokio::spawn(
                        async move { answer(request, options, &who.id, &supervisor).await },
                    )
                    .await;
                let failed = |error| error_reply(format!("the agent has failed: {error}"));
                let (reply, details) = answered.unwrap_or_else(failed);
                (reply, claimed.or(details))
            }
            Err(error) => error_reply(error.to_string()),
        };
        send(&mut stream, &reply, details.as_ref()).await?;
    }
}

/// Whether the other side has ended the connection, as far as is known here by now.
async fn has_ended(stream: &TcpStream) -> bool {
    match timeout(NOW, stream.peek(&mut [0])).await {
        Ok(Ok(count)) => count == 0,
        Ok(Err(_)) => true,
        // Nothing has come, not even the end.
        Err(_) => false,
    }
}

async fn send(
    stream: &mut TcpStream,
    reply: &GridReply,
    details: Option<&ReplyDetails>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    reply.append_with_details(details, &mut bytes);
    timeout(TRANSFER, stream.write_all(&bytes)).await?
}

fn error_reply(message: String) -> (GridReply, Option<ReplyDetails>) {
    (GridReply::Error { message }, None)
}

async fn answer(
    request: GridRequest,
    options: Option<SpawnOptions>,
    agent: &str,
    supervisor: &Supervisor,
) -> (GridReply, Option<ReplyDetails>) {
    match request {
        GridRequest::SpawnStorageNode { agent_id, .. }
        | GridRequest::StopStorageNode { agent_id, .. }
            if agent_id != agent =>
        {
            error_reply(format!(
                "this is agent {agent:?}, not {agent_id:?}; has an agent's address changed hands?"
            ))
        }
        GridRequest::SpawnStorageNode { storage_path, memory_limit_mb, port, .. } => {
            spawn(supervisor, &asked(storage_path, memory_limit_mb, port, options)).await
        }
        GridRequest::StopStorageNode { node_id, .. } => {
            let stopped = supervisor.stop(&node_id).await;
            let error_message = stopped.err().map(|error| error.to_string());
            (GridReply::StopStorageNodeOk { success: error_message.is_none(), error_message }, None)
        }
        GridRequest::GetStorageNodeStatus { node_id } => match supervisor.status(&node_id) {
            Some(node) => {
                let status =
                    NodeState::from_number(node.state).unwrap_or_default().name().to_owned();
                let (node_id, pid, endpoint) = (node.node_id, node.pid, node.compat_endpoint);
                (GridReply::GetStorageNodeStatusOk { node_id, status, pid, endpoint }, None)
            }
            None => error_reply(Refusal::Unknown { node: node_id }.to_string()),
        },
        GridRequest::RegisterAgent { .. }
        | GridRequest::Heartbeat { .. }
        | GridRequest::UnregisterAgent { .. }
        | GridRequest::ListAgents
        | GridRequest::GetClusterStatus => error_reply(
            "this is an agent, which starts and stops nodes; ask the master for that".into(),
        ),
    }
}

/// An old message names the port of the old protocol, which is all that its sender speaks.
fn asked(
    storage_path: String,
    memory_limit_mb: u64,
    port: u32,
    options: Option<SpawnOptions>,
) -> NewNode {
    match options {
        Some(SpawnOptions { name, cores, compat_port }) => {
            NewNode { name, storage_path, cores, memory_limit_mb, port, compat_port }
        }
        None => NewNode { storage_path, memory_limit_mb, compat_port: port, ..NewNode::default() },
    }
}

async fn spawn(supervisor: &Supervisor, asked: &NewNode) -> (GridReply, Option<ReplyDetails>) {
    match supervisor.spawn(asked).await {
        Ok(node) => {
            let NodeReport { node_id, compat_endpoint: endpoint, .. } = node;
            let NodeReport { storage_path, cores, memory_enforcement, started, pid, .. } = node;
            let native_endpoint = node.endpoint;
            let details = SpawnedDetails {
                native_endpoint,
                storage_path,
                cores,
                memory_enforcement,
                started,
                pid,
            };
            let reply = GridReply::SpawnStorageNodeOk {
                node_id,
                endpoint,
                success: true,
                error_message: None,
            };
            (reply, Some(ReplyDetails::Spawned(details)))
        }
        Err(refusal) => {
            let error_message = Some(refusal.to_string());
            let details = ReplyDetails::Refused { is_usage: refusal.is_usage() };
            // A node that is named has been started all the same: it is not there yet.
            let node_id =
                if let Refusal::Recovering { node, .. } = refusal { node } else { String::new() };
            let endpoint = String::new();
            (
                GridReply::SpawnStorageNodeOk { node_id, endpoint, success: false, error_message },
                Some(details),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_message_asks_for_the_old_protocols_port() {
        let old = asked("a".into(), 1, 7, None);
        assert_eq!((old.port, old.compat_port), (0, 7));
        let options = SpawnOptions { name: "n".into(), cores: "1".into(), compat_port: 8 };
        let new = asked("a".into(), 1, 7, Some(options));
        assert_eq!(
            (new.port, new.compat_port, new.name.as_str(), new.cores.as_str()),
            (7, 8, "n", "1")
        );
    }
}
