//! The master as a service on one core: requests onto the registry, its changes into the log, answers when they are durable.
//!
//! Heartbeats and questions are answered at once and are not logged. What an agent must do first (start, stop) is an errand; its answer comes back
//! as a message.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use slab::Slab;
use sutra_compat::grid::{GridReply, GridRequest, SpawnOptions, SpawnedDetails};
use sutra_net::{Body, Context, Flow, Identity, ReplyTo, Request, Service, background_job};
use sutra_runtime::Next;
use sutra_store::{Acknowledged, NamespaceId, Shard};
use sutra_wire::grid::{
    AgentHeartbeat, AgentKey, AgentRegistered, AgentRegistration, AgentReport, AgentsRequest, NodeKey, NodeReport, NodeState,
    NodesRequest, SpawnNode, WatchRequest,
};
use sutra_wire::{Checked, ConceptKey, ConceptRecord, Counter, Health, Opcode, Payload, Stats, Status};

use super::config::MasterConfig;
use super::errands::{Errand, Errands};
use super::events::Events;
use super::message::Message;
use super::records::Entry;
use super::registry::{Change, Moment, Outcome, Refused, Registry, Target};

/// How often ages and watchers are looked at.
const LOOK: Duration = Duration::from_millis(250);
const LOOK_TIMER: u8 = 0;
const PREPARE_TIMER: u8 = 1;
/// How long until log space that could not be made is tried again.
const PREPARE_AGAIN: Duration = Duration::from_secs(1);
const COMMIT: u64 = 0;

/// Changes that wait for room in the log before requests do.
const WAITING: usize = 1_024;

/// An agent answers a spawn when the node's health answers, and a stop when the node's process has ended.
const SPAWN_LIMIT: Duration = Duration::from_secs(40);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What is answered when a change is durable.
#[derive(Clone)]
pub(crate) enum Ticket {
    /// Nothing: another change of the same request comes behind it.
    Quiet,
    Registered(ReplyTo),
    Ok(ReplyTo),
    Node(ReplyTo, String),
}

/// What an errand is for.
enum Purpose {
    Spawn { to: ReplyTo, spawn: SpawnNode },
    Stop { to: ReplyTo, node_id: String },
}

pub(crate) struct MasterService {
    registry: Registry,
    shard: Shard<Ticket>,
    events: Events,
    errands: Errands,
    under_way: Slab<Purpose>,
    /// Changes that found no room in the log.
    waiting: VecDeque<(Entry, Ticket)>,
    acknowledged: Vec<Acknowledged<Ticket>>,
    identity: Identity,
    started: Moment,
    config: MasterConfig,
    counts: Counts,
    is_looking: bool,
}

/// What was done since the start.
#[derive(Default)]
struct Counts {
    heartbeats: u64,
    unknown: u64,
    registrations: u64,
    refused: u64,
    errands: u64,
    failed_errands: u64,
}

/// Now, by both clocks.
pub(crate) fn moment(instant: std::time::Instant) -> Moment {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
    Moment { instant, micros }
}

impl MasterService {
    pub(crate) fn new(
        registry: Registry,
        shard: Shard<Ticket>,
        errands: Errands,
        identity: Identity,
        started: Moment,
        config: MasterConfig,
    ) -> Self {
        Self {
            events: Events::new(started.micros),
            registry,
            shard,
            errands,
            under_way: Slab::new(),
            waiting: VecDeque::new(),
            acknowledged: Vec::new(),
            identity,
            started,
            config,
            counts: Counts::default(),
            is_looking: false,
        }
    }

    fn now(cx: &Context<'_, Message>) -> Moment {
        moment(cx.now())
    }

    /// Logs changes, tells the news, and answers with the last change; at once where there is none.
    fn settle(&mut self, cx: &mut Context<'_, Message>, outcome: Outcome, ticket: Ticket) {
        let entries: Vec<_> = outcome.changes.iter().filter_map(|change: &Change| Entry::of(change, &self.registry)).collect();
        let mut entries = entries.into_iter().peekable();
        let mut last = Some(ticket);
        while let Some(entry) = entries.next() {
            let ticket = if entries.peek().is_none() { last.take() } else { None };
            self.waiting.push_back((entry, ticket.unwrap_or(Ticket::Quiet)));
        }
        if let Some(ticket) = last {
            self.conclude(cx, ticket, Ok(()));
        }
        self.log_waiting(cx);
        let micros = Self::now(cx).micros;
        for news in outcome.news {
            self.events.publish(cx, micros, news);
        }
    }

