//! The language of Graphviz: labels of nodes, what they hold as their tooltips, type and confidence of edges.

use std::fmt;
use std::io::{self, Write};

use sutra_wire::ArchivedConceptRecord;

use super::format::{Edge, End, Format, label};

pub(super) struct Dot;

impl Format for Dot {
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"digraph sutra {\n  charset=\"UTF-8\";\n")
    }

    fn concept(&self, out: &mut dyn Write, end: &End, record: Option<&ArchivedConceptRecord>) -> io::Result<()> {
        write!(out, "  \"{}\" [label=\"{}\"", end.id, Quoted(&label(end, record)))?;
        match record {
            Some(record) => write!(out, ", tooltip=\"{}\"", Quoted(&record.content))?,
            None => write!(out, ", style=\"dashed\"")?,
        }
        writeln!(out, "];")
    }

    fn association(&self, out: &mut dyn Write, edge: &Edge<'_>) -> io::Result<()> {
        let Edge { source, target, kind, confidence } = edge;
        writeln!(out, "  \"{}\" -> \"{}\" [label=\"{kind}\", confidence=\"{confidence}\"];", source.id, target.id)
    }

    fn end(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"}\n")
    }
}

/// A text between quotes. Backslashes begin Graphviz's own escapes, such as `\N` for a node's name, so each is doubled.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.0.chars().try_for_each(|c| match c {
            '"' => f.write_str("\\\""),
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            c if c.is_control() => f.write_char(char::REPLACEMENT_CHARACTER),
            c => f.write_char(c),
        })
    }
}
