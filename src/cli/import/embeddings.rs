//! Embeddings in a `.npy` file (NumPy format 1.0 to 3.0), read row by row.
//!
//! Promises: it reads real numbers of any NumPy type and byte order, in arrays of either memory
//! order. Shape, type and length are checked when the file is opened. One block of rows is in
//! memory.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use half::f16;
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};
use sutra_wire::limits::MAX_DIMENSION;

use crate::words::counted;

/// Bytes of a block of rows, where one row may go beyond.
const BLOCK: usize = 4 << 20;
/// The longest header: it holds a shape and a type. One that claims more is not a header.
const MAX_HEADER: u32 = 1 << 20;

/// A two-dimensional array of numbers.
pub(crate) struct Embeddings {
    path: PathBuf,
    file: File,
    /// Where the numbers begin.
    start: u64,
    rows: u64,
    dimension: usize,
    order: Order,
    numbers: Numbers,
    /// The rows from `first` on that are in memory.
    block: Vec<f32>,
    first: u64,
    next: u64,
}

/// How a number is written.
#[derive(Clone, Copy)]
struct Numbers {
    kind: Kind,
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
}

impl Numbers {
    /// What the type stands for, if it is one of real numbers.
    fn of(dtype: &DType) -> Option<Self> {
        let DType::Plain(plain) = dtype else { return None };
        let size = usize::try_from(plain.size_field()).ok()?;
        let (kind, sizes) = match plain.type_char() {
            TypeChar::Float => (Kind::Float, 2..=8),
            TypeChar::Int => (Kind::Signed, 1..=8),
            TypeChar::Uint | TypeChar::Bool => (Kind::Unsigned, 1..=8),
            _ => return None,
        };
        let is_known = sizes.contains(&size) && size.is_power_of_two();
        is_known.then(|| Self { kind, size, big_endian: plain.endianness() == Endianness::Big })
    }

    /// The number that these bytes are, as near as 32 bits come to it.
    fn read(self, bytes: &[u8]) -> f32 {
        let mut wide = [0; 8];
        for (to, from) in wide.iter_mut().zip(0..self.size) {
            *to = bytes[if self.big_endian { self.size - 1 - from } else { from }];
        }
        let bits = u64::from_le_bytes(wide);
        match (self.kind, self.size) {
            (Kind::Float, 2) => f16::from_bits(bits as u16).to_f32(),
            (Kind::Float, 4) => f32::from_bits(bits as u32),
            (Kind::Float, _) => f64::from_bits(bits) as f32,
            (Kind::Unsigned, _) => bits as f32,
            (Kind::Signed, size) => {
                let unused = 64 - 8 * size as u32;
                ((bits << unused) as i64 >> unused) as f32
            }
        }
    }
}

impl Embeddings {
    /// Opens the file and checks its shape, type and length; the error is a sentence that names it.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let wrong = |problem: String| format!("{}: {problem}", path.display());
        let failed = |error: io::Error| wrong(error.to_string());
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut reader = BufReader::new(&file);
        check_header(&file).map_err(|problem| wrong(format!("not a .npy file: {problem}")))?;
        let header = NpyHeader::from_reader(&mut reader)
            .map_err(|error| wrong(format!("not a .npy file: {error}")))?;
        let &[rows, dimension] = header.shape() else {
            return Err(wrong(format!(
                "has the shape {:?}; expected two dimensions, one row for each concept",
                header.shape()
            )));
        };
        let dimension = usize::try_from(dimension)
            .ok()
            .filter(|dimension| (1..=MAX_DIMENSION).contains(dimension))
            .ok_or_else(|| {
                wrong(format!("has rows of {dimension} numbers; 1 to {MAX_DIMENSION} are possible"))
            })?;
        let numbers = Numbers::of(&header.dtype()).ok_or_else(|| {
            let dtype = header.dtype().descr();
            wrong(format!(
                "holds {dtype}; expected float16, float32, float64, integers or booleans"
            ))
        })?;
        let start = reader.stream_position().map_err(failed)?;
        let bytes = rows.checked_mul(dimension as u64 * numbers.size as u64);
        if bytes.and_then(|bytes| bytes.checked_add(start)).is_none_or(|expected| expected > length)
        {
            return Err(wrong(format!(
                "is cut short: {length} bytes can't hold {} of {}",
                counted(rows, "row"),
                counted(dimension as u64, "number")
            )));
        }
        let order = header.order();
        let (path, block) = (path.to_owned(), Vec::new());
        Ok(Self { path, file, start, rows, dimension, order, numbers, block, first: 0, next: 0 })
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The next row.
    pub(crate) fn next_row(&mut self) -> Result<Vec<f32>, String> {
        if self.next == self.rows {
            return Err(format!("{}: has no more rows", self.path.display()));
        }
        let held = (self.block.len() / self.dimension) as u64;
        if self.next >= self.first + held {
            self.read_block().map_err(|error| format!("{}: {error}", self.path.display()))?;
        }
        let at = (self.next - self.first) as usize * self.dimension;
        self.next += 1;
        Ok(self.block[at..at + self.dimension].to_vec())
    }