    fn log_waiting(&mut self, cx: &mut Context<'_, Message>) {
        const OWN: &str = "the archive was made a moment ago";
        let namespace = NamespaceId::DEFAULT;
        while let Some((entry, ticket)) = self.waiting.pop_front() {
            let written = match &entry {
                Entry::Put(bytes) => {
                    let record = Checked::<ConceptRecord>::new(bytes).expect(OWN);
                    self.shard.learn(record, namespace, ticket.clone())
                }
                Entry::Remove(bytes) => {
                    let key = Checked::<ConceptKey>::new(bytes).expect(OWN);
                    self.shard.delete(key, namespace, ticket.clone())
                }
            };
            match written {
                Ok(_) => {}
                Err(refusal) if refusal.is_stalled() => return self.waiting.push_front((entry, ticket)),
                Err(refusal) => self.conclude(cx, ticket, Err(refusal.to_string())),
            }
        }
    }

    /// Answers whoever waits for a change.
    fn conclude(&mut self, cx: &mut Context<'_, Message>, ticket: Ticket, logged: Result<(), String>) {
        let to = match &ticket {
            Ticket::Quiet => return,
            Ticket::Registered(to) | Ticket::Ok(to) | Ticket::Node(to, _) => *to,
        };
        if let Err(reason) = logged {
            return cx.refuse(to, Status::StorageFailed, format!("the registry could not be written: {reason}"));
        }
        match ticket {
            Ticket::Quiet => {}
            Ticket::Ok(to) => cx.reply(to, Status::Ok, 0, Body::Empty),
            Ticket::Registered(to) => {
                let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
                let registered = AgentRegistered {
                    master_version: env!("CARGO_PKG_VERSION").into(),
                    heartbeat_ms: millis(self.config.heartbeat),
                    degraded_after_ms: millis(self.config.degraded_after),
                    offline_after_ms: millis(self.config.offline_after),
                };
                cx.reply_archive(to, Status::Ok, 0, &registered);
            }
            Ticket::Node(to, node_id) => match self.registry.node(&node_id) {
                Some(info) => cx.reply_archive(to, Status::Ok, 0, &info),
                None => cx.refuse(to, Status::Internal, "the node was removed again while it was being noted"),
            },
        }
    }

    fn refuse(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, refused: &Refused) {
        self.counts.refused += 1;
        cx.refuse(to, Status::InvalidArgument, refused.to_string());
    }

    fn register(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, registration: AgentRegistration) {
        self.counts.registrations += 1;
        let mut outcome = Outcome::default();
        match self.registry.register(registration, Self::now(cx), &mut outcome) {
            Ok(()) => self.settle(cx, outcome, Ticket::Registered(to)),
            Err(refused) => {
                tracing::warn!("a registration is refused: {refused}");
                self.refuse(cx, to, &refused);
            }
        }
    }

    /// Cost: a look into the registry, one small reply; nothing is logged.
    fn heartbeat(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, heartbeat: &Checked<'_, AgentHeartbeat>) {
        self.counts.heartbeats += 1;
        let mut outcome = Outcome::default();
        let (incarnation, revision) = (heartbeat.incarnation.to_native(), heartbeat.revision.to_native());
        let sent = heartbeat.sent.to_native();
        let now = Self::now(cx);
        match self.registry.heartbeat(&heartbeat.agent_id, incarnation, revision, now, &mut outcome) {
            Some(mut ack) => {
                ack.sent = sent;
                cx.reply_archive(to, Status::Ok, sent, &ack);
            }
            None => {
                self.counts.unknown += 1;
                cx.reply(to, Status::NotFound, sent, Body::Empty);
            }
        }
        for news in outcome.news {
            self.events.publish(cx, now.micros, news);
        }
    }

    fn reported(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, report: AgentReport) {
        let AgentReport { agent_id, incarnation, revision, nodes } = report;
        let mut outcome = Outcome::default();
        if self.registry.reported(&agent_id, incarnation, revision, nodes, Self::now(cx), &mut outcome) {
            self.settle(cx, outcome, Ticket::Ok(to));
        } else {
            cx.reply(to, Status::NotFound, 0, Body::Empty);
        }
    }

    fn unregister(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, agent_id: &str) {
        let mut outcome = Outcome::default();
        if self.registry.unregister(agent_id, &mut outcome) {
            self.settle(cx, outcome, Ticket::Ok(to));
        } else {
            cx.reply(to, Status::NotFound, 0, Body::Empty);
        }
    }

