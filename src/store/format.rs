//! The bytes of the log: segment header, entry header, commit. Everything little-endian.
//!
//! A segment file is a header of 4,096 bytes and a row of commits, each of which starts at a
//! multiple of the segment's block size. A commit is a Commit entry and the entries of the writes
//! that became durable together, padded with zeros to the next block.
//!
//! ```text
//! segment header (4,096 bytes)              entry header (32 bytes)
//!  0  magic       [u8; 8]  "SUTRALOG"        0  length    u32  body bytes, without padding
//!  8  format      u32      1, of state 2     4  crc32c    u32  seeded; over length, bytes 8 to 31, body
//! 12  block       u32      bytes             8  kind      u8   1 commit, 2 concept, 3 association, 4 tombstone, 5 removal
//! 16  store       u64                        9  flags     u8   zero
//! 24  generation  u64                       10  owner     u16  shard
//! 32  number      u32      of the segment   12  commit    u32  low half of the commit's number
//! 36  shard       u16                       16  sequence  u64  Lamport; a commit's: its last entry's
//! 38  zero        u16                       24  time      u64  µs since 1970
//! 40  capacity    u64      bytes            32  body, padded with zeros to 16 bytes
//! 48  zero        [u8; 12]
//! 60  crc32c      u32      over 0 to 59     body of a Commit entry (32 bytes)
//! 64  zero, or what state covers             0  bytes     u32  of the commit, this entry included, block padding not
//!                                            4  entries   u32  this one not counted
//! body of a concept or an association:       8  number    u64  commits are numbered from 1
//!   the record's rkyv archive, on a         16  durable   u64  all commits up to this one were on stable storage
//!   16-byte boundary                                           when this one was sealed
//! of a tombstone: its concept's key         24  previous  u32  crc32c of the Commit entry before, 0 for the first
//! of a removal: the association's record    28  zero      u32
//!   as it was stored
//! ```
//!
//! An entry's crc is seeded with its segment's generation, a number drawn anew whenever a file
//! becomes a segment. So entries that a recycled file still holds from its earlier life never pass.
//! A tombstone says that a concept is deleted, a removal that an association is.
//!
//! A segment of *state* has the same bytes, but for its header (`covered.rs`) and three rules. Its
//! entries stand in no order of sequences, its commits are numbered from 1 in each segment, and its
//! capacity is its length.

mod covered;

pub(crate) use self::covered::Covered;

/// Bytes of a segment's header on disk.
pub const SEGMENT_HEADER: usize = 4096;
/// Bytes of an entry's header.
pub(crate) const ENTRY_HEADER: usize = 32;
/// Bytes of a Commit entry's body.
const COMMIT_BODY: usize = 32;
/// Bytes of a whole Commit entry.
pub(crate) const COMMIT_ENTRY: usize = ENTRY_HEADER + COMMIT_BODY;
/// The version of everything in this file, but for state.
pub const FORMAT: u32 = 1;
/// The version of segments of state, and of a store that has any.
pub const STATE_FORMAT: u32 = 2;
/// Whether this version reads a store of that format.
pub fn is_known(format: impl Into<u64>) -> bool {
    [FORMAT, STATE_FORMAT].map(u64::from).contains(&format.into())
}

/// What an entry's body is padded to: the alignment of archives.
const ALIGNMENT: usize = 16;

const MAGIC: [u8; 8] = *b"SUTRALOG";
/// Bytes of a segment header that are not always zero.
const SEGMENT_FIELDS: usize = 64;

/// The kinds of entries that are written.
pub(crate) const KIND_COMMIT: u8 = 1;
pub(crate) const KIND_CONCEPT: u8 = 2;
pub(crate) const KIND_ASSOCIATION: u8 = 3;
pub(crate) const KIND_TOMBSTONE: u8 = 4;
pub(crate) const KIND_REMOVAL: u8 = 5;

/// Bytes that an entry takes with a body of `length` bytes.
pub(crate) const fn entry_bytes(length: usize) -> usize {
    ENTRY_HEADER + length.next_multiple_of(ALIGNMENT)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes")
}

/// Whether every byte is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // By blocks: the compiler makes vector code of the inner loop.
    bytes.chunks(4096).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

