//! A client for the commands that ask one thing of a server.

use sutra_client::{Client, Connect};
use tokio::runtime::Runtime;

use crate::exit::{Answer, Failure};
use crate::target::Server;

/// The runtime that a command's client runs in: one thread, this one.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Host(format!("cannot start the client's runtime: {error}")))
}

/// A client of the server, about to connect.
pub(crate) fn to(server: &Server) -> Connect {
    Client::connect(&server.address).with_timeout(server.timeout)
}

/// Connects to the server and runs `command` with the client.
pub(crate) fn with_client(
    server: &Server,
    command: impl AsyncFnOnce(Client) -> Result<Answer, Failure>,
) -> Result<Answer, Failure> {
    runtime()?.block_on(async {
        let client = to(server).await?;
        command(client).await
    })
}
