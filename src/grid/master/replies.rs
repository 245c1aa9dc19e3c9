//! What is answered when a change has landed.

use sutra_driver::status_of;
use sutra_net::{Body, Context, ReplyTo};
use sutra_store::Refusal;
use sutra_wire::Status;

use super::journal::Landed;
use super::registry::Registry;
use super::service::{MasterService, Message};

/// Whom to answer, and how.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) to: ReplyTo,
    pub(crate) what: What,
}

/// An answer's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// To an agent that has registered.
    Registered,
    /// Nothing but that it is done.
    Done,
    /// A node, as it is by then.
    Node(String),
}

impl MasterService {
    /// Logs what the last call of the registry has changed, answers when it has landed, and tells
    /// whoever watches what has happened.
    pub(crate) fn conclude(&mut self, cx: &mut Context<'_, Message>, answer: Option<Answer>) {
        let at = self.moment(cx);
        self.ask_back(at);
        for event in self.registry.take_events() {
            self.events.happened(event, at.wall);
        }
        let entries = self.entries();
        match answer {
            Some(answer) if entries.is_empty() => self.answer(cx, (answer, Ok(self.journal.last_sequence()))),
            _ if entries.is_empty() => {}
            answer => self.journal.log(entries, answer),
        }
    }

    fn entries(&mut self) -> Vec<super::records::Entry> {
        let changes = self.registry.take_changes();
        let mut entries = Vec::with_capacity(changes.len());
        for (index, change) in changes.iter().enumerate() {
            // The last of several changes of one thing says it all, as a record holds what is true
            // now.
            if !changes[index + 1..].contains(change) {
                entries.push(super::records::entry(&self.registry, change));
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
    pub(crate) fn reply_node(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, key: &str, sequence: u64) {
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
