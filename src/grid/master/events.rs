//! What has happened, for those who watch: the last events in memory, and each new one to every watcher.
//!
//! A watcher that reads too slowly is not waited for: it misses events, and is told so before the next that it gets. Bounds: [`KEPT`] events,
//! [`MAX_WATCHERS`] watchers; what waits for a watcher is bounded as any connection's output.

use std::collections::VecDeque;

use sutra_net::{Context, Part, ReplyTo};
use sutra_wire::Status;
use sutra_wire::grid::{EventKind, GridEvent};

use super::message::Message;
use super::registry::News;

/// Events that are kept for watchers which come back: an hour of a grid whose every node restarts once a minute, and some.
const KEPT: usize = 4_096;
const MAX_WATCHERS: usize = 1_024;

struct Watcher {
    to: ReplyTo,
    has_missed: bool,
}

pub(crate) struct Events {
    kept: VecDeque<GridEvent>,
    /// The number of the next event.
    next: u64,
    watchers: Vec<Watcher>,
}

impl Events {
    /// Numbers go on from `started`, in µs since 1970: above all that an earlier start gave.
    pub(crate) fn new(started: u64) -> Self {
        Self { kept: VecDeque::new(), next: started.max(1), watchers: Vec::new() }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.watchers.is_empty()
    }

    /// Takes a watcher on, and tells it what it has missed since the event `after`, 0 for nothing.
    pub(crate) fn watch(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, after: u64) {
        if self.watchers.len() >= MAX_WATCHERS {
            let message = format!("{MAX_WATCHERS} watchers are served already, the limit; end one, or try again later");
            return cx.refuse(to, Status::Busy, message);
        }
        let mut watcher = Watcher { to, has_missed: false };
        if after > 0 {
            let first = self.kept.front().map_or(self.next, |event| event.number);
            watcher.has_missed = after + 1 < first;
            for event in self.kept.iter().filter(|event| event.number > after) {
                if !send(cx, &mut watcher, event) {
                    return give_up(cx, to);
                }
            }
        }
        self.watchers.push(watcher);
    }

    pub(crate) fn publish(&mut self, cx: &mut Context<'_, Message>, at: u64, news: News) {
        let News { kind, agent_id, node_id, name, detail } = news;
        tracing::info!(agent_id, node_id, name, detail, "{kind}");
        let event = GridEvent { number: self.next, at, agent_id, node_id, name, detail, kind: kind as u8 };
        self.next += 1;
        self.watchers.retain_mut(|watcher| {
            let is_there = send(cx, watcher, &event);
            if !is_there {
                give_up(cx, watcher.to);
            }
            is_there
        });
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event);
    }

    /// Lets go of watchers whose connections are gone; of all where the master stops.
    pub(crate) fn look_after(&mut self, cx: &mut Context<'_, Message>) {
        let is_draining = cx.is_draining();
        self.watchers.retain(|watcher| {
            if is_draining {
                cx.refuse(watcher.to, Status::ShuttingDown, "the master is stopping; watch again when it is back");
                return false;
            }
            let is_there = cx.is_waiting(watcher.to);
            if !is_there {
                give_up(cx, watcher.to);
            }
            is_there
        });
    }
}

/// `false` where nobody is there any more.
fn send(cx: &mut Context<'_, Message>, watcher: &mut Watcher, event: &GridEvent) -> bool {
    if watcher.has_missed {
        let missed = GridEvent {
            number: event.number - 1,
            at: event.at,
            kind: EventKind::Missed as u8,
            detail: "events before this one were not kept, or not read in time; list agents and nodes anew".into(),
            ..GridEvent::default()
        };
        match cx.reply_part(watcher.to, missed.number, &missed) {
            Part::Sent => watcher.has_missed = false,
            Part::Full => return true,
            Part::Gone => return false,
        }
    }
    match cx.reply_part(watcher.to, event.number, event) {
        Part::Sent => true,
        Part::Full => {
            watcher.has_missed = true;
            true
        }
        Part::Gone => false,
    }
}

/// Nobody reads the answer; it gives the request's place back.
fn give_up(cx: &mut Context<'_, Message>, to: ReplyTo) {
    cx.refuse(to, Status::ShuttingDown, "nobody watches any more");
}
