//! A vector as it lies in a message. It is looked through once, when it is found, and written once,
//! into the archive: there is no list of numbers in between.

use rmp::Marker;
use sutra_wire::{Numbers, limits};

use crate::error::CompatError;
use crate::reader::Reader;

/// Numbers that have been found to be numbers, at most [`limits::MAX_DIMENSION`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Vector<'a> {
    /// Little-endian `f32`, as bincode has them and as `bin` and `ext` of MessagePack may.
    Raw(&'a [[u8; 4]]),
    /// Doubles of MessagePack, each behind its marker: what Python sends for a list of floats.
    Doubles(&'a [[u8; 9]]),
    /// Singles of MessagePack, as the Rust clients send them.
    Singles(&'a [[u8; 5]]),
    /// Numbers of MessagePack of all kinds.
    Mixed { count: usize, elements: &'a [u8] },
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
    pub(crate) fn array(
        reader: &mut Reader<'a>,
        count: u32,
        place: &'static str,
    ) -> Result<Self, CompatError> {
        let count = check_count(u64::from(count), place)?;
        if let Some(doubles) = reader.uniform(Marker::F64, count) {
            return Ok(Vector::Doubles(doubles));
        }
        if let Some(singles) = reader.uniform(Marker::F32, count) {
            return Ok(Vector::Singles(singles));
        }
        let start = reader.rest();
        for _ in 0..count {
            reader.number(place)?;
        }
        Ok(Vector::Mixed { count, elements: &start[..start.len() - reader.rest().len()] })
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
            Vector::Doubles(numbers) => numbers.len(),
            Vector::Singles(numbers) => numbers.len(),
            Vector::Mixed { count, .. } => *count,
        }
    }

    fn write<E>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        match self {
            Vector::Raw(numbers) => write(numbers.as_flattened()),
            Vector::Doubles(numbers) => in_pieces(
                numbers.iter().map(|[_, double @ ..]| f64::from_be_bytes(*double) as f32),
                write,
            ),
            Vector::Singles(numbers) => {
                in_pieces(numbers.iter().map(|[_, single @ ..]| f32::from_be_bytes(*single)), write)
            }
            Vector::Mixed { count, elements } => {
                let mut reader = Reader::new(elements);
                let next =
                    |_| reader.number("").expect("every element was found to be a number").to_f32();
                in_pieces((0..*count).map(next), write)
            }
        }
    }
}

/// Writes numbers some at a time, rather than with a call for each.
fn in_pieces<E>(
    mut numbers: impl Iterator<Item = f32>,
    mut write: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut piece = [[0; 4]; 64];
    loop {
        let mut filled = 0;
        for (place, number) in piece.iter_mut().zip(&mut numbers) {
            *place = number.to_le_bytes();
            filled += 1;
        }
        if filled == 0 {
            return Ok(());
        }
        write(piece[..filled].as_flattened())?;
    }
}
