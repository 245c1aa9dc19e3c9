//! Why a run failed. Refused requests don't fail a run: they are counted (`Report::refused`).

use std::net::SocketAddr;
use std::time::Duration;

use sutra_wire::Status;

use crate::scan::ScanError;

/// Why a run could not be started, or why its figures would mean nothing.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The plan asks for nothing, or for more than is possible.
    #[error("{problem}")]
    Plan {
        /// What is wrong, and what to change.
        problem: String,
    },
    /// No connection could be made.
    #[error("cannot connect to {address}: {source}; is a server running there?")]
    Connect {
        /// The server.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// There are no file descriptors left for connections.
    #[error(
        "too many open files for so many connections; \
         use fewer, or raise the limit where the load runs (`ulimit -n`)"
    )]
    FileLimit,
    /// A new connection was accepted and then not answered.
    #[error(
        "{address} has not answered a new connection in time; is it stopped, overloaded, \
         or at its limit on open files (`ulimit -n` where it runs)?"
    )]
    NoAnswer {
        /// The server.
        address: SocketAddr,
    },
    /// The server refused the handshake.
    #[error("{address} refused the connection ({}): {message}", status.name())]
    Refused {
        /// The server.
        address: SocketAddr,
        /// The status that it refused with.
        status: Status,
        /// Why it refused, in its words.
        message: String,
    },
    /// The server speaks another schema.
    #[error(
        "{address} speaks another schema: {problem}; \
         use a server and a load generator of the same version"
    )]
    Schema {
        /// The server.
        address: SocketAddr,
        /// The difference.
        problem: String,
    },
    /// The system failed a call.
    #[error("{doing} failed: {source}")]
    System {
        /// The call and what it was for.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server closed a connection that had requests in flight.
    #[error(
        "{address} closed connection {connection} with {unanswered} requests unanswered{}",
        after(last_refusal)
    )]
    Closed {
        /// The server.
        address: SocketAddr,
        /// The connection's number in the run.
        connection: usize,
        /// Requests that were in flight on it.
        unanswered: usize,
        /// The last refusal that the server sent on any connection of the run's thread, if any.
        last_refusal: Option<String>,
    },
    /// No reply came for as long as the plan waits.
    #[error(
        "{address} left {unanswered} requests on connection {connection} without a reply \
         for {waited:?}"
    )]
    Silent {
        /// The server.
        address: SocketAddr,
        /// The connection's number in the run.
        connection: usize,
        /// Requests that were in flight on it.
        unanswered: usize,
        /// How long nothing came.
        waited: Duration,
    },
    /// The bytes received are not a reply.
    #[error("connection {connection} received bytes that are not a reply: {source}")]
    Frame {
        /// The connection's number in the run.
        connection: usize,
        /// What is wrong.
        source: ScanError,
    },
    /// A reply is not the answer to its request.
    #[error("wrong answer on connection {connection} to request {request:#x}: {problem}")]
    Wrong {
        /// The connection's number in the run.
        connection: usize,
        /// The request's number.
        request: u64,
        /// How it differs from what was expected.
        problem: String,
    },
    /// The server's CPU time can't be read.
    #[error("cannot read the server's CPU time: {problem}")]
    Cpu {
        /// Why.
        problem: String,
    },
}

fn after(refusal: &Option<String>) -> String {
    refusal
        .as_ref()
        .map_or_else(String::new, |refusal| format!(", after it had refused: {refusal}"))
}

impl LoadError {
    pub(crate) fn system(doing: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        LoadError::System { doing: doing.into(), source: source.into() }
    }
}
