//! The storage service on one core: which feature each request, message and event goes to.
//!
//! The features do not know each other: what one of them finds for another is returned here and
//! handed on.

use std::io;
use std::time::Duration;

use sutra_driver::Change;
use sutra_net::{Context, Flow, Identity, Request, Service, Stage};
use sutra_runtime::Next;
use sutra_store::Refusal;
use sutra_wire::{Durability, Opcode};

use crate::all_cores::{self, AllCores};
use crate::backups::Backups;
use crate::core::Core;
use crate::core::message::{
    Body, DeleteManner, Forwarded, Listed, Message, Question, Ticket, Write, WriteTicket,
};
use crate::core::names::{Timer, Token};
use crate::core::run_queue::LongWork;
use crate::paths::{self, Paths};
use crate::reads;
use crate::unserved;
use crate::vectors::{SearchBegun, Vectors};
use crate::writes::Writes;

pub(crate) struct StorageService {
    core: Core,
    writes: Writes,
    paths: Paths,
    vectors: Vectors,
    all_cores: AllCores,
    backups: Backups,
    identity: Identity,
}

impl StorageService {
    pub(crate) fn new(core: Core, identity: Identity, cores: usize) -> Self {
        Self {
            core,
            writes: Writes::default(),
            paths: Paths::new(cores),
            vectors: Vectors::default(),
            all_cores: AllCores::default(),
            backups: Backups::default(),
            identity,
        }
    }

    fn search(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        match self.vectors.search(&mut self.core, cx, request, self.paths.has_room()) {
            SearchBegun::Flow(flow) => flow,
            SearchBegun::Near(asked) => {
                self.paths.find_neighborhood(&mut self.core, cx, asked);
                Flow::Taken
            }
        }
    }

    /// Does the next slice of the long work whose turn it is.
    fn advance_long_work(&mut self, cx: &mut Context<'_, Message>) {
        let Some(work) = self.core.run_queue().next() else { return };
        cx.enter_stage(Stage::LongWork);
        let core = &mut self.core;
        match work {
            LongWork::Deletion(number) => self.writes.advance_deletion(core, cx, number),
            LongWork::Batch(number) => self.paths.advance_batch(core, cx, number),
            LongWork::Traversal(number) => {
                if let Some(found) = self.paths.advance(core, cx, number) {
                    self.vectors.neighborhood_found(core, cx, found);
                }
            }
            LongWork::Share(share) => self.vectors.advance(core, cx, share),
        }
        cx.enter_stage(Stage::LookUp);
    }

    /// Tells the core that takes a cut where this core's log ends, as soon as that is known.
    fn tell_end(&mut self, cx: &mut Context<'_, Message>) {
        let shard = self.core.shard();
        if !self.backups.wants_end() || shard.is_committing() {
            return;
        }
        let end = match (shard.cut(), shard.health()) {
            (Some(end), _) => Ok(end),
            (None, Err(refusal @ Refusal::Failed { .. })) => Err(refusal.to_string()),
            // Something has landed that no sync has covered: its end leads here again.
            (None, _) => return self.all_cores.sync(&mut self.core, cx),
        };
        self.backups.ends(&mut self.core, cx, end);
    }

    /// There may be room in the log, or the folder is another: what was held back is tried again.
    fn go_on(&mut self, cx: &mut Context<'_, Message>) {
        self.core.tell_health(cx);
        self.all_cores.check_flushes(&mut self.core, cx);
        self.writes.retry(&mut self.core, cx);
        cx.resume();
    }
}

impl Service for StorageService {
    type Message = Message;

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn request(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        self.core.run_queue().note_arrival();
        let core = &mut self.core;
        match Opcode::from_number(request.header.opcode) {
            Some(Opcode::Learn) => self.writes.learn(core, cx, request),
            Some(Opcode::Associate) => self.writes.associate(core, cx, request),
            Some(Opcode::Delete) => self.writes.delete(core, cx, request, DeleteManner::Answered),
            Some(Opcode::DeleteCounted) => {
                self.writes.delete(core, cx, request, DeleteManner::Counted)
            }
            Some(Opcode::DeleteUnassociated) => {
                self.writes.delete(core, cx, request, DeleteManner::Unassociated)
            }
            Some(Opcode::Dissociate) => self.writes.dissociate(core, cx, request),
            Some(Opcode::Query) => reads::concept(core, cx, request),
            Some(Opcode::Association) => reads::association(core, cx, request),
            Some(Opcode::Neighbors) => reads::neighbors(core, cx, request),
            Some(Opcode::Concepts) => reads::concepts(core, cx, request, Listed::Learned),
            Some(Opcode::UnlearnedSources) => {
                reads::concepts(core, cx, request, Listed::UnlearnedSources)
            }
            Some(Opcode::StoreInfo) => reads::store_info(core, cx, request),
            Some(Opcode::Path) => self.paths.path(core, cx, request),
            Some(Opcode::Search) => self.search(cx, request),
            Some(Opcode::Stats) => self.all_cores.ask(core, cx, request.reply_to, Question::Stats),
            Some(Opcode::Flush) => self.all_cores.ask(core, cx, request.reply_to, Question::Flush),
            Some(Opcode::Health) => {
                self.all_cores.ask(core, cx, request.reply_to, Question::Health)
            }
            Some(Opcode::Scrub) => all_cores::scrub(core, cx, request),
            Some(Opcode::BackupCut) => self.backups.cut(core, cx, request),
            Some(Opcode::BackupDone) => self.backups.done(core, cx, request),
            Some(Opcode::ReadLog) => reads::log(core, cx, request),
            Some(Opcode::Hello) => unserved::refuse_hello(cx, request),
            Some(
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
                | Opcode::Watch
                | Opcode::ReportAdminPorts,
            ) => unserved::refuse_the_masters(cx, request),
            None => unserved::refuse_unknown(cx, request),
        }
    }

