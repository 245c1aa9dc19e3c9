//! What the header of a checkpoint says: whose it is, how much follows, and the checksum of that.

use super::coarse::{CONNECTIVITY, EXPANSION};
use crate::disk::CheckpointName;

pub(super) const MAGIC: [u8; 8] = *b"SUTRAVEC";
/// To be raised with every change of what is in the file, usearch's part of it included.
pub(super) const VERSION: u32 = 2;
pub(super) const HEADER: usize = 64;
pub(super) const MEMBER: usize = 32;
/// The most that usearch stores of a vector beside its numbers, generously: its links take some 150
/// bytes.
const LINKS: u64 = 1024;
/// What a checkpoint has beside its vectors is less than so many of them.
const SPARE: u64 = 1024;
/// Said of a file whose header is whole.
pub(super) const BROKEN: &str = "the checksum of its contents does not hold";

/// Whose checkpoint it is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) store: u64,
    pub(super) name: CheckpointName,
    pub(super) dimension: u32,
}

/// Whether a header is as it was written, whatever it says.
pub(super) fn is_whole(header: &[u8; HEADER]) -> bool {
    let mut blank = *header;
    blank[12..16].fill(0);
    field(header, 0) == MAGIC && crc32c::crc32c(&blank) == u32::from_le_bytes(field(header, 12))
}

/// The dimension that a header names.
pub(super) fn dimension(header: &[u8; HEADER]) -> u32 {
    u32::from_le_bytes(field(header, 32))
}

pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a range of N bytes")
}

/// What a header says of what follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claims {
    /// Vectors.
    pub(super) count: u64,
    /// The checksum of all that follows.
    pub(super) crc: u32,
}

impl Claims {
    /// Those of a header whose checksum holds and which says that it is what is asked for;
    /// otherwise what is wrong.
    pub(super) fn of(header: &[u8; HEADER], origin: &Origin) -> Result<Self, String> {
        if field(header, 0) != MAGIC {
            return Err("it does not begin as a checkpoint does".into());
        }
        let version = u32::from_le_bytes(field(header, 8));
        if version != VERSION {
            return Err(format!("its format is {version}, this version writes {VERSION}"));
        }
        if !is_whole(header) {
            return Err("the checksum of its header does not hold".into());
        }
        let number = |at| u64::from(u32::from_le_bytes(field(header, at)));
        let short = |at| u64::from(u16::from_le_bytes(field(header, at)));
        let claims = [
            ("store", u64::from_le_bytes(field(header, 16)), origin.store),
            ("namespace", number(24), u64::from(origin.name.namespace)),
            ("shard", short(28), u64::from(origin.name.shard)),
            ("connectivity", short(30), CONNECTIVITY as u64),
            ("dimension", number(32), u64::from(origin.dimension)),
            ("expansion", number(36), EXPANSION as u64),
        ];
        if let Some((what, found, expected)) =
            claims.into_iter().find(|(_, found, expected)| found != expected)
        {
            return Err(format!("its {what} is {found}, not {expected}"));
        }
        let count = u64::from_le_bytes(field(header, 40));
        Ok(Self { count, crc: u32::from_le_bytes(field(header, 56)) })
    }

    /// Whether a file of so many bytes can hold its vectors, and no more than these; otherwise what
    /// is wrong.
    pub(super) fn check_length(&self, length: u64, dimension: u32) -> Result<(), String> {
        let (Self { count, .. }, header) = (self, HEADER as u64);
        let least = count.saturating_mul(MEMBER as u64).saturating_add(header);
        let most = most_bytes(count.saturating_add(SPARE), dimension);
        if length < least {
            return Err(format!("it ends before its {count} vectors do"));
        }
        if length > most {
            return Err(format!("it has {length} bytes, more than {count} vectors can have"));
        }
        Ok(())
    }
}

/// The most bytes that a checkpoint of so many vectors has.
pub(super) fn most_bytes(count: u64, dimension: u32) -> u64 {
    let each = u64::from(dimension) + LINKS + MEMBER as u64;
    count.saturating_mul(each).saturating_add(HEADER as u64)
}

/// Says of a file of so many bytes that it has no header.
pub(super) fn too_short(bytes: usize) -> String {
    format!("it has {bytes} bytes, its header alone has {HEADER}")
}
