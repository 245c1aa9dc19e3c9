//! What agents are asked, who waits for it, and what comes back; among it having them start nodes.

use std::collections::BTreeMap;

use sutra_compat::grid::{GridReply, GridRequest, ReplyDetails, SpawnOptions, SpawnedDetails};
use sutra_net::{Context, Flow, ReplyTo, Request};
use sutra_wire::grid::{NodeReport, SpawnNode};
use sutra_wire::{Status, limits};

use crate::answer::{Answer, What};
use crate::core::{MasterCore, validated};
use crate::forward::{self, Done, Errand, ErrandError, Worker};
use crate::message::Message;
use crate::registry::Contact;

/// Who waits for an agent, and for what.
pub(crate) enum Waiting {
    Spawn(Spawn),
    Stop {
        to: ReplyTo,
        agent_id: String,
        node_id: String,
    },
    /// What an old agent says of a node; `to` is nobody where the master asks for itself.
    Status {
        to: Option<ReplyTo>,
        node_id: String,
    },
}

/// A node that an agent is to start.
pub(crate) struct Spawn {
    to: ReplyTo,
    reservation: u64,
    asked: SpawnNode,
    is_old: bool,
}

/// What agents are being asked.
pub(crate) struct Errands {
    worker: Worker<Errand>,
    /// By the errand's number.
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
}

impl Errands {
    pub(crate) fn new(worker: Worker<Errand>) -> Self {
        Self { worker, waiting: BTreeMap::new(), next: 0 }
    }

    /// How many are under way.
    pub(crate) fn count(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn spawn(
        &mut self,
        core: &mut MasterCore,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
    ) -> Flow {
        let Some(spawn) = validated::<SpawnNode>(cx, request) else { return Flow::Taken };
        let to = request.reply_to;
        if let Some(flow) = core.hold_back(cx, to) {
            return flow;
        }
        let spawn = spawn.to_owned();
        match core.registry.reserve(&spawn, core.moment(cx)) {
            Ok((reservation, contact)) => {
                let (request, options) = message(&spawn, &contact);
                let is_old = contact.is_old;
                let waiting = Waiting::Spawn(Spawn { to, reservation, asked: spawn, is_old });
                if !self.send(core, contact.endpoint, request, options, forward::SPAWN, waiting) {
                    core.registry.spawn_failed(reservation);
                    core.too_busy(cx, to);
                }
            }
            Err(refused) => core.refuse(cx, to, &refused),
        }
        Flow::Taken
    }

    /// Asks an agent; `false` where too much waits already.
    pub(crate) fn send(
        &mut self,
        core: &mut MasterCore,
        endpoint: String,
        request: GridRequest,
        options: Option<SpawnOptions>,
        timeout: std::time::Duration,
        waiting: Waiting,
    ) -> bool {
        let number = self.next;
        let is_sent = self.worker.send(Errand { number, endpoint, request, options, timeout });
        if is_sent {
            self.next += 1;
            core.counters.errands += 1;
            self.waiting.insert(number, waiting);
        }
        is_sent
    }

    /// An agent has answered, or has not.
    pub(crate) fn done(
        &mut self,
        core: &mut MasterCore,
        cx: &mut Context<'_, Message>,
        Done { number, result }: Done,
    ) {
        let Some(waiting) = self.waiting.remove(&number) else { return };
        core.counters.errands_failed += u64::from(result.is_err());
        let is_known = result.as_ref().err().is_none_or(ErrandError::is_certain);
        match waiting {
            Waiting::Spawn(spawn) => match spawned(&spawn.asked, result) {
                Ok(report) => self.spawned(core, cx, spawn, report),
                Err(failure) => {
                    if is_known {
                        core.registry.spawn_failed(spawn.reservation);
                    } else {
                        core.registry.spawn_unknown(spawn.reservation, core.moment(cx));
                    }
                    fail(core, cx, spawn.to, &spawn.asked.agent_id, failure);
                }
            },
            Waiting::Stop { to, agent_id, node_id } => match stopped(result) {
                Ok(()) => {
                    core.registry.stopped(&node_id);
                    core.conclude(cx, Some(Answer { to, what: What::Done }));
                }
                Err(failure) => fail(core, cx, to, &agent_id, failure),
            },
            Waiting::Status { to, node_id } => {
                if let Ok((GridReply::GetStorageNodeStatusOk { status, pid, .. }, _)) = &result
                    && status.len() <= limits::MAX_GRID_TEXT
                {
                    core.registry.told_of(&node_id, status, *pid);
                }
                if let Ok((GridReply::Error { message }, _)) = &result {
                    core.registry.denied(&node_id, message);
                }
                // Where the agent says nothing of use, the answer is what was known.
                core.conclude(cx, to.map(|to| Answer { to, what: What::Node(node_id) }));
            }
        }
    }

    fn spawned(
        &mut self,
        core: &mut MasterCore,
        cx: &mut Context<'_, Message>,
        Spawn { to, reservation, asked, is_old }: Spawn,
        report: NodeReport,
    ) {
        let (node_id, at) = (report.node_id.clone(), core.moment(cx));
        if let Err(refused) = core.registry.spawned(reservation, &asked, report, at) {
            return core.refuse(cx, to, &refused);
        }
        if is_old && let Some((node_id, contact)) = core.registry.old_agent_of(&node_id, at) {
            // It reports nothing by itself: not even the process.
            let request = GridRequest::GetStorageNodeStatus { node_id: node_id.clone() };
            let waiting = Waiting::Status { to: None, node_id };
            let _ = self.send(core, contact.endpoint, request, None, forward::STATUS, waiting);
        }
        core.conclude(cx, Some(Answer { to, what: What::Node(node_id) }));
    }

    /// The master is stopping: it waits for no agent.
    pub(crate) fn abandon(&mut self, cx: &mut Context<'_, Message>) {
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            let (Waiting::Spawn(Spawn { to, .. })
            | Waiting::Stop { to, .. }
            | Waiting::Status { to: Some(to), .. }) = waiting
            else {
                continue;
            };
            let message =
                "this master is stopping; what the agent does is known when the master is back";
            cx.refuse(to, Status::ShuttingDown, message);
        }
    }
}

