//! A core's few timers: a fixed array, searched in full (eight entries are one cache line or two).

use std::time::Instant;

/// One of a core's timers, 0 to 7; the handler decides what each is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId(pub u8);

impl TimerId {
    /// How many timers a core has. Whoever needs more keeps a queue and sets one timer to its head.
    pub const COUNT: usize = 8;
}

/// When each timer is due.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: [Option<Instant>; TimerId::COUNT],
}

impl Timers {
    /// Sets or clears a timer.
    pub(crate) fn set(&mut self, id: TimerId, at: Option<Instant>) {
        debug_assert!(usize::from(id.0) < TimerId::COUNT, "a core has {} timers", TimerId::COUNT);
        if let Some(due) = self.due.get_mut(usize::from(id.0)) {
            *due = at;
        }
    }

    /// When the next one is due.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.due.iter().flatten().min().copied()
    }

    /// Takes a timer that is due at `now` and was set before this call, earliest first.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<TimerId> {
        let (index, due) = (0u8..)
            .zip(&mut self.due)
            .filter(|(_, due)| due.is_some())
            .min_by_key(|(_, due)| **due)?;
        if due.is_some_and(|at| at <= now) {
            *due = None;
            return Some(TimerId(index));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_come_due_in_order_and_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(TimerId(3), Some(at(20)));
        timers.set(TimerId(7), Some(at(10)));
        timers.set(TimerId(0), Some(at(30)));
        assert_eq!(timers.earliest(), Some(at(10)));
        assert_eq!(timers.take_due(at(5)), None);
        assert_eq!(timers.take_due(at(20)), Some(TimerId(7)));
        assert_eq!(timers.take_due(at(20)), Some(TimerId(3)));
        assert_eq!(timers.take_due(at(20)), None);
        timers.set(TimerId(0), None);
        assert_eq!(timers.earliest(), None);
    }
}
