//! What a segment of state stands for: the part of its header that a segment of the log has not.
//!
//! ```text
//! 64  commit    u64  the state covers its shard's commits up to this one
//! 72  sequence  u64  and all sequences up to this one
//! 80  crc32c    u32  over 64 to 79
//! 84  zero to the header's end
//! ```

/// Where these fields begin in the header.
const START: usize = 64;
/// Where their checksum stands.
const CRC: usize = START + 16;

/// Up to where a shard's log was, when what was visible of it was written as state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Covered {
    /// The number of the last commit.
    pub(crate) commit: u64,
    /// The highest sequence.
    pub(crate) sequence: u64,
}

impl Covered {
    /// Where the fields end.
    pub(super) const END: usize = CRC + 4;

    /// Writes the fields into a header.
    pub(super) fn encode_into(self, header: &mut [u8]) {
        header[START..START + 8].copy_from_slice(&self.commit.to_le_bytes());
        header[START + 8..CRC].copy_from_slice(&self.sequence.to_le_bytes());
        let crc = crc32c::crc32c(&header[START..CRC]);
        header[CRC..Self::END].copy_from_slice(&crc.to_le_bytes());
    }

    /// The fields of a header, if they are as they were written.
    pub(super) fn decode(header: &[u8]) -> Option<Self> {
        let fields = header.get(START..Self::END)?;
        let number = |at: usize| Some(u64::from_le_bytes(fields.get(at..at + 8)?.try_into().ok()?));
        let crc = u32::from_le_bytes(fields.get(16..)?.try_into().ok()?);
        let is_whole = crc32c::crc32c(&fields[..16]) == crc;
        is_whole.then_some(Self { commit: number(0)?, sequence: number(8)? })
    }
}
