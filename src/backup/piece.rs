//! Pieces by their names, and their bytes checked as they pass.
//!
//! `pieces/shard-000/00000012-0123456789abcdef-0-67108864`: a segment's number, its generation, and
//! from which byte to which. So a name never stands for other bytes.

use std::fmt;

use sutra_store::{LogCheck, LogFault, LogPlace, SegmentHeader};

use crate::catalog::Piece;

/// The folder of all pieces.
pub(crate) const PIECES: &str = "pieces";

/// Which stretch of which segment a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PieceName {
    pub(crate) shard: u16,
    pub(crate) number: u32,
    pub(crate) generation: u64,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl PieceName {
    /// The name of the folder that it is in.
    pub(crate) fn folder(shard: u16) -> String {
        format!("shard-{shard:03}")
    }

    /// Its name in there.
    pub(crate) fn file(&self) -> String {
        let Self { number, generation, from, to, .. } = self;
        format!("{number:08}-{generation:016x}-{from}-{to}")
    }

    /// The piece of this path, if it is one's: from the folder of backups, or in a stream.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (folder, file) = path.strip_prefix(PIECES)?.strip_prefix('/')?.split_once('/')?;
        let shard = folder.strip_prefix("shard-")?.parse().ok()?;
        let mut parts = file.split('-');
        let name = Self {
            shard,
            number: parts.next()?.parse().ok()?,
            generation: u64::from_str_radix(parts.next()?, 16).ok()?,
            from: parts.next()?.parse().ok()?,
            to: parts.next()?.parse().ok()?,
        };
        (name.to_string() == path && name.from < name.to).then_some(name)
    }
}

impl fmt::Display for PieceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PIECES}/{}/{}", Self::folder(self.shard), self.file())
    }
}

/// A piece whose bytes pass: checked as a log, and summed up.
pub(crate) struct Passing {
    name: PieceName,
    check: LogCheck,
    crc32c: u32,
}

impl Passing {
    /// That of a segment with this header, behind the commit of `place`.
    pub(crate) fn new(name: PieceName, header: SegmentHeader, place: LogPlace) -> Self {
        Self { name, check: LogCheck::new(header, name.from as usize, place), crc32c: 0 }
    }

    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Result<(), LogFault> {
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.check.pass(bytes)
    }

    /// All of it has passed.
    pub(crate) fn finish(self) -> Result<Piece, LogFault> {
        let PieceName { from, to, .. } = self.name;
        Ok(Piece { from, to, crc32c: self.crc32c, end: self.check.finish()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pieces_own_name_is_taken_for_one() {
        let name = PieceName { shard: 3, number: 12, generation: 0xabc, from: 4096, to: 8192 };
        assert_eq!(name.to_string(), "pieces/shard-003/00000012-0000000000000abc-4096-8192");
        assert_eq!(PieceName::parse(&name.to_string()), Some(name));
        for stray in [
            "",
            "pieces/shard-003/00000012-0000000000000abc-4096-8192.new",
            "pieces/shard-3/00000012-0000000000000abc-4096-8192",
            "pieces/shard-003/12-0000000000000abc-4096-8192",
            "pieces/shard-003/00000012-0000000000000ABC-4096-8192",
            "pieces/shard-003/00000012-0000000000000abc-8192-4096",
            "pieces/../shard-003/00000012-0000000000000abc-4096-8192",
            "/pieces/shard-003/00000012-0000000000000abc-4096-8192",
        ] {
            assert_eq!(PieceName::parse(stray), None, "{stray}");
        }
    }
}
