//! The command line: one file a command, and what they share.
//!
//! Promises: people on a terminal get words and `--json` gives one JSON document a result; an error
//! is one line that says what to do, under `--json` `{"error": …, "code": …}` and then nothing else
//! of ours but the log is on standard error; the exit code is 0 for done, 1 where the answer is no
//! (not found, unhealthy, bad lines), 2 for wrong usage, 3 where the server can't be reached or
//! refuses, or this host does, and 128 and its number where a signal ended the command. A reader
//! that closes the pipe early ends the program quietly.
//!
//! Relies on `client` for all that is asked of a server or a grid's master, on `server` for `serve`
//! alone, on `grid` for its two services, and on `load` for `bench`. A command is a function from
//! its arguments to an [`exit::Answer`].

mod args;
mod associate;
mod bench;
mod config;
mod connect;
mod delete;
mod exit;
mod export;
mod exposure;
mod flush;
mod graph_args;
mod grid;
mod health;
mod import;
mod json;
mod known;
mod learn;
mod logging;
mod neighbors;
mod output;
mod path;
mod query;
mod search;
mod serve;
mod settings;
mod signals;
mod stats;
mod streams;
mod target;
mod text;
mod values;
mod vector;

use std::path::PathBuf;
use std::process::ExitCode;

use args::{Arguments, Command};
use connect::with_client;
use exit::{Answer, Failure};
use output::Output;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = settings::arguments();
    let json = arguments.as_ref().map_or_else(|_| settings::asks_for_json(), |(arguments, _)| arguments.common.json);
    let is_service = arguments.as_ref().is_ok_and(|(arguments, _)| arguments.command.is_service());
    let output = if is_service { Output::of_service(json) } else { Output::new(json) };
    let code = match arguments.and_then(|(arguments, file)| run(arguments, file, output)) {
        Ok(answer) => answer.code(),
        Err(failure) => {
            output.fail(&failure);
            failure.code()
        }
    };
    streams::flush();
    ExitCode::from(code)
}

fn run(arguments: Arguments, file: Option<PathBuf>, output: Output) -> Result<Answer, Failure> {
    let Arguments { common, command } = arguments;
    logging::start(common.log.as_deref(), command.is_service())?;
    if let Some(file) = file {
        tracing::info!(file = %file.display(), "settings are read from a file; `sutra config` shows them");
    }
    command.check()?;
    match command {
        Command::Serve(serve) => serve::run(serve, output),
        Command::Learn(learn) => {
            with_client(&learn.named.place.server, async |client| learn::run(&client, &learn, output).await)
        }
        Command::Query(named) => {
            with_client(&named.place.server, async |client| query::run(&client, &named, output).await)
        }
        Command::Associate(associate) => {
            with_client(&associate.place.server, async |client| associate::run(&client, &associate, output).await)
        }
        Command::Delete(named) => {
            with_client(&named.place.server, async |client| delete::run(&client, &named, output).await)
        }
        Command::Neighbors(neighbors) => {
            let server = &neighbors.named.place.server;
            with_client(server, async |client| neighbors::run(&client, &neighbors, output).await)
        }
        Command::Path(path) => with_client(&path.place.server, async |client| path::run(&client, &path, output).await),
        Command::Search(search) => {
            with_client(&search.place.server, async |client| search::run(&client, &search, output).await)
        }
        Command::Export(export) => {
            with_client(&export.place.server, async |client| export::run(&client, &export, output).await)
        }
        Command::Stats(server) => with_client(&server, async |client| stats::run(&client, output).await),
        Command::Flush(server) => with_client(&server, async |client| flush::run(&client, output).await),
        Command::Health(server) => with_client(&server, async |client| health::run(&client, output).await),
        Command::Config => config::run(output),
        Command::Import(import) => import::run(&import, output),
        Command::Bench(bench) => bench::run(&bench, output),
        Command::Grid(grid) => grid::run(grid.command, output),
    }
}
