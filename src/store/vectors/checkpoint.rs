//! The checkpoint of an index: a file from which a start takes it instead of building it again.
//!
//! It names every vector in it by its concept's id and the checksum of its numbers. So it is right
//! whatever the log holds: what matches is indexed, what does not is dead, and what it lacks is not
//! indexed yet. It can be lost at any time.
//!
//! All little-endian, offsets in bytes:
//!
//! | at | what |
//! |---|---|
//! | 0 | `SUTRAVEC` |
//! | 8 | format version, u32 |
//! | 12 | crc32c of this header with zeros here, u32 |
//! | 16 | the store's id, u64 |
//! | 24 | the namespace's number, u32 |
//! | 28 | the shard, u16 |
//! | 30 | links of a vector, u16 |
//! | 32 | dimension, u32 |
//! | 36 | candidates looked at for a vector's links, u32 |
//! | 40 | vectors, u64 |
//! | 48 | highest sequence of the log when it was written, u64 |
//! | 56 | crc32c of all that follows the header, u32 |
//! | 60 | zeros |
//! | 64 | for each vector: id (16), crc32c of the embedding's bytes (u32), ordinal (u32), its head's ordinal (u32), flags (u32) |
//! | | usearch's own bytes |
//!
//! A vector's *head* is the one whose entry of the graph it shares, itself where it has an entry.
//! Flags: 1, its entry is not found by its copy; 2, its entry is yet to be looked for. Format 1 had
//! neither; its graphs could hide vectors, so they are built again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::checks::Checks;
use super::claims::{
    BROKEN, Claims, HEADER, MAGIC, MEMBER, Origin, VERSION, field, most_bytes, too_short,
};
use super::coarse::{CONNECTIVITY, Coarse, EXPANSION, Joined, Member};
use crate::StoreError;
use crate::disk::{CheckpointName, Disk};
use crate::namespaces::NamespaceId;

const STRAY: u32 = 1;
const UNCHECKED: u32 = 2;

/// Where a shard's checkpoints are.
pub(crate) struct Checkpoints {
    disk: Arc<dyn Disk>,
    store: u64,
    shard: u16,
}

impl Checkpoints {
    /// The checkpoints of a shard of this store.
    pub(crate) fn new(disk: Arc<dyn Disk>, store: u64, shard: u16) -> Self {
        Self { disk, store, shard }
    }

    /// The shard's number.
    pub(super) fn shard(&self) -> u16 {
        self.shard
    }

    /// That of a namespace whose vectors have this dimension.
    pub(super) fn of(&self, namespace: NamespaceId, dimension: u32) -> Checkpoint {
        let name = CheckpointName { shard: self.shard, namespace: namespace.number() };
        Checkpoint {
            disk: Arc::clone(&self.disk),
            origin: Origin { store: self.store, name, dimension },
        }
    }
}

/// The checkpoint of a namespace's index on a shard, which may not be there.
pub(super) struct Checkpoint {
    disk: Arc<dyn Disk>,
    origin: Origin,
}

impl Checkpoint {
    /// The file's name.
    pub(super) fn name(&self) -> CheckpointName {
        self.origin.name
    }

    /// Reads it; `None` where there is none. One of more than `most` vectors is not worth its
    /// memory. Blocks on the disk.
    ///
    /// # Errors
    /// It can't be read, is damaged, or belongs to something else: it is to be ignored.
    pub(super) fn read(&self, most: u64) -> Result<Option<Coarse>, StoreError> {
        let Self { disk, origin } = self;
        let most = most_bytes(most, origin.dimension);
        let Some(bytes) = disk.read_checkpoint(origin.name, most)? else {
            return Ok(None);
        };
        let file = || disk.folder().join(origin.name.to_string());
        let parts =
            decode(&bytes, origin).map_err(|what| StoreError::Checkpoint { file: file(), what })?;
        let Contents { members, joined, checks } = parts.contents;
        Coarse::deserialize(origin.dimension as usize, members, joined, checks, parts.index)
            .map(Some)
            .map_err(|error| StoreError::Checkpoint { file: file(), what: error.to_string() })
    }

