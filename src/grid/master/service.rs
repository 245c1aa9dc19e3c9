//! The master as a service of the net layer: which request goes where, and what its timers do.

use std::io;
use std::time::Duration;

use sutra_net::{Body, Context, Flow, Identity, ReplyTo, Request, Service};
use sutra_runtime::Next;
use sutra_wire::grid::{
    AdminPorts, AgentHeartbeat, AgentKey, AgentRegistration, AgentReport, AgentsRequest,
    ClusterState, HeartbeatAck, NodeKey, NodesRequest,
};
use sutra_wire::{Health, Opcode, Status};

use crate::answer::{Answer, What};
use crate::api;
use crate::core::{MasterCore, validated};
use crate::errands::Errands;
use crate::forward::{Errand, Worker};
use crate::legacy;
use crate::message::{Home, Message, Timer, Token};
use crate::proving::{Proof, Proofs};
use crate::records;
use crate::registry::{Origin, Registered, Shown, Told};
use crate::watch::Watchers;

/// Looks at ages are at least so far apart, whatever the patience.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);
/// How often the watchers are looked after while there are no agents.
const IDLE_LOOK: Duration = Duration::from_secs(1);

pub(crate) struct MasterService {
    identity: Identity,
    core: MasterCore,
    watchers: Watchers,
    errands: Errands,
    proofs: Proofs,
    starts: u64,
    home: Home,
    has_begun: bool,
}

/// What a service starts with.
pub(crate) struct Setup {
    pub(crate) identity: Identity,
    pub(crate) core: MasterCore,
    pub(crate) errands: Worker<Errand>,
    pub(crate) proofs: Worker<Proof>,
    pub(crate) home: Home,
    /// Which start this is.
    pub(crate) starts: u64,
}

