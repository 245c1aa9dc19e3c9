//! What a server may answer: a history of every write, by key, and what follows from it.
//!
//! Each moment of the history has a number. A write has begun at one, and ended at another, or not
//! that anybody knows. What is certain of two writes of a key is their order where both have a
//! sequence of the same log, or where one had ended before the other began. A value may be read if
//! its write had begun when the read ended, and no other write that surely came after it had ended
//! when the read began.
//!
//! A crash is the same question once more: of the writes that had ended those count that were
//! durable. What is found then is what was there, and the history of each key begins anew.

mod answers;
mod concepts;
mod cuts;
mod edges;
mod found;
mod old;
mod paths;
mod search;

use std::collections::BTreeMap;

use sutra_wire::{AssociationRecord, ConceptId, ConceptRecord, CoreLayout};

use crate::operation::{Concept, Edge, Operation};
use crate::plan::Plan;
use crate::reply::Reply;

pub(crate) use found::{Before, Found};

/// Names an operation in the history.
pub(crate) type Number = u64;

/// A write of one key.
#[derive(Clone, Debug)]
struct Write<V> {
    by: Number,
    began: u64,
    /// When it was acknowledged.
    ended: Option<u64>,
    /// Its place among the key's writes, where it has a sequence of the key's log.
    order: Option<u64>,
    /// What it wrote; nothing where it deleted.
    value: Option<V>,
    /// It was refused: while the server runs it is not there, and a start may find it.
    is_refused: bool,
}

/// What is known of a key.
#[derive(Clone, Debug)]
struct History<V> {
    writes: Vec<Write<V>>,
}

/// When what was asked for was looked at.
#[derive(Clone, Copy, Debug)]
enum When {
    /// Between these two moments.
    Running { from: u64, to: u64 },
    /// After a crash: writes that had ended before this moment were durable.
    Recovered { durable: u64 },
}

impl<V: Clone> History<V> {
    /// That of a key that has this value since before everything.
    fn new(value: Option<V>) -> History<V> {
        let write =
            Write { by: 0, began: 0, ended: Some(0), order: Some(0), value, is_refused: false };
        History { writes: vec![write] }
    }

    fn begin(&mut self, by: Number, began: u64, value: Option<V>) {
        let (ended, order) = (None, None);
        self.writes.push(Write { by, began, ended, order, value, is_refused: false });
    }

    fn of(&mut self, by: Number) -> Option<&mut Write<V>> {
        self.writes.iter_mut().rev().find(|write| write.by == by)
    }

    fn end(&mut self, by: Number, ended: u64, order: Option<u64>) {
        if let Some(write) = self.of(by) {
            (write.ended, write.order) = (Some(ended), order);
        }
    }

    fn refuse(&mut self, by: Number) {
        if let Some(write) = self.of(by) {
            write.is_refused = true;
        }
    }

    /// Forgets a write that has turned out to be none.
    fn forget(&mut self, by: Number) {
        let at = self.writes.iter().rposition(|write| write.by == by);
        // The first is what was there before everything.
        if let Some(at) = at.filter(|at| *at > 0) {
            self.writes.remove(at);
        }
    }

    /// The writes whose values may be seen; `except` is left out of it.
    fn candidates(&self, when: When, except: Option<Number>) -> Vec<&Write<V>> {
        let is_over = |write: &&Write<V>| match (when, write.ended) {
            (_, None) => false,
            (When::Running { from, .. }, Some(ended)) => ended < from,
            (When::Recovered { durable }, Some(ended)) => ended < durable,
        };
        let has_begun = |write: &&Write<V>| match when {
            When::Running { to, .. } => write.began < to && !write.is_refused,
            When::Recovered { .. } => true,
        };
        let counted = |write: &&Write<V>| Some(write.by) != except || write.by == 0;
        let over: Vec<_> = self.writes.iter().filter(counted).filter(is_over).collect();
        let begun = self.writes.iter().filter(counted).filter(has_begun);
        begun.filter(|write| !over.iter().any(|later| write.is_before(later))).collect()
    }

    /// Whether something is there for sure, and whether anything can be.
    fn presence(&self, when: When, except: Option<Number>) -> Presence {
        let candidates = self.candidates(when, except);
        Presence {
            is_certain: candidates.iter().all(|write| write.value.is_some()),
            is_possible: candidates.iter().any(|write| write.value.is_some()),
        }
    }

    /// Whether every write has ended, so that there is one answer alone.
    fn is_settled(&self) -> bool {
        self.writes.iter().all(|write| write.ended.is_some() || write.is_refused)
    }
}

/// Whether a key has a value.
#[derive(Clone, Copy, Debug)]
struct Presence {
    is_certain: bool,
    is_possible: bool,
}

impl<V> Write<V> {
    /// Whether it surely came before another one of the key.
    fn is_before(&self, other: &Write<V>) -> bool {
        match (self.order, other.order) {
            (Some(order), Some(others)) => order < others,
            _ => self.ended.is_some_and(|ended| ended < other.began),
        }
    }
}

