//! What the model finds wrong, and what not.
#![allow(clippy::unwrap_used)]

use sutra_wire::{ConceptRecord, Stats};

use super::{Before, Found, Model};
use crate::disk::Crash;
use crate::operation::{Concept, Operation};
use crate::plan::Plan;
use crate::reply::Reply;

const CONCEPT: Concept = Concept { space: 0, id: 0 };

/// A plan with one concept, whose writes are durable when they are answered, or not.
fn plan(is_durable: bool) -> Plan {
    let is_it = |plan: &Plan| (plan.durability == sutra_wire::Durability::Always) == is_durable;
    let mut plan = (0..).map(|seed| Plan::of(seed, Some(1))).find(is_it).unwrap();
    plan.ids.truncate(1);
    plan.spaces.truncate(1);
    plan
}

fn record(plan: &Plan, content: &str) -> ConceptRecord {
    ConceptRecord { id: plan.ids[0], content: content.to_owned(), ..ConceptRecord::default() }
}

fn learn(plan: &Plan, content: &str) -> Operation {
    Operation::Learn(CONCEPT, Box::new(record(plan, content)))
}

/// Learns this, and is answered with this sequence; or is not.
fn learned(model: &mut Model, plan: &Plan, number: u64, content: &str, sequence: Option<u64>) {
    let operation = learn(plan, content);
    let began = model.begin(number, &operation);
    if let Some(sequence) = sequence {
        model.end(number, began, &operation, &Reply::Done(Some(sequence))).unwrap();
    }
}

fn found(record: Option<ConceptRecord>) -> Found {
    let concepts = u64::from(record.is_some());
    Found {
        concepts: [(CONCEPT, record)].into(),
        neighbors: [(CONCEPT, Vec::new())].into(),
        stats: Some(Stats { concepts, ..Stats::default() }),
        ..Found::default()
    }
}

fn asked(model: &mut Model, reply: &Reply) -> Result<(), String> {
    let operation = Operation::Query(CONCEPT);
    let began = model.begin(u64::MAX, &operation);
    model.end(u64::MAX, began, &operation, reply)
}

#[test]
fn a_read_sees_what_was_answered_before_and_nothing_older() {
    let plan = plan(true);
    let mut model = Model::new(&plan);
    learned(&mut model, &plan, 1, "old", Some(1));
    learned(&mut model, &plan, 2, "new", Some(2));
    let reply = |content| Reply::Concept(Box::new(record(&plan, content)));
    asked(&mut model, &reply("new")).unwrap();
    assert!(asked(&mut model, &reply("old")).unwrap_err().contains("old"));
    assert!(asked(&mut model, &Reply::NotFound).is_err());
    // What is under way may be seen or not.
    learned(&mut model, &plan, 3, "newest", None);
    for content in ["new", "newest"] {
        asked(&mut model, &reply(content)).unwrap();
    }
    assert!(asked(&mut model, &reply("old")).is_err());
}

#[test]
fn after_a_crash_what_was_answered_is_there_and_what_was_not_may_be() {
    let plan = plan(true);
    let mut model = Model::new(&plan);
    learned(&mut model, &plan, 1, "answered", Some(1));
    learned(&mut model, &plan, 2, "not answered", None);
    let before = Before::Ended(Some(Crash::PowerCut));
    for content in ["answered", "not answered"] {
        let found = found(Some(record(&plan, content)));
        model.clone().take_in(before, &[None], &found).unwrap();
    }
    assert!(model.clone().take_in(before, &[None], &found(None)).is_err(), "it is lost");
    let stranger = found(Some(record(&plan, "never learned")));
    assert!(model.take_in(before, &[None], &stranger).is_err());
}

#[test]
fn what_was_deleted_does_not_come_back() {
    let plan = plan(true);
    let mut model = Model::new(&plan);
    learned(&mut model, &plan, 1, "deleted", Some(1));
    let delete = Operation::Delete { concept: CONCEPT, is_counted: false };
    let began = model.begin(2, &delete);
    model.end(2, began, &delete, &Reply::Done(Some(2))).unwrap();
    let back = found(Some(record(&plan, "deleted")));
    assert!(model.clone().take_in(Before::Ended(Some(Crash::Kill)), &[None], &back).is_err());
    model.take_in(Before::Ended(Some(Crash::Kill)), &[None], &found(None)).unwrap();
}

#[test]
fn where_answers_come_before_the_disk_a_power_cut_takes_what_was_not_synced() {
    let plan = plan(false);
    let mut model = Model::new(&plan);
    learned(&mut model, &plan, 1, "synced", Some(1));
    let unsynced = model.moment() + 1;
    learned(&mut model, &plan, 2, "lost", Some(2));
    let power_cut = Before::Ended(Some(Crash::PowerCut));
    let synced = found(Some(record(&plan, "synced")));
    model.clone().take_in(power_cut, &[Some(unsynced)], &synced).unwrap();
    assert!(model.clone().take_in(power_cut, &[Some(unsynced)], &found(None)).is_err());
    assert!(model.clone().take_in(power_cut, &[None], &synced).is_err(), "all was synced");
    // A flush is a promise, whatever the disk says.
    let began = model.begin(3, &Operation::Flush);
    model.end(3, began, &Operation::Flush, &Reply::Done(Some(2))).unwrap();
    assert!(model.take_in(power_cut, &[Some(unsynced)], &synced).is_err());
}

#[test]
fn counts_that_do_not_fit_are_noticed() {
    let plan = plan(true);
    let mut model = Model::new(&plan);
    learned(&mut model, &plan, 1, "one", Some(1));
    let mut found = found(Some(record(&plan, "one")));
    found.stats = Some(Stats { concepts: 2, ..Stats::default() });
    let wrong = model.take_in(Before::Quiet, &[None], &found).unwrap_err();
    assert!(wrong.contains("counts"), "{wrong}");
}
