//! One core's part of the storage service: what it owns, and where each request and message goes.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use sutra_net::{
    BackgroundJob, Body as ReplyBody, Context, Flow, Identity, ReplyTo, Request, Service, Stage, background_job,
};
use sutra_runtime::Next;
use sutra_store::{Acknowledged, Namespaces, Shard};
use sutra_wire::{Checked, CoreLayout, Durability, Opcode, Payload as Archived, Status};

use crate::delete::Deletions;
use crate::expansion::Expansions;
use crate::fan_out::{Jobs, Question};
use crate::flush::Flushes;
use crate::look::Looks;
use crate::mailbox::Peers;
use crate::message::{Body, Forwarded, Message, Payload, Ticket};
use crate::namespaces::Registrations;
use crate::report::ServerInfo;
use crate::run_queue::RunQueue;
use crate::search::Searches;
use crate::traversing::Traversals;

/// The write that carries the shard's commit in flight.
pub(crate) const COMMIT: u64 = 0;
/// From here on, syncs of files whose writes were acknowledged before.
pub(crate) const SYNC: u64 = 1;
/// The service's timers.
pub(crate) const SYNC_TIMER: u8 = 0;
const PREPARE_TIMER: u8 = 1;
const BACKGROUND_TIMER: u8 = 2;
pub(crate) const LOOK_TIMER: u8 = 3;
/// How soon log space that could not be made ready is asked for again.
const PREPARE_AGAIN: Duration = Duration::from_secs(1);
/// How soon a job is offered again to a background thread that has too much to do.
const BACKGROUND_AGAIN: Duration = Duration::from_millis(10);

pub(crate) struct StorageService {
    pub(crate) shard: Shard<Ticket>,
    pub(crate) layout: CoreLayout,
    pub(crate) namespaces: Arc<Namespaces>,
    pub(crate) registrations: Registrations,
    pub(crate) peers: Peers,
    pub(crate) jobs: Jobs,
    pub(crate) flushes: Flushes,
    pub(crate) run_queue: RunQueue,
    pub(crate) deletions: Deletions,
    pub(crate) traversals: Traversals,
    pub(crate) searches: Searches,
    /// A job for this core's worker that it could not take yet.
    pub(crate) index_job: Option<BackgroundJob<Message>>,
    pub(crate) expansions: Expansions,
    pub(crate) info: Arc<ServerInfo>,
    pub(crate) looks: Looks,
    identity: Identity,
    /// Requests of other cores and steps of deletions that found no room in the log, oldest first; bounded by the other cores' credits and by
    /// the removals that deletions have under way.
    stalled: VecDeque<(Ticket, Forwarded)>,
    acknowledged: Vec<Acknowledged<Ticket>>,
    /// Whether the log says that it takes writes, as it was last told to the log of events.
    is_writable: bool,
    /// Jobs that the background thread has not taken yet.
    background: VecDeque<BackgroundJob<Message>>,
}

impl StorageService {
    pub(crate) fn new(
        shard: Shard<Ticket>,
        namespaces: Arc<Namespaces>,
        looks: Looks,
        info: Arc<ServerInfo>,
        identity: Identity,
        cores: usize,
    ) -> Self {
        Self {
            shard,
            layout: CoreLayout::new(u16::try_from(cores).expect("fewer than 65,536 cores")),
            namespaces,
            registrations: Registrations::default(),
            peers: Peers::new(cores),
            jobs: Jobs::default(),
            flushes: Flushes::default(),
            run_queue: RunQueue::default(),
            deletions: Deletions::default(),
            traversals: Traversals::default(),
            searches: Searches::default(),
            index_job: None,
            expansions: Expansions::new(cores),
            info,
            looks,
            identity,
            stalled: VecDeque::new(),
            acknowledged: Vec::new(),
            is_writable: true,
            background: VecDeque::new(),
        }
    }

    pub(crate) fn post(&mut self, cx: &mut Context<'_, Message>, core: usize, body: Body) {
        self.peers.post(cx, core, self.shard.last_sequence(), body);
    }

