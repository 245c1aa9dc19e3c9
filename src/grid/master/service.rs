//! The master as a service of the net layer: which request goes where, and what its timers do.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sutra_driver::{Ended, TIMERS, status_of};
use sutra_net::{Body, Context, Flow, Identity, ReplyTo, Request, Service};
use sutra_runtime::Next;
use sutra_wire::grid::{
    AgentHeartbeat, AgentKey, AgentRegistered, AgentRegistration, AgentReport, AgentsRequest, ClusterState,
    HeartbeatAck, NodeKey, NodesRequest,
};
use sutra_wire::{Checked, Health, Opcode, Payload, Status};
use tokio::sync::oneshot;

use super::events::Events;
use super::forward::{Done, Errand, Home, Worker};
use super::journal::Journal;
use super::legacy;
use super::overview::{Counters, Overview};
use super::proving::{Asking, Proof};
use super::records;
use super::registry::{Answered, Moment, Refused, Registered, Registry, Shown, Source};
use super::replies::{Answer, What};
use super::spawning::Waiting;
use super::watch::Watchers;

/// The service's timers, behind those of its log.
const AGES_TIMER: u8 = TIMERS;
pub(crate) const WATCH_TIMER: u8 = TIMERS + 1;
/// Looks at ages are at least so far apart, whatever the patience.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);
/// How often the watchers are looked after while there are no agents.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// What reaches the master's core from its other threads.
pub(crate) enum Message {
    /// An agent has answered, or has not.
    Done(Done),
    /// An agent was asked back.
    Answered { number: u64, answer: Answered },
    /// The background has done something for the log.
    Driver(Ended),
    /// The admin thread wants to know.
    Look { lists: bool, to: oneshot::Sender<Overview> },
}

pub(crate) struct MasterService {
    pub(crate) identity: Identity,
    pub(crate) terms: AgentRegistered,
    pub(crate) registry: Registry,
    pub(crate) journal: Journal,
    pub(crate) events: Events,
    pub(crate) watchers: Watchers,
    pub(crate) errands: Worker<Errand>,
    pub(crate) proofs: Worker<Proof>,
    /// Who waits for what is asked of agents, by the errand's number.
    pub(crate) waiting: BTreeMap<u64, Waiting>,
    /// Agents that are being asked back, by the number of the asking.
    pub(crate) asking: BTreeMap<u64, Asking>,
    pub(crate) next_errand: u64,
    pub(crate) counters: Counters,
    started_at: Instant,
    starts: u64,
    home: Home,
    has_begun: bool,
}

/// What a service starts with.
pub(crate) struct Parts {
    pub(crate) identity: Identity,
    pub(crate) terms: AgentRegistered,
    pub(crate) registry: Registry,
    pub(crate) journal: Journal,
    pub(crate) errands: Worker<Errand>,
    pub(crate) proofs: Worker<Proof>,
    pub(crate) home: Home,
    /// Which start this is.
    pub(crate) starts: u64,
}

