//! The command line: one file a command, and what they share.
//!
//! Promises:
//! - People get words, and `--json` gives one JSON document for each result.
//! - An error is one line that says what to do. Under `--json` it is `{"error": …, "code": …}`, and
//!   nothing else of ours but the log is on standard error.
//! - The exit code is 0 for done, and 1 where the answer is no (not found, unhealthy, bad lines).
//!   It is 2 for wrong usage, and 3 where the server can't be reached, or it or this host refuses.
//!   Where a signal ended the command it is 128 and the signal's number.
//! - A reader that closes the pipe early ends the program quietly.
//!
//! Relies on `client` for all that is asked of a server or a grid's master, but for what `slow` and
//! `top` ask of an admin port over HTTP. `serve` alone needs `server`, the grid's two services need
//! `grid`, `backup` and `restore` need `backup`, `verify` and `repair` need `store`, `bench` needs
//! `load`, `simulate` needs `simulator`, `doctor` and `tune` need `host`. A command is a function
//! from its arguments to an [`exit::Answer`].

mod admin_port;
mod args;
mod associate;
mod backup;
mod bench;
mod completions;
mod config;
mod connect;
mod delete;
mod dissociate;
mod doctor;
mod exit;
mod export;
mod exposure;
mod flush;
mod grid;
mod health;
mod host;
mod import;
mod json;
mod known;
mod learn;
mod log_line;
mod log_record;
mod logging;
mod man;
mod neighbors;
mod output;
mod path;
mod printable;
mod progress;
mod query;
mod reload;
mod repair;
mod restore;
mod search;
mod serve;
mod settings;
mod signals;
mod simulate;
mod slow;
mod stats;
mod streams;
mod systemd;
mod target;
mod text;
mod top;
mod tune;
mod values;
mod vector;
mod verify;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use args::{Arguments, Command};
use clap::CommandFactory;
use connect::with_client;
use exit::{Answer, Failure};
use output::Output;
use sutra_server::Inherited;

/// Runs the command that the process was started with. `version` is what `--version` says, `commit`
/// what the program is made of, where that is known.
pub fn main(version: &'static str, commit: Option<&'static str>) -> ExitCode {
    if let Some(commit) = commit {
        sutra_admin::built_from(commit);
    }
    let definition = Arguments::command().version(version);
    let arguments = settings::arguments(definition.clone());
    let json = arguments
        .as_ref()
        .map_or_else(|_| settings::asks_for_json(), |(arguments, _)| arguments.common.json);
    let is_service =
        arguments.as_ref().is_ok_and(|(arguments, _)| arguments.command.service().is_some());
    // Before the output's threads: it changes the environment.
    let sockets = systemd::sockets::take();
    let output = if is_service { Output::of_service(json) } else { Output::new(json) };
    let answer = arguments.and_then(|(arguments, file)| {
        let start = Start { file, sockets: sockets?, definition };
        run(arguments, start, output)
    });
    let code = match answer {
        Ok(answer) => answer.code(),
        Err(failure) => {
            output.fail(&failure);
            failure.code()
        }
    };
    streams::flush();
    ExitCode::from(code)
}

/// What the process was started with, beside its arguments.
struct Start {
    /// The settings file.
    file: Option<PathBuf>,
    sockets: Inherited,
    /// The command line as clap reads it.
    definition: clap::Command,
}

fn run(arguments: Arguments, start: Start, output: Output) -> Result<Answer, Failure> {
    let Arguments { common, command } = arguments;
    let Start { file, sockets, definition } = start;
    logging::start(common.log.as_deref(), command.service())?;
    if let Some(file) = file {
        tracing::info!(
            file = %file.display(),
            "settings are read from a file; `sutra config` shows them"
        );
    }
    if command.service().is_some() {
        let definition = definition.clone();
        signals::reload_by(move || reload::run(&definition));
    }
    match command {
        Command::Serve(serve) => serve::run(serve, sockets, output, reload::take_over_by),
        Command::Learn(learn) => {
            with_client(learn.server(), async |client| learn::run(&client, &learn, output).await)
        }
        Command::Query(named) => {
            with_client(named.server(), async |client| query::run(&client, &named, output).await)
        }
        Command::Associate(associate) => with_client(associate.server(), async |client| {
            associate::run(&client, &associate, output).await
        }),
        Command::Dissociate(dissociate) => with_client(dissociate.server(), async |client| {
            dissociate::run(&client, &dissociate, output).await
        }),
        Command::Delete(delete) => {
            with_client(delete.server(), async |client| delete::run(&client, &delete, output).await)
        }
        Command::Neighbors(neighbors) => with_client(neighbors.server(), async |client| {
            neighbors::run(&client, &neighbors, output).await
        }),
        Command::Path(path) => {
            with_client(path.server(), async |client| path::run(&client, &path, output).await)
        }
        Command::Search(search) => {
            with_client(search.server(), async |client| search::run(&client, &search, output).await)
        }
        Command::Export(export) => {
            with_client(export.server(), async |client| export::run(&client, &export, output).await)
        }
        Command::Stats(stats) => {
            with_client(stats.server(), async |client| stats::run(&client, &stats, output).await)
        }
        Command::Slow(slow) => slow::run(&slow, output),
        Command::Top(top) => top::run(&top, output),
        Command::Flush(server) => {
            with_client(&server, async |client| flush::run(&client, output).await)
        }
        Command::Health(server) => {
            with_client(&server, async |client| health::run(&client, output).await)
        }
        Command::Verify(verify) => verify::run(&verify, output),
        Command::Repair(repair) => repair::run(&repair, output),
        Command::Backup(backup) => backup::run(&backup, output),
        Command::Restore(restore) => restore::run(&restore, output),
        Command::Simulate(simulate) => simulate::run(&simulate, output),
        Command::Doctor(doctor) => doctor::run(&doctor, output),
        Command::Tune(tune) => tune::run(&tune, output),
        Command::Config => config::run(output),
        Command::Completions(completions) => completions::run(&completions, definition, output),
        Command::Man(man) => man::run(&man, definition, output),
        Command::Import(import) => import::run(&import, output),
        Command::Bench(bench) => bench::run(&bench, output),
        Command::Grid(grid) => grid::run(grid.command, output),
    }
}