    /// Sends a validated request to the core that owns its concept, where that core has a place for it.
    pub(crate) fn forward(
        &mut self,
        cx: &mut Context<'_, Message>,
        owner: usize,
        to: ReplyTo,
        request: impl FnOnce(&mut Context<'_, Message>) -> Forwarded,
    ) -> Flow {
        if !self.peers.take_credit(owner) {
            return Flow::Wait;
        }
        let request = request(cx);
        self.post(cx, owner, Body::Request { to, request });
        Flow::Taken
    }

    /// Answers a request wherever it came from.
    pub(crate) fn answer(
        &mut self,
        cx: &mut Context<'_, Message>,
        ticket: Ticket,
        status: Status,
        sequence: u64,
        payload: Payload,
    ) {
        match ticket {
            Ticket::There { core, to } => self.post(cx, core, Body::Answer { to, status, sequence, payload }),
            Ticket::Removal { core, deletion, has_removed } => {
                self.tell_removed(cx, core, deletion, Ok(has_removed));
            }
            Ticket::Burial(burial) => self.buried(cx, burial, status == Status::Ok, sequence),
            Ticket::Here(to) => match payload {
                Payload::Empty => cx.reply(to, status, sequence, ReplyBody::Empty),
                Payload::Stored(slice) => cx.reply(to, status, sequence, ReplyBody::Stored(slice)),
                Payload::Built(buffer) => {
                    cx.reply(to, status, sequence, ReplyBody::Bytes(&buffer));
                    cx.give_back(buffer);
                }
            },
        }
    }

    /// Refuses a request wherever it came from.
    pub(crate) fn refuse(&mut self, cx: &mut Context<'_, Message>, ticket: Ticket, status: Status, message: String) {
        match ticket {
            Ticket::Here(to) => cx.refuse(to, status, message),
            Ticket::Removal { core, deletion, .. } => {
                self.tell_removed(cx, core, deletion, Err((status, message)));
            }
            Ticket::Burial(burial) => self.not_buried(cx, burial, status, message),
            Ticket::There { .. } => {
                let buffer = self.archive(cx, &sutra_wire::ErrorMessage { message });
                self.answer(cx, ticket, status, 0, Payload::Built(buffer));
            }
        }
    }

    fn tell_removed(
        &mut self,
        cx: &mut Context<'_, Message>,
        core: usize,
        deletion: usize,
        outcome: Result<bool, (Status, String)>,
    ) {
        if core == cx.index() {
            self.removed(deletion, outcome);
        } else {
            self.post(cx, core, Body::Removed { deletion, outcome });
        }
    }

    /// A request that another core received, and validated there; or a step of one.
    pub(crate) fn execute(&mut self, cx: &mut Context<'_, Message>, ticket: Ticket, request: Forwarded) {
        let refused = match request {
            Forwarded::Learn { namespace, record } => match self.shard.learn(record.checked(), namespace, ticket) {
                Ok(_) => return cx.give_back(record.into_buffer()),
                Err(refusal) => (refusal, Forwarded::Learn { namespace, record }),
            },
            Forwarded::Associate { namespace, record } => {
                match self.shard.associate(record.checked(), namespace, ticket) {
                    Ok(_) => return cx.give_back(record.into_buffer()),
                    Err(refusal) => (refusal, Forwarded::Associate { namespace, record }),
                }
            }
            Forwarded::Delete { namespace, key, is_counted } => {
                return self.delete_for(ticket, namespace, key, is_counted);
            }
            Forwarded::Remove(key) => match self.shard.dissociate(&key, ticket) {
                Ok(Some(_)) => return,
                // It was removed by somebody else meanwhile.
                Ok(None) => return self.answer(cx, ticket, Status::Ok, self.shard.last_sequence(), Payload::Empty),
                Err(refusal) => (refusal, Forwarded::Remove(key)),
            },
            Forwarded::Bury { namespace, key } => match self.shard.delete(key.checked(), namespace, ticket) {
                Ok(_) => return cx.give_back(key.into_buffer()),
                Err(refusal) => (refusal, Forwarded::Bury { namespace, key }),
            },
            Forwarded::Query { namespace, id } => return self.query_here(cx, ticket, namespace, id),
            Forwarded::Association { namespace, source, target, kind } => {
                return self.association_here(cx, ticket, namespace, &source, &target, kind);
            }
            Forwarded::Concepts { namespace, from, limit } => {
                return self.concepts_here(cx, ticket, namespace, from, limit);
            }
            Forwarded::Itself { namespace, id } => return self.itself_here(cx, ticket, namespace, id),
            Forwarded::Neighbors { namespace, request } => {
                self.neighbors_here(cx, ticket, namespace, request.checked());
                return cx.give_back(request.into_buffer());
            }
        };
        match refused {
            (refusal, request) if refusal.is_stalled() => self.stalled.push_back((ticket, request)),
            (refusal, _) => self.refuse(cx, ticket, crate::learn::status_of(&refusal), refusal.to_string()),
        }
    }

    pub(crate) fn retry_stalled(&mut self, cx: &mut Context<'_, Message>) {
        for _ in 0..self.stalled.len() {
            let Some((ticket, request)) = self.stalled.pop_front() else { return };
            let before = self.stalled.len();
            self.execute(cx, ticket, request);
            if self.stalled.len() > before {
                // Still no room: it went to the back, and belongs to the front.
                self.stalled.rotate_right(1);
                return;
            }
        }
    }

    /// The commit in flight has ended: tells everyone whose write was in it.
    fn committed(&mut self, cx: &mut Context<'_, Message>, result: io::Result<()>) {
        if result.is_err() {
            // It may have found no space, which is looked for again.
            cx.wake_in(PREPARE_TIMER, PREPARE_AGAIN);
        }
        let mut acknowledged = std::mem::take(&mut self.acknowledged);
        self.shard.commit_finished(result, |entry| acknowledged.push(entry));
        for entry in acknowledged.drain(..) {
            self.acknowledge(cx, entry);
        }
        self.acknowledged = acknowledged;
        self.retry_stalled(cx);
        self.retry_numbered(cx);
        cx.resume();
    }

    /// Tells whoever reads the server's log when the shard stops taking writes, and when it takes them again.
    pub(crate) fn tell_health(&mut self, cx: &Context<'_, Message>) {
        match (self.shard.health(), self.is_writable) {
            (Err(refusal), true) => tracing::error!(core = cx.index(), "writes are refused, reads go on: {refusal}"),
            (Ok(()), false) => tracing::info!(core = cx.index(), "writes are taken again"),
            _ => return,
        }
        self.is_writable = !self.is_writable;
    }

    /// Has the background thread make the log space ready that the shard will need, and mark what is full.
    fn prepare(&mut self, cx: &mut Context<'_, Message>) {
        if let Some(job) = self.shard.work() {
            self.run_in_background(cx, move || Body::Prepared(Box::new(job.run())));
        }
        if let Some(job) = self.shard.next_mark() {
            self.run_in_background(cx, move || Body::Marked(job.run()));
        }
    }

    /// Runs a job on the background thread, in its turn. At most one preparation, one mark, one
    /// look and one registration wait.
    pub(crate) fn run_in_background(
        &mut self,
        cx: &mut Context<'_, Message>,
        job: impl FnOnce() -> Body + Send + 'static,
    ) {
        let clock = self.shard.last_sequence();
        self.background.push_back(background_job(move || Message { clock, body: job() }));
        self.start_background(cx);
    }

    fn start_background(&mut self, cx: &mut Context<'_, Message>) {
        while let Some(job) = self.background.pop_front() {
            if let Err(job) = cx.background(job) {
                self.background.push_front(job);
                return cx.wake_in(BACKGROUND_TIMER, BACKGROUND_AGAIN);
            }
        }
    }
}

impl Service for StorageService {
    type Message = Message;

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn request(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        self.run_queue.note_arrival();
        let Some(opcode) = Opcode::from_number(request.header.opcode) else {
            let message = format!(
                "no operation has the number 0x{:02x}; is the client newer than this server?",
                request.header.opcode
            );
            cx.refuse(request.reply_to, Status::UnknownOpcode, message);
            return Flow::Taken;
        };
        match opcode {
            Opcode::Learn => self.learn(cx, request),
            Opcode::Associate => self.associate(cx, request),
            Opcode::Query => self.query(cx, request),
            Opcode::Neighbors => self.neighbors(cx, request),
            Opcode::Stats => self.ask_all(cx, request.reply_to, Question::Stats),
            Opcode::Flush => self.ask_all(cx, request.reply_to, Question::Flush),
            Opcode::Health => self.ask_all(cx, request.reply_to, Question::Health),
            Opcode::Association => self.association(cx, request),
            Opcode::Concepts => self.concepts(cx, request),
            Opcode::Delete => self.delete(cx, request, false),
            Opcode::DeleteCounted => self.delete(cx, request, true),
            Opcode::Path => self.path(cx, request),
            Opcode::Search => self.search(cx, request),
            Opcode::RegisterAgent
            | Opcode::AgentHeartbeat
            | Opcode::ReportNodes
            | Opcode::UnregisterAgent
            | Opcode::SpawnNode
            | Opcode::StopNode
            | Opcode::Node
            | Opcode::Nodes
            | Opcode::Agents
            | Opcode::Cluster
            | Opcode::Watch => {
                let message = "this is a storage server; ask the grid's master (127.0.0.1:7001 unless told otherwise)";
                cx.refuse(request.reply_to, Status::NotServed, message);
                Flow::Taken
            }
            Opcode::Hello => {
                cx.refuse(request.reply_to, Status::InvalidArgument, "Hello was said already on this connection");
                Flow::Taken
            }
        }
    }