    fn spawn(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, spawn: SpawnNode) {
        let target = match self.registry.begin_spawn(&spawn, Self::now(cx)) {
            Ok(target) => target,
            Err(refused) => return self.refuse(cx, to, &refused),
        };
        let port = if target.is_native { spawn.port } else { spawn.compat_port.max(spawn.port) };
        let request = GridRequest::SpawnStorageNode {
            agent_id: spawn.agent_id.clone(),
            storage_path: spawn.storage_path.clone(),
            memory_limit_mb: spawn.memory_limit_mb,
            port,
        };
        let options = SpawnOptions {
            name: spawn.name.clone(),
            cores: spawn.cores.clone(),
            compat_port: spawn.compat_port,
        };
        let options = target.is_native.then_some(options);
        self.ask(cx, &target, request, options, SPAWN_LIMIT, Purpose::Spawn { to, spawn });
    }

    fn stop(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, node: &str) {
        match self.registry.stop_target(node, Self::now(cx)) {
            Err(refused) => self.refuse(cx, to, &refused),
            Ok(None) => cx.reply(to, Status::NotFound, 0, Body::Empty),
            Ok(Some((_, node_id))) if self.is_lost(&node_id) => self.noted_stopped(cx, to, &node_id),
            Ok(Some((target, node_id))) => {
                let agent_id = target.agent_id.clone();
                let request = GridRequest::StopStorageNode { agent_id, node_id: node_id.clone() };
                self.ask(cx, &target, request, None, STOP_LIMIT, Purpose::Stop { to, node_id });
            }
        }
    }

    fn is_lost(&self, node_id: &str) -> bool {
        self.registry.report(node_id).is_some_and(|(_, report)| report.state == NodeState::Lost as u8)
    }

    fn noted_stopped(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, node_id: &str) {
        let mut outcome = Outcome::default();
        self.registry.stopped(node_id, &mut outcome);
        self.settle(cx, outcome, Ticket::Ok(to));
    }

    fn ask(
        &mut self,
        cx: &mut Context<'_, Message>,
        target: &Target,
        request: GridRequest,
        options: Option<SpawnOptions>,
        limit: Duration,
        purpose: Purpose,
    ) {
        self.counts.errands += 1;
        let number = self.under_way.insert(purpose);
        if !self.errands.send(Errand { number, endpoint: target.endpoint.clone(), request, options, limit }) {
            let purpose = self.under_way.remove(number);
            self.concluded(cx, purpose, Err("too many agents are being asked right now; try again".into()));
        }
    }

    /// An agent has answered, or will not.
    fn concluded(
        &mut self,
        cx: &mut Context<'_, Message>,
        purpose: Purpose,
        answer: Result<(GridReply, Option<SpawnedDetails>), String>,
    ) {
        self.counts.failed_errands += u64::from(answer.is_err());
        match purpose {
            Purpose::Spawn { to, spawn } => self.spawn_concluded(cx, to, &spawn, answer),
            Purpose::Stop { to, node_id } => match answer {
                Ok((GridReply::StopStorageNodeOk { success: true, .. }, _)) => self.noted_stopped(cx, to, &node_id),
                Ok((GridReply::StopStorageNodeOk { error_message, .. }, _)) => {
                    let message = error_message.unwrap_or_else(|| "the agent could not stop the node".into());
                    cx.refuse(to, Status::InvalidArgument, message);
                }
                Ok((other, _)) => cx.refuse(to, Status::InvalidArgument, unexpected(other)),
                Err(message) => cx.refuse(to, Status::InvalidArgument, message),
            },
        }
    }

    fn spawn_concluded(
        &mut self,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        spawn: &SpawnNode,
        answer: Result<(GridReply, Option<SpawnedDetails>), String>,
    ) {
        let started = match answer {
            Ok((GridReply::SpawnStorageNodeOk { node_id, endpoint, success: true, .. }, details)) => Ok(NodeReport {
                node_id,
                name: spawn.name.clone(),
                endpoint: details.map_or_else(String::new, |details| details.native_endpoint),
                compat_endpoint: endpoint,
                storage_path: spawn.storage_path.clone(),
                cores: spawn.cores.clone(),
                memory_limit_mb: spawn.memory_limit_mb,
                started: Self::now(cx).micros,
                state: NodeState::Running as u8,
                ..NodeReport::default()
            }),
            Ok((GridReply::SpawnStorageNodeOk { error_message, .. }, _)) => {
                Err(error_message.unwrap_or_else(|| "the agent could not start the node and gives no reason".into()))
            }
            Ok((other, _)) => Err(unexpected(other)),
            Err(message) => Err(message),
        };
        let (mut outcome, now) = (Outcome::default(), Self::now(cx));
        match started {
            Ok(report) => {
                let node_id = report.node_id.clone();
                self.registry.end_spawn(&spawn.agent_id, &spawn.name, Some(report), now, &mut outcome);
                self.settle(cx, outcome, Ticket::Node(to, node_id));
            }
            Err(message) => {
                self.registry.end_spawn(&spawn.agent_id, &spawn.name, None, now, &mut outcome);
                cx.refuse(to, Status::InvalidArgument, message);
            }
        }
    }

