//! The log: to standard error, for people on a terminal, as JSON lines otherwise.
//!
//! How often a line that a client can cause is written is bounded where it is written (`net`).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::exit::Failure;

/// Starts logging at `level`, or from `info` up for a server and from `warn` up for its clients.
pub(crate) fn start(level: Option<&str>, is_server: bool) -> Result<(), Failure> {
    let default = if is_server { "info" } else { "warn" };
    let filter = EnvFilter::try_new(level.unwrap_or(default)).map_err(|error| {
        Failure::Usage(format!("--log: {error}; write a level like debug, or a list like info,sutra_net=debug"))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.with_target(false).init();
    } else {
        log.json().flatten_event(true).init();
    }
    Ok(())
}
