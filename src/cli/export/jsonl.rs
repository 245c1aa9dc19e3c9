//! The lines that `sutra import` reads, all into one file.

use std::io::{self, Write};

use sutra_wire::ArchivedConceptRecord;

use super::destination::Destination;
use super::format::{Edge, End, Finished, Format};
use super::lines::{self, Embedding};

pub(super) struct JsonLines {
    out: Destination,
    /// The namespace of the lines that follow; `None` leaves it out where it is the default one, so
    /// that an import may choose.
    namespace: Option<String>,
    says_default: bool,
}

impl JsonLines {
    /// `says_default`: whether lines of the default namespace say so.
    pub(super) fn new(out: Destination, says_default: bool) -> Self {
        Self { out, namespace: None, says_default }
    }
}

impl Format for JsonLines {
    fn wants_times(&self) -> bool {
        true
    }

    fn namespace(&mut self, name: &str) -> io::Result<()> {
        let is_said = self.says_default || !name.is_empty();
        self.namespace = is_said.then(|| name.to_owned());
        Ok(())
    }

    fn concept(&mut self, end: &End, record: Option<&ArchivedConceptRecord>) -> io::Result<()> {
        let Some(record) = record else { return Ok(()) };
        lines::concept(&mut self.out, self.namespace.as_deref(), end, record, Embedding::Inside)
    }

    fn association(&mut self, edge: &Edge<'_>) -> io::Result<()> {
        lines::association(&mut self.out, self.namespace.as_deref(), edge)
    }

    fn finish(mut self: Box<Self>) -> io::Result<Finished> {
        self.out.flush()?;
        self.out.finish()?;
        Ok(Finished::default())
    }
}
