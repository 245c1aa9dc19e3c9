//! When a core looks at its connections next, and until when a drain waits for them.

use std::time::{Duration, Instant};

use crate::limits::Limits;

pub(crate) struct Watch {
    /// How far ahead a look is set.
    period: Duration,
    /// When the next look is due; `None` where none is needed.
    next: Option<Instant>,
    /// When a drain, if one is under way, waits no longer for clients to read.
    drain_end: Option<Instant>,
}

impl Watch {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { period: limits.look_period(), next: None, drain_end: None }
    }

    /// The limits are others.
    pub(crate) fn set_period(&mut self, limits: &Limits) {
        self.period = limits.look_period();
    }

    pub(crate) fn period(&self) -> Duration {
        self.period
    }

    /// A look is wanted by then. Returns whether the timer is to be set to it.
    pub(crate) fn look_by(&mut self, at: Instant) -> bool {
        let is_sooner = self.next.is_none_or(|next| at < next);
        if is_sooner {
            self.next = Some(at);
        }
        is_sooner
    }

    /// The look that was due is being taken.
    pub(crate) fn looks(&mut self) {
        self.next = None;
    }

    /// A drain begins, which waits no longer than until then.
    pub(crate) fn drain(&mut self, end: Instant) {
        self.drain_end = Some(end);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drain_end.is_some()
    }

    /// Whether a drain waits no longer.
    pub(crate) fn is_drained(&self, now: Instant) -> bool {
        self.drain_end.is_some_and(|end| now > end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timer_is_set_again_only_for_a_sooner_look() {
        let (mut watch, now) = (Watch::new(&Limits::default()), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(watch.look_by(after(2)) && !watch.look_by(after(3)) && watch.look_by(after(1)));
        watch.looks();
        assert!(watch.look_by(after(3)));
    }
}
