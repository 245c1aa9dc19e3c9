//! Runs of some seeds. Long runs are the command's: `sutra simulate --for 10m`.

use std::collections::BTreeSet;

use super::{Coverage, LeftOut, run};

/// Seeds that are run by every test of the project.
const SEEDS: u64 = 40;

/// Operations and their outcomes, of clients of both protocols.
const OPERATIONS: [&str; 32] = [
    "learn ok",
    "associate ok",
    "dissociate ok",
    "dissociate not_found",
    "delete ok",
    "delete_counted ok",
    "query ok",
    "neighbors ok",
    "association ok",
    "concepts ok",
    "path ok",
    "search ok",
    "search by index",
    "stats ok",
    "flush ok",
    "health ok",
    "learn storage_full",
    "learn storage_failed",
    "learn unanswered",
    "old learn ok",
    "old associate ok",
    "old dissociate ok",
    "old delete ok",
    "old query ok",
    "old neighbors ok",
    "old association ok",
    "old concepts ok",
    "old path ok",
    "old search ok",
    "old stats ok",
    "old flush ok",
    "old health ok",
];

#[test]
fn no_seed_loses_anything_and_together_they_reach_what_there_is() {
    let mut coverage = Coverage::default();
    let mut crashes = 0;
    for seed in 0..SEEDS {
        let outcome = run(seed, None, &LeftOut::default());
        let history: Vec<_> = outcome.history.iter().map(ToString::to_string).collect();
        let failure = outcome.failure.map(|failure| failure.to_string());
        assert_eq!(failure, None, "seed {seed}:\n{}", history.join("\n"));
        coverage.add(&outcome.coverage);
        crashes += outcome.crashes;
    }
    assert!(crashes >= SEEDS, "{crashes}");
    assert_reaches_what_there_is(&coverage);
}

fn assert_reaches_what_there_is(coverage: &Coverage) {
    let reached = |counters: &std::collections::BTreeMap<String, u64>, what: &str| {
        assert!(counters.keys().any(|name| name.contains(what)), "{what}: {coverage}");
    };
    for end in ["kill", "power cut", "in order", "in an operation of the disk", "in a write"] {
        reached(&coverage.ends, end);
    }
    for start in [
        "whole log",
        "torn tail",
        "interrupted",
        "a bit was flipped where it lies",
        "a bit was flipped on its way",
        "a read failed",
        "another number of cores",
    ] {
        reached(&coverage.starts, start);
    }
    for fault in [
        "full",
        "a write failed",
        "the page cache kept",
        "was dropped",
        "clock",
        "a client",
        "gave less than was asked for",
    ] {
        reached(&coverage.faults, fault);
    }
    for operation in OPERATIONS {
        reached(&coverage.operations, operation);
    }
    reached(&coverage.branches, "cutting a torn tail");
}

#[test]
fn a_seed_is_the_same_run_again_and_another_is_not() {
    let hash = |seed| {
        let outcome = run(seed, None, &LeftOut::default());
        (outcome.hash, outcome.steps, outcome.crashes)
    };
    // The last of them has a crowd, and with it a vector index.
    let all: Vec<_> = (0..6).map(hash).collect();
    assert_eq!(all, (0..6).map(hash).collect::<Vec<_>>());
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn what_is_left_out_does_not_happen() {
    let whole = run(3, Some(2), &LeftOut::default());
    let left_out = LeftOut {
        operations: (0..whole.operations).collect(),
        faults: (0..1000).collect(),
        ends: (0..1000).collect(),
    };
    let outcome = run(3, Some(2), &left_out);
    assert!(whole.crashes > 0 && outcome.crashes == 0 && outcome.failure.is_none());
    assert!(outcome.coverage.operations.is_empty(), "{}", outcome.coverage);
}