/// Refuses what an agent has not done.
fn fail(
    core: &mut MasterCore,
    cx: &mut Context<'_, Message>,
    to: ReplyTo,
    agent_id: &str,
    (status, reason): Failure,
) {
    core.counters.refused += 1;
    cx.refuse(to, status, format!("agent {agent_id:?}: {reason}"));
}

/// A status and the reason in words.
type Failure = (Status, String);

type Outcome = Result<(GridReply, Option<ReplyDetails>), ErrandError>;

/// The message that asks an agent for a node. An old agent has one port to give, and reads no
/// options.
fn message(spawn: &SpawnNode, contact: &Contact) -> (GridRequest, Option<SpawnOptions>) {
    let SpawnNode { agent_id, name, storage_path, cores, memory_limit_mb, port, compat_port } =
        spawn.clone();
    if contact.is_old {
        let port = if compat_port == 0 { port } else { compat_port };
        return (
            GridRequest::SpawnStorageNode { agent_id, storage_path, memory_limit_mb, port },
            None,
        );
    }
    let request = GridRequest::SpawnStorageNode { agent_id, storage_path, memory_limit_mb, port };
    (request, Some(SpawnOptions { name, cores, compat_port }))
}

fn failure(error: &ErrandError) -> Failure {
    (Status::Unavailable, error.to_string())
}

/// What an agent refuses is its host's doing, unless it says that something else is to be asked
/// for.
fn refused(message: String) -> Failure {
    (Status::Unavailable, message)
}

fn other() -> Failure {
    refused("it gave an answer to something else; is an agent listening there?".into())
}

/// What the agent says of the node that it has started; an old one says no more than what was asked
/// for.
fn spawned(asked: &SpawnNode, outcome: Outcome) -> Result<NodeReport, Failure> {
    match outcome.map_err(|error| failure(&error))? {
        (
            GridReply::SpawnStorageNodeOk {
                node_id, endpoint: compat_endpoint, success: true, ..
            },
            details,
        ) => {
            let as_asked = || SpawnedDetails {
                storage_path: asked.storage_path.clone(),
                ..SpawnedDetails::default()
            };
            let SpawnedDetails {
                native_endpoint: endpoint,
                storage_path,
                cores,
                memory_enforcement,
                started,
                pid,
            } = match details {
                Some(ReplyDetails::Spawned(details)) => details,
                _ => as_asked(),
            };
            let texts = [&endpoint, &compat_endpoint, &storage_path, &cores, &memory_enforcement];
            let fits = texts.iter().all(|text| text.len() <= limits::MAX_GRID_TEXT);
            if node_id.is_empty() || node_id.len() > limits::MAX_LABEL || !fits {
                return Err(refused(format!(
                    "it started a node with the id {node_id:?} at {compat_endpoint:?}, \
                     which can't be kept"
                )));
            }
            let report = NodeReport {
                node_id,
                endpoint,
                compat_endpoint,
                storage_path,
                ..NodeReport::default()
            };
            Ok(NodeReport { cores, memory_enforcement, started, pid, ..report })
        }
        (GridReply::SpawnStorageNodeOk { error_message, .. }, details) => {
            let words = error_message
                .unwrap_or_else(|| "it did not start the node, and does not say why".into());
            let is_usage = details == Some(ReplyDetails::Refused { is_usage: true });
            let status = if is_usage { Status::InvalidArgument } else { Status::Unavailable };
            Err((status, words))
        }
        (GridReply::Error { message }, _) => Err(refused(message)),
        _ => Err(other()),
    }
}

