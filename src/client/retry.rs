//! Which failures are worth another attempt. Every operation may be repeated: reads change nothing,
//! and writes are upserts. (A write that is repeated because its answer was lost may overwrite
//! another client's.).

use crate::ClientError;

/// What to do about a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The error stands.
    No,
    /// Try again; the connection's own back-off spaces the attempts.
    Reconnect,
    /// Try again after a wait: the server is there and has asked for it.
    Wait,
}

/// Decides by the kind of error alone; the caller counts attempts and watches the time.
pub(crate) fn after(error: &ClientError) -> Retry {
    match error {
        ClientError::Connect { .. } | ClientError::Closed { .. } => Retry::Reconnect,
        ClientError::Refused { status, .. } if status.is_transient() => Retry::Wait,
        _ => Retry::No,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sutra_wire::Status;

    use super::*;

    fn refused(status: Status) -> ClientError {
        ClientError::Refused { status, message: String::new() }
    }

    #[test]
    fn lost_connections_are_made_again_and_a_busy_server_is_given_time() {
        assert_eq!(after(&ClientError::closed("server", "reset")), Retry::Reconnect);
        assert_eq!(
            after(&ClientError::connect("server", std::io::ErrorKind::ConnectionRefused.into())),
            Retry::Reconnect
        );
        assert_eq!(
            [after(&refused(Status::Busy)), after(&refused(Status::ShuttingDown))],
            [Retry::Wait; 2]
        );
    }

    #[test]
    fn what_would_fail_again_is_not_repeated() {
        let timed_out = ClientError::TimedOut {
            operation: "query",
            endpoint: String::new(),
            timeout: Duration::from_secs(1),
        };
        let final_ones =
            [refused(Status::InvalidArgument), refused(Status::StorageFull), timed_out];
        assert!(final_ones.iter().all(|error| after(error) == Retry::No));
        assert_eq!(after(&ClientError::protocol("server", "garbage")), Retry::No);
    }
}
