//! `sutra grid …`: runs a master or an agent, and asks a master.

mod agent;
mod agents;
pub(crate) mod args;
mod master;
mod nodes;
mod show;
mod spawn;
mod status;
mod stop;
mod table;
mod unregister;
mod watch;

use std::time::Duration;
use sutra_client::grid::GridClient;

use crate::connect::runtime;
use crate::exit::{Answer, Failure};
use crate::output::Output;
use args::{GridCommand, Master};

/// How long the master may take to answer from what it knows.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The same where an agent has to start or stop a process first: somewhat longer than that may
/// take.
const TIMEOUT_OF_WORK: Duration = Duration::from_secs(45);

pub(crate) fn run(command: GridCommand, output: Output) -> Result<Answer, Failure> {
    if matches!(command, GridCommand::Master(_) | GridCommand::Agent(_)) {
        // Only their user may read what they write, whatever umask they were started with.
        sutra_grid::write_privately();
    }
    match command {
        GridCommand::Master(master) => master::run(master, output),
        GridCommand::Agent(agent) => agent::run(agent, output),
        GridCommand::Status(to) => {
            with_grid(&to, TIMEOUT, async |grid| status::run(&grid, &to.address, output).await)
        }
        GridCommand::Agents(to) => {
            with_grid(&to, TIMEOUT, async |grid| agents::run(&grid, output).await)
        }
        GridCommand::Nodes(nodes) => {
            with_grid(&nodes.to, TIMEOUT, async |grid| nodes::run(&grid, &nodes, output).await)
        }
        GridCommand::Spawn(spawn) => with_grid(&spawn.to, TIMEOUT_OF_WORK, async |grid| {
            spawn::run(&grid, &spawn, output).await
        }),
        GridCommand::Stop(stop) => {
            with_grid(&stop.to, TIMEOUT_OF_WORK, async |grid| stop::run(&grid, &stop, output).await)
        }
        GridCommand::Watch(watch) => {
            with_grid(&watch.to, TIMEOUT, async |grid| watch::run(&grid, &watch, output).await)
        }
        GridCommand::Unregister(unregister) => with_grid(&unregister.to, TIMEOUT, async |grid| {
            unregister::run(&grid, &unregister, output).await
        }),
    }
}

/// Runs `command` with a client of the master.
fn with_grid(
    to: &Master,
    timeout: Duration,
    command: impl AsyncFnOnce(GridClient) -> Result<Answer, Failure>,
) -> Result<Answer, Failure> {
    let client = GridClient::new(&to.address).with_timeout(to.timeout.unwrap_or(timeout));
    runtime()?.block_on(command(client))
}