    fn message(&mut self, cx: &mut Context<'_, Message>, from: usize, message: Message) {
        self.shard.observe(message.clock);
        self.run_queue.note_arrival();
        match message.body {
            Body::Request { to, request } => self.execute(cx, Ticket::There { core: from, to }, request),
            Body::Remove { deletion, key } => {
                let ticket = Ticket::Removal { core: from, deletion, has_removed: false };
                self.execute(cx, ticket, Forwarded::Remove(key));
            }
            Body::Removed { deletion, outcome } => self.removed(deletion, outcome),
            Body::Answer { to, status, sequence, payload } => {
                self.peers.give_back(from);
                self.answer(cx, Ticket::Here(to), status, sequence, payload);
                self.retry_numbered(cx);
                cx.resume();
            }
            Body::InEdge { ticket, sequence, edge } => {
                self.shard.apply_in_edge(edge);
                self.post(cx, from, Body::InEdgeApplied { ticket, sequence });
            }
            Body::InEdgeApplied { ticket, sequence } => self.answer(cx, ticket, Status::Ok, sequence, Payload::Empty),
            Body::Expand { place, batch } => self.expand(from, place, batch),
            Body::ExpandOn { place } => self.expand_on(from, place),
            Body::Abandon { place } => self.abandon_expansion(cx, from, place),
            Body::Expanded { place, part } => self.expanded(cx, from, place, part),
            Body::Search(asked) => self.begin_part(from, *asked),
            Body::Searched { place, hits } => self.searched(cx, place, hits),
            Body::Ask { job, question } => self.asked(cx, from, job, question),
            Body::Tell { job, part } => self.told(cx, from, job, part),
            Body::Prepared(prepared) => {
                if self.shard.prepared(*prepared).is_err() {
                    cx.wake_in(PREPARE_TIMER, PREPARE_AGAIN);
                }
                self.tell_health(cx);
                self.retry_stalled(cx);
                self.retry_numbered(cx);
                cx.resume();
            }
            Body::Marked(marked) => self.shard.marked(marked),
            Body::Looked(lost) => self.looked(cx, lost),
            Body::Folder(lost) => self.folder_is(cx, lost),
            Body::Indexed(indexed) => self.index_is_back(*indexed),
            Body::Registered { refused } => self.registered(cx, refused),
        }
    }

