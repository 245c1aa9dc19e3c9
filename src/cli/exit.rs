//! How a command ends: the answer, or the failure with its line and its code.

use std::io;

use sutra_backup::BackupError;
use sutra_client::ClientError;
use sutra_grid_agent::AgentError;
use sutra_grid_master::MasterError;
use sutra_load::LoadError;
use sutra_server::ServerError;
use sutra_store::StoreError;

use crate::admin_port::AdminPortError;

/// What a shell reports of a program that a signal has ended is this and the signal's number: 130
/// for an interrupt.
pub(crate) const SIGNALLED: i32 = 128;

/// A command did what it was asked to; the answer may still be no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done, found, healthy.
    Yes,
    /// Not found, unhealthy, some lines bad, a warning.
    No,
    /// No server can run here, or keep what it promises.
    Unfit,
    /// It was told to end by this signal, and did so in order.
    Interrupted(i32),
}

impl Answer {
    pub(crate) fn code(self) -> u8 {
        match self {
            Answer::Yes => 0,
            Answer::No => 1,
            Answer::Unfit => 3,
            Answer::Interrupted(signal) => u8::try_from(SIGNALLED + signal).unwrap_or(u8::MAX),
        }
    }
}

/// A command could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line as clap sees it: its help, its version, or what is wrong.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// A bad flag, setting or file.
    #[error("{0}")]
    Usage(String),
    /// What the host refuses.
    #[error("{0}")]
    Host(String),
    /// What this command does not do unless it is told to.
    #[error("{0}")]
    Refused(String),
    /// A server that can't be reached, or that refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A backup that could not be taken or restored.
    #[error(transparent)]
    Backup(BackupError),
    /// A server's admin port that can't be reached, or that does not tell.
    #[error(transparent)]
    Admin(#[from] AdminPortError),
    /// A server that could not be measured.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A server that could not start, or ended badly.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A data folder that can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An agent that could not start.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// A master that could not start, or ended badly.
    #[error(transparent)]
    Master(#[from] MasterError),
    /// Standard output.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Server(error) => Failure::Client(error),
            error => Failure::Backup(error),
        }
    }
}

impl Failure {
    /// The system has no room for a thread.
    pub(crate) fn no_thread(error: &io::Error) -> Self {
        Failure::Host(format!(
            "can't start a thread: {error}; allow this user more processes (`ulimit -u`), or the \
             service more tasks (systemd TasksMax=)"
        ))
    }

    /// The process's exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Arguments(error) => u8::try_from(error.exit_code()).unwrap_or(2),
            Failure::Usage(_) => 2,
            Failure::Client(error) => match error {
                ClientError::InvalidEndpoint { .. } | ClientError::InvalidName(_) => 2,
                // Whatever it is that a server won't do, it was reached and asked.
                _ => 3,
            },
            Failure::Backup(error) if error.is_usage() => 2,
            Failure::Load(LoadError::Plan { .. }) => 2,
            Failure::Server(error) => error.exit_code(),
            Failure::Agent(error) => error.exit_code(),
            Failure::Master(error) => error.exit_code(),
            Failure::Store(StoreError::Option(_)) => 2,
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Failure::Refused(_)
            | Failure::Host(_)
            | Failure::Admin(_)
            | Failure::Backup(_)
            | Failure::Load(_)
            | Failure::Store(_)
            | Failure::Output(_) => 3,
        }
    }

    /// What is wrong, on one line. Nothing where the reader has gone, or asked for help.
    pub(crate) fn problem(&self) -> Option<String> {
        match self {
            Failure::Arguments(error) if !error.use_stderr() => None,
            Failure::Arguments(error) => {
                // The first paragraph says it; what follows are hints for people.
                let text = error.to_string();
                let problem: Vec<&str> =
                    text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
                Some(problem.join(" ").trim_start_matches("error: ").to_owned())
            }
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            failure => Some(failure.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn codes_tell_wrong_usage_from_a_server_out_of_reach() {
        let name = ClientError::InvalidName(sutra_wire::InvalidId::Empty);
        let connect = ClientError::Connect {
            endpoint: "server".into(),
            source: Arc::new(io::ErrorKind::ConnectionRefused.into()),
        };
        assert_eq!(Failure::from(name).code(), 2);
        assert_eq!(Failure::from(connect).code(), 3);
        assert_eq!(
            [Answer::Yes, Answer::No, Answer::Unfit, Answer::Interrupted(2)].map(Answer::code),
            [0, 1, 3, 130]
        );
    }

    #[test]
    fn a_closed_pipe_is_the_quiet_end() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.code(), failure.problem()), (0, None));
    }
}