    /// Reads the rows from the next one on: as they lie, or a piece of each column.
    fn read_block(&mut self) -> io::Result<()> {
        let Self { dimension, numbers, .. } = *self;
        let most = (BLOCK / (dimension * size_of::<f32>())).max(1);
        let rows = usize::try_from(self.rows - self.next).unwrap_or(usize::MAX).min(most);
        let mut block = vec![0.0; rows * dimension];
        if self.order == Order::C {
            let mut bytes = vec![0; block.len() * numbers.size];
            self.file.read_exact_at(&mut bytes, self.offset(self.next * dimension as u64))?;
            for (number, bytes) in block.iter_mut().zip(bytes.chunks_exact(numbers.size)) {
                *number = numbers.read(bytes);
            }
        } else {
            let mut bytes = vec![0; rows * numbers.size];
            for column in 0..dimension {
                self.file.read_exact_at(
                    &mut bytes,
                    self.offset(column as u64 * self.rows + self.next),
                )?;
                let numbers_of_column = block[column..].iter_mut().step_by(dimension);
                for (number, bytes) in numbers_of_column.zip(bytes.chunks_exact(numbers.size)) {
                    *number = numbers.read(bytes);
                }
            }
        }
        (self.block, self.first) = (block, self.next);
        Ok(())
    }

    /// Where the number with this place in the file begins.
    fn offset(&self, number: u64) -> u64 {
        self.start + number * self.numbers.size as u64
    }
}

/// Whether the file begins as its kind does. Its reader would take memory for whatever a header
/// says, and multiplies lengths unchecked.
fn check_header(mut file: &File) -> Result<(), String> {
    let mut head = [0; 12];
    file.read_exact(&mut head).map_err(|error| error.to_string())?;
    let (start, length) = match head {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, 0, low, high, ..] => {
            (10, u32::from(u16::from_le_bytes([low, high])))
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, 0, length @ ..] => {
            (12, u32::from_le_bytes(length))
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', major, minor, ..] => {
            return Err(format!("its version is {major}.{minor}; 1.0, 2.0 and 3.0 are known"));
        }
        _ => return Err("it does not begin with \\x93NUMPY".into()),
    };
    if length > MAX_HEADER {
        return Err(format!("its header claims {length} bytes"));
    }
    let mut header = vec![0; length as usize];
    file.read_exact_at(&mut header, start)
        .and_then(|()| file.rewind())
        .map_err(|error| error.to_string())?;
    if product(&String::from_utf8_lossy(&header)).is_none() {
        return Err("its shape has more numbers than any file".into());
    }
    Ok(())
}