fn stopped(outcome: Outcome) -> Result<(), Failure> {
    match outcome.map_err(|error| failure(&error))? {
        (GridReply::StopStorageNodeOk { success: true, .. }, _) => Ok(()),
        (GridReply::StopStorageNodeOk { error_message, .. }, _) => Err(refused(
            error_message
                .unwrap_or_else(|| "it did not stop the node, and does not say why".into()),
        )),
        (GridReply::Error { message }, _) => Err(refused(message)),
        _ => Err(other()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawn() -> SpawnNode {
        let (agent_id, name) = ("a".into(), "orders".into());
        SpawnNode { agent_id, name, port: 1, compat_port: 2, ..SpawnNode::default() }
    }

    #[test]
    fn an_old_agent_is_asked_as_it_was_of_old() {
        let contact = Contact { endpoint: String::new(), is_old: true };
        let (request, options) = message(&spawn(), &contact);
        assert!(
            matches!(request, GridRequest::SpawnStorageNode { port: 2, .. }) && options.is_none()
        );
        let contact = Contact { is_old: false, ..contact };
        let (request, options) = message(&spawn(), &contact);
        assert!(matches!(request, GridRequest::SpawnStorageNode { port: 1, .. }));
        assert_eq!(
            options.map(|options| (options.name, options.compat_port)),
            Some(("orders".into(), 2))
        );
    }

    #[test]
    fn what_an_agent_says_comes_back_in_its_words() {
        let failed = GridReply::StopStorageNodeOk {
            success: false,
            error_message: Some("no such node".into()),
        };
        assert_eq!(stopped(Ok((failed, None))), Err(refused("no such node".into())));
        let error = GridReply::Error { message: "boom".into() };
        let asked = SpawnNode { storage_path: "data".into(), ..spawn() };
        assert_eq!(spawned(&asked, Ok((error, None))), Err(refused("boom".into())));
        assert!(spawned(&asked, Ok((GridReply::UnregisterAgentOk, None))).is_err());
        let is_usage = |is_usage| Some(ReplyDetails::Refused { is_usage });
        for (details, status) in [
            (None, Status::Unavailable),
            (is_usage(false), Status::Unavailable),
            (is_usage(true), Status::InvalidArgument),
        ] {
            let (node_id, endpoint, error_message) =
                (String::new(), String::new(), Some("not so".into()));
            let failed =
                GridReply::SpawnStorageNodeOk { node_id, endpoint, success: false, error_message };
            assert_eq!(spawned(&asked, Ok((failed, details))), Err((status, "not so".into())));
        }
        let ok = |node_id: String| GridReply::SpawnStorageNodeOk {
            node_id,
            endpoint: "h:1".into(),
            success: true,
            error_message: None,
        };
        let expected = NodeReport {
            node_id: "n".into(),
            compat_endpoint: "h:1".into(),
            storage_path: "data".into(),
            ..NodeReport::default()
        };
        assert_eq!(spawned(&asked, Ok((ok("n".into()), None))), Ok(expected.clone()));
        let details = SpawnedDetails {
            native_endpoint: "h:2".into(),
            storage_path: "/srv/data".into(),
            pid: 7,
            ..SpawnedDetails::default()
        };
        let told = NodeReport {
            endpoint: "h:2".into(),
            storage_path: "/srv/data".into(),
            pid: 7,
            ..expected
        };
        assert_eq!(
            spawned(&asked, Ok((ok("n".into()), Some(ReplyDetails::Spawned(details))))),
            Ok(told)
        );
        assert!(spawned(&asked, Ok((ok("n".repeat(65)), None))).is_err());
    }
}