    /// Writes a new one in place of the last. Takes memory for a copy of the index. Blocks on the
    /// disk.
    pub(super) fn write(&self, sequence: u64, coarse: &Coarse) -> Result<(), StoreError> {
        let index = coarse.serialize()?;
        let head = encode(&self.origin, sequence, &Contents::of(coarse), &index);
        Ok(self.disk.replace_checkpoint(self.origin.name, &[&head, &index])?)
    }
}

/// What is said of the vectors of an index.
#[derive(Debug, PartialEq)]
struct Contents {
    members: Vec<Member>,
    joined: Vec<Joined>,
    checks: Checks,
}

impl Contents {
    fn of(coarse: &Coarse) -> Self {
        let (joined, checks) = (coarse.joined().to_vec(), coarse.checks());
        let unchecked = match checks.is_unknown(coarse.entries()) {
            true => coarse.heads(),
            false => checks.unchecked_entries().collect(),
        };
        let checks = Checks::restored(unchecked, checks.strays().to_vec());
        Self { members: coarse.members().to_vec(), joined, checks }
    }
}

/// A checkpoint's parts.
#[derive(Debug, PartialEq)]
struct Parts<'a> {
    contents: Contents,
    /// usearch's.
    index: &'a [u8],
}

/// The header and the members.
fn encode(origin: &Origin, sequence: u64, contents: &Contents, index: &[u8]) -> Vec<u8> {
    let Contents { members, joined, checks } = contents;
    let heads: HashMap<_, _> = joined.iter().map(|joined| (joined.ordinal, joined.head)).collect();
    let strays: HashSet<_> = checks.strays().iter().copied().collect();
    let unchecked: HashSet<_> = checks.unchecked_entries().collect();
    let mut bytes = Vec::with_capacity(HEADER + members.len() * MEMBER);
    bytes.resize(HEADER, 0);
    for Member { id, crc, ordinal } in members {
        let flag = |set: &HashSet<u32>, flag| if set.contains(ordinal) { flag } else { 0 };
        let flags = flag(&strays, STRAY) | flag(&unchecked, UNCHECKED);
        bytes.extend_from_slice(id);
        for number in [*crc, *ordinal, heads.get(ordinal).copied().unwrap_or(*ordinal), flags] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    let body = crc32c::crc32c_append(crc32c::crc32c(&bytes[HEADER..]), index);
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &MAGIC);
    put(8, &VERSION.to_le_bytes());
    put(16, &origin.store.to_le_bytes());
    put(24, &origin.name.namespace.to_le_bytes());
    put(28, &origin.name.shard.to_le_bytes());
    put(30, &(CONNECTIVITY as u16).to_le_bytes());
    put(32, &origin.dimension.to_le_bytes());
    put(36, &(EXPANSION as u32).to_le_bytes());
    put(40, &(members.len() as u64).to_le_bytes());
    put(48, &sequence.to_le_bytes());
    put(56, &body.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..HEADER]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The parts of a file whose checksums hold and which says that it is what is asked for; otherwise
/// what is wrong.
fn decode<'a>(bytes: &'a [u8], origin: &Origin) -> Result<Parts<'a>, String> {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(too_short(bytes.len()));
    };
    let Claims { count, crc } = Claims::of(header, origin)?;
    let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(MEMBER));
    let Some((members, index)) = length.and_then(|length| body.split_at_checked(length)) else {
        return Err(format!("it ends before its {count} vectors do"));
    };
    if crc32c::crc32c(body) != crc {
        return Err(BROKEN.into());
    }
    let (rows, _) = members.as_chunks::<MEMBER>();
    let mut members = Vec::with_capacity(rows.len());
    let (mut joined, mut strays, mut unchecked) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let [crc, ordinal, head, flags] =
            [16, 20, 24, 28].map(|at| u32::from_le_bytes(field(row, at)));
        members.push(Member { id: field(row, 0), crc, ordinal });
        if head != ordinal {
            joined.push(Joined { ordinal, head });
        }
        strays.extend((flags & STRAY != 0).then_some(ordinal));
        unchecked.extend((flags & UNCHECKED != 0).then_some(ordinal));
    }
    let checks = Checks::restored(unchecked, strays);
    Ok(Parts { contents: Contents { members, joined, checks }, index })
}

