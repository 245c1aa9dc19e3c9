//! The command line: one file a command, and what they share.
//!
//! Promises: people on a terminal get words and `--json` gives one JSON document a result; an error is one line that says what to do;
//! the exit code is 0 for done, 1 where the answer is no (not found, unhealthy, bad lines), 2 for wrong usage and 3 where
//! the server can't be reached or refuses. A reader that closes the pipe early ends the program quietly.
//!
//! Relies on `client` for all that is asked of a server, on `server` for `serve` alone, and on `load` for `bench`. A command is
//! a function from its arguments to an [`exit::Answer`].

mod args;
mod associate;
mod bench;
mod connect;
mod exit;
mod flush;
mod health;
mod import;
mod learn;
mod logging;
mod neighbors;
mod output;
mod query;
mod serve;
mod settings;
mod signals;
mod stats;

use std::process::ExitCode;

use args::{Arguments, Command};
use exit::{Answer, Failure};
use output::Output;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let ended = settings::arguments().and_then(run);
    match ended {
        Ok(answer) => ExitCode::from(answer.code()),
        Err(failure) => {
            if let Some(line) = failure.line() {
                output::complain(&line);
            }
            ExitCode::from(failure.code())
        }
    }
}

fn run(arguments: Arguments) -> Result<Answer, Failure> {
    let Arguments { common, command } = arguments;
    let output = Output::new(common.json);
    logging::start(common.log.as_deref(), matches!(command, Command::Serve(_)))?;
    match command {
        Command::Serve(serve) => serve::run(serve, output),
        Command::Learn(learn) => {
            connect::with_client(&learn.server, async |client| learn::run(&client, &learn, output).await)
        }
        Command::Query(query) => {
            connect::with_client(&query.server, async |client| query::run(&client, &query, output).await)
        }
        Command::Associate(associate) => {
            connect::with_client(&associate.server, async |client| associate::run(&client, &associate, output).await)
        }
        Command::Neighbors(neighbors) => {
            connect::with_client(&neighbors.server, async |client| neighbors::run(&client, &neighbors, output).await)
        }
        Command::Stats(stats) => connect::with_client(&stats.server, async |client| stats::run(&client, output).await),
        Command::Flush(flush) => connect::with_client(&flush.server, async |client| flush::run(&client, output).await),
        Command::Health(health) => {
            connect::with_client(&health.server, async |client| health::run(&client, output).await)
        }
        Command::Import(import) => import::run(&import, output),
        Command::Bench(bench) => bench::run(&bench, output),
    }
}