/// What stands at the start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Commits stand at multiples of this.
    pub block: u32,
    /// The store's random number.
    pub store: u64,
    /// Drawn anew whenever a file becomes a segment.
    pub generation: u64,
    /// Its place in the shard's log.
    pub number: u32,
    /// The shard that it belongs to.
    pub shard: u16,
    /// The most bytes that it may have.
    pub capacity: u64,
}

/// Why bytes are no segment header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// It is of another format version.
    #[error("its format is {0}, which this version does not know")]
    Format(u32),
    /// It is damaged, or was never written.
    #[error("{0}")]
    Invalid(&'static str),
}

impl SegmentHeader {
    /// Its bytes, for a segment of the log.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER] {
        self.encode_as(FORMAT)
    }

    /// Its bytes, for a segment of state.
    pub(crate) fn encode_state(&self, covered: Covered) -> [u8; SEGMENT_HEADER] {
        let mut bytes = self.encode_as(STATE_FORMAT);
        covered.encode_into(&mut bytes);
        bytes
    }

    fn encode_as(&self, format: u32) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&format.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.block.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.store.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.generation.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.number.to_le_bytes());
        bytes[36..38].copy_from_slice(&self.shard.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.capacity.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of a segment's bytes.
    ///
    /// # Errors
    /// There is none, or it is damaged or of another format.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let bytes = bytes
            .get(..SEGMENT_HEADER)
            .ok_or(HeaderFault::Invalid("the file ends inside the segment header"))?;
        if bytes[..8] != MAGIC {
            return Err(HeaderFault::Invalid("this is not a segment header (magic)"));
        }
        if u32_at(bytes, 60) != crc32c::crc32c(&bytes[..60]) {
            return Err(HeaderFault::Invalid("the segment header does not match its checksum"));
        }
        let fields = match u32_at(bytes, 8) {
            FORMAT => SEGMENT_FIELDS,
            STATE_FORMAT if Covered::decode(bytes).is_some() => Covered::END,
            STATE_FORMAT => {
                return Err(HeaderFault::Invalid("what the state covers fails its checksum"));
            }
            unknown => return Err(HeaderFault::Format(unknown)),
        };
        if !is_zero(&bytes[fields..]) {
            return Err(HeaderFault::Invalid("the segment header is not followed by zeros"));
        }
        let header = Self::fields(bytes);
        if !header.block.is_power_of_two() || !(512..=1 << 20).contains(&header.block) {
            return Err(HeaderFault::Invalid("the segment's block size makes no sense"));
        }
        Ok(header)
    }

    /// The header at the start of bytes that were checked before.
    pub(crate) fn fields(bytes: &[u8]) -> Self {
        Self {
            block: u32_at(bytes, 12),
            store: u64_at(bytes, 16),
            generation: u64_at(bytes, 24),
            number: u32_at(bytes, 32),
            shard: u16_at(bytes, 36),
            capacity: u64_at(bytes, 40),
        }
    }

    /// What the segment covers, if it is one of state: by a header that was checked before.
    pub(crate) fn covered(bytes: &[u8]) -> Option<Covered> {
        (u32_at(bytes, 8) == STATE_FORMAT).then(|| Covered::decode(bytes))?
    }

    /// What the crc of every entry of this segment starts with.
    pub(crate) fn seed(&self) -> Seed {
        Seed(crc32c::crc32c(&self.generation.to_le_bytes()))
    }

    /// Where the first commit stands.
    pub fn first_commit(&self) -> usize {
        SEGMENT_HEADER.max(self.block as usize)
    }
}

/// What the crc of every entry of a segment starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed(u32);

impl Seed {
    /// The seed that was found again.
    pub(crate) fn from_crc(crc: u32) -> Self {
        Self(crc)
    }

    /// The crc of an entry: header with any crc field, then the body without padding.
    fn crc(self, entry: &[u8]) -> u32 {
        #[cfg(test)]
        crate::work::note(entry.len());
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &entry[..4]), &entry[8..])
    }
}

/// An entry's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    pub(crate) length: u32,
    pub(crate) kind: u8,
    pub(crate) owner: u16,
    pub(crate) commit: u32,
    pub(crate) sequence: u64,
    pub(crate) time: u64,
}

