//! `sutra-bench`: the server beside the floor it stands on, measured in one run on this host.
//!
//! Every comparison of servers starts its contenders as processes of their own, pins them to one
//! CPU and the load to another, goes round them in turn so that drift of the host hits all alike,
//! checks every reply, and prints medians over the rounds with their ratios.

#![allow(clippy::print_stdout, reason = "a benchmark's output is what it prints")]

mod agents;
mod aligned;
mod answering;
mod bare_echo;
mod compare;
mod compat;
mod copy;
mod durable;
mod echo;
mod idle;
mod legacy;
mod options;
mod paths;
mod process;
mod recovery;
mod search;
mod sizes;
mod stored;
mod table;
mod vectors;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

// As the server: a contender must not lose by its allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What can go wrong ends the run with its reason.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(name = "sutra-bench", about = "Measures sutra beside the floor it stands on", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sutra beside everything else that a user could pick, and beside the floor: all contenders,
    /// one report
    Compare(compare::Options),
    /// Many agents' heartbeats on one core of a grid's master
    Agents(agents::Options),
    /// Query beside an echo on our runtime and an echo on a bare io_uring loop
    Echo(echo::Options),
    /// Durable learn beside a bare loop of group-committed writes to the same disk
    Learn(durable::Options),
    /// Query through the compat port beside the native port
    Compat(options::Rounds),
    /// Memory of ten thousand idle connections
    Idle(idle::Options),
    /// Replies copied beside their header and sent from where they lie, by size
    Copy(copy::Options),
    /// Recovery from a cold disk beside a sequential read of the same files
    Recovery(recovery::Options),
    /// Paths between random pairs beside a search over adjacency vectors in memory
    Paths(paths::Options),
    /// Vector search over the socket beside the index library in-process, and what a query waits
    /// for on a core that is full of searches and paths
    Search(search::Options),
    /// Vector search through the store beside the index library in-process, and beside an exact
    /// scan
    Vectors(vectors::Options),
    /// One contender, on its own: listens until it is killed
    #[command(hide = true)]
    Serve(process::Contender),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::Agents(options) => agents::run(&options),
        Command::Echo(options) => echo::run(&options),
        Command::Learn(options) => durable::run(&options),
        Command::Compat(options) => compat::run(&options),
        Command::Idle(options) => idle::run(&options),
        Command::Copy(options) => copy::run(&options),
        Command::Recovery(options) => recovery::run(&options),
        Command::Paths(options) => paths::run(&options),
        Command::Search(options) => search::run(&options),
        Command::Vectors(options) => vectors::run(&options),
        Command::Serve(contender) => contender.serve(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
