//! What can go wrong between an application and the server, in one type. Errors can be cloned: one
//! lost connection ends every request that was on it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sutra_wire::{ErrorMessage, InvalidId, PayloadError, SharedBytes, Status, View};

/// Why a call has no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The text is no address.
    #[error("{text:?} is not a server's address: {problem}; write HOST:PORT or [IPV6]:PORT")]
    InvalidEndpoint {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The name or id of a concept can't be one.
    #[error("not a concept: {0}")]
    InvalidName(#[from] InvalidId),
    /// The request's payload is longer than this server takes. It was not sent.
    #[error(
        "the {operation} request takes {length} bytes, the server takes {limit}; \
         shorten its content or embedding"
    )]
    TooLarge {
        /// The operation.
        operation: &'static str,
        /// Bytes of its payload.
        length: usize,
        /// Bytes that the server accepts.
        limit: u32,
    },
    /// No connection could be made.
    #[error("can't connect to {endpoint}: {source}; {}", what_to_check(source))]
    Connect {
        /// Where to.
        endpoint: String,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The server is there and speaks another version or schema.
    #[error("can't talk to {endpoint}: {problem}; use a client and a server of the same release")]
    Incompatible {
        /// Which server.
        endpoint: String,
        /// Both sides' versions.
        problem: String,
    },
    /// The server answered that it won't.
    #[error("the server refused ({}): {message}", status.name())]
    Refused {
        /// The kind of refusal: decide by this.
        status: Status,
        /// The reason, in words.
        message: String,
    },
    /// The time that the call may take in all is over. A write may still take effect.
    #[error(
        "no answer to {operation} from {endpoint} within {timeout:?}; is the server overloaded, \
         stopped, or out of reach?"
    )]
    TimedOut {
        /// What was asked for.
        operation: &'static str,
        /// Which server.
        endpoint: String,
        /// The whole of the time allowed.
        timeout: Duration,
    },
    /// The connection ended before the answer came. A write may have taken effect.
    #[error("lost the connection to {endpoint}: {reason}")]
    Closed {
        /// Which server.
        endpoint: String,
        /// How it ended.
        reason: String,
    },
    /// The peer's bytes break the protocol; the connection was given up.
    #[error(
        "{endpoint} does not speak this protocol as it should: {problem}; \
         is this the server's native port?"
    )]
    Protocol {
        /// Which server.
        endpoint: String,
        /// What was received.
        problem: String,
    },
    /// The grid's master does not know the node that an address names, or the node is not running.
    #[error("{node}: {problem}")]
    Node {
        /// The address.
        node: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The runtime of a blocking client could not be started.
    #[error("can't start the client's runtime: {0}")]
    Runtime(#[source] Arc<io::Error>),
}

/// What whoever could not connect looks at first.
fn what_to_check(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "is the host up, and reached from here?"
        }
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::TimedOut => "is it running, and listening there?",
        // Among them a name that no resolver knows: it has no kind of its own.
        _ => "is the address right?",
    }
}

impl ClientError {
    pub(crate) fn connect(endpoint: &str, source: io::Error) -> Self {
        ClientError::Connect { endpoint: endpoint.to_owned(), source: Arc::new(source) }
    }

    pub(crate) fn closed(endpoint: &str, reason: impl Into<String>) -> Self {
        ClientError::Closed { endpoint: endpoint.to_owned(), reason: reason.into() }
    }

    pub(crate) fn protocol(endpoint: &str, problem: impl Into<String>) -> Self {
        ClientError::Protocol { endpoint: endpoint.to_owned(), problem: problem.into() }
    }

    /// The error of a call with an earlier attempt that was lost. That one may have taken effect,
    /// whatever became of the later ones.
    pub(crate) fn after(self, lost: Option<ClientError>) -> Self {
        let Some(ClientError::Closed { endpoint, reason }) = lost else { return self };
        let says_unknown =
            matches!(self, ClientError::Closed { .. } | ClientError::TimedOut { .. });
        // What is wrong with the request itself was wrong with it the first time.
        let is_final =
            matches!(&self, ClientError::Refused { status, .. } if !status.is_transient());
        if says_unknown || is_final {
            return self;
        }
        ClientError::Closed {
            endpoint,
            reason: format!("{reason}; when it was tried again: {self}"),
        }
    }

    pub(crate) fn payload(endpoint: &str, error: &PayloadError) -> Self {
        Self::protocol(endpoint, error.to_string())
    }

    /// The refusal that a reply with this status carries.
    pub(crate) fn refused(status: Status, payload: Option<SharedBytes>) -> Self {
        let message = payload.and_then(|bytes| View::<ErrorMessage>::new(bytes).ok());
        let message = message.map_or_else(
            || "the server gave no reason".to_owned(),
            |view| view.message.to_string(),
        );
        ClientError::Refused { status, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_may_have_arrived_is_never_told_as_one_that_was_not_sent() {
        let lost = || Some(ClientError::closed("here:1", "it was reset"));
        let unreachable = ClientError::connect("here:1", io::ErrorKind::ConnectionRefused.into());
        let told = unreachable.clone().after(lost());
        assert!(
            matches!(&told, ClientError::Closed { reason, .. } if reason.contains("refused")),
            "{told}"
        );
        assert!(matches!(unreachable.after(None), ClientError::Connect { .. }));
        let refused = |status| ClientError::Refused { status, message: String::new() };
        assert!(matches!(refused(Status::Busy).after(lost()), ClientError::Closed { .. }));
        // The first attempt was refused for the same reason, if it arrived.
        assert!(matches!(
            refused(Status::InvalidArgument).after(lost()),
            ClientError::Refused { .. }
        ));
    }
}
