//! Writes and syncs of a simulated disk's files, whoever asks for them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use libc::{EIO, ENOSPC};
use sutra_runtime::{SimulatedFile, WriteMode};

use super::state::{Fault, State, lock};

fn is_direct(state: &State) -> bool {
    matches!(state.manner.mode, WriteMode::Direct { .. })
}

/// One write; returns how many bytes were taken.
fn write(
    state: &Mutex<State>,
    number: usize,
    offset: u64,
    bytes: &[u8],
    is_durable: bool,
) -> io::Result<usize> {
    let state = &mut *lock(state);
    let is_last = state.step()?;
    let (offset, moment) = (offset as usize, state.moment);
    let content = &mut state.contents[number];
    if is_last {
        content.write_torn(moment, offset, bytes, is_durable, &mut state.random);
        return Err(io::Error::other("the power is off"));
    }
    let is_longer = offset + bytes.len() > content.len();
    if state.is_full && (is_longer || state.manner.is_copy_on_write) {
        state.see(match is_longer {
            true => "a full disk refused to make a file longer",
            false => "a full disk refused to write in place",
        });
        return Err(io::Error::from_raw_os_error(ENOSPC));
    }
    if state.fails(Fault::Write) {
        state.see("a write failed");
        let content = &mut state.contents[number];
        content.write_torn(moment, offset, bytes, is_durable, &mut state.random);
        return Err(io::Error::from_raw_os_error(EIO));
    }
    // A direct write is taken by whole blocks.
    let block = match state.manner.mode {
        WriteMode::Direct { align } => align as usize,
        WriteMode::Buffered | WriteMode::Relaxed => 1,
    };
    let blocks = bytes.len().div_ceil(block) as u64;
    let is_short = state.manner.has_short_writes && blocks > 1 && state.random.one_in(8);
    let taken = match is_short {
        true => state.random.between(1, blocks - 1) as usize * block,
        false => bytes.len(),
    };
    if is_short {
        state.see("a write was taken in part");
    }
    state.contents[number].write(moment, offset, &bytes[..taken], is_durable);
    Ok(taken)
}

/// Writes through the page cache, to the end.
pub(super) fn write_all(
    state: &Mutex<State>,
    number: usize,
    mut offset: u64,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        let taken = write(state, number, offset, bytes, false)?;
        offset += taken as u64;
        bytes = &bytes[taken..];
    }
    Ok(())
}

/// Makes what was written durable.
pub(super) fn sync(state: &Mutex<State>, number: usize) -> io::Result<()> {
    let state = &mut *lock(state);
    let is_last = state.step()?;
    if is_last {
        return Err(io::Error::other("the power is off"));
    }
    if state.fails(Fault::Sync) {
        match state.contents[number].fail_to_sync(&mut state.random) {
            true => state.see("a sync failed, and the page cache kept what it covered"),
            false => state.see("a sync failed, and what it covered was dropped"),
        }
        return Err(io::Error::from_raw_os_error(EIO));
    }
    state.contents[number].sync();
    Ok(())
}

/// A file that cores write to.
#[derive(Debug)]
pub(super) struct SimulatedSegment {
    path: PathBuf,
    number: usize,
    mode: WriteMode,
    state: Arc<Mutex<State>>,
}

impl SimulatedSegment {
    pub(super) fn new(
        path: PathBuf,
        number: usize,
        mode: WriteMode,
        state: Arc<Mutex<State>>,
    ) -> SimulatedSegment {
        SimulatedSegment { path, number, mode, state }
    }
}

impl SimulatedFile for SimulatedSegment {
    fn path(&self) -> &Path {
        &self.path
    }

    fn mode(&self) -> WriteMode {
        self.mode
    }

    fn number(&self) -> u64 {
        self.number as u64
    }

    fn len(&self) -> io::Result<u64> {
        let state = &mut *lock(&self.state);
        state.step()?;
        Ok(state.contents[self.number].len() as u64)
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = &mut *lock(&self.state);
        state.step()?;
        if state.fails(Fault::Read) {
            state.see("a read failed");
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let bytes = state.contents[self.number].bytes();
        let found = bytes.get(offset as usize..).unwrap_or_default();
        let there = found.len().min(buffer.len());
        let is_short = state.manner.has_short_reads && there > 1 && state.random.one_in(4);
        let count = match is_short {
            true => state.random.between(1, there as u64 - 1) as usize,
            false => there,
        };
        buffer[..count].copy_from_slice(&found[..count]);
        if is_short {
            state.see("a read gave less than was asked for");
        }
        state.glitch(self.number, offset as usize, &mut buffer[..count]);
        Ok(count)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let is_durable = is_direct(&lock(&self.state));
        write(&self.state, self.number, offset, bytes, is_durable)
    }

    fn sync(&self) -> io::Result<()> {
        sync(&self.state, self.number)
    }

    fn interrupted(&self, offset: u64, bytes: &[u8]) {
        let state = &mut *lock(&self.state);
        let (is_durable, moment) = (is_direct(state), state.moment);
        let content = &mut state.contents[self.number];
        content.write_torn(moment, offset as usize, bytes, is_durable, &mut state.random);
        state.see("a write was under way");
    }
}
