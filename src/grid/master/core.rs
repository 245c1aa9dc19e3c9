//! What every part of the master needs: the registry, its log, what has happened, the counts; and
//! how a request is refused, or answered once its change has landed.
//!
//! It calls no part of the service: those call it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sutra_driver::status_of;
use sutra_net::{Body, Context, Flow, ReplyTo, Request};
use sutra_store::Refusal;
use sutra_wire::grid::AgentRegistered;
use sutra_wire::{Checked, Payload, Status};

use crate::answer::{Answer, What};
use crate::events::Events;
use crate::journal::{Journal, Landed};
use crate::message::Message;
use crate::overview::Counters;
use crate::records;
use crate::registry::{Moment, Refused, Registry};

/// The registry with its log.
pub(crate) struct MasterCore {
    pub(crate) registry: Registry,
    pub(crate) journal: Journal,
    pub(crate) events: Events,
    pub(crate) counters: Counters,
    terms: AgentRegistered,
    started_at: Instant,
}

impl MasterCore {
    /// `starts` says which start this is.
    pub(crate) fn new(
        terms: AgentRegistered,
        registry: Registry,
        journal: Journal,
        starts: u64,
    ) -> Self {
        let (events, counters) = (Events::new(starts), Counters::default());
        Self { registry, journal, events, counters, terms, started_at: Instant::now() }
    }

    pub(crate) fn moment(&self, cx: &Context<'_, Message>) -> Moment {
        Moment { now: cx.now(), wall: wall_clock() }
    }

    /// Since the master started, in µs.
    pub(crate) fn uptime(&self) -> u64 {
        u64::try_from(self.started_at.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Whether it has just started, so that agents may not have told everything yet.
    pub(crate) fn is_new(&self) -> bool {
        self.started_at.elapsed() < Duration::from_millis(self.terms.offline_after_ms.into())
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

    pub(crate) fn refuse_agent(
        &mut self,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        agent_id: &str,
        refused: &Refused,
    ) {
        // One line for each of many would fill the log.
        if !matches!(refused, Refused::Crowded { .. }) {
            tracing::warn!(agent_id, "an agent is refused: {refused}");
        }
        self.refuse(cx, to, refused);
    }

    pub(crate) fn too_busy(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo) {
        self.counters.refused += 1;
        cx.refuse(
            to,
            Status::Busy,
            "too much is being asked of agents already; ask again in a moment",
        );
    }

    /// Logs what the last call of the registry has changed, answers when it has landed, and tells
    /// whoever watches what has happened.
    pub(crate) fn conclude(&mut self, cx: &mut Context<'_, Message>, answer: Option<Answer>) {
        let at = self.moment(cx);
        for event in self.registry.take_events() {
            self.events.happened(event, at.wall);
        }
        let entries = self.entries();
        match answer {
            Some(answer) if entries.is_empty() => {
                self.answer(cx, (answer, Ok(self.journal.last_sequence())));
            }
            _ if entries.is_empty() => {}
            answer => self.journal.log(entries, answer),
        }
    }

    fn entries(&mut self) -> Vec<records::Entry> {
        let changes = self.registry.take_changes();
        let mut entries = Vec::with_capacity(changes.len());
        for (index, change) in changes.iter().enumerate() {
            // The last of several changes of one thing says it all, as a record holds what is true
            // now.
            if !changes[index + 1..].contains(change) {
                entries.push(records::entry(&self.registry, change));
            }
        }
        entries
    }

    pub(crate) fn answer_all(&mut self, cx: &mut Context<'_, Message>, landed: Vec<Landed>) {
        for landed in landed {
            self.answer(cx, landed);
        }
    }

    fn answer(&mut self, cx: &mut Context<'_, Message>, (answer, result): Landed) {
        let Answer { to, what } = answer;
        let sequence = match result {
            Ok(sequence) => sequence,
            Err(refusal) => {
                self.counters.refused += 1;
                return cx.refuse(to, status_of(&refusal), refused(&refusal));
            }
        };
        match what {
            What::Registered => cx.reply_archive(to, Status::Ok, sequence, &self.terms),
            What::Done => cx.reply(to, Status::Ok, sequence, Body::Empty),
            What::Node(node_id) => self.reply_node(cx, to, &node_id, sequence),
        }
    }

    /// Answers with a node by its id or name; not found where there is none.
    pub(crate) fn reply_node(
        &mut self,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        key: &str,
        sequence: u64,
    ) {
        let at = self.moment(cx);
        let registry: &Registry = &self.registry;
        match registry.find(key) {
            Some(node) => cx.reply_archive(to, Status::Ok, sequence, &registry.node_info(node, at)),
            None => cx.reply(to, Status::NotFound, sequence, Body::Empty),
        }
    }
}

fn refused(refusal: &Refusal) -> String {
    format!("{refusal} (this is the master's log; what was done before is not undone)")
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