/// A deletion that may still be going on.
#[derive(Clone, Debug)]
struct Deletion {
    by: Number,
    began: u64,
    concept: Concept,
}

/// Everything that is known of a store.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    plan: Plan,
    /// Where the writes that were not looked at yet went.
    layout: CoreLayout,
    concepts: BTreeMap<Concept, History<ConceptRecord>>,
    edges: BTreeMap<Edge, History<AssociationRecord>>,
    /// Deletions that have not ended: they may take associations that are new.
    deletions: Vec<Deletion>,
    moment: u64,
    /// The moment before which everything that had ended is durable: a flush was answered that had
    /// begun then.
    flushed: u64,
}

impl Model {
    pub(crate) fn new(plan: &Plan) -> Model {
        let cores = u16::try_from(plan.cores).expect("a store has at most 1,000");
        Model {
            plan: plan.clone(),
            layout: CoreLayout::new(cores),
            concepts: BTreeMap::new(),
            edges: BTreeMap::new(),
            deletions: Vec::new(),
            moment: 1,
            flushed: 0,
        }
    }

    /// A server on so many cores answers from here on.
    pub(crate) fn note_cores(&mut self, cores: usize) {
        self.plan.cores = cores;
    }

    /// What was written so far has been looked at: what follows is written by that server.
    pub(crate) fn note_looked_at(&mut self) {
        let cores = u16::try_from(self.plan.cores).expect("a store has at most 1,000");
        self.layout = CoreLayout::new(cores);
    }

    /// The moment that it is.
    pub(crate) fn moment(&self) -> u64 {
        self.moment
    }

    fn next_moment(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// Knows no more than this one did; the moment stays.
    pub(crate) fn go_back_to(&mut self, model: Model) {
        let moment = self.moment;
        *self = Model { moment, ..model };
    }

    /// The shard of a concept.
    pub(crate) fn owner(&self, id: usize) -> usize {
        usize::from(self.layout.owner(&ConceptId(self.plan.ids[id])))
    }

    fn concept(&mut self, concept: Concept) -> &mut History<ConceptRecord> {
        self.concepts.entry(concept).or_insert_with(|| History::new(None))
    }

    /// An operation is sent; returns the moment.
    pub(crate) fn begin(&mut self, number: Number, operation: &Operation) -> u64 {
        let began = self.next_moment();
        match operation {
            Operation::Learn(concept, record) => {
                self.concept(*concept).begin(number, began, Some((**record).clone()));
            }
            Operation::Associate(edge, record) => {
                self.edge(*edge).begin(number, began, Some((**record).clone()));
            }
            Operation::Dissociate(edge) => self.edge(*edge).begin(number, began, None),
            Operation::Delete { concept, .. } => {
                self.concept(*concept).begin(number, began, None);
                for (edge, history) in &mut self.edges {
                    if edge.touches(*concept) {
                        history.begin(number, began, None);
                    }
                }
                self.deletions.push(Deletion { by: number, began, concept: *concept });
            }
            _ => {}
        }
        began
    }

    /// An association's history; deletions that are going on are part of it.
    fn edge(&mut self, edge: Edge) -> &mut History<AssociationRecord> {
        let deletions = &self.deletions;
        self.edges.entry(edge).or_insert_with(|| {
            let mut history = History::new(None);
            for deletion in deletions.iter().filter(|deletion| edge.touches(deletion.concept)) {
                history.begin(deletion.by, deletion.began, None);
            }
            history
        })
    }

    /// An operation is answered: whether it may be answered so. What is refused is for the caller
    /// to judge.
    pub(crate) fn end(
        &mut self,
        number: Number,
        began: u64,
        operation: &Operation,
        reply: &Reply,
    ) -> Result<(), String> {
        let ended = self.next_moment();
        if let Reply::Refused(..) = reply {
            self.refuse(number, operation);
            return Ok(());
        }
        let when = When::Running { from: began, to: ended };
        match operation {
            Operation::Learn(concept, _) => match reply {
                Reply::Done(sequence) => {
                    self.concept(*concept).end(number, ended, *sequence);
                    Ok(())
                }
                other => Err(format!("a learn is answered: {other}")),
            },
            Operation::Associate(edge, _) => match reply {
                Reply::Done(sequence) => {
                    self.edge(*edge).end(number, ended, *sequence);
                    Ok(())
                }
                other => Err(format!("an association is answered: {other}")),
            },
            Operation::Dissociate(edge) => self.dissociated(number, *edge, when, reply),
            Operation::Delete { concept, .. } => self.deleted(number, *concept, when, reply),
            Operation::Flush => match reply {
                Reply::Done(_) => {
                    self.flushed = self.flushed.max(began);
                    Ok(())
                }
                other => Err(format!("a flush is answered: {other}")),
            },
            _ => self.check(when, operation, reply),
        }
    }

    fn refuse(&mut self, number: Number, operation: &Operation) {
        match operation {
            Operation::Learn(concept, _) => self.concept(*concept).refuse(number),
            Operation::Associate(edge, _) | Operation::Dissociate(edge) => {
                self.edge(*edge).refuse(number);
            }
            // It may have removed some of them.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
