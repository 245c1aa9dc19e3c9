//! What every feature of the service needs of its core: the shard, the way to the other cores, the
//! queue of long work, and the ways to answer.
//!
//! It knows no feature. A feature keeps its own state and takes that, this, and the context.

pub(crate) mod mailbox;
pub(crate) mod message;
pub(crate) mod names;
pub(crate) mod neighborhood;
pub(crate) mod run_queue;

use std::sync::Arc;

use rkyv::api::high::HighSerializer;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Serialize};
use sutra_driver::{Health, ShardDriver};
use sutra_net::{Body as ReplyBody, Context, Flow, ReplyTo, Request, Stage};
use sutra_store::{Keeper, LastBackup, Namespaces, Refusal, Shard};
use sutra_wire::{
    Checked, ConceptId, CoreLayout, ErrorMessage, FrameBuffer, Payload as Archived, Status,
};

use crate::report::ServerInfo;
use mailbox::Peers;
use message::{AskedFrom, Body, Forwarded, Message, Payload, Ticket, WriteTicket};
use run_queue::RunQueue;

pub(crate) struct Core {
    shard: ShardDriver<WriteTicket, Message>,
    namespaces: Arc<Namespaces>,
    run_queue: RunQueue,
    info: Arc<ServerInfo>,
    layout: CoreLayout,
    peers: Peers,
    /// For the first turn of the core that looks at the data folder.
    manifest: Option<Arc<Keeper>>,
    /// The last backup, on the core that keeps the note of it.
    last_backup: Option<LastBackup>,
}

impl Core {
    /// `manifest`: where this core is to look at the data folder for all.
    pub(crate) fn new(
        shard: Shard<WriteTicket>,
        namespaces: Arc<Namespaces>,
        manifest: Option<Arc<Keeper>>,
        info: Arc<ServerInfo>,
        cores: usize,
    ) -> Self {
        Self {
            shard: ShardDriver::new(shard, |clock, ended| Message {
                clock,
                body: Body::Driver(ended),
            }),
            namespaces,
            run_queue: RunQueue::default(),
            info,
            layout: CoreLayout::new(u16::try_from(cores).expect("fewer than 65,536 cores")),
            peers: Peers::new(cores),
            manifest,
            last_backup: None,
        }
    }

    /// The shard, with what drives it.
    pub(crate) fn shard(&self) -> &ShardDriver<WriteTicket, Message> {
        &self.shard
    }

    pub(crate) fn shard_mut(&mut self) -> &mut ShardDriver<WriteTicket, Message> {
        &mut self.shard
    }

    pub(crate) fn namespaces(&self) -> &Arc<Namespaces> {
        &self.namespaces
    }

    /// The last backup that was completed, on the core that keeps the note of it.
    pub(crate) fn last_backup(&self) -> Option<LastBackup> {
        self.last_backup
    }

    pub(crate) fn set_last_backup(&mut self, backup: LastBackup) {
        self.last_backup = Some(backup);
    }

    /// The long work that is ready for its next slice.
    pub(crate) fn run_queue(&mut self) -> &mut RunQueue {
        &mut self.run_queue
    }

    /// What every core knows of the server.
    pub(crate) fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// The core that owns a concept.
    pub(crate) fn owner(&self, id: &ConceptId) -> usize {
        usize::from(self.layout.owner(id))
    }

    /// Sends a message to another core.
    pub(crate) fn post(&mut self, cx: &mut Context<'_, Message>, core: usize, body: Body) {
        self.peers.post(cx, core, self.shard.last_sequence(), body);
    }

    /// Posts what found a mailbox full; says whether anything still waits.
    pub(crate) fn post_waiting(&mut self, cx: &mut Context<'_, Message>) -> bool {
        self.peers.flush(cx)
    }