impl EntryHeader {
    /// Writes the header in front of the body that `entry` already holds behind it, and zeros into
    /// the padding. Returns the crc. Cost: one pass over the body.
    pub(crate) fn write(&self, seed: Seed, entry: &mut [u8]) -> u32 {
        let end = ENTRY_HEADER + self.length as usize;
        entry[0..4].copy_from_slice(&self.length.to_le_bytes());
        entry[8] = self.kind;
        entry[9] = 0;
        entry[10..12].copy_from_slice(&self.owner.to_le_bytes());
        entry[12..16].copy_from_slice(&self.commit.to_le_bytes());
        entry[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        entry[24..32].copy_from_slice(&self.time.to_le_bytes());
        entry[end..entry_bytes(self.length as usize)].fill(0);
        let crc = seed.crc(&entry[..end]);
        entry[4..8].copy_from_slice(&crc.to_le_bytes());
        crc
    }
}

/// An entry as it stands in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) header: EntryHeader,
    pub(crate) body: &'a [u8],
    pub(crate) crc: u32,
}

impl<'a> Entry<'a> {
    /// The entry at the start of `bytes`, if one stands there whole and unharmed.
    pub(crate) fn parse(seed: Seed, bytes: &'a [u8]) -> Result<Self, &'static str> {
        let entry = Self::parse_without_crc(bytes).ok_or("an entry reaches beyond the end")?;
        let end = ENTRY_HEADER + entry.body.len();
        if seed.crc(&bytes[..end]) != entry.crc {
            return Err("an entry does not match its checksum");
        }
        if bytes[9] != 0 || !is_zero(&bytes[end..entry.bytes()]) {
            return Err("an entry's padding is not zero");
        }
        Ok(entry)
    }

    /// The entry at the start of bytes that were checked before.
    pub(crate) fn parse_without_crc(bytes: &'a [u8]) -> Option<Self> {
        let fixed = bytes.get(..ENTRY_HEADER)?;
        let header = EntryHeader {
            length: u32_at(fixed, 0),
            kind: fixed[8],
            owner: u16_at(fixed, 10),
            commit: u32_at(fixed, 12),
            sequence: u64_at(fixed, 16),
            time: u64_at(fixed, 24),
        };
        let length = header.length as usize;
        let whole = bytes.get(..entry_bytes(length))?;
        Some(Self {
            header,
            body: &whole[ENTRY_HEADER..ENTRY_HEADER + length],
            crc: u32_at(fixed, 4),
        })
    }

    /// Bytes that it takes, padding included.
    pub(crate) fn bytes(&self) -> usize {
        entry_bytes(self.body.len())
    }
}

/// The body of a Commit entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitBody {
    pub(crate) bytes: u32,
    pub(crate) entries: u32,
    pub(crate) number: u64,
    pub(crate) durable: u64,
    pub(crate) previous: u32,
}

