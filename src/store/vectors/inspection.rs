//! A checkpoint looked at in steps: whether it is as it was written. It is never in memory as a
//! whole, as a file of any length may have its name.

use super::claims::{BROKEN, Claims, HEADER, Origin, dimension, is_whole, too_short};
use crate::disk::CheckpointName;

/// A checkpoint of which some is yet to come.
#[derive(Debug)]
pub(crate) struct Inspection {
    claims: Claims,
    /// Of what has come behind the header.
    crc: u32,
}

/// Why a start passes over a checkpoint.
#[derive(Debug, PartialEq)]
pub(crate) struct Unusable {
    /// In words.
    pub(crate) what: String,
    /// Whether it is not as it was written. Otherwise it is another version's or another store's.
    pub(crate) is_damaged: bool,
}

impl Inspection {
    /// Of a file of so many bytes, which is to be a store's, and begins with these.
    ///
    /// # Errors
    /// They tell already that it is of no use.
    pub(crate) fn begin(
        first: &[u8],
        length: u64,
        store: u64,
        name: CheckpointName,
    ) -> Result<Self, Unusable> {
        let Some((header, body)) = first.split_first_chunk::<HEADER>() else {
            return Err(Unusable { what: too_short(first.len()), is_damaged: true });
        };
        let origin = Origin { store, name, dimension: dimension(header) };
        let claims = Claims::of(header, &origin)
            .map_err(|what| Unusable { what, is_damaged: !is_whole(header) })?;
        claims
            .check_length(length, origin.dimension)
            .map_err(|what| Unusable { what, is_damaged: true })?;
        Ok(Self { claims, crc: crc32c::crc32c(body) })
    }

    /// What comes next.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
    }

    /// All has come.
    ///
    /// # Errors
    /// It is not as it was written.
    pub(crate) fn end(self) -> Result<(), Unusable> {
        match self.crc == self.claims.crc {
            true => Ok(()),
            false => Err(Unusable { what: BROKEN.to_owned(), is_damaged: true }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::vectors::sample_checkpoint;

    const NAME: CheckpointName = CheckpointName { shard: 3, namespace: 5 };

    fn inspect(bytes: &[u8], store: u64, step: usize) -> Result<(), Unusable> {
        let mut steps = bytes.chunks(step);
        let first = steps.next().unwrap_or_default();
        let mut inspection = Inspection::begin(first, bytes.len() as u64, store, NAME)?;
        steps.for_each(|step| inspection.take(step));
        inspection.end()
    }

    #[test]
    fn a_whole_checkpoint_passes_however_it_comes_and_no_bit_changes_unseen() {
        let whole = sample_checkpoint(77, NAME);
        for step in [HEADER, 100, 4096, usize::MAX] {
            assert_eq!(inspect(&whole, 77, step), Ok(()), "{step}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            assert!(inspect(&bytes, 77, 1000).is_err_and(|error| error.is_damaged), "byte {at}");
        }
        assert!(inspect(&whole[..10], 77, 1000).is_err_and(|error| error.is_damaged));
        assert!(inspect(&whole, 78, 1000).is_err_and(|error| !error.is_damaged));
    }

    #[test]
    fn one_that_is_longer_than_its_vectors_can_be_is_refused_by_its_header_alone() {
        let whole = sample_checkpoint(77, NAME);
        Inspection::begin(&whole[..HEADER], whole.len() as u64, 77, NAME).unwrap();
        let error = Inspection::begin(&whole[..HEADER], 1 << 40, 77, NAME).unwrap_err();
        assert!(error.is_damaged && error.what.contains("100 vectors"), "{}", error.what);
    }
}
