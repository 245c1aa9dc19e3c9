//! One core's part of the storage service: which feature each request, message and event goes to.
//!
//! The features do not know each other: what one of them finds for another is returned here and
//! handed on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sutra_driver::Change;
use sutra_net::{Context, Flow, Identity, Request, Service, Stage};
use sutra_runtime::Next;
use sutra_store::{Keeper, Namespaces, Shard};
use sutra_wire::{Durability, Opcode, Status};

use crate::all_cores::AllCores;
use crate::core::Core;
use crate::core::message::{Body, Forwarded, Message, Question, Ticket, WriteTicket};
use crate::core::names::{Timer, Token};
use crate::core::run_queue::Work;
use crate::paths::{self, Paths};
use crate::reads;
use crate::report::ServerInfo;
use crate::vectors::{Asked, Vectors};
use crate::writes::Writes;

pub(crate) struct StorageService {
    core: Core,
    writes: Writes,
    paths: Paths,
    vectors: Vectors,
    all_cores: AllCores,
    identity: Identity,
    /// For the first turn of the core that looks at the data folder.
    manifest: Option<Arc<Keeper>>,
}

impl StorageService {
    /// `manifest`: where this core is to look at the data folder for all.
    pub(crate) fn new(
        shard: Shard<WriteTicket>,
        namespaces: Arc<Namespaces>,
        manifest: Option<Arc<Keeper>>,
        info: Arc<ServerInfo>,
        identity: Identity,
        cores: usize,
    ) -> Self {
        Self {
            core: Core::new(shard, namespaces, info, cores),
            writes: Writes::default(),
            paths: Paths::new(cores),
            vectors: Vectors::default(),
            all_cores: AllCores::default(),
            identity,
            manifest,
        }
    }

    fn search(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        match self.vectors.search(&mut self.core, cx, request, self.paths.has_place()) {
            Asked::Flow(flow) => flow,
            Asked::Near(near) => {
                let around = (near.id, near.edges);
                self.paths.find_neighborhood(&mut self.core, cx, near.search, near.to, near.namespace, around);
                Flow::Taken
            }
        }
    }

    /// Does the next slice of the job whose turn it is.
    fn advance_work(&mut self, cx: &mut Context<'_, Message>) {
        let Some(work) = self.core.run_queue.next() else { return };
        cx.enter_stage(Stage::LongWork);
        let core = &mut self.core;
        match work {
            Work::Deletion(number) => self.writes.advance_deletion(core, cx, number),
            Work::Batch(slot) => self.paths.advance_batch(core, cx, slot),
            Work::Traversal(place) => {
                if let Some(found) = self.paths.advance(core, cx, place) {
                    self.vectors.neighborhood_found(core, cx, found.search, found.found);
                }
            }
            Work::Search(share) => self.vectors.advance(core, cx, share),
        }
        cx.enter_stage(Stage::LookUp);
    }

    /// There may be room in the log, or the folder is another: what was held back is tried again.
    fn go_on(&mut self, cx: &mut Context<'_, Message>) {
        self.core.tell_health(cx);
        self.all_cores.check_flushes(&mut self.core, cx);
        self.writes.retry(&mut self.core, cx);
        cx.resume();
    }

    /// The data folder has gone, or is back: every core is to know.
    fn folder_changed(&mut self, cx: &mut Context<'_, Message>) {
        let lost = self.core.shard.lost();
        for other in (0..cx.cores()).filter(|other| *other != cx.index()).collect::<Vec<_>>() {
            self.core.post(cx, other, Body::Folder(lost.clone()));
        }
    }
}

