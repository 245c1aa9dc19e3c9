//! What a simulated disk is: its files and names, what is still to fail, when the power goes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libc::EIO;
use sutra_runtime::WriteMode;

use super::content::Content;
use super::names::Names;
use crate::random::Random;

/// An operation that can be told to fail, once or more often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Write,
    Sync,
    Read,
    Create,
    Rename,
    SyncFolder,
}

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Write => "write",
            Fault::Sync => "sync",
            Fault::Read => "read",
            Fault::Create => "create",
            Fault::Rename => "rename",
            Fault::SyncFolder => "sync of a folder",
        }
    }
}

/// How a server ends that does not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// kill -9: the page cache stays.
    Kill,
    /// The page cache is gone.
    PowerCut,
}

/// What every file of the disk has in common.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) mode: WriteMode,
    /// Whether a write needs space even where the file is long enough.
    pub(crate) is_copy_on_write: bool,
    /// Whether writes may be taken in part.
    pub(crate) has_short_writes: bool,
    /// Whether reads may give less than was asked for.
    pub(crate) has_short_reads: bool,
}

/// A bit that is not as it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flipped {
    /// Number of the file.
    pub(super) file: usize,
    pub(super) bit: usize,
    pub(super) how: How,
}

/// Where it is flipped.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    /// On the disk and in the page cache; the byte that it has made.
    AtRest(Option<u8>),
    /// On its way to whoever reads it, so many times yet.
    OnTheWay(u32),
}

/// Everything that the disk is.
#[derive(Debug)]
pub(super) struct State {
    pub(super) contents: Vec<Content>,
    pub(super) names: Names,
    pub(super) random: Random,
    pub(super) manner: Manner,
    pub(super) is_full: bool,
    /// How often each operation is still to fail.
    pub(super) armed: BTreeMap<Fault, u32>,
    /// Operations until the power goes, where it does.
    pub(super) power: Option<u64>,
    /// Number of the moment, by which the history knows it.
    pub(super) moment: u64,
    /// A bit that is not as it was written.
    pub(super) flipped: Option<Flipped>,
    /// What has happened, by name.
    pub(super) seen: BTreeMap<&'static str, u64>,
}

impl State {
    pub(super) fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// One operation less until the power goes: whether it is this one. Refuses all that come
    /// after.
    pub(super) fn step(&mut self) -> io::Result<bool> {
        match &mut self.power {
            None => Ok(false),
            Some(0) => Err(io::Error::other("the power is off")),
            Some(left) => {
                *left -= 1;
                Ok(*left == 0)
            }
        }
    }

    /// The same for an operation that is done whole or not at all.
    pub(super) fn whole_step(&mut self) -> io::Result<()> {
        match self.step()? {
            true if self.random.one_in(2) => Err(io::Error::other("the power is off")),
            _ => Ok(()),
        }
    }

    /// Whether this operation is to fail now.
    pub(super) fn fails(&mut self, fault: Fault) -> bool {
        let Some(left) = self.armed.get_mut(&fault) else { return false };
        *left -= 1;
        if *left == 0 {
            self.armed.remove(&fault);
        }
        true
    }

    /// What was read of a file, from this byte on, as it comes to whoever reads it.
    pub(super) fn glitch(&mut self, file: usize, from: usize, bytes: &mut [u8]) {
        let Some(Flipped { file: of, bit, how: How::OnTheWay(times @ 1..) }) = &mut self.flipped
        else {
            return;
        };
        let at = (*bit / 8).checked_sub(from).and_then(|at| bytes.get_mut(at));
        if let (true, Some(byte)) = (*of == file, at) {
            *byte ^= 1 << (*bit % 8);
            *times -= 1;
            self.see("a bit was flipped on its way from the disk");
        }
    }

    pub(super) fn check(&mut self, fault: Fault, seen: &'static str) -> io::Result<()> {
        if self.fails(fault) {
            self.see(seen);
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }
}

/// The state, whoever panicked with it.
pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