impl MasterService {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { identity, core, errands, proofs, home, starts } = setup;
        let (errands, proofs) = (Errands::new(errands), Proofs::new(proofs));
        Self {
            identity,
            core,
            watchers: Watchers::default(),
            errands,
            proofs,
            starts,
            home,
            has_begun: false,
        }
    }

    /// The core runs: other threads may send it messages, the start is counted, and ages are looked
    /// at.
    fn begin(&mut self, cx: &mut Context<'_, Message>) {
        self.has_begun = true;
        let _ = self.home.set(cx.postbox());
        self.core.journal.log(vec![records::starts_entry(self.starts)], None);
        cx.wake_in(Timer::Ages, SHORTEST_LOOK);
        self.core.journal.begin(cx);
    }

    fn register(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(registration) = validated::<AgentRegistration>(cx, request) else {
            return Flow::Taken;
        };
        let to = request.reply_to;
        if let Some(flow) = self.core.hold_back(cx, to) {
            return flow;
        }
        let (registration, origin) = (registration.to_owned(), cx.peer(to).map(Origin::from));
        match self.core.registry.register(&registration, origin, self.core.moment(cx)) {
            Ok(Registered::Done) => {
                self.core.conclude(cx, Some(Answer { to, what: What::Registered }));
            }
            Ok(Registered::AskFirst(ask)) => {
                self.proofs.ask_first(&mut self.core, cx, to, registration, ask);
            }
            Err(refused) => self.core.refuse_agent(cx, to, &registration.agent_id, &refused),
        }
        Flow::Taken
    }

    fn heartbeat(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) {
        let Some(heartbeat) = validated::<AgentHeartbeat>(cx, request) else { return };
        self.core.counters.heartbeats += 1;
        let (incarnation, revision) =
            (heartbeat.incarnation.to_native(), heartbeat.revision.to_native());
        match self.core.registry.heartbeat(
            &heartbeat.agent_id,
            incarnation,
            revision,
            self.core.moment(cx),
        ) {
            Some(wants_report) => {
                let ack = HeartbeatAck { sent: heartbeat.sent.to_native(), wants_report };
                cx.reply_archive(request.reply_to, Status::Ok, 0, &ack);
                self.core.conclude(cx, None);
            }
            None => {
                self.core.counters.unknown += 1;
                cx.reply(request.reply_to, Status::NotFound, 0, Body::Empty);
            }
        }
    }

    fn report(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(report) = validated::<AgentReport>(cx, request) else { return Flow::Taken };
        let to = request.reply_to;
        if let Some(flow) = self.core.hold_back(cx, to) {
            return flow;
        }
        if self.core.registry.report(&report.to_owned(), self.core.moment(cx)) {
            self.core.conclude(cx, Some(Answer { to, what: What::Done }));
        } else {
            self.core.counters.unknown += 1;
            cx.reply(to, Status::NotFound, 0, Body::Empty);
        }
        Flow::Taken
    }

    fn report_admin_ports(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) {
        let Some(ports) = validated::<AdminPorts>(cx, request) else { return };
        let to = request.reply_to;
        match self.core.registry.tell_ports(ports.to_owned()) {
            Told::Noted => cx.reply(to, Status::Ok, 0, Body::Empty),
            Told::TooEarly => {
                let message = "this agent has not been asked back yet; tell it again in a moment";
                cx.refuse(to, Status::Busy, message);
            }
            Told::Unknown => {
                self.core.counters.unknown += 1;
                cx.reply(to, Status::NotFound, 0, Body::Empty);
            }
        }
    }

    fn unregister(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(key) = validated::<AgentKey>(cx, request) else { return Flow::Taken };
        let to = request.reply_to;
        if let Some(flow) = self.core.hold_back(cx, to) {
            return flow;
        }
        if self.core.registry.unregister(&key.agent_id, key.incarnation.to_native()) {
            self.core.conclude(cx, Some(Answer { to, what: What::Done }));
        } else {
            cx.reply(to, Status::NotFound, 0, Body::Empty);
        }
        Flow::Taken
    }

    fn node(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) {
        let Some(key) = validated::<NodeKey>(cx, request) else { return };
        self.core.reply_node(cx, request.reply_to, &key.node, self.core.journal.last_sequence());
    }

    fn agents(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>, shown: Shown) {
        let Some(asked) = validated::<AgentsRequest>(cx, request) else { return };
        let page = self.core.registry.agent_page(
            &asked.after,
            asked.limit.to_native(),
            shown,
            self.core.moment(cx),
        );
        cx.reply_archive(request.reply_to, Status::Ok, self.core.journal.last_sequence(), &page);
    }

    fn nodes(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) {
        let Some(asked) = validated::<NodesRequest>(cx, request) else { return };
        let page = self.core.registry.node_page(
            &asked.agent_id,
            &asked.after,
            asked.limit.to_native(),
            self.core.moment(cx),
        );
        cx.reply_archive(request.reply_to, Status::Ok, self.core.journal.last_sequence(), &page);
    }

    fn health(&self, cx: &mut Context<'_, Message>, to: ReplyTo) {
        let problems = self.core.problems(cx);
        let healthy = problems.state == ClusterState::Healthy;
        let health = Health { healthy, status: problems.words(), uptime: self.core.uptime() };
        cx.reply_archive(to, Status::Ok, 0, &health);
    }

    fn reply_cluster(&self, cx: &mut Context<'_, Message>, to: ReplyTo, shown: Shown) {
        cx.reply_archive(
            to,
            Status::Ok,
            self.core.journal.last_sequence(),
            &self.core.cluster(cx, shown),
        );
    }

    fn look_at_ages(&mut self, cx: &mut Context<'_, Message>) {
        let next = self.core.registry.look_at_ages(self.core.moment(cx));
        self.core.conclude(cx, None);
        self.watchers.look_after(cx);
        let wait = next.map_or(IDLE_LOOK, |next| next.saturating_duration_since(cx.now()));
        cx.wake_in(Timer::Ages, wait.max(SHORTEST_LOOK));
    }
}

