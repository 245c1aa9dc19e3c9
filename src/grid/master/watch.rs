//! Those who watch: each is told event after event, as fast as it reads.
//!
//! A slow reader goes on where it was once there is room again. It is told where events have gone
//! missing meanwhile.

use std::time::Duration;

use sutra_net::{Context, Flow, PartSent, ReplyTo, Request};
use sutra_wire::Status;
use sutra_wire::grid::WatchRequest;

use crate::core::{MasterCore, validated};
use crate::events::Events;
use crate::message::{Message, Timer};

/// Most watchers at a time: consoles and services, each with a connection of its own.
const MOST: usize = 1024;
/// How soon one that reads too slowly is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// Events that one watcher is told in one turn, so that one that asks for all of them holds up
/// nobody.
const AT_A_TIME: usize = 256;

struct Watcher {
    to: ReplyTo,
    /// The last event that it was told.
    seen: u64,
}

/// The clients that watch for events.
#[derive(Default)]
pub(crate) struct Watchers {
    watching: Vec<Watcher>,
    /// The number of the last event when all were last offered what is new.
    offered: u64,
}

impl Watchers {
    pub(crate) fn count(&self) -> usize {
        self.watching.len()
    }

    pub(crate) fn watch(
        &mut self,
        core: &MasterCore,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
    ) -> Flow {
        let Some(asked) = validated::<WatchRequest>(cx, request) else { return Flow::Taken };
        let to = request.reply_to;
        if cx.is_draining() {
            cx.refuse(
                to,
                Status::ShuttingDown,
                "this master is about to stop; ask again in a moment",
            );
            return Flow::Taken;
        }
        self.watching.retain(|watcher| Self::keeps_watching(cx, watcher));
        if self.count() >= MOST {
            cx.refuse(
                to,
                Status::Busy,
                format!("{MOST} watch already, the most at a time; try again later"),
            );
            return Flow::Taken;
        }
        let last = core.events.last();
        let seen = match asked.after.to_native() {
            0 => last,
            after => after.min(last),
        };
        self.watching.push(Watcher { to, seen });
        if seen < last {
            self.offered = 0;
        }
        Flow::Taken
    }

    /// Whether somebody still watches; where not, its request is given back.
    fn keeps_watching(cx: &mut Context<'_, Message>, watcher: &Watcher) -> bool {
        let keeps = cx.is_waiting(watcher.to) && !cx.has_left(watcher.to);
        if !keeps {
            cx.refuse(watcher.to, Status::ShuttingDown, "");
        }
        keeps
    }

    /// Tells everyone what is new. To be called at the end of each turn.
    pub(crate) fn tell_all(&mut self, core: &mut MasterCore, cx: &mut Context<'_, Message>) {
        if self.watching.is_empty() {
            self.offered = core.events.last();
            return;
        }
        if cx.is_draining() {
            for watcher in self.watching.drain(..) {
                cx.refuse(
                    watcher.to,
                    Status::ShuttingDown,
                    "this master is stopping; watch on when it is back",
                );
            }
            return;
        }
        if self.offered != core.events.last() {
            self.offer(core, cx);
        }
    }

    /// Tells each what it has not seen, as far as it reads.
    pub(crate) fn offer(&mut self, core: &mut MasterCore, cx: &mut Context<'_, Message>) {
        let wall = core.moment(cx).wall;
        let MasterCore { events, counters, .. } = core;
        self.offered = events.last();
        let mut is_behind = false;
        let mut index = 0;
        while let Some(watcher) = self.watching.get_mut(index) {
            match tell(cx, events, watcher, wall) {
                Some(told) => {
                    counters.events_told += told;
                    is_behind |= watcher.seen < events.last();
                    index += 1;
                }
                None => {
                    let gone = self.watching.swap_remove(index);
                    cx.refuse(gone.to, Status::ShuttingDown, "");
                }
            }
        }
        if is_behind {
            cx.wake_in(Timer::Watchers, AGAIN);
        }
    }

    /// Gives back the requests of those who watch no more.
    pub(crate) fn look_after(&mut self, cx: &mut Context<'_, Message>) {
        self.watching.retain(|watcher| Self::keeps_watching(cx, watcher));
    }
}

/// How many events one was told; `None` where it is gone.
fn tell(
    cx: &mut Context<'_, Message>,
    events: &Events,
    watcher: &mut Watcher,
    wall: u64,
) -> Option<u64> {
    let mut told = 0;
    while told < AT_A_TIME as u64
        && let Some(event) = events.after(watcher.seen, wall)
    {
        match cx.reply_part(watcher.to, event.number, &event) {
            PartSent::Sent => watcher.seen = event.number,
            PartSent::Full => break,
            PartSent::Gone => return None,
        }
        told += 1;
    }
    Some(told)
}
