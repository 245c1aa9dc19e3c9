//! A folder that `sutra import` and NumPy read: lines as in one file, and the embeddings as arrays
//! beside them.
//!
//! Each namespace has up to three files, named by a number. `0000-embedded.jsonl` has the concepts
//! with embeddings, and `0000-embedded.npy` those, row by row. `0000.jsonl` has the other concepts
//! and the associations. Embeddings of a namespace are all as long. Where one is not, because they
//! were exchanged meanwhile, it stands in its line in `0000.jsonl`.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use sutra_wire::ArchivedConceptRecord;

use super::folder::NewFolder;
use super::format::{Edge, End, Finished, Format};
use super::lines::{self, Embedding};

/// Bytes of the array's header: room for its longest shape, and a multiple of 64, as NumPy wants.
const HEADER: usize = 128;

pub(super) struct NpyFolder {
    folder: NewFolder,
    /// Which namespace of the export this is.
    number: Option<usize>,
    namespace: Option<String>,
    says_default: bool,
    lines: Option<BufWriter<File>>,
    embedded: Option<Embedded>,
}

/// Concepts with embeddings.
struct Embedded {
    lines: BufWriter<File>,
    rows: Rows,
}

impl NpyFolder {
    /// `says_default`: whether lines of the default namespace say so.
    pub(super) fn new(folder: NewFolder, says_default: bool) -> Self {
        let (number, namespace) = (None, None);
        Self { folder, number, namespace, says_default, lines: None, embedded: None }
    }

    /// The file of the namespace's other lines.
    fn lines(&mut self) -> io::Result<&mut BufWriter<File>> {
        let name = format!("{}.jsonl", self.stem());
        match &mut self.lines {
            Some(lines) => Ok(lines),
            none => Ok(none.insert(BufWriter::new(self.folder.file(&name)?))),
        }
    }

    /// The files of the namespace's concepts with embeddings of this length, unless it has others.
    fn embedded(&mut self, numbers: usize) -> io::Result<Option<&mut Embedded>> {
        if self.embedded.is_none() {
            let stem = self.stem();
            let lines = BufWriter::new(self.folder.file(&format!("{stem}-embedded.jsonl"))?);
            let rows = Rows::begin(self.folder.file(&format!("{stem}-embedded.npy"))?, numbers)?;
            self.embedded = Some(Embedded { lines, rows });
        }
        Ok(self.embedded.as_mut().filter(|embedded| embedded.rows.numbers == numbers))
    }

    fn stem(&self) -> String {
        format!("{:04}", self.number.unwrap_or_default())
    }

    /// The files of the namespace are whole.
    fn end_namespace(&mut self) -> io::Result<()> {
        if let Some(lines) = self.lines.take() {
            synced(lines)?;
        }
        if let Some(Embedded { lines, rows }) = self.embedded.take() {
            synced(lines)?;
            rows.finish()?;
        }
        Ok(())
    }
}

impl Format for NpyFolder {
    fn wants_times(&self) -> bool {
        true
    }

    fn namespace(&mut self, name: &str) -> io::Result<()> {
        self.end_namespace()?;
        self.number = Some(self.number.map_or(0, |number| number + 1));
        let is_said = self.says_default || !name.is_empty();
        self.namespace = is_said.then(|| name.to_owned());
        // A store without anything is a folder that can be imported, too.
        if self.number == Some(0) {
            self.lines()?;
        }
        Ok(())
    }

    fn concept(&mut self, end: &End, record: Option<&ArchivedConceptRecord>) -> io::Result<()> {
        let Some(record) = record else { return Ok(()) };
        let namespace = self.namespace.clone();
        let namespace = namespace.as_deref();
        if !record.embedding.is_empty()
            && let Some(Embedded { lines, rows }) = self.embedded(record.embedding.len())?
        {
            rows.add(record.embedding.iter().map(|number| number.to_native()))?;
            return lines::concept(lines, namespace, end, record, Embedding::Beside);
        }
        lines::concept(self.lines()?, namespace, end, record, Embedding::Inside)
    }

    fn association(&mut self, edge: &Edge<'_>) -> io::Result<()> {
        let namespace = self.namespace.clone();
        lines::association(self.lines()?, namespace.as_deref(), edge)
    }

    fn finish(mut self: Box<Self>) -> io::Result<Finished> {
        self.end_namespace()?;
        self.folder.finish()?;
        Ok(Finished::default())
    }
}

fn synced(file: BufWriter<File>) -> io::Result<()> {
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// An array of 32-bit floats whose number of rows is known when it ends.
struct Rows {
    out: BufWriter<File>,
    rows: u64,
    numbers: usize,
}

impl Rows {
    fn begin(file: File, numbers: usize) -> io::Result<Self> {
        let mut out = BufWriter::new(file);
        out.write_all(&[0; HEADER])?;
        Ok(Self { out, rows: 0, numbers })
    }

    fn add(&mut self, mut row: impl Iterator<Item = f32>) -> io::Result<()> {
        self.rows += 1;
        row.try_for_each(|number| self.out.write_all(&number.to_le_bytes()))
    }

    fn finish(self) -> io::Result<()> {
        let mut file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header(self.rows, self.numbers))?;
        file.sync_all()
    }
}

/// The header of version 1.0: magic, version, length of the rest, and that as Python writes it,
/// filled up with blanks.
fn header(rows: u64, numbers: usize) -> [u8; HEADER] {
    let mut header = [b' '; HEADER];
    let length = (HEADER - 10) as u8;
    header[..10].copy_from_slice(&[0x93, b'N', b'U', b'M', b'P', b'Y', 1, 0, length, 0]);
    let shape =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {numbers}), }}");
    header[10..10 + shape.len()].copy_from_slice(shape.as_bytes());
    header[HEADER - 1] = b'\n';
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_shape_fits_the_header() {
        let header = header(u64::MAX, sutra_wire::limits::MAX_DIMENSION);
        let text = String::from_utf8_lossy(&header[10..]).into_owned();
        assert!(text.trim_end().ends_with("(18446744073709551615, 65536), }"), "{text:?}");
    }
}
