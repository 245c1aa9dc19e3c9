//! What the grid's master and its agents have in common: files that are their user's alone.
//!
//! The master (`sutra-grid-master`) knows which storage nodes run on which hosts. An agent
//! (`sutra-grid-agent`) on each host keeps them alive. They are crates of their own, and neither
//! knows the other: what they say to each other is in `sutra-wire` and `sutra-compat`. The grid is
//! an inventory and a supervisor. It moves no data, elects nobody and splits nothing.
//!
//! Relies on no layer of ours.

use rustix::fs::Mode;

/// Has all files and folders that this process makes from now on be its user's alone.
pub fn write_privately() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}
