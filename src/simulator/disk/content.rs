//! What a simulated disk's file holds: as whoever reads it gets it, and as the disk has it.

use crate::random::Random;

/// What tears: a disk writes whole sectors.
const SECTOR: usize = 512;

/// What a file holds.
#[derive(Clone, Debug, Default)]
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

#[derive(Clone, Debug)]
struct Unsynced {
    moment: u64,
    offset: usize,
    bytes: Vec<u8>,
}

/// How much of a write is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Torn {
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

    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
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

    pub(super) fn write(&mut self, moment: u64, offset: usize, bytes: &[u8], is_durable: bool) {
        put(&mut self.now, offset, bytes);
        match is_durable {
            true => put(&mut self.durable, offset, bytes),
            false => self.unsynced.push(Unsynced { moment, offset, bytes: bytes.to_vec() }),
        }
    }

    /// A write of which only some is there.
    pub(super) fn write_torn(
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
            // The page cache takes it from the front, and some of it or all.
            false => {
                let taken = random.below(bytes.len() as u64 + 1) as usize;
                self.write(moment, offset, &bytes[..taken], false);
            }
        }
    }

    pub(super) fn sync(&mut self) {
        for write in self.unsynced.drain(..) {
            put(&mut self.durable, write.offset, &write.bytes);
        }
    }

    /// A sync has failed: some of what it covered is there. The page cache has what the disk has,
    /// or it keeps the rest, and takes that for written. Returns whether it keeps it.
    pub(super) fn fail_to_sync(&mut self, random: &mut Random) -> bool {
        let is_kept = random.one_in(2);
        let kept = is_kept.then(|| self.now.clone());
        self.lost = self.lost.or(self.oldest_unsynced());
        self.lose_power(random);
        if let Some(kept) = kept {
            self.now = kept;
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

/// How much of a write that was interrupted is there.
fn torn(random: &mut Random) -> Torn {
    *random.pick(&[Torn::Nothing, Torn::All, Torn::Sectors, Torn::Front])
}
