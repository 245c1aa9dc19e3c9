//! A turn of a core: hand over what arrived, let the handler queue what follows.
//!
//! The one place that calls the handler. The backend's loop runs turn after turn, and submits and
//! waits in between.

use crate::backend::Buffers;
use crate::core::Core;
use crate::event::{Event, Next};
use crate::handler::Handler;
use crate::operation::Completion;
use crate::stages::Stage;

/// Everything that one core's turns need.
pub(crate) struct Turns<H: Handler> {
    handler: H,
    // Before the buffers, so dropped before them: that ends the operations which write to them.
    core: Core<H::Message>,
    buffers: Buffers,
    completions: Vec<Completion>,
}

impl<H: Handler> Turns<H> {
    pub(crate) fn new(handler: H, core: Core<H::Message>, buffers: Buffers) -> Self {
        let completions = Vec::with_capacity(core.features().completion_entries as usize);
        Turns { handler, core, buffers, completions }
    }

    /// The core, between two turns.
    pub(crate) fn core(&mut self) -> &mut Core<H::Message> {
        &mut self.core
    }

    /// Where received bytes lie.
    pub(crate) fn buffers(&mut self) -> &mut Buffers {
        &mut self.buffers
    }

    /// Hands over everything that has arrived. `None` when the cores have ended together.
    pub(crate) fn turn(&mut self) -> Option<Next> {
        self.core.begin_turn();
        if self.core.take_call_to_stop() {
            self.handler.shutdown(&mut self.core);
        }
        let arrived = self.deliver_completions() + self.deliver_messages();
        self.core.note_arrivals(arrived);
        self.core.enter_stage(Stage::Other);
        self.tell(self.core.pending_writes(), Core::next_pending_write);
        self.tell(self.core.pending_sockets(), Core::next_pending_socket);
        while let Some(accepted) = self.core.next_accepted() {
            self.handler.event(&mut self.core, accepted);
        }
        for _ in 0..crate::TimerId::COUNT {
            let Some(timer) = self.core.next_timer() else {
                break;
            };
            self.handler.timer(&mut self.core, timer);
        }
        let next = self.handler.turn_end(&mut self.core);
        self.core.end_turn();
        let is_over = self.core.is_over(|| self.handler.drained());
        (!is_over).then_some(next)
    }

    /// Tells at most so many events. What the handler adds meanwhile is told in the next turn.
    fn tell(&mut self, count: usize, next: fn(&mut Core<H::Message>) -> Option<Event<'static>>) {
        for _ in 0..count {
            if let Some(event) = next(&mut self.core) {
                self.handler.event(&mut self.core, event);
            }
        }
    }

    /// Returns how many there were.
    fn deliver_completions(&mut self) -> usize {
        // Taken first: handlers queue new operations.
        let mut completions = std::mem::take(&mut self.completions);
        self.core.reap(&mut completions);
        for completion in &completions {
            self.deliver(*completion);
            self.core.enter_stage(Stage::Receive);
        }
        let count = completions.len();
        completions.clear();
        self.completions = completions;
        count
    }

    fn deliver(&mut self, completion: Completion) {
        let Turns { handler, core, buffers, .. } = self;
        let event = match completion {
            Completion::Received { socket, outcome, buffer, more } => {
                let len = core.received(socket, outcome, more);
                if let Some(buffer) = buffer {
                    if let Some(len) = len {
                        handler.event(
                            core,
                            Event::Received { socket, bytes: buffers.bytes(buffer, len) },
                        );
                    }
                    buffers.recycle(buffer);
                }
                if more { None } else { core.receive_ended(socket, outcome) }
            }
            Completion::Sent { socket, outcome } => core.sent(socket, outcome),
            Completion::Written { write, outcome } => core.written(write, outcome),
        };
        if let Some(event) = event {
            handler.event(core, event);
        }
    }

    /// Hands over the messages that had arrived before the call, and no later ones. So cores that
    /// write to each other without end still get to the rest of their turn. Returns how many.
    fn deliver_messages(&mut self) -> usize {
        self.core.enter_stage(Stage::Messages);
        let mut count = 0;
        for sender in 0..self.core.senders() {
            for _ in 0..self.core.arrived(sender) {
                let Some((from, message)) = self.core.take_message(sender) else {
                    break;
                };
                count += 1;
                self.handler.message(&mut self.core, from, message);
                self.core.enter_stage(Stage::Messages);
            }
        }
        count
    }
}

#[cfg(test)]
mod tests;
