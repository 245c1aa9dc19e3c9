//! A vector as it lies in a message. It is looked through once, when it is found, and written once, into the archive:
//! there is no list of numbers in between.

use sutra_wire::{Numbers, limits};

use crate::error::CompatError;
use crate::msgpack::Reader;

/// Numbers that have been found to be numbers, at most [`limits::MAX_DIMENSION`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Vector<'a> {
    /// Little-endian `f32`, as bincode has them and as `bin` and `ext` of MessagePack may.
    Raw(&'a [[u8; 4]]),
    /// The elements of an array of MessagePack.
    Array { count: usize, elements: &'a [u8] },
}

impl Default for Vector<'_> {
    fn default() -> Self {
        Vector::Raw(&[])
    }
}

impl<'a> Vector<'a> {
    /// The numbers that these bytes hold.
    pub(crate) fn raw(bytes: &'a [u8], place: &'static str) -> Result<Self, CompatError> {
        let (numbers, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            let problem = format!("{} bytes are no whole number of 4-byte floats", bytes.len());
            return Err(CompatError::Value { place, problem });
        }
        check_count(numbers.len() as u64, place)?;
        Ok(Vector::Raw(numbers))
    }

    /// The elements that follow an array's head.
    pub(crate) fn array(reader: &mut Reader<'a>, count: u32, place: &'static str) -> Result<Self, CompatError> {
        let count = check_count(u64::from(count), place)?;
        let start = reader.rest();
        for _ in 0..count {
            reader.number(place)?;
        }
        Ok(Vector::Array { count, elements: &start[..start.len() - reader.rest().len()] })
    }
}

/// Whether a vector may have so many numbers. Asked before they are looked at.
pub(crate) fn check_count(count: u64, place: &'static str) -> Result<usize, CompatError> {
    match usize::try_from(count) {
        Ok(count) if count <= limits::MAX_DIMENSION => Ok(count),
        _ => {
            let problem = format!("has {count} numbers, the limit is {}", limits::MAX_DIMENSION);
            Err(CompatError::Value { place, problem })
        }
    }
}

impl Numbers for Vector<'_> {
    fn count(&self) -> usize {
        match self {
            Vector::Raw(numbers) => numbers.len(),
            Vector::Array { count, .. } => *count,
        }
    }

    fn write<E>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        match self {
            Vector::Raw(numbers) => write(numbers.as_flattened()),
            Vector::Array { count, elements } => {
                let mut reader = Reader::new(elements);
                // In pieces of a cache line or four, rather than a call for each number.
                let mut piece = [[0; 4]; 64];
                let mut left = *count;
                while left > 0 {
                    let now = left.min(piece.len());
                    for place in &mut piece[..now] {
                        let number = reader.number("").expect("every element was found to be a number");
                        *place = number.to_f32().to_le_bytes();
                    }
                    write(piece[..now].as_flattened())?;
                    left -= now;
                }
                Ok(())
            }
        }
    }
}