impl Service for MasterService {
    type Message = Message;

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn request(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        self.core.registry.notice_absence(self.core.moment(cx));
        let to = request.reply_to;
        match request.header.opcode {
            legacy::STOP => return self.errands.stop_on(&mut self.core, cx, request),
            legacy::LIST => {
                self.agents(cx, request, Shown::ByHeartbeat);
                return Flow::Taken;
            }
            legacy::CLUSTER => {
                self.reply_cluster(cx, to, Shown::ByHeartbeat);
                return Flow::Taken;
            }
            legacy::STATUS => {
                self.errands.status_on(&mut self.core, cx, request);
                return Flow::Taken;
            }
            _ => {}
        }
        match Opcode::from_number(request.header.opcode) {
            Some(Opcode::RegisterAgent) => return self.register(cx, request),
            Some(Opcode::AgentHeartbeat) => self.heartbeat(cx, request),
            Some(Opcode::ReportNodes) => return self.report(cx, request),
            Some(Opcode::ReportAdminPorts) => self.report_admin_ports(cx, request),
            Some(Opcode::UnregisterAgent) => return self.unregister(cx, request),
            Some(Opcode::SpawnNode) => return self.errands.spawn(&mut self.core, cx, request),
            Some(Opcode::StopNode) => return self.errands.stop(&mut self.core, cx, request),
            Some(Opcode::Node) => self.node(cx, request),
            Some(Opcode::Nodes) => self.nodes(cx, request),
            Some(Opcode::Agents) => self.agents(cx, request, Shown::ByAnswer),
            Some(Opcode::Cluster) => self.reply_cluster(cx, to, Shown::ByAnswer),
            Some(Opcode::Watch) => return self.watchers.watch(&self.core, cx, request),
            Some(Opcode::Health) => self.health(cx, to),
            Some(Opcode::Stats) => {
                let stats = self.core.stats(cx, self.watchers.count());
                cx.reply_archive(to, Status::Ok, self.core.journal.last_sequence(), &stats);
            }
            Some(Opcode::Hello) => {
                cx.refuse(to, Status::InvalidArgument, "Hello was said already on this connection");
            }
            Some(opcode) => {
                let message = format!(
                    "this is a grid's master, which does no {}; \
                     ask a storage node (`sutra grid nodes` says where they are)",
                    opcode.name()
                );
                cx.refuse(to, Status::NotServed, message);
            }
            None => {
                let number = request.header.opcode;
                let message = format!(
                    "no operation has the number 0x{number:02x}; \
                     is the client newer than this master?"
                );
                cx.refuse(to, Status::UnknownOpcode, message);
            }
        }
        Flow::Taken
    }

    fn message(&mut self, cx: &mut Context<'_, Message>, _: usize, message: Message) {
        match message {
            Message::Done(done) => self.errands.done(&mut self.core, cx, done),
            Message::Answered { number, answer } => {
                self.proofs.answered(&mut self.core, cx, number, answer);
            }
            Message::Driver(ended) => {
                if self.core.journal.ended(cx, ended) {
                    self.core.journal.tell_health();
                    cx.resume();
                }
            }
            Message::Look { lists, to } => {
                let overview =
                    self.core.overview(cx, lists, self.errands.count(), self.watchers.count());
                // Nobody waits for it any more where this fails.
                let _ = to.send(overview);
            }
            Message::Ask(question) => api::answer(&self.core, cx, question),
        }
    }

    fn written(&mut self, cx: &mut Context<'_, Message>, token: Token, result: io::Result<()>) {
        let Token::Commit = token;
        let landed = self.core.journal.committed(cx, result);
        self.core.journal.tell_health();
        self.core.answer_all(cx, landed);
        cx.resume();
    }

    fn timer(&mut self, cx: &mut Context<'_, Message>, timer: Timer) {
        match timer {
            Timer::Ages => self.look_at_ages(cx),
            Timer::Watchers => self.watchers.offer(&mut self.core, cx),
            Timer::Driver(timer) => self.core.journal.timer(cx, timer),
        }
    }

    fn turn_end(&mut self, cx: &mut Context<'_, Message>) -> Next {
        if !self.has_begun {
            self.begin(cx);
        }
        if cx.is_draining() {
            self.errands.abandon(cx);
            self.proofs.abandon(cx);
        }
        let at = self.core.moment(cx);
        self.proofs.ask_back(&mut self.core.registry, at);
        let refused = self.core.journal.advance(cx);
        self.core.answer_all(cx, refused);
        self.watchers.tell_all(&mut self.core, cx);
        Next::Sleep
    }

    fn is_idle(&self) -> bool {
        self.core.journal.is_idle() && self.errands.count() == 0
    }
}
