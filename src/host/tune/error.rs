//! Why a host was not changed, or not changed back.

use std::io;
use std::path::PathBuf;

/// Why a host was not changed.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// This user may not.
    #[error("nothing was changed: this needs root, or is refused here: {}", .refused.join("; "))]
    Refused {
        /// Each file, and why.
        refused: Vec<String>,
    },
    /// A file could not be read or written.
    #[error("nothing was changed: cannot {what} {}: {source}", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A change was refused, and what had been changed could not all be changed back.
    #[error(
        "cannot write {path}: {source}; and not all that was changed before could be changed \
         back: {left}; `sutra tune --undo` tries again"
    )]
    Half {
        /// Which file was refused.
        path: String,
        /// What the kernel said.
        source: io::Error,
        /// What is left, and why.
        left: String,
    },
    /// What was changed so far can't be read.
    #[error("cannot read what was changed so far from {}: {source}", .path.display())]
    State {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another one is at it, or was in between.
    #[error("nothing was changed: another `sutra tune` changes this host now; run this one again")]
    Meanwhile,
}