    fn written(&mut self, cx: &mut Context<'_, Message>, token: u64, result: io::Result<()>) {
        self.run_queue.note_arrival();
        match token {
            COMMIT => self.committed(cx, result),
            _ => self.synced(cx, result),
        }
        self.tell_health(cx);
        self.check_flushes(cx);
    }

    fn timer(&mut self, cx: &mut Context<'_, Message>, timer: u8) {
        match timer {
            SYNC_TIMER => self.start_sync(cx),
            PREPARE_TIMER => self.prepare(cx),
            LOOK_TIMER => self.look(cx),
            _ => self.start_background(cx),
        }
    }

    fn turn_end(&mut self, cx: &mut Context<'_, Message>) -> Next {
        self.begin_looks(cx);
        self.advance_work(cx);
        if let Some(commit) = self.shard.next_commit() {
            cx.write(&commit.file, commit.offset, commit.bytes, COMMIT);
            if let Durability::Interval(milliseconds) = self.identity.durability {
                self.sync_within(cx, Duration::from_millis(u64::from(milliseconds)));
            }
        }
        self.prepare(cx);
        self.build_index(cx);
        if self.peers.flush(cx) || !self.run_queue.is_empty() { Next::Again } else { Next::Sleep }
    }

    fn is_idle(&self) -> bool {
        self.shard.pending() == 0
            && self.peers.is_idle()
            && self.jobs.is_empty()
            && self.flushes.is_idle()
            && self.deletions.is_idle()
            && self.traversals.is_idle()
            && self.searches.is_idle()
            && !self.shard.is_indexing()
            && self.stalled.is_empty()
            && self.registrations.is_idle()
    }
}

/// The request's payload as a `T`; `None` where it is none, which the client was told.
pub(crate) fn validated<'r, T: Archived>(
    cx: &mut Context<'_, Message>,
    request: &Request<'r>,
) -> Option<Checked<'r, T>> {
    let checked = Checked::new(request.payload);
    cx.enter_stage(Stage::LookUp);
    match checked {
        Ok(value) => Some(value),
        Err(error) => {
            cx.refuse(request.reply_to, error.status(), error.to_string());
            None
        }
    }
}
