//! Embeddings in a `.npy` file (NumPy format 1.0 and later), read row by row.

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

use half::f16;
use npyz::{NpyFile, NpyHeader, NpyReader, Order};
use sutra_wire::limits::MAX_DIMENSION;

/// A two-dimensional array of float16 or float32, of which one row at a time is in memory.
pub(crate) struct Embeddings {
    path: PathBuf,
    rows: u64,
    dimension: usize,
    numbers: Numbers,
}

enum Numbers {
    Half(NpyReader<f16, BufReader<File>>),
    Single(NpyReader<f32, BufReader<File>>),
}

impl Embeddings {
    /// Opens the file and checks its shape, order, type and length; the error is a sentence that names it.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let wrong = |problem: String| format!("{}: {problem}", path.display());
        let failed = |error: io::Error| wrong(error.to_string());
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut reader = BufReader::with_capacity(256 << 10, file);
        let header = NpyHeader::from_reader(&mut reader).map_err(|error| wrong(format!("not a .npy file: {error}")))?;
        let &[rows, dimension] = header.shape() else {
            return Err(wrong(format!("has the shape {:?}; expected two dimensions, a row a concept", header.shape())));
        };
        if header.order() != Order::C {
            return Err(wrong("is stored in Fortran order; write it with numpy.ascontiguousarray".into()));
        }
        let dimension = usize::try_from(dimension)
            .ok()
            .filter(|dimension| (1..=MAX_DIMENSION).contains(dimension))
            .ok_or_else(|| wrong(format!("has rows of {dimension} numbers; 1 to {MAX_DIMENSION} are possible")))?;
        let dtype = header.dtype().descr();
        let start = reader.stream_position().map_err(failed)?;
        let npy = NpyFile::with_header(header, reader);
        let (numbers, size) = match npy.try_data::<f16>() {
            Ok(numbers) => (Numbers::Half(numbers), 2),
            Err(npy) => match npy.try_data::<f32>() {
                Ok(numbers) => (Numbers::Single(numbers), 4),
                Err(_) => return Err(wrong(format!("holds {dtype}; expected float16 or float32"))),
            },
        };
        let expected = rows.checked_mul(dimension as u64 * size).and_then(|bytes| bytes.checked_add(start));
        if expected.is_none_or(|expected| expected > length) {
            return Err(wrong(format!(
                "is cut short: {length} bytes are too few for {rows} rows of {dimension} numbers"
            )));
        }
        Ok(Self { path: path.to_owned(), rows, dimension, numbers })
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The next row.
    pub(crate) fn next_row(&mut self) -> Result<Vec<f32>, String> {
        let row: io::Result<Vec<f32>> = match &mut self.numbers {
            Numbers::Half(numbers) => numbers.take(self.dimension).map(|number| number.map(f16::to_f32)).collect(),
            Numbers::Single(numbers) => numbers.take(self.dimension).collect(),
        };
        match row {
            Ok(row) if row.len() == self.dimension => Ok(row),
            Ok(_) => Err(format!("{}: has no more rows", self.path.display())),
            Err(error) => Err(format!("{}: {error}", self.path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use npyz::{AutoSerialize, WriterBuilder};

    use super::*;

    /// A file of these numbers.
    fn file<T: AutoSerialize + Copy>(numbers: &[T], shape: &[u64], order: Order) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let builder = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
        let mut writer = builder.writer(file.as_file()).begin_nd().unwrap();
        writer.extend(numbers.iter().copied()).unwrap();
        writer.finish().unwrap();
        file
    }

    fn refused(file: &tempfile::NamedTempFile) -> String {
        Embeddings::open(file.path()).err().unwrap()
    }

    #[test]
    fn rows_of_both_types_read_in_order_and_end() {
        let half: Vec<f16> = [1.0, 2.0, 3.0, 4.0, 5.0, 6.5].map(f16::from_f32).to_vec();
        let single = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.5];
        for file in [file(&half, &[3, 2], Order::C), file(&single, &[3, 2], Order::C)] {
            let mut embeddings = Embeddings::open(file.path()).unwrap();
            assert_eq!(embeddings.rows(), 3);
            let rows: Vec<_> = (0..3).map(|_| embeddings.next_row().unwrap()).collect();
            assert_eq!(rows, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.5]]);
            assert!(embeddings.next_row().unwrap_err().contains("no more rows"));
        }
    }

    #[test]
    fn other_shapes_orders_and_types_are_refused_with_the_reason() {
        assert!(refused(&file(&[1.0f32; 4], &[4], Order::C)).contains("two dimensions"));
        assert!(refused(&file(&[1.0f32; 4], &[2, 2], Order::Fortran)).contains("Fortran"));
        assert!(refused(&file(&[1i32; 4], &[2, 2], Order::C)).contains("float16 or float32"));
        assert!(refused(&file::<f32>(&[], &[2, 0], Order::C)).contains("rows of 0 numbers"));
    }

    #[test]
    fn a_file_that_is_cut_short_is_refused_before_its_first_row() {
        let file = file(&[1.0f32; 4], &[2, 2], Order::C);
        file.as_file().set_len(file.as_file().metadata().unwrap().len() - 1).unwrap();
        assert!(refused(&file).contains("cut short"));
        file.as_file().set_len(20).unwrap();
        assert!(refused(&file).contains("not a .npy file"));
    }
}