    fn committed(&mut self, cx: &mut Context<'_, Message>, result: io::Result<()>) {
        let mut acknowledged = std::mem::take(&mut self.acknowledged);
        self.shard.commit_finished(result, |entry| acknowledged.push(entry));
        for Acknowledged { ticket, effect, .. } in acknowledged.drain(..) {
            self.conclude(cx, ticket, effect.map(drop).map_err(|refusal| refusal.to_string()));
        }
        self.acknowledged = acknowledged;
        self.log_waiting(cx);
        cx.resume();
    }

    fn prepare(&mut self, cx: &mut Context<'_, Message>) {
        let prepared = self.shard.work().map(|job| background_job(move || Message::Prepared(Box::new(job.run()))));
        let marked = self.shard.next_mark().map(|job| background_job(move || Message::Marked(job.run())));
        for job in prepared.into_iter().chain(marked) {
            // One of each at a time, and the queue takes 64: there is always room.
            if cx.background(job).is_err() {
                tracing::error!("the background thread's queue is full");
            }
        }
    }

    fn look(&mut self, cx: &mut Context<'_, Message>) {
        let (mut outcome, now) = (Outcome::default(), Self::now(cx));
        self.registry.age(now, &mut outcome);
        for news in outcome.news {
            self.events.publish(cx, now.micros, news);
        }
        self.events.look_after(cx);
        self.is_looking = !cx.is_draining() || !self.events.is_idle();
        if self.is_looking {
            cx.wake_in(LOOK_TIMER, LOOK);
        }
    }

    fn health(&self, uptime: u64) -> Health {
        match self.shard.health() {
            Ok(()) => Health { healthy: true, status: "ok".into(), uptime },
            Err(refusal) => Health { healthy: false, status: refusal.to_string(), uptime },
        }
    }

    fn stats(&self, cx: &Context<'_, Message>, uptime: u64) -> Stats {
        let mut counters = Vec::new();
        cx.counters(&mut counters);
        let cluster = self.registry.cluster();
        for (name, value) in [
            ("agents", u64::from(cluster.agents)),
            ("agents_healthy", cluster.healthy.into()),
            ("agents_degraded", cluster.degraded.into()),
            ("agents_offline", cluster.offline.into()),
            ("nodes", cluster.nodes.into()),
            ("nodes_running", cluster.running.into()),
            ("heartbeats", self.counts.heartbeats),
            ("heartbeats_unknown", self.counts.unknown),
            ("registrations", self.counts.registrations),
            ("requests_refused", self.counts.refused),
            ("errands", self.counts.errands),
            ("errands_failed", self.counts.failed_errands),
        ] {
            counters.push(Counter { name: name.into(), value });
        }
        let shard = self.shard.stats();
        Stats {
            written: shard.written,
            pending: shard.pending,
            uptime,
            cores: 1,
            durability: self.identity.durability.to_string(),
            write_path: self.shard.write_path(),
            data: self.config.data.display().to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            counters,
            ..Stats::default()
        }
    }
}

fn unexpected(reply: GridReply) -> String {
    match reply {
        GridReply::Error { message } => message,
        other => format!("the agent has answered something else: {other:?}"),
    }
}

/// The request's payload, or its refusal.
fn payload<'r, T: Payload>(cx: &mut Context<'_, Message>, request: &Request<'r>) -> Option<Checked<'r, T>> {
    match Checked::new(request.payload) {
        Ok(value) => Some(value),
        Err(error) => {
            cx.refuse(request.reply_to, error.status(), error.to_string());
            None
        }
    }
}

/// Hands a request's value on, where it is one.
macro_rules! with {
    ($cx:ident, $request:ident, $of:ty, |$value:ident| $then:expr) => {
        if let Some($value) = payload::<$of>($cx, $request) {
            $then
        }
    };
}

