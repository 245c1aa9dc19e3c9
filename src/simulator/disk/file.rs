//! The content of a simulated disk's files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use libc::{EIO, ENOSPC};
use sutra_runtime::{SimulatedFile, WriteMode};

use super::{Fault, State, lock, torn};
use crate::random::Random;

/// What tears: a disk writes whole sectors.
const SECTOR: usize = 512;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// As whoever reads it gets it.
    now: Vec<u8>,
    /// As the disk has it.
    durable: Vec<u8>,
    /// What the disk may not have yet, in order.
    unsynced: Vec<Unsynced>,
    /// The moment of the oldest write that a failed sync has taken.
    lost: Option<u64>,
}

#[derive(Debug)]
struct Unsynced {
    moment: u64,
    offset: usize,
    bytes: Vec<u8>,
}

/// How much of a write is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Torn {
    Nothing,
    All,
    /// Any of its sectors.
    Sectors,
    /// Its first sectors.
    Front,
}

fn put(into: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if into.len() < end {
        into.resize(end, 0);
    }
    into[offset..end].copy_from_slice(bytes);
}

/// Writes as much of it as is there.
fn put_torn(into: &mut Vec<u8>, offset: usize, bytes: &[u8], torn: Torn, random: &mut Random) {
    let sectors = bytes.len().div_ceil(SECTOR);
    let front = random.below(sectors as u64 + 1) as usize;
    let is_there = |sector: usize, random: &mut Random| match torn {
        Torn::Nothing => false,
        Torn::All => true,
        Torn::Sectors => random.one_in(2),
        Torn::Front => sector < front,
    };
    for (sector, part) in bytes.chunks(SECTOR).enumerate() {
        if is_there(sector, random) {
            put(into, offset + sector * SECTOR, part);
        }
    }
    // A file may have become longer although nothing of what made it so is there.
    if torn != Torn::Nothing && into.len() < offset + bytes.len() && random.one_in(2) {
        into.resize(offset + bytes.len(), 0);
    }
}

impl Content {
    pub(super) fn len(&self) -> usize {
        self.now.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.now
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.durable.get(at).copied()
    }

    pub(super) fn oldest_lost(&self) -> Option<u64> {
        self.lost
    }

    pub(super) fn forget_lost(&mut self) {
        self.lost = None;
    }

    pub(super) fn oldest_unsynced(&self) -> Option<u64> {
        self.unsynced.first().map(|write| write.moment)
    }

    fn write(&mut self, moment: u64, offset: usize, bytes: &[u8], is_durable: bool) {
        put(&mut self.now, offset, bytes);
        match is_durable {
            true => put(&mut self.durable, offset, bytes),
            false => self.unsynced.push(Unsynced { moment, offset, bytes: bytes.to_vec() }),
        }
    }

    /// A write of which only some is there.
    fn write_torn(
        &mut self,
        moment: u64,
        offset: usize,
        bytes: &[u8],
        is_durable: bool,
        random: &mut Random,
    ) {
        let torn = torn(random);
        match is_durable {
            true => {
                put_torn(&mut self.durable, offset, bytes, torn, random);
                self.now.clone_from(&self.durable);
            }
            // The page cache takes whole pages from the front.
            false => {
                let taken = random.below(bytes.len() as u64 + 1) as usize;
                self.write(moment, offset, &bytes[..taken], false);
            }
        }
    }

    fn sync(&mut self) {
        for write in self.unsynced.drain(..) {
            put(&mut self.durable, write.offset, &write.bytes);
        }
    }

    /// A sync has failed: some of what it covered is there. The page cache has what the disk has, or
    /// it keeps the rest, and takes that for written. Returns whether it keeps it.
    fn fail_to_sync(&mut self, random: &mut Random) -> bool {
        let now = self.now.clone();
        self.lost = self.lost.or(self.oldest_unsynced());
        self.lose_power(random);
        let is_kept = random.one_in(2);
        if is_kept {
            self.now = now;
        }
        is_kept
    }

    /// The kernel has written some of it by itself.
    pub(super) fn write_back(&mut self, random: &mut Random) {
        let count = random.below(self.unsynced.len() as u64 + 1) as usize;
        for write in self.unsynced.drain(..count) {
            put(&mut self.durable, write.offset, &write.bytes);
        }
    }

    /// The page cache is gone.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        let mut unsynced = std::mem::take(&mut self.unsynced);
        while !unsynced.is_empty() {
            // In no order.
            let write = unsynced.remove(random.below(unsynced.len() as u64) as usize);
            let torn = torn(random);
            put_torn(&mut self.durable, write.offset, &write.bytes, torn, random);
        }
        self.now.clone_from(&self.durable);
    }

    pub(super) fn flip(&mut self, bit: usize) {
        for bytes in [&mut self.now, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }
}

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

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = &mut *lock(&self.state);
        state.step()?;
        if state.fails(Fault::Read) {
            state.see("a read failed");
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let from = offset as usize;
        let found = state.contents[self.number].bytes().get(from..from + buffer.len());
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
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