    fn message(&mut self, cx: &mut Context<'_, Message>, from: usize, message: Message) {
        self.core.shard_mut().observe(message.clock);
        self.core.run_queue().note_arrival();
        let core = &mut self.core;
        match message.body {
            Body::Request { to, request } => {
                let ticket = Ticket::there(from, to);
                match request {
                    Forwarded::Write(write) => {
                        self.writes.execute(core, cx, WriteTicket::Request(ticket), write);
                    }
                    Forwarded::Dissociate(key) => {
                        let ticket = WriteTicket::Dissociation { ticket, has_removed: false };
                        self.writes.execute(core, cx, ticket, Write::Remove(key));
                    }
                    Forwarded::Read(read) => reads::execute(core, cx, ticket, read),
                    Forwarded::Backup(asked) => self.backups.asked(core, cx, ticket, asked),
                    Forwarded::Itself { namespace, id } => {
                        paths::itself(core, cx, ticket, namespace, id);
                    }
                }
            }
            Body::Answer { to, status, sequence, payload, logged } => {
                let ticket = Ticket { logged, ..Ticket::here(to) };
                core.answered(cx, from, ticket, status, sequence, payload);
                self.writes.retry_numbered(core, cx);
                cx.resume();
            }
            Body::Write(message) => self.writes.message(core, cx, from, message),
            Body::Path(message) => self.paths.message(core, cx, from, message),
            Body::Vector(message) => self.vectors.message(core, cx, from, message),
            Body::Question(message) => self.all_cores.message(core, cx, from, message),
            Body::Backup(message) => {
                self.backups.message(core, cx, from, message);
                self.tell_end(cx);
            }
            // Nobody waits for it any more where this fails.
            Body::Look(to) => drop(to.send(self.all_cores.view(core, cx))),
            Body::LookAtSlow(to) => drop(to.send(cx.slow_requests())),
            Body::Driver(ended) => match core.shard_mut().ended(cx, ended) {
                Some(Change::Space) => self.go_on(cx),
                Some(Change::Folder) => {
                    core.tell_folder(cx);
                    self.go_on(cx);
                }
                None => {}
            },
            Body::Folder(lost) => {
                core.shard_mut().set_lost(lost);
                self.go_on(cx);
            }
        }
    }

    fn written(&mut self, cx: &mut Context<'_, Message>, token: Token, result: io::Result<()>) {
        self.core.run_queue().note_arrival();
        let core = &mut self.core;
        match token {
            Token::Commit => {
                let entries = core.shard_mut().committed(cx, result);
                self.writes.committed(core, cx, entries);
                cx.resume();
            }
            Token::Sync => self.all_cores.synced(core, result),
        }
        self.core.tell_health(cx);
        self.all_cores.check_flushes(&mut self.core, cx);
        self.tell_end(cx);
    }

    fn timer(&mut self, cx: &mut Context<'_, Message>, timer: Timer) {
        match timer {
            Timer::Driver(timer) => self.core.shard_mut().timer(cx, timer),
            Timer::Sync => self.all_cores.sync(&mut self.core, cx),
            Timer::Cut => self.backups.timer(&mut self.core, cx),
        }
    }

    fn turn_end(&mut self, cx: &mut Context<'_, Message>) -> Next {
        self.core.begin_looks(cx);
        self.advance_long_work(cx);
        if !self.backups.holds()
            && self.core.shard_mut().commit(cx)
            && let Durability::Interval(milliseconds) = self.identity.durability
        {
            self.all_cores.sync_within(cx, Duration::from_millis(u64::from(milliseconds)));
        }
        self.core.shard_mut().prepare(cx);
        self.vectors.build_index(&mut self.core, cx);
        match self.core.post_waiting(cx) || !self.core.run_queue().is_empty() {
            true => Next::Again,
            false => Next::Sleep,
        }
    }

    fn is_idle(&self) -> bool {
        self.core.is_idle()
            && self.writes.is_idle()
            && self.paths.is_idle()
            && self.vectors.is_idle()
            && self.all_cores.is_idle()
            && self.backups.is_idle()
    }

    fn objection(&self) -> Option<String> {
        self.core.objection()
    }
}
