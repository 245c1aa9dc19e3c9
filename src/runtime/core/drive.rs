//! What drives a core asks of it: what has arrived, what is due, whether it may sleep or end.
//!
//! The turn asks for one thing after the other and tells the handler. The backend asks whether
//! there is work, and until when it may sleep.

use std::time::Instant;

use crate::backend::Backend;
use crate::core::Core;
use crate::event::Event;
use crate::operation::{Completion, Outcome};
use crate::sockets::Socket;
use crate::stages::Stage;
use crate::timers::TimerId;

impl<M: Send + 'static> Core<M> {
    /// The time is read anew: before the first turn, long after the core was set up.
    pub(crate) fn note_time(&mut self) {
        self.now = self.backend.now();
    }

    /// A turn begins.
    pub(crate) fn begin_turn(&mut self) {
        self.stages.begin_turn();
        self.now = self.backend.now();
        self.metrics.turns += 1;
        self.beat.answer();
        self.backend.count(&mut self.metrics);
    }

    /// What the handler queued as messages is on its way.
    pub(crate) fn end_turn(&mut self) {
        self.stages.enter(Stage::Messages);
        self.metrics.wakes_sent += self.mail.flush();
    }

    /// Whether the handler is to be told now that it shall shut down. `true` once.
    pub(crate) fn take_call_to_stop(&mut self) -> bool {
        self.leaving.take_call()
    }

    /// Whether the core is to end now; `is_drained` tells whether its handler has anything left.
    pub(crate) fn is_over(&mut self, is_drained: impl FnOnce() -> bool) -> bool {
        self.leaving
            .is_over(|| is_drained() && self.mail.is_idle() && self.backend.is_done_listening())
    }

    /// Takes the completions that are there.
    pub(crate) fn reap(&mut self, into: &mut Vec<Completion>) {
        self.backend.reap(into);
        let has_buffer = |completion: &&Completion| {
            matches!(completion, Completion::Received { buffer: Some(_), .. })
        };
        let in_use = into.iter().filter(has_buffer).count() as u64;
        let high_water = &mut self.metrics.receive_buffers_high_water;
        *high_water = in_use.max(*high_water);
    }

    /// So many completions and messages have arrived in this turn.
    pub(crate) fn note_arrivals(&mut self, count: usize) {
        if count > 0 {
            self.active = self.now;
        }
    }

    /// Bytes arrived, or the socket's receive ended, or both. Returns how many bytes are to be
    /// told.
    pub(crate) fn received(
        &mut self,
        socket: Socket,
        outcome: Outcome,
        more: bool,
    ) -> Option<usize> {
        self.sockets.received(&mut self.metrics, socket, outcome, more)
    }

    /// What follows from a receive that ended, after its bytes were told.
    pub(crate) fn receive_ended(
        &mut self,
        socket: Socket,
        outcome: Outcome,
    ) -> Option<Event<'static>> {
        self.sockets.receive_ended(&mut self.backend, &mut self.metrics, socket, outcome)
    }

    /// A send went on, ended or failed.
    pub(crate) fn sent(&mut self, socket: Socket, outcome: Outcome) -> Option<Event<'static>> {
        self.sockets.sent(&mut self.backend, &mut self.metrics, socket, outcome)
    }

    /// A step of a write ended.
    pub(crate) fn written(&mut self, write: u32, outcome: Outcome) -> Option<Event<'static>> {
        self.writes.written(&mut self.backend, &mut self.stages, &mut self.metrics, write, outcome)
    }

    /// How many senders messages come from: the cores, and the core's own jobs behind them.
    pub(crate) fn senders(&self) -> usize {
        self.mail.cores() + 1
    }

    /// How many messages of that sender have arrived.
    pub(crate) fn arrived(&self, sender: usize) -> usize {
        self.mail.arrived(sender)
    }

    /// Takes the next message of that sender, with the core that it counts as from.
    pub(crate) fn take_message(&mut self, sender: usize) -> Option<(usize, M)> {
        let message = self.mail.take(sender)?;
        self.metrics.messages_received += 1;
        self.leaving.note_arrival();
        Some((if sender == self.mail.cores() { self.index } else { sender }, message))
    }

    /// How many empty writes wait to be told.
    pub(crate) fn pending_writes(&self) -> usize {
        self.writes.pending()
    }

    /// Takes one of those.
    pub(crate) fn next_pending_write(&mut self) -> Option<Event<'static>> {
        self.writes.next_pending()
    }

    /// How many events of sockets wait that no completion announces.
    pub(crate) fn pending_sockets(&self) -> usize {
        self.sockets.pending()
    }

    /// Takes one of those; `None` where there is nothing to tell by now.
    pub(crate) fn next_pending_socket(&mut self) -> Option<Event<'static>> {
        self.sockets.next_pending(&mut self.backend, &mut self.metrics)
    }

    /// Takes an accepted connection.
    pub(crate) fn next_accepted(&mut self) -> Option<Event<'static>> {
        let accepted = self.backend.take_accepted()?;
        self.metrics.accepted += 1;
        Some(accepted)
    }

    /// Takes a timer that is due.
    pub(crate) fn next_timer(&mut self) -> Option<TimerId> {
        self.timers.take_due(self.now)
    }

    /// Whether something waits that no completion will announce.
    pub(crate) fn has_work(&self) -> bool {
        self.sockets.pending() > 0
            || self.writes.pending() > 0
            || !self.mail.is_empty()
            || self.backend.has_accepted()
            || self.has_news()
    }

    /// Whether all cores are told something: to stop, or to give a sign of life.
    pub(crate) fn has_news(&self) -> bool {
        self.leaving.is_news() || self.beat.is_asked()
    }

    /// When the next timer is due.
    pub(crate) fn earliest_timer(&self) -> Option<Instant> {
        self.timers.earliest()
    }

    /// When something last arrived.
    pub(crate) fn last_active(&self) -> Instant {
        self.active
    }

    /// The core enters the kernel for this stage, and may sleep there.
    pub(crate) fn enter_kernel(&mut self, stage: Stage) {
        self.stages.enter_kernel(stage);
    }

    /// The call into the kernel has returned.
    pub(crate) fn leave_kernel(&mut self) {
        self.stages.leave_kernel();
    }

    /// What comes until the next turn begins is charged to no stage.
    pub(crate) fn stop_timing(&mut self) {
        self.stages.end_turn();
    }

    /// What the core stands on, for the loop that belongs to it.
    pub(crate) fn backend(&mut self) -> &mut Backend {
        &mut self.backend
    }
}
