//! Where the time of Sutra's requests goes, by the server's own clock, under the loads that the
//! goals are about.

use sutra_load::ProfileSoFar;

use super::ask::Question;
use super::cell::Shape;
use super::contenders::SUTRA;
use super::record::Profiled;
use super::rounds::Bench;
use super::setup::Operation;
use super::tables::{DURABLE, FEW_QUERIES, FEW_WRITES, Loads, QUERY};
use crate::Outcome;

/// What is profiled: the table, what is asked there, and its loads.
const LOADS: [(&str, Operation, &Loads); 2] =
    [(QUERY, Operation::Query, &FEW_QUERIES), (DURABLE, Operation::Learn, &FEW_WRITES)];
/// How many times as long as a round of a table is measured, as only one turn in 64 is timed.
const TIMES: u32 = 3;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Profiles of all loads. One that can't be made is reported as a problem.
pub(crate) fn measure(bench: &mut Bench) -> Vec<Profiled> {
    let mut profiled = Vec::new();
    for (section, operation, shapes) in LOADS {
        for shape in shapes.iter().copied().map(Shape::closed) {
            eprintln!("profile: {section}, {}", shape.name());
            match one(bench, section, operation, shape) {
                Ok(one) => profiled.push(one),
                Err(error) => {
                    bench.problems.push(format!(
                        "Profile of {section} under {} FAILED: {error}",
                        shape.name()
                    ));
                }
            }
        }
    }
    profiled
}

fn one(bench: &mut Bench, section: &str, operation: Operation, shape: Shape) -> Outcome<Profiled> {
    let (setup, mut timing) = (bench.setup, bench.timing);
    timing.measured *= TIMES;
    let question = Question { protocol: SUTRA.protocol, operation, shape, spin: false, timing };
    bench.server(&SUTRA).take_turn(|running| {
        let before = ProfileSoFar::read(running.address, PATIENCE)?;
        let report = question.ask(running, &setup)?;
        let after = ProfileSoFar::read(running.address, PATIENCE)?;
        let profile = before.until(&after).ok_or("another process has taken over")?;
        if profile.requests == 0 {
            return Err("no request was in a timed turn".into());
        }
        let cpu_us = report.server_cpu.as_ref().map_or(f64::NAN, |cpu| cpu.total_us);
        Ok(Profiled { section: section.to_owned(), shape, profile, cpu_us })
    })
}
