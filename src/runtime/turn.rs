//! The loop of a core: hand over what arrived, let the handler queue what follows, submit, wait.

use std::time::Instant;

use io_uring::cqueue;

use crate::RuntimeError;
use crate::buffers::ReceiveBuffers;
use crate::core::Core;
use crate::event::{Event, Handler, Next};
use crate::operation::{Kind, decode};
use crate::sleep::{Pace, Parking, Wait};
use crate::sockets::Socket;
use crate::stages::Stage;
use crate::traffic::{receive_completed, send_completed, tell_pending};
use crate::writes::write_completed;

/// Everything that one core's loop has.
pub(crate) struct Turns<H: Handler> {
    handler: H,
    // Before the buffers, so dropped before them: that ends the operations which write to them.
    core: Core<H::Message>,
    buffers: ReceiveBuffers,
    completions: Vec<cqueue::Entry>,
}

impl<H: Handler> Turns<H> {
    pub(crate) fn new(handler: H, core: Core<H::Message>, buffers: ReceiveBuffers) -> Self {
        let completions = Vec::with_capacity(core.features.completion_entries as usize);
        Turns { handler, core, buffers, completions }
    }

    /// Runs until the cores end together.
    pub(crate) async fn run(mut self, pace: &mut Pace, parking: &Parking) -> Result<(), RuntimeError> {
        loop {
            let next = self.turn(pace);
            if self.is_over() {
                return Ok(());
            }
            match pace.wait(&mut self.core, next == Next::Again)? {
                Wait::Turn => {}
                Wait::Visit => {
                    self.core.stages.enter(Stage::Tokio);
                    parking.visit().await;
                    pace.note_visit();
                }
                Wait::Park => {
                    self.core.stages.end_turn();
                    parking.park(&mut self.core).await?;
                    pace.note_visit();
                }
            }
        }
    }

    /// Hands over everything that has arrived.
    fn turn(&mut self, pace: &mut Pace) -> Next {
        self.core.stages.begin_turn();
        let now = Instant::now();
        self.core.now = now;
        self.core.metrics.turns += 1;
        self.core.metrics.ring_enters = self.core.ring.enters();
        self.core.metrics.accept_failures = self.core.inbox.failures();
        if !self.core.told_to_stop && self.core.ending.is_stopping() {
            self.core.told_to_stop = true;
            self.handler.shutdown(&mut self.core);
        }
        let arrived = self.hand_over_completions() + self.hand_over_messages();
        if arrived > 0 {
            pace.note_activity(now);
        }
        self.core.stages.enter(Stage::Other);
        for _ in 0..self.core.pending.len() {
            if let Some(pending) = self.core.pending.pop_front() {
                tell_pending(&mut self.handler, &mut self.core, pending);
            }
        }
        while let Some(accepted) = self.core.inbox.take() {
            self.core.metrics.accepted += 1;
            let event = Event::Accepted { listener: accepted.listener, socket: accepted.socket, peer: accepted.peer };
            self.handler.event(&mut self.core, event);
        }
        for _ in 0..crate::TimerId::COUNT {
            let Some(timer) = self.core.timers.take_due(now) else {
                break;
            };
            self.handler.timer(&mut self.core, timer);
        }
        let next = self.handler.turn_end(&mut self.core);
        self.core.stages.enter(Stage::Messages);
        self.core.metrics.wakes_sent += self.core.mailboxes.flush();
        next
    }

    /// Returns how many there were.
    fn hand_over_completions(&mut self) -> usize {
        // Out of the ring first: handlers queue new operations on it.
        let mut completions = std::mem::take(&mut self.completions);
        self.core.ring.reap(&mut completions);
        let in_use = completions.iter().filter(|entry| cqueue::buffer_select(entry.flags()).is_some()).count();
        let high_water = &mut self.core.metrics.receive_buffers_high_water;
        *high_water = (*high_water).max(in_use as u64);
        for completion in &completions {
            self.hand_over(completion);
            self.core.stages.enter(Stage::Receive);
        }
        let count = completions.len();
        completions.clear();
        self.completions = completions;
        count
    }

    fn hand_over(&mut self, completion: &cqueue::Entry) {
        let Turns { handler, core, buffers, .. } = self;
        let Some((kind, slot, generation)) = decode(completion.user_data()) else {
            debug_assert!(false, "a completion that nobody asked for");
            return;
        };
        let socket = Socket { slot, generation };
        match kind {
            Kind::Receive => receive_completed(handler, core, buffers, socket, completion),
            Kind::Send => send_completed(handler, core, socket, completion),
            Kind::Write => write_completed(handler, core, slot as usize, completion),
            Kind::Wake if !cqueue::more(completion.flags()) => core.watch_doorbell(),
            Kind::Wake | Kind::Cancel => {}
        }
    }

    /// Hands over the messages that had arrived before the call, so that cores which write each
    /// other without end, or are posted to without end, still get to the rest of their turn.
    /// Returns how many.
    fn hand_over_messages(&mut self) -> usize {
        self.core.stages.enter(Stage::Messages);
        let mut count = 0;
        for from in 0..self.core.cores() {
            for _ in 0..self.core.mailboxes.arrived(from) {
                let Some(message) = self.core.mailboxes.take(from) else {
                    break;
                };
                count += 1;
                self.handler.message(&mut self.core, from, message);
                self.core.stages.enter(Stage::Messages);
            }
        }
        for _ in 0..self.core.background.arrived() {
            let Some(message) = self.core.background.take() else {
                break;
            };
            count += 1;
            let own = self.core.index();
            self.handler.message(&mut self.core, own, message);
        }
        self.core.metrics.messages_received += count as u64;
        count
    }

    fn is_over(&self) -> bool {
        let core = &self.core;
        if !core.told_to_stop {
            return core.ending.is_at_once();
        }
        let drained = self.handler.drained()
            && core.mailboxes.is_empty()
            && core.background.is_idle()
            && core.inbox.is_finished();
        core.ending.is_over(core.index(), drained)
    }
}
