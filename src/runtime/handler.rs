//! What a core runs.

use crate::core::Core;
use crate::event::{Event, Next};
use crate::timers::TimerId;

/// What a core runs. All calls come from the core's own thread, one at a time; none may block.
///
/// A turn hands over everything that had arrived (`event`, `message`, `timer`). Then `turn_end`
/// queues what follows from it. Then all of it is submitted with one system call.
pub trait Handler: Sized + 'static {
    /// What cores send each other.
    type Message: Send + 'static;

    /// Something happened to a socket, a listener or a write.
    fn event(&mut self, core: &mut Core<Self::Message>, event: Event<'_>);

    /// A message arrived from core `from`, or (from the own index) the result of a background job.
    fn message(&mut self, core: &mut Core<Self::Message>, from: usize, message: Self::Message);

    /// A timer that was set is due; it is clear now.
    fn timer(&mut self, core: &mut Core<Self::Message>, timer: TimerId);

    /// Called once a turn, after everything that had arrived was handed over.
    fn turn_end(&mut self, core: &mut Core<Self::Message>) -> Next;

    /// The process was asked to stop: stop listening, finish what was begun. Called once.
    fn shutdown(&mut self, core: &mut Core<Self::Message>);

    /// Whether nothing is left to do after `shutdown`. Asked every turn from then on. The cores end
    /// together, once all say so and no message, connection or background job is left.
    fn drained(&self) -> bool;
}
