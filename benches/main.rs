//! `sutra-bench`: Sutra's server beside everything that it can be compared with, on this host.
//!
//! `compare` measures all contenders in one run. The other commands answer single questions. Every
//! server is a process of its own on one CPU, and the load is on another. Contenders take turns, so
//! that drift of the host hits all alike. Every reply is checked, and figures are medians over the
//! rounds.

#![allow(clippy::print_stdout, reason = "a benchmark's output is what it prints")]

mod agents;
mod aligned;
mod answering;
mod bare_echo;
mod compare;
mod copy;
mod legacy;
mod options;
mod paths;
mod process;
mod recovery;
mod search;
mod serve;
mod sizes;
mod spread;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

// The server's allocator: no contender in this program may lose by having another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An error ends the run, and is printed as its reason.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(
    name = "sutra-bench",
    about = "Measures sutra beside what it can be compared with",
    version
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare Sutra with everything that a user could pick instead, in one report
    Compare(compare::Options),
    /// Load one core of a grid's master with many agents' heartbeats
    Agents(agents::Options),
    /// Compare replies that are copied with replies that are sent from where they lie, by size
    Copy(copy::Options),
    /// Compare recovery from a cold disk with a sequential read of the same files
    Recovery(recovery::Options),
    /// Compare paths over the socket with a search over adjacency vectors in memory
    Paths(paths::Options),
    /// Measure a query on a core that is full of searches and paths
    Search(search::Options),
    /// Serve as one of the contenders until killed
    #[command(hide = true)]
    Serve(serve::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::Agents(options) => agents::run(&options),
        Command::Copy(options) => copy::run(&options),
        Command::Recovery(options) => recovery::run(&options),
        Command::Paths(options) => paths::run(&options),
        Command::Search(options) => search::run(&options),
        Command::Serve(options) => serve::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