    /// Whether no write, no indexing and no message is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.shard.pending() == 0 && !self.shard.is_indexing() && self.peers.is_idle()
    }

    /// Begins to look at the data folder, on the core that does it for all.
    pub(crate) fn begin_looks(&mut self, cx: &mut Context<'_, Message>) {
        if let Some(manifest) = self.manifest.take() {
            self.shard.begin_looks(cx, manifest);
        }
    }

    /// Has a request of a client's answered by the core that owns the concept that it is about:
    /// `here` where that is this core; where it is another, that core answers what `there` makes of
    /// the request.
    pub(crate) fn at_owner(
        &mut self,
        cx: &mut Context<'_, Message>,
        id: ConceptId,
        to: ReplyTo,
        there: impl FnOnce(&mut Context<'_, Message>) -> Forwarded,
        here: impl FnOnce(&mut Self, &mut Context<'_, Message>, Ticket) -> Flow,
    ) -> Flow {
        cx.about(to, id.0);
        self.at_core(cx, self.owner(&id), to, there, here)
    }

    /// The same for what is about no one concept, with the core that is to answer.
    pub(crate) fn at_core(
        &mut self,
        cx: &mut Context<'_, Message>,
        core: usize,
        to: ReplyTo,
        there: impl FnOnce(&mut Context<'_, Message>) -> Forwarded,
        here: impl FnOnce(&mut Self, &mut Context<'_, Message>, Ticket) -> Flow,
    ) -> Flow {
        if core == cx.index() {
            here(self, cx, Ticket::here(to))
        } else {
            self.forward(cx, core, to, there)
        }
    }

    /// Sends a validated request to the core that owns its concept, where that core has room for
    /// it.
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

    /// Another core has answered a request that was sent there: it has room for one more.
    pub(crate) fn answered(
        &mut self,
        cx: &mut Context<'_, Message>,
        from: usize,
        ticket: Ticket,
        status: Status,
        sequence: u64,
        payload: Payload,
    ) {
        self.peers.give_back(from);
        self.answer(cx, ticket, status, sequence, payload);
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
        let Ticket { asked, logged } = ticket;
        let to = match asked {
            AskedFrom::Here(to) => to,
            AskedFrom::There { core, to } => {
                let answer = Body::Answer { to, status, sequence, payload, logged };
                return self.post(cx, core, answer);
            }
        };
        if let Some(since) = logged {
            cx.logged(to, since);
        }
        match payload {
            Payload::Empty => cx.reply(to, status, sequence, ReplyBody::Empty),
            Payload::Stored(slice) => cx.reply(to, status, sequence, ReplyBody::Stored(slice)),
            Payload::Built(buffer) => {
                cx.reply(to, status, sequence, ReplyBody::Bytes(&buffer));
                cx.give_back(buffer);
            }
        }
    }

    /// Answers with what this shard knows now.
    pub(crate) fn answer_now(
        &mut self,
        cx: &mut Context<'_, Message>,
        ticket: Ticket,
        status: Status,
        payload: Payload,
    ) {
        self.answer(cx, ticket, status, self.shard.last_sequence(), payload);
    }

    /// Answers with an archive.
    pub(crate) fn answer_archive<T>(
        &mut self,
        cx: &mut Context<'_, Message>,
        ticket: Ticket,
        value: &T,
    ) where
        T: Archive + for<'a> Serialize<HighSerializer<AlignedVec<16>, ArenaHandle<'a>, Error>>,
    {
        let buffer = archive(cx, value);
        self.answer_now(cx, ticket, Status::Ok, Payload::Built(buffer));
    }

    /// Refuses a request wherever it came from.
    pub(crate) fn refuse(
        &mut self,
        cx: &mut Context<'_, Message>,
        ticket: Ticket,
        status: Status,
        message: String,
    ) {
        let buffer = archive(cx, &ErrorMessage { message });
        self.answer(cx, ticket, status, 0, Payload::Built(buffer));
    }

    /// Tells the other cores what has become of the data folder.
    pub(crate) fn tell_folder(&mut self, cx: &mut Context<'_, Message>) {
        let lost = self.shard.lost();
        for other in (0..cx.cores()).filter(|other| *other != cx.index()).collect::<Vec<_>>() {
            self.post(cx, other, Body::Folder(lost.clone()));
        }
    }

    /// Why another process can't go on with this core's shard now. What a failed write has left
    /// on the disk is for a start to judge, which reads all of it.
    pub(crate) fn objection(&self) -> Option<String> {
        match self.shard.health() {
            Err(refusal @ (Refusal::Failed { .. } | Refusal::Full { .. })) => {
                Some(format!("writes are refused: {refusal}"))
            }
            _ if self.shard.is_saving_index() => {
                Some("the checkpoint of a vector index is being written".to_owned())
            }
            _ => None,
        }
    }

    /// Tells whoever reads the server's log when the shard stops taking writes, and when it takes
    /// them again.
    pub(crate) fn tell_health(&mut self, cx: &Context<'_, Message>) {
        match self.shard.health_change() {
            Some(Health::Refuses(refusal)) => {
                tracing::error!(core = cx.index(), "writes are refused, reads go on: {refusal}");
            }
            Some(Health::Takes) => tracing::info!(core = cx.index(), "writes are taken again"),
            None => {}
        }
    }
}

/// The archive of a reply, in a pooled buffer.
pub(crate) fn archive<T>(cx: &mut Context<'_, Message>, value: &T) -> FrameBuffer
where
    T: Archive + for<'a> Serialize<HighSerializer<AlignedVec<16>, ArenaHandle<'a>, Error>>,
{
    rkyv::api::high::to_bytes_in::<_, Error>(value, cx.buffer())
        .expect("archiving plain data into memory can't fail")
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
