//! The language of Graphviz: labels of nodes, what they hold as their tooltips, type and confidence
//! of edges.
//!
//! Promises: what Graphviz draws is the text as it is stored. What no drawing can hold is shown by
//! its picture.

use std::fmt;
use std::io::{self, Write};

use sutra_wire::ArchivedConceptRecord;

use super::format::{Edge, End, Format, drawable, label};

pub(super) struct Dot;

impl Format for Dot {
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"digraph sutra {\n  charset=\"UTF-8\";\n")
    }

    fn concept(
        &self,
        out: &mut dyn Write,
        end: &End,
        record: Option<&ArchivedConceptRecord>,
    ) -> io::Result<()> {
        write!(out, "  \"{}\" [label=\"{}\"", end.id, Quoted(&label(end, record), Used::AsLabel))?;
        match record {
            Some(record) => {
                write!(out, ", tooltip=\"{}\"", Quoted(&record.content, Used::AsTooltip))?;
            }
            None => write!(out, ", style=\"dashed\"")?,
        }
        writeln!(out, "];")
    }

    fn association(&self, out: &mut dyn Write, edge: &Edge<'_>) -> io::Result<()> {
        let Edge { source, target, kind, confidence } = edge;
        writeln!(
            out,
            "  \"{}\" -> \"{}\" [label=\"{kind}\", confidence=\"{confidence}\"];",
            source.id, target.id
        )
    }

    fn end(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"}\n")
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