/// The product of the numbers of a header's shape: those outside of quotes. `None` beyond 64 bits.
/// Zeros are left out, as the product before one can be too large already.
fn product(header: &str) -> Option<u64> {
    let unquoted = header.split(['\'', '"']).step_by(2);
    let mut digits = unquoted
        .flat_map(|text| text.split(|c: char| !c.is_ascii_digit()))
        .filter(|text| !text.is_empty());
    digits
        .try_fold(1_u64, |product, digits| product.checked_mul(digits.parse::<u64>().ok()?.max(1)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use npyz::{AutoSerialize, WriterBuilder};

    use super::*;

    /// A file of these numbers.
    fn file<T: AutoSerialize + Copy>(
        numbers: &[T],
        shape: &[u64],
        order: Order,
    ) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let builder = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
        let mut writer = builder.writer(file.as_file()).begin_nd().unwrap();
        writer.extend(numbers.iter().copied()).unwrap();
        writer.finish().unwrap();
        file
    }

    /// A file as NumPy writes it, byte by byte.
    fn raw(version: u8, description: &str, numbers: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let header = format!("{{{description}}}\n");
        file.write_all(&[0x93, b'N', b'U', b'M', b'P', b'Y', version, 0]).unwrap();
        let length = u32::try_from(header.len()).unwrap().to_le_bytes();
        file.write_all(if version == 1 { &length[..2] } else { &length }).unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.write_all(numbers).unwrap();
        file
    }

    fn rows(file: &tempfile::NamedTempFile) -> Vec<Vec<f32>> {
        let mut embeddings = Embeddings::open(file.path()).unwrap();
        let rows = (0..embeddings.rows()).map(|_| embeddings.next_row().unwrap()).collect();
        assert!(embeddings.next_row().unwrap_err().contains("no more rows"));
        rows
    }

    fn refused(file: &tempfile::NamedTempFile) -> String {
        Embeddings::open(file.path()).err().unwrap()
    }

    #[test]
    fn rows_of_every_real_type_read_in_order_and_end() {
        let half: Vec<f16> = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(f16::from_f32).to_vec();
        for file in [
            file(&half, &[3, 2], Order::C),
            file(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2], Order::C),
            file(&[1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2], Order::C),
            file(&[1i64, 2, 3, 4, 5, 6], &[3, 2], Order::C),
            file(&[1u8, 2, 3, 4, 5, 6], &[3, 2], Order::C),
            file(&[1i16, 3, 5, 2, 4, 6], &[3, 2], Order::Fortran),
            file(&[1.0f64, 3.0, 5.0, 2.0, 4.0, 6.0], &[3, 2], Order::Fortran),
        ] {
            assert_eq!(rows(&file), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
        }
        let signed = file(&[-1i8, i8::MIN, 7, 0], &[2, 2], Order::C);
        assert_eq!(rows(&signed), [[-1.0, -128.0], [7.0, 0.0]]);
        assert_eq!(rows(&file(&[true, false], &[1, 2], Order::C)), [[1.0, 0.0]]);
    }

    #[test]
    fn every_version_and_byte_order_reads() {
        let big: Vec<u8> = [0.5f32, -2.0].iter().flat_map(|number| number.to_be_bytes()).collect();
        let little: Vec<u8> =
            [0.5f64, -2.0].iter().flat_map(|number| number.to_le_bytes()).collect();
        for version in 1..=3 {
            let described = "'descr': '>f4', 'fortran_order': False, 'shape': (1, 2), ";
            assert_eq!(rows(&raw(version, described, &big)), [[0.5, -2.0]]);
            let described = "'descr': '<f8', 'fortran_order': True, 'shape': (2, 1), ";
            assert_eq!(rows(&raw(version, described, &little)), [[0.5], [-2.0]]);
        }
    }

    #[test]
    fn rows_beyond_a_block_are_the_same_in_either_order() {
        let (rows, dimension) = (700u64, 4096usize);
        let number = |row: u64, column: usize| (row * 10_000 + column as u64) as f32;
        let by_row: Vec<f32> = (0..rows)
            .flat_map(|row| (0..dimension).map(move |column| number(row, column)))
            .collect();
        let by_column: Vec<f32> = (0..dimension)
            .flat_map(|column| (0..rows).map(move |row| number(row, column)))
            .collect();
        let shape = [rows, dimension as u64];
        for file in [file(&by_row, &shape, Order::C), file(&by_column, &shape, Order::Fortran)] {
            let mut embeddings = Embeddings::open(file.path()).unwrap();
            for row in 0..rows {
                let found = embeddings.next_row().unwrap();
                assert_eq!(
                    [found[0], found[dimension - 1]],
                    [number(row, 0), number(row, dimension - 1)]
                );
            }
        }
    }

    #[test]
    fn other_shapes_and_types_are_refused_with_the_reason() {
        assert!(
            refused(&file(&[1.0f32; 4], &[4], Order::C))
                .contains("has the shape [4]; expected two dimensions")
        );
        assert!(
            refused(&file(&[1.0f32; 4], &[2, 2, 1], Order::C)).contains("has the shape [2, 2, 1]")
        );
        assert!(refused(&file::<f32>(&[], &[2, 0], Order::C)).contains("rows of 0 numbers"));
        for kind in ["<c8", "<U4", "|O", "<M8[s]", "<f16"] {
            let described = format!("'descr': '{kind}', 'fortran_order': False, 'shape': (1, 1), ");
            let problem = refused(&raw(1, &described, &[0; 16]));
            assert!(
                problem.contains("expected float16") || problem.contains("not a .npy file"),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_file_that_is_cut_short_or_lies_is_refused_before_its_first_row() {
        let file = file(&[1.0f32; 4], &[2, 2], Order::C);
        file.as_file().set_len(file.as_file().metadata().unwrap().len() - 1).unwrap();
        assert!(refused(&file).contains("cut short"));
        file.as_file().set_len(20).unwrap();
        assert!(refused(&file).contains("not a .npy file"));
        let mut lying = tempfile::NamedTempFile::new().unwrap();
        lying.write_all(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{").unwrap();
        assert!(refused(&lying).contains("claims 4294967295 bytes"));
        let mut unknown = tempfile::NamedTempFile::new().unwrap();
        unknown.write_all(b"\x93NUMPY\x04\x00\x00\x00\x00\x00{").unwrap();
        assert!(refused(&unknown).contains("version is 4.0"));
        let huge = "'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551615, 2), ";
        assert!(refused(&raw(1, huge, &[])).contains("more numbers than any file"));
    }
}
