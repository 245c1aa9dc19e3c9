//! The gRPC contender: a tonic server and client with the calls that are measured, as its users
//! would run it.
//!
//! It is a program of its own, so that its libraries stay out of everything else. The program
//! `sutra-bench` starts it and reads the JSON that it prints.

#![allow(clippy::print_stdout, reason = "what it prints is its result")]

mod calls;
mod client;
mod closed_loop;
mod load;
mod once;
mod open_loop;
mod serialize;
mod server;
mod transport;
mod window;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

// The allocator of the server that it is compared with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(name = "sutra-bench-grpc", about = "The gRPC contender of sutra-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the calls over an in-memory store, until it is killed
    Serve {
        /// The CPU to serve on
        #[arg(long)]
        cpu: usize,
    },
    /// Learns the concepts that the load will query
    Fill(once::Options),
    /// Prints the ids of the concepts nearest to each query
    Search(once::Options),
    /// Puts a load on the server and prints its report
    Load(load::Options),
    /// Opens connections, uses each once, and prints the server's memory for each
    Idle(once::Options),
    /// Prints how long it takes from a new connection to the first answer
    Connect(once::Options),
    /// Prints how long messages take to encode and to decode
    Serialize,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve { cpu } => server::serve(cpu),
        Command::Fill(options) => once::run(&options, once::fill),
        Command::Search(options) => once::run(&options, once::search_each),
        Command::Load(options) => load::run(&options),
        Command::Idle(options) => once::run(&options, once::idle),
        Command::Connect(options) => once::run(&options, once::first_answer),
        Command::Serialize => serialize::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Pins this thread, and those that it will start, to a CPU.
fn pin(id: usize) -> Outcome {
    if core_affinity::set_for_current(core_affinity::CoreId { id }) {
        return Ok(());
    }
    Err(format!("could not pin to CPU {id}").into())
}
