//! Why a server can't be taken over.

use std::io;
use std::path::PathBuf;

/// Why a server can't be taken over. It goes on as before, unless it is said to have ended.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// Nobody is there.
    #[error(
        "no server runs on {} that could be taken over; leave out --takeover to start one",
        .folder.display()
    )]
    Nobody {
        /// The data folder.
        folder: PathBuf,
    },
    /// It refuses.
    #[error("the server that runs can't be taken over: {why}")]
    Refused {
        /// Its words.
        why: String,
    },
    /// A setting that its clients count on is another one.
    #[error(
        "the server that runs has {what} {theirs}, and this one is to have {ours}: its clients \
         count on that, so it can't change under them; give this one the same, or stop that one \
         and start this one"
    )]
    Differs {
        /// Which.
        what: &'static str,
        /// Its value there.
        theirs: String,
        /// And here.
        ours: String,
    },
    /// The other end is somebody else's.
    #[error(
        "the server that runs is user {theirs}'s, and this one user {ours}'s; \
         start this one as that user"
    )]
    Foreign {
        /// Whose the server is.
        theirs: u32,
        /// And this one.
        ours: u32,
    },
    /// It ended in the middle.
    #[error(
        "the server that runs has ended before it had handed everything over; \
         leave out --takeover to start one"
    )]
    Ended,
    /// The system refuses what a takeover needs.
    #[error("the server that runs can't be taken over: {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl TakeoverError {
    /// Says what was tried.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    /// The process's exit code: 2 for a wrong setting, 3 for what stands in the way else.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Differs { .. } => 2,
            _ => 3,
        }
    }
}