/// The bytes of a checkpoint of a few vectors, with noise for usearch's part.
#[cfg(test)]
pub(crate) fn sample(store: u64, name: CheckpointName) -> Vec<u8> {
    let member = |ordinal| Member { id: [ordinal as u8 + 1; 16], crc: ordinal * 3, ordinal };
    let members = (0..100).map(member).collect();
    let checks = Checks::restored(Vec::new(), Vec::new());
    let contents = Contents { members, joined: Vec::new(), checks };
    let mut bytes = encode(&Origin { store, name, dimension: 4 }, 9, &contents, &[7; 2000]);
    bytes.extend_from_slice(&[7; 2000]);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORIGIN: Origin =
        Origin { store: 77, name: CheckpointName { shard: 3, namespace: 5 }, dimension: 384 };

    fn contents(count: u32) -> Contents {
        let member = |ordinal| Member { id: [ordinal as u8; 16], crc: ordinal * 3, ordinal };
        let every = |step| (0..count).filter(move |ordinal| ordinal % step == step - 1);
        Contents {
            members: (0..count).map(member).collect(),
            joined: every(3).map(|ordinal| Joined { ordinal, head: ordinal - 1 }).collect(),
            checks: Checks::restored(every(5).collect(), every(10).collect()),
        }
    }

    fn file(count: u32, index: &[u8]) -> Vec<u8> {
        let mut bytes = encode(&ORIGIN, 9, &contents(count), index);
        bytes.extend_from_slice(index);
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        for (count, index) in [(0, &b""[..]), (1, b"x"), (100, &[7; 1000])] {
            assert_eq!(
                decode(&file(count, index), &ORIGIN),
                Ok(Parts { contents: contents(count), index })
            );
        }
    }

    #[test]
    fn no_bit_of_it_can_change_unseen_and_no_byte_can_lack() {
        let whole = file(3, b"index");
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert!(decode(&bytes, &ORIGIN).is_err(), "byte {at}, bit {bit}");
            }
            assert!(decode(&whole[..at], &ORIGIN).is_err(), "{at} bytes");
        }
        assert!(decode(&[&whole[..], b"x"].concat(), &ORIGIN).is_err());
    }

    #[test]
    fn a_checkpoint_of_something_else_says_so() {
        let others = [
            ("store", Origin { store: 78, ..ORIGIN }),
            (
                "namespace",
                Origin { name: CheckpointName { namespace: 6, ..ORIGIN.name }, ..ORIGIN },
            ),
            ("shard", Origin { name: CheckpointName { shard: 4, ..ORIGIN.name }, ..ORIGIN }),
            ("dimension", Origin { dimension: 385, ..ORIGIN }),
        ];
        for (what, origin) in others {
            let error = decode(&file(3, b"index"), &origin).expect_err("another's");
            assert!(error.contains(what), "{error}");
        }
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_are_refused(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300), whole: bool,
        ) {
            if whole && bytes.len() >= HEADER {
                // As far as a header's own checksum lets anyone come.
                let header = encode(&ORIGIN, 9, &contents(0), b"");
                bytes[..40].copy_from_slice(&header[..40]);
                bytes[12..16].fill(0);
                let crc = crc32c::crc32c(&bytes[..HEADER]);
                bytes[12..16].copy_from_slice(&crc.to_le_bytes());
            }
            prop_assert!(decode(&bytes, &ORIGIN).is_err());
        }
    }
}
