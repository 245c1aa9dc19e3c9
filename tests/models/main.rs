//! What two threads of the server touch, in every order that they may run in: loom (a model
//! checker) runs a few steps of each, again and again, until no order is left. It also has a load
//! see any value that the memory orders in the source allow.
//!
//! The files under check are the product's own (`#[path]`). What they stand on is replaced:
//! atomics and locks (`shared.rs`), memory (`mapping.rs`), bells (`linux/bell.rs`).

#![allow(dead_code, reason = "of the product's files the models need a part")]

#[path = "../../src/runtime/ending.rs"]
mod ending;
mod linux;
mod mapping;
mod marks;
mod memory;
#[path = "../../src/runtime/postbox.rs"]
mod postbox;
#[path = "../../src/store/progress.rs"]
mod progress;
#[path = "../../src/runtime/pulse.rs"]
mod pulse;
#[path = "../../src/runtime/region.rs"]
mod region;
mod shared;
#[path = "../../src/store/shared_dimensions.rs"]
mod shared_dimensions;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What a bell that can't be had says; here all can.
#[derive(Debug)]
struct RuntimeError;

/// A promise, and the threads that try to break it: one run in one order. It panics where the
/// promise is broken.
struct Model {
    name: &'static str,
    /// How often threads are interrupted at most where they could go on, all together. `None` where
    /// all orders are few enough.
    interruptions: Option<usize>,
    run: fn(),
}

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let all: Vec<Model> = memory::models().into_iter().chain(linux::models()).collect();
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|model| model.name != **name)) {
        eprintln!("there is no model {unknown}");
        return ExitCode::FAILURE;
    }
    for model in
        all.iter().filter(|model| names.is_empty() || names.iter().any(|name| name == model.name))
    {
        check(model);
    }
    ExitCode::SUCCESS
}

fn check(model: &Model) {
    let began = Instant::now();
    let orders = Arc::new(AtomicU64::new(0));
    let (run, counted) = (model.run, Arc::clone(&orders));
    eprintln!("{}", model.name);
    let mut checker = loom::model::Builder::new();
    checker.preemption_bound = model.interruptions;
    checker.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        run();
    });
    let seconds = began.elapsed().as_secs_f64();
    println!("{}: {} orders, {seconds:.1} s", model.name, orders.load(Ordering::Relaxed));
}