impl MasterService {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { identity, terms, registry, journal, errands, proofs, home, starts } = parts;
        Self {
            identity,
            terms,
            registry,
            journal,
            events: Events::new(starts),
            watchers: Watchers::default(),
            errands,
            proofs,
            waiting: BTreeMap::new(),
            asking: BTreeMap::new(),
            next_errand: 0,
            counters: Counters::default(),
            started_at: Instant::now(),
            starts,
            home,
            has_begun: false,
        }
    }

    pub(crate) fn moment(&self, cx: &Context<'_, Message>) -> Moment {
        Moment { now: cx.now(), wall: wall_clock() }
    }

    /// Since the master started, in µs.
    pub(crate) fn uptime(&self) -> u64 {
        u64::try_from(self.started_at.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The core runs: other threads may send it messages, the start is counted, and ages are looked
    /// at.
    fn begin(&mut self, cx: &mut Context<'_, Message>) {
        self.has_begun = true;
        let _ = self.home.set(cx.postbox());
        self.journal.log(vec![records::starts_entry(self.starts)], None);
        cx.wake_in(AGES_TIMER, SHORTEST_LOOK);
        self.journal.begin(cx);
    }

    pub(crate) fn refuse(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, refused: &Refused) {
        self.counters.refused += 1;
        cx.refuse(to, refused.status(), refused.to_string());
    }

    /// Whether a change may be taken now: `None` where it may, else what becomes of the request.
    pub(crate) fn hold_back(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo) -> Option<Flow> {
        if !self.journal.has_room() {
            return Some(Flow::Wait);
        }
        let refusal = self.journal.health().err()?;
        self.counters.refused += 1;
        cx.refuse(to, status_of(&refusal), refusal.to_string());
        Some(Flow::Taken)
    }

    fn register(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(registration) = validated::<AgentRegistration>(cx, request) else { return Flow::Taken };
        let to = request.reply_to;
        if let Some(flow) = self.hold_back(cx, to) {
            return flow;
        }
        let (registration, source) = (registration.to_owned(), cx.peer(to).map(Source::from));
        match self.registry.register(&registration, source, self.moment(cx)) {
            Ok(Registered::Done) => self.conclude(cx, Some(Answer { to, what: What::Registered })),
            Ok(Registered::AskFirst(ask)) => self.ask_first(cx, to, registration, ask),
            Err(refused) => self.refuse_agent(cx, to, &registration.agent_id, &refused),
        }
        Flow::Taken
    }

    pub(crate) fn refuse_agent(
        &mut self,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        agent_id: &str,
        refused: &Refused,
    ) {
        // Whoever sends many has no line for each.
        if !matches!(refused, Refused::Crowded { .. }) {
            tracing::warn!(agent_id, "an agent is refused: {refused}");
        }
        self.refuse(cx, to, refused);
    }

    fn heartbeat(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) {
        let Some(heartbeat) = validated::<AgentHeartbeat>(cx, request) else { return };
        self.counters.heartbeats += 1;
        let (incarnation, revision) = (heartbeat.incarnation.to_native(), heartbeat.revision.to_native());
        match self.registry.heartbeat(&heartbeat.agent_id, incarnation, revision, self.moment(cx)) {
            Some(wants_report) => {
                let ack = HeartbeatAck { sent: heartbeat.sent.to_native(), wants_report };
                cx.reply_archive(request.reply_to, Status::Ok, 0, &ack);
                self.conclude(cx, None);
            }
            None => {
                self.counters.unknown += 1;
                cx.reply(request.reply_to, Status::NotFound, 0, Body::Empty);
            }
        }
    }

    fn report(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(report) = validated::<AgentReport>(cx, request) else { return Flow::Taken };
        let to = request.reply_to;
        if let Some(flow) = self.hold_back(cx, to) {
            return flow;
        }
        if self.registry.report(&report.to_owned(), self.moment(cx)) {
            self.conclude(cx, Some(Answer { to, what: What::Done }));
        } else {
            self.counters.unknown += 1;
            cx.reply(to, Status::NotFound, 0, Body::Empty);
        }
        Flow::Taken
    }

    fn unregister(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(key) = validated::<AgentKey>(cx, request) else { return Flow::Taken };
        let to = request.reply_to;
        if let Some(flow) = self.hold_back(cx, to) {
            return flow;
        }
        if self.registry.unregister(&key.agent_id, key.incarnation.to_native()) {
            self.conclude(cx, Some(Answer { to, what: What::Done }));
        } else {
            cx.reply(to, Status::NotFound, 0, Body::Empty);
        }
        Flow::Taken
    }

    fn node(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) {
        let Some(key) = validated::<NodeKey>(cx, request) else { return };
        self.reply_node(cx, request.reply_to, &key.node, self.journal.last_sequence());
    }

    fn agents(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>, shown: Shown) {
        let Some(asked) = validated::<AgentsRequest>(cx, request) else { return };
        let page = self.registry.agent_page(&asked.after, asked.limit.to_native(), shown, self.moment(cx));
        cx.reply_archive(request.reply_to, Status::Ok, self.journal.last_sequence(), &page);
    }

    fn nodes(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) {
        let Some(asked) = validated::<NodesRequest>(cx, request) else { return };
        let page = self.registry.node_page(&asked.agent_id, &asked.after, asked.limit.to_native(), self.moment(cx));
        cx.reply_archive(request.reply_to, Status::Ok, self.journal.last_sequence(), &page);
    }

    fn health(&self, cx: &mut Context<'_, Message>, to: ReplyTo) {
        let problems = self.problems(cx);
        let healthy = problems.state == ClusterState::Healthy;
        let health = Health { healthy, status: problems.words(), uptime: self.uptime() };
        cx.reply_archive(to, Status::Ok, 0, &health);
    }

    fn reply_cluster(&self, cx: &mut Context<'_, Message>, to: ReplyTo, shown: Shown) {
        cx.reply_archive(to, Status::Ok, self.journal.last_sequence(), &self.cluster(cx, shown));
    }

    fn look_at_ages(&mut self, cx: &mut Context<'_, Message>) {
        let next = self.registry.look_at_ages(self.moment(cx));
        self.conclude(cx, None);
        self.look_after_watchers(cx);
        let wait = next.map_or(IDLE_LOOK, |next| next.saturating_duration_since(cx.now()));
        cx.wake_in(AGES_TIMER, wait.max(SHORTEST_LOOK));
    }
}

impl Service for MasterService {
    type Message = Message;

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn request(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        self.registry.notice_absence(self.moment(cx));
        let to = request.reply_to;
        match request.header.opcode {
            legacy::STOP => return self.stop_on(cx, request),
            legacy::LIST => {
                self.agents(cx, request, Shown::ByHeartbeat);
                return Flow::Taken;
            }
            legacy::CLUSTER => {
                self.reply_cluster(cx, to, Shown::ByHeartbeat);
                return Flow::Taken;
            }
            legacy::STATUS => {
                self.status_on(cx, request);
                return Flow::Taken;
            }
            _ => {}
        }
        match Opcode::from_number(request.header.opcode) {
            Some(Opcode::RegisterAgent) => return self.register(cx, request),
            Some(Opcode::AgentHeartbeat) => self.heartbeat(cx, request),
            Some(Opcode::ReportNodes) => return self.report(cx, request),
            Some(Opcode::UnregisterAgent) => return self.unregister(cx, request),
            Some(Opcode::SpawnNode) => return self.spawn(cx, request),
            Some(Opcode::StopNode) => return self.stop(cx, request),
            Some(Opcode::Node) => self.node(cx, request),
            Some(Opcode::Nodes) => self.nodes(cx, request),
            Some(Opcode::Agents) => self.agents(cx, request, Shown::ByAnswer),
            Some(Opcode::Cluster) => self.reply_cluster(cx, to, Shown::ByAnswer),
            Some(Opcode::Watch) => return self.watch(cx, request),
            Some(Opcode::Health) => self.health(cx, to),
            Some(Opcode::Stats) => {
                let stats = self.stats(cx);
                cx.reply_archive(to, Status::Ok, self.journal.last_sequence(), &stats);
            }
            Some(Opcode::Hello) => {
                cx.refuse(to, Status::InvalidArgument, "Hello was said already on this connection");
            }
            Some(opcode) => {
                let message = format!(
                    "this is a grid's master, which does no {}; ask a storage node (`sutra grid nodes` says where they are)",
                    opcode.name()
                );
                cx.refuse(to, Status::NotServed, message);
            }
            None => {
                let number = request.header.opcode;
                let message =
                    format!("no operation has the number 0x{number:02x}; is the client newer than this master?");
                cx.refuse(to, Status::UnknownOpcode, message);
            }
        }
        Flow::Taken
    }

    fn message(&mut self, cx: &mut Context<'_, Message>, _: usize, message: Message) {
        match message {
            Message::Done(done) => self.done(cx, done),
            Message::Answered { number, answer } => self.answered(cx, number, answer),
            Message::Driver(ended) => {
                if self.journal.ended(cx, ended) {
                    self.journal.tell_health();
                    cx.resume();
                }
            }
            Message::Look { lists, to } => {
                let overview = self.overview(cx, lists);
                // Nobody waits for it any more where this fails.
                let _ = to.send(overview);
            }
        }
    }

    fn written(&mut self, cx: &mut Context<'_, Message>, _: u64, result: io::Result<()>) {
        let landed = self.journal.committed(cx, result);
        self.journal.tell_health();
        self.answer_all(cx, landed);
        cx.resume();
    }

    fn timer(&mut self, cx: &mut Context<'_, Message>, timer: u8) {
        match timer {
            AGES_TIMER => self.look_at_ages(cx),
            WATCH_TIMER => self.offer(cx),
            _ => self.journal.timer(cx, timer),
        }
    }

    fn turn_end(&mut self, cx: &mut Context<'_, Message>) -> Next {
        if !self.has_begun {
            self.begin(cx);
        }
        if cx.is_draining() {
            self.abandon(cx);
        }
        let refused = self.journal.advance(cx);
        self.answer_all(cx, refused);
        self.tell_watchers(cx);
        Next::Sleep
    }

    fn is_idle(&self) -> bool {
        self.journal.is_idle() && self.waiting.is_empty()
    }
}

/// The request's payload as a `T`; `None` where it is none, which the client was told.
pub(crate) fn validated<'r, T: Payload>(
    cx: &mut Context<'_, Message>,
    request: &Request<'r>,
) -> Option<Checked<'r, T>> {
    match Checked::new(request.payload) {
        Ok(value) => Some(value),
        Err(error) => {
            cx.refuse(request.reply_to, error.status(), error.to_string());
            None
        }
    }
}

/// µs since 1970.
pub(crate) fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