impl CommitBody {
    pub(crate) fn encode(&self) -> [u8; COMMIT_BODY] {
        let mut bytes = [0; COMMIT_BODY];
        bytes[0..4].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.entries.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.durable.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.previous.to_le_bytes());
        bytes
    }

    /// The commit whose entry this is, if it is one.
    pub(crate) fn of(entry: &Entry<'_>) -> Option<Self> {
        let body = entry.body;
        if entry.header.kind != KIND_COMMIT || body.len() != COMMIT_BODY {
            return None;
        }
        let commit = Self {
            bytes: u32_at(body, 0),
            entries: u32_at(body, 4),
            number: u64_at(body, 8),
            durable: u64_at(body, 16),
            previous: u32_at(body, 24),
        };
        (commit.number as u32 == entry.header.commit && u32_at(body, 28) == 0).then_some(commit)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        block: 4096,
        store: 0x1122_3344_5566_7788,
        generation: 0x0102_0304_0506_0708,
        number: 7,
        shard: 3,
        capacity: 64 << 20,
    };

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn entry(body: &[u8]) -> (EntryHeader, Vec<u8>) {
        let header = EntryHeader {
            length: body.len() as u32,
            kind: KIND_CONCEPT,
            owner: 3,
            commit: 9,
            sequence: 1001,
            time: 2002,
        };
        let mut bytes = vec![0xff; entry_bytes(body.len())];
        bytes[ENTRY_HEADER..][..body.len()].copy_from_slice(body);
        header.write(HEADER.seed(), &mut bytes);
        (header, bytes)
    }

    #[test]
    fn a_published_segment_header_keeps_its_bytes() {
        let bytes = HEADER.encode();
        assert_eq!(
            hex(&bytes[..64]),
            "53555452414c4f470100000000100000887766554433221108070605040302010700000003000000\
             0000000400000000000000000000000000000000600c5d77"
        );
        assert!(is_zero(&bytes[64..]));
        assert_eq!(SegmentHeader::decode(&bytes), Ok(HEADER));
    }

    #[test]
    fn every_flipped_bit_of_a_segment_header_is_noticed() {
        for bit in 0..8 * SEGMENT_HEADER {
            let mut bytes = HEADER.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&bytes).is_err(), "bit {bit}");
        }
        assert!(SegmentHeader::decode(&HEADER.encode()[..4095]).is_err());
    }

    #[test]
    fn another_format_version_is_told_from_damage() {
        let mut bytes = HEADER.encode();
        bytes[8] = 3;
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::Format(3)));
    }

    #[test]
    fn a_published_header_of_state_keeps_its_bytes_and_no_bit_changes_unseen() {
        let covered = Covered { commit: 0x0102_0304, sequence: 0x0506_0708_090a };
        let bytes = HEADER.encode_state(covered);
        assert_eq!(
            hex(&bytes[..84]),
            "53555452414c4f470200000000100000887766554433221108070605040302010700000003000000\
             00000004000000000000000000000000000000006f67029e\
             04030201000000000a09080706050000a9befc75"
        );
        assert!(is_zero(&bytes[84..]));
        assert_eq!(SegmentHeader::decode(&bytes), Ok(HEADER));
        assert_eq!(SegmentHeader::covered(&bytes), Some(covered));
        assert_eq!(SegmentHeader::covered(&HEADER.encode()), None);
        for bit in 0..8 * SEGMENT_HEADER {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_published_entry_keeps_its_bytes() {
        let (header, bytes) = entry(b"hello, archive!!+");
        assert_eq!(
            hex(&bytes),
            "1100000002df48d80200030009000000e903000000000000d207000000000000\
             68656c6c6f2c206172636869766521212b000000000000000000000000000000"
        );
        let entry = Entry::parse(HEADER.seed(), &bytes).unwrap();
        assert_eq!(
            (entry.header, entry.body, entry.bytes()),
            (header, &b"hello, archive!!+"[..], 64)
        );
    }

    #[test]
    fn a_published_commit_body_keeps_its_bytes() {
        let commit =
            CommitBody { bytes: 0x0101, entries: 2, number: 3, durable: 2, previous: 0xdead_beef };
        assert_eq!(
            hex(&commit.encode()),
            "0101000002000000030000000000000002000000000000\
            00efbeadde00000000"
        );
        let header = EntryHeader {
            length: 32,
            kind: KIND_COMMIT,
            owner: 0,
            commit: 3,
            sequence: 0,
            time: 0,
        };
        let entry = Entry { header, body: &commit.encode(), crc: 0 };
        assert_eq!(CommitBody::of(&entry), Some(commit));
    }

    #[test]
    fn every_flipped_bit_of_an_entry_is_noticed() {
        let (_, bytes) = entry(b"seventeen bytes..");
        for bit in 0..8 * bytes.len() {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Entry::parse(HEADER.seed(), &bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn an_entry_of_another_generation_does_not_pass() {
        let (_, bytes) = entry(b"body");
        let later = SegmentHeader { generation: HEADER.generation + 1, ..HEADER };
        assert!(Entry::parse(later.seed(), &bytes).is_err());
    }

    #[test]
    fn an_entry_longer_than_what_is_there_is_refused() {
        let (_, bytes) = entry(b"body");
        for end in 0..bytes.len() {
            assert!(Entry::parse(HEADER.seed(), &bytes[..end]).is_err());
        }
    }
}
