//! Having agents start nodes, and what comes back of what they are asked.

use sutra_compat::grid::{GridReply, GridRequest, ReplyDetails, SpawnOptions, SpawnedDetails};
use sutra_net::{Context, Flow, ReplyTo, Request};
use sutra_wire::grid::{NodeReport, SpawnNode};
use sutra_wire::{Status, limits};

use super::forward::{self, Done, Errand, ErrandError};
use super::proving::Asking;
use super::registry::Contact;
use super::replies::{Answer, What};
use super::service::{MasterService, Message, validated};

/// Who waits for an agent, and for what.
pub(crate) enum Waiting {
    Spawn {
        to: ReplyTo,
        reservation: u64,
        spawn: SpawnNode,
        is_old: bool,
    },
    Stop {
        to: ReplyTo,
        agent_id: String,
        node_id: String,
    },
    /// An old agent's word on a node; nobody where the master asks for itself.
    Status {
        to: Option<ReplyTo>,
        node_id: String,
    },
}

impl MasterService {
    pub(crate) fn spawn(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(spawn) = validated::<SpawnNode>(cx, request) else { return Flow::Taken };
        let to = request.reply_to;
        if let Some(flow) = self.hold_back(cx, to) {
            return flow;
        }
        let spawn = spawn.to_owned();
        match self.registry.reserve(&spawn, self.moment(cx)) {
            Ok((reservation, contact)) => {
                let (request, options) = message(&spawn, &contact);
                let is_old = contact.is_old;
                let waiting = Waiting::Spawn { to, reservation, spawn, is_old };
                if !self.send(contact.endpoint, request, options, forward::SPAWN, waiting) {
                    self.registry.spawn_failed(reservation);
                    self.too_busy(cx, to);
                }
            }
            Err(refused) => self.refuse(cx, to, &refused),
        }
        Flow::Taken
    }

    /// Asks an agent; `false` where too much waits already.
    pub(crate) fn send(
        &mut self,
        endpoint: String,
        request: GridRequest,
        options: Option<SpawnOptions>,
        timeout: std::time::Duration,
        waiting: Waiting,
    ) -> bool {
        let number = self.next_errand;
        let is_sent = self.errands.send(Errand { number, endpoint, request, options, timeout });
        if is_sent {
            self.next_errand += 1;
            self.counters.errands += 1;
            self.waiting.insert(number, waiting);
        }
        is_sent
    }

    pub(crate) fn too_busy(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo) {
        self.counters.refused += 1;
        cx.refuse(to, Status::Busy, "too much is being asked of agents already; ask again in a moment");
    }

    /// An agent has answered, or has not.
    pub(crate) fn done(&mut self, cx: &mut Context<'_, Message>, Done { number, result }: Done) {
        let Some(waiting) = self.waiting.remove(&number) else { return };
        self.counters.errands_failed += u64::from(result.is_err());
        let is_known = result.as_ref().err().is_none_or(ErrandError::is_certain);
        match waiting {
            Waiting::Spawn { to, reservation, spawn, is_old } => match spawned(&spawn, result) {
                Ok(report) => self.spawned(cx, to, reservation, &spawn, report, is_old),
                Err(failure) => {
                    if is_known {
                        self.registry.spawn_failed(reservation);
                    } else {
                        self.registry.spawn_unknown(reservation, self.moment(cx));
                    }
                    self.fail(cx, to, &spawn.agent_id, failure);
                }
            },
            Waiting::Stop { to, agent_id, node_id } => match stopped(result) {
                Ok(()) => {
                    self.registry.stopped(&node_id);
                    self.conclude(cx, Some(Answer { to, what: What::Done }));
                }
                Err(failure) => self.fail(cx, to, &agent_id, failure),
            },
            Waiting::Status { to, node_id } => {
                if let Ok((GridReply::GetStorageNodeStatusOk { status, pid, .. }, _)) = &result
                    && status.len() <= limits::MAX_GRID_TEXT
                {
                    self.registry.told_of(&node_id, status, *pid);
                }
                if let Ok((GridReply::Error { message }, _)) = &result {
                    self.registry.denied(&node_id, message);
                }
                // Where the agent says nothing of use, what was known is what is answered.
                self.conclude(cx, to.map(|to| Answer { to, what: What::Node(node_id) }));
            }
        }
    }