impl Service for MasterService {
    type Message = Message;

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn request(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        if !std::mem::replace(&mut self.is_looking, true) {
            cx.wake_in(LOOK_TIMER, LOOK);
        }
        let to = request.reply_to;
        let uptime = cx.now().saturating_duration_since(self.started.instant).as_micros() as u64;
        let Some(opcode) = Opcode::from_number(request.header.opcode) else {
            let message = format!(
                "no operation has the number 0x{:02x}; is the client newer than this master?",
                request.header.opcode
            );
            cx.refuse(to, Status::UnknownOpcode, message);
            return Flow::Taken;
        };
        let is_logged = matches!(
            opcode,
            Opcode::RegisterAgent | Opcode::ReportNodes | Opcode::UnregisterAgent | Opcode::SpawnNode | Opcode::StopNode
        );
        if is_logged && self.waiting.len() >= WAITING {
            return Flow::Wait;
        }
        match opcode {
            Opcode::AgentHeartbeat => with!(cx, request, AgentHeartbeat, |beat| self.heartbeat(cx, to, &beat)),
            Opcode::RegisterAgent => {
                with!(cx, request, AgentRegistration, |agent| self.register(cx, to, agent.to_owned()));
            }
            Opcode::ReportNodes => with!(cx, request, AgentReport, |report| self.reported(cx, to, report.to_owned())),
            Opcode::UnregisterAgent => with!(cx, request, AgentKey, |key| self.unregister(cx, to, &key.agent_id)),
            Opcode::SpawnNode => with!(cx, request, SpawnNode, |spawn| self.spawn(cx, to, spawn.to_owned())),
            Opcode::StopNode => with!(cx, request, NodeKey, |key| self.stop(cx, to, &key.node)),
            Opcode::Node => with!(cx, request, NodeKey, |key| match self.registry.node(&key.node) {
                Some(info) => cx.reply_archive(to, Status::Ok, 0, &info),
                None => cx.reply(to, Status::NotFound, 0, Body::Empty),
            }),
            Opcode::Nodes => with!(cx, request, NodesRequest, |wanted| {
                let nodes = self.registry.nodes(&wanted.agent_id, &wanted.after, wanted.limit.to_native());
                cx.reply_archive(to, Status::Ok, 0, &nodes);
            }),
            Opcode::Agents => with!(cx, request, AgentsRequest, |wanted| {
                let agents = self.registry.agents(&wanted.after, wanted.limit.to_native(), Self::now(cx));
                cx.reply_archive(to, Status::Ok, 0, &agents);
            }),
            Opcode::Cluster => {
                let mut cluster = self.registry.cluster();
                (cluster.version, cluster.uptime) = (env!("CARGO_PKG_VERSION").into(), uptime);
                cx.reply_archive(to, Status::Ok, 0, &cluster);
            }
            Opcode::Watch => with!(cx, request, WatchRequest, |watch| {
                self.events.watch(cx, to, watch.after.to_native());
            }),
            Opcode::Stats => cx.reply_archive(to, Status::Ok, 0, &self.stats(cx, uptime)),
            Opcode::Health => cx.reply_archive(to, Status::Ok, 0, &self.health(uptime)),
            Opcode::Hello => cx.refuse(to, Status::InvalidArgument, "Hello was said already on this connection"),
            _ => {
                let message = format!("this is the grid's master; ask a storage server for {}", opcode.name());
                cx.refuse(to, Status::NotServed, message);
            }
        }
        Flow::Taken
    }

    fn message(&mut self, cx: &mut Context<'_, Message>, _: usize, message: Message) {
        match message {
            Message::Prepared(prepared) => {
                if self.shard.prepared(*prepared).is_err() {
                    cx.wake_in(PREPARE_TIMER, PREPARE_AGAIN);
                }
                self.log_waiting(cx);
                cx.resume();
            }
            Message::Marked(marked) => self.shard.marked(marked),
            Message::Answered { errand, answer } => {
                if let Some(purpose) = self.under_way.try_remove(errand) {
                    self.concluded(cx, purpose, answer);
                }
            }
        }
    }

    fn written(&mut self, cx: &mut Context<'_, Message>, _: u64, result: io::Result<()>) {
        self.committed(cx, result);
    }

    fn timer(&mut self, cx: &mut Context<'_, Message>, timer: u8) {
        match timer {
            LOOK_TIMER => self.look(cx),
            _ => self.prepare(cx),
        }
    }

    fn turn_end(&mut self, cx: &mut Context<'_, Message>) -> Next {
        if cx.is_draining() && !self.events.is_idle() {
            self.events.look_after(cx);
        }
        if let Some(commit) = self.shard.next_commit() {
            cx.write(&commit.file, commit.offset, commit.bytes, COMMIT);
        }
        self.prepare(cx);
        Next::Sleep
    }

    fn is_idle(&self) -> bool {
        self.shard.pending() == 0 && self.waiting.is_empty() && self.under_way.is_empty() && self.events.is_idle()
    }
}
