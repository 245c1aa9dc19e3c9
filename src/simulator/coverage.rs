//! What runs have reached: counted from outcomes, from what the disk did, and from what the product
//! itself says that it does in its log lines.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What was reached how often, by what kind of thing it is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Coverage {
    /// Ends of a server: by what, and in the middle of what.
    pub ends: BTreeMap<String, u64>,
    /// Starts, and what they came to.
    pub starts: BTreeMap<String, u64>,
    /// What went wrong on the disk and elsewhere.
    pub faults: BTreeMap<String, u64>,
    /// Operations with their outcomes.
    pub operations: BTreeMap<String, u64>,
    /// Branches of the product that say so in a log line.
    pub branches: BTreeMap<String, u64>,
}

impl Coverage {
    pub(crate) fn end(&mut self, what: &str) {
        count(&mut self.ends, what, 1);
    }

    pub(crate) fn start(&mut self, what: &str) {
        count(&mut self.starts, what, 1);
    }

    pub(crate) fn fault(&mut self, what: &str) {
        count(&mut self.faults, what, 1);
    }

    pub(crate) fn faults(&mut self, what: &str, times: u64) {
        count(&mut self.faults, what, times);
    }

    pub(crate) fn operation(&mut self, what: &str, outcome: &str) {
        count(&mut self.operations, &format!("{what} {outcome}"), 1);
    }

    pub(crate) fn branches(&mut self, branches: &BTreeMap<String, u64>) {
        for (what, times) in branches {
            count(&mut self.branches, what, *times);
        }
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Coverage) {
        for (mine, others) in [
            (&mut self.ends, &other.ends),
            (&mut self.starts, &other.starts),
            (&mut self.faults, &other.faults),
            (&mut self.operations, &other.operations),
            (&mut self.branches, &other.branches),
        ] {
            others.iter().for_each(|(what, times)| count(mine, what, *times));
        }
    }
}

fn count(counters: &mut BTreeMap<String, u64>, what: &str, times: u64) {
    match counters.get_mut(what) {
        Some(known) => *known += times,
        None => drop(counters.insert(what.to_owned(), times)),
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, counters) in [
            ("ends", &self.ends),
            ("starts", &self.starts),
            ("faults", &self.faults),
            ("operations", &self.operations),
            ("branches", &self.branches),
        ] {
            writeln!(f, "{title}")?;
            for (what, times) in counters {
                writeln!(f, "  {times:>9}  {what}")?;
            }
        }
        Ok(())
    }
}

/// Counts the product's log lines by their words. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(Arc<Mutex<BTreeMap<String, u64>>>);

impl Lines {
    pub(crate) fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The constant words of a line.
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with("sutra")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words(String::new());
        event.record(&mut words);
        // Up to what differs from line to line.
        let end = words.0.find([':', '(', '/']).unwrap_or(words.0.len());
        let words = format!("{} {}", event.metadata().target(), &words.0[..end]);
        count(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), &words, 1);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