    fn spawned(
        &mut self,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        reservation: u64,
        spawn: &SpawnNode,
        report: NodeReport,
        is_old: bool,
    ) {
        let (node_id, at) = (report.node_id.clone(), self.moment(cx));
        if let Err(refused) = self.registry.spawned(reservation, spawn, report, at) {
            return self.refuse(cx, to, &refused);
        }
        if is_old && let Some((node_id, contact)) = self.registry.old_agent_of(&node_id, at) {
            // It reports nothing by itself: not even the process.
            let request = GridRequest::GetStorageNodeStatus { node_id: node_id.clone() };
            let waiting = Waiting::Status { to: None, node_id };
            let _ = self.send(contact.endpoint, request, None, forward::STATUS, waiting);
        }
        self.conclude(cx, Some(Answer { to, what: What::Node(node_id) }));
    }

    fn fail(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, agent_id: &str, (status, reason): Failure) {
        self.counters.refused += 1;
        cx.refuse(to, status, format!("agent {agent_id:?}: {reason}"));
    }

    /// The master is stopping: it waits for no agent.
    pub(crate) fn abandon(&mut self, cx: &mut Context<'_, Message>) {
        let registering = std::mem::take(&mut self.asking).into_values().filter_map(Asking::waiting);
        for to in registering {
            cx.refuse(to, Status::ShuttingDown, "this master is stopping; register again when it is back");
        }
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            let (Waiting::Spawn { to, .. } | Waiting::Stop { to, .. } | Waiting::Status { to: Some(to), .. }) = waiting
            else {
                continue;
            };
            let message = "this master is stopping; what the agent does is known when the master is back";
            cx.refuse(to, Status::ShuttingDown, message);
        }
    }
}

/// A status and the reason in words.
type Failure = (Status, String);

type Outcome = Result<(GridReply, Option<ReplyDetails>), ErrandError>;

/// The message that asks an agent for a node. An old agent has one port to give, and reads no
/// options.
fn message(spawn: &SpawnNode, contact: &Contact) -> (GridRequest, Option<SpawnOptions>) {
    let SpawnNode { agent_id, name, storage_path, cores, memory_limit_mb, port, compat_port } = spawn.clone();
    if contact.is_old {
        let port = if compat_port == 0 { port } else { compat_port };
        return (GridRequest::SpawnStorageNode { agent_id, storage_path, memory_limit_mb, port }, None);
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
        (GridReply::SpawnStorageNodeOk { node_id, endpoint: compat_endpoint, success: true, .. }, details) => {
            let as_asked = || SpawnedDetails { storage_path: asked.storage_path.clone(), ..SpawnedDetails::default() };
            let SpawnedDetails { native_endpoint: endpoint, storage_path, cores, memory_enforcement, started, pid } =
                match details {
                    Some(ReplyDetails::Spawned(details)) => details,
                    _ => as_asked(),
                };
            let texts = [&endpoint, &compat_endpoint, &storage_path, &cores, &memory_enforcement];
            let fits = texts.iter().all(|text| text.len() <= limits::MAX_GRID_TEXT);
            if node_id.is_empty() || node_id.len() > limits::MAX_LABEL || !fits {
                return Err(refused(format!(
                    "it started a node with the id {node_id:?} at {compat_endpoint:?}, which can't be kept"
                )));
            }
            let report = NodeReport { node_id, endpoint, compat_endpoint, storage_path, ..NodeReport::default() };
            Ok(NodeReport { cores, memory_enforcement, started, pid, ..report })
        }
        (GridReply::SpawnStorageNodeOk { error_message, .. }, details) => {
            let words = error_message.unwrap_or_else(|| "it did not start the node, and does not say why".into());
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
        (GridReply::StopStorageNodeOk { error_message, .. }, _) => {
            Err(refused(error_message.unwrap_or_else(|| "it did not stop the node, and does not say why".into())))
        }
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
        assert!(matches!(request, GridRequest::SpawnStorageNode { port: 2, .. }) && options.is_none());
        let contact = Contact { is_old: false, ..contact };
        let (request, options) = message(&spawn(), &contact);
        assert!(matches!(request, GridRequest::SpawnStorageNode { port: 1, .. }));
        assert_eq!(options.map(|options| (options.name, options.compat_port)), Some(("orders".into(), 2)));
    }

    #[test]
    fn what_an_agent_says_comes_back_in_its_words() {
        let failed = GridReply::StopStorageNodeOk { success: false, error_message: Some("no such node".into()) };
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
            let (node_id, endpoint, error_message) = (String::new(), String::new(), Some("not so".into()));
            let failed = GridReply::SpawnStorageNodeOk { node_id, endpoint, success: false, error_message };
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
        let told = NodeReport { endpoint: "h:2".into(), storage_path: "/srv/data".into(), pid: 7, ..expected };
        assert_eq!(spawned(&asked, Ok((ok("n".into()), Some(ReplyDetails::Spawned(details))))), Ok(told));
        assert!(spawned(&asked, Ok((ok("n".repeat(65)), None))).is_err());
    }
}
