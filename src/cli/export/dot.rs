//! The language of Graphviz: labels of nodes, what they hold as their tooltips, type and confidence
//! of edges.
//!
//! Promises: what Graphviz draws is the text as it is stored. What no drawing can hold is shown by
//! its picture.

use std::fmt;
use std::io::{self, Write};

use sutra_wire::ArchivedConceptRecord;

use super::destination::Destination;
use super::format::{Edge, End, Finished, Format, drawable, label};

pub(super) struct Dot {
    out: Destination,
}

impl Dot {
    pub(super) fn begin(mut out: Destination) -> io::Result<Self> {
        out.write_all(b"digraph sutra {\n  charset=\"UTF-8\";\n")?;
        Ok(Self { out })
    }
}

impl Format for Dot {
    fn concept(&mut self, end: &End, record: Option<&ArchivedConceptRecord>) -> io::Result<()> {
        let out = &mut self.out;
        write!(out, "  \"{}\" [label=\"{}\"", end.id, Quoted(&label(end, record), Used::AsLabel))?;
        match record {
            Some(record) => {
                write!(out, ", tooltip=\"{}\"", Quoted(&record.content, Used::AsTooltip))?;
            }
            None => write!(out, ", style=\"dashed\"")?,
        }
        writeln!(out, "];")
    }

    fn association(&mut self, edge: &Edge<'_>) -> io::Result<()> {
        let (Edge { source, target, kind, confidence, .. }, out) = (edge, &mut self.out);
        writeln!(
            out,
            "  \"{}\" -> \"{}\" [label=\"{kind}\", confidence=\"{confidence}\"];",
            source.id, target.id
        )
    }

    fn finish(mut self: Box<Self>) -> io::Result<Finished> {
        self.out.write_all(b"}\n")?;
        self.out.finish()?;
        Ok(Finished::default())
    }
}

/// What Graphviz takes a text for.
#[derive(Clone, Copy, PartialEq)]
enum Used {
    AsLabel,
    AsTooltip,
}

/// A text between quotes. Graphviz decodes `&amp;` and `&#13;` as HTML does, and backslashes begin
/// its own escapes, such as `\N` for a node's name; of a tooltip it decodes these twice.
struct Quoted<'a>(&'a str, Used);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.0.chars().try_for_each(|c| match c {
            '"' => f.write_str("\\\""),
            '&' => f.write_str("&amp;"),
            '\\' if self.1 == Used::AsTooltip => f.write_str(r"\\\\"),
            '\\' => f.write_str(r"\\"),
            '\n' => f.write_str("\\n"),
            // A reader of text files would take a bare one for a line's end.
            '\r' => f.write_str("&#13;"),
            c => f.write_char(drawable(c)),
        })
    }
}