impl Service for StorageService {
    type Message = Message;

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn request(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        self.core.run_queue.note_arrival();
        let Some(opcode) = Opcode::from_number(request.header.opcode) else {
            return refuse_unknown(cx, request);
        };
        let core = &mut self.core;
        match opcode {
            Opcode::Learn => self.writes.learn(core, cx, request),
            Opcode::Associate => self.writes.associate(core, cx, request),
            Opcode::Delete => self.writes.delete(core, cx, request, false),
            Opcode::DeleteCounted => self.writes.delete(core, cx, request, true),
            Opcode::Query => reads::concept(core, cx, request),
            Opcode::Association => reads::association(core, cx, request),
            Opcode::Neighbors => reads::neighbors(core, cx, request),
            Opcode::Concepts => reads::concepts(core, cx, request),
            Opcode::Path => self.paths.path(core, cx, request),
            Opcode::Search => self.search(cx, request),
            Opcode::Stats => self.all_cores.ask(core, cx, request.reply_to, Question::Stats),
            Opcode::Flush => self.all_cores.ask(core, cx, request.reply_to, Question::Flush),
            Opcode::Health => self.all_cores.ask(core, cx, request.reply_to, Question::Health),
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
        self.core.shard.observe(message.clock);
        self.core.run_queue.note_arrival();
        let core = &mut self.core;
        match message.body {
            Body::Request { to, request } => {
                let ticket = Ticket::There { core: from, to };
                match request {
                    Forwarded::Write(write) => self.writes.execute(core, cx, WriteTicket::Request(ticket), write),
                    Forwarded::Read(read) => reads::execute(core, cx, ticket, read),
                    Forwarded::Itself { namespace, id } => paths::itself(core, cx, ticket, namespace, id),
                }
            }
            Body::Answer { to, status, sequence, payload } => {
                core.give_back(from);
                core.answer(cx, Ticket::Here(to), status, sequence, payload);
                self.writes.retry_numbered(core, cx);
                cx.resume();
            }
            Body::Write(message) => self.writes.message(core, cx, from, message),
            Body::Path(message) => self.paths.message(core, cx, from, message),
            Body::Vector(message) => self.vectors.message(core, cx, from, message),
            Body::Question(message) => self.all_cores.message(core, cx, from, message),
            Body::Driver(ended) => match core.shard.ended(cx, ended) {
                Some(Change::Space) => self.go_on(cx),
                Some(Change::Folder) => {
                    self.folder_changed(cx);
                    self.go_on(cx);
                }
                None => {}
            },
            Body::Folder(lost) => {
                core.shard.set_lost(lost);
                self.go_on(cx);
            }
        }
    }

    fn written(&mut self, cx: &mut Context<'_, Message>, token: Token, result: io::Result<()>) {
        self.core.run_queue.note_arrival();
        let core = &mut self.core;
        match token {
            Token::Commit => {
                let entries = core.shard.committed(cx, result);
                self.writes.committed(core, cx, entries);
                cx.resume();
            }
            Token::Sync => self.all_cores.synced(core, result),
        }
        self.core.tell_health(cx);
        self.all_cores.check_flushes(&mut self.core, cx);
    }

    fn timer(&mut self, cx: &mut Context<'_, Message>, timer: Timer) {
        match timer {
            Timer::Driver(timer) => self.core.shard.timer(cx, timer),
            Timer::Sync => self.all_cores.sync(&mut self.core, cx),
        }
    }

    fn turn_end(&mut self, cx: &mut Context<'_, Message>) -> Next {
        if let Some(manifest) = self.manifest.take() {
            self.core.shard.begin_looks(cx, manifest);
        }
        self.advance_work(cx);
        if self.core.shard.commit(cx)
            && let Durability::Interval(milliseconds) = self.identity.durability
        {
            self.all_cores.sync_within(cx, Duration::from_millis(u64::from(milliseconds)));
        }
        self.core.shard.prepare(cx);
        self.vectors.build_index(&mut self.core, cx);
        match self.core.post_waiting(cx) || !self.core.run_queue.is_empty() {
            true => Next::Again,
            false => Next::Sleep,
        }
    }

    fn is_idle(&self) -> bool {
        self.core.shard.pending() == 0
            && !self.core.shard.is_indexing()
            && self.core.has_posted()
            && self.writes.is_idle()
            && self.paths.is_idle()
            && self.vectors.is_idle()
            && self.all_cores.is_idle()
    }
}

fn refuse_unknown(cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
    let number = request.header.opcode;
    let message = format!("no operation has the number 0x{number:02x}; is the client newer than this server?");
    cx.refuse(request.reply_to, Status::UnknownOpcode, message);
    Flow::Taken
}
