//! GraphML, as Gephi, yEd, Cytoscape and networkx read it: labels and contents of nodes, type and
//! confidence of edges.

use std::fmt;
use std::io::{self, Write};

use sutra_wire::ArchivedConceptRecord;

use super::destination::Destination;
use super::format::{Edge, End, Finished, Format, drawable, label};

pub(super) struct GraphMl {
    out: Destination,
}

impl GraphMl {
    pub(super) fn begin(mut out: Destination) -> io::Result<Self> {
        out.write_all(
            br#"<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="label" for="node" attr.name="label" attr.type="string"/>
  <key id="content" for="node" attr.name="content" attr.type="string"/>
  <key id="strength" for="node" attr.name="strength" attr.type="float"/>
  <key id="confidence" for="node" attr.name="confidence" attr.type="float"/>
  <key id="learned" for="node" attr.name="learned" attr.type="boolean"/>
  <key id="type" for="edge" attr.name="type" attr.type="string"/>
  <key id="sureness" for="edge" attr.name="confidence" attr.type="float"/>
  <graph id="sutra" edgedefault="directed">
"#,
        )?;
        Ok(Self { out })
    }
}

impl Format for GraphMl {
    fn concept(&mut self, end: &End, record: Option<&ArchivedConceptRecord>) -> io::Result<()> {
        let out = &mut self.out;
        write!(
            out,
            "    <node id=\"{}\"><data key=\"label\">{}</data>",
            end.id,
            Text(&label(end, record))
        )?;
        write!(out, "<data key=\"learned\">{}</data>", record.is_some())?;
        if let Some(record) = record {
            write!(out, "<data key=\"content\">{}</data>", Text(&record.content))?;
            write!(out, "<data key=\"strength\">{}</data>", record.strength)?;
            write!(out, "<data key=\"confidence\">{}</data>", record.confidence)?;
        }
        writeln!(out, "</node>")
    }

    fn association(&mut self, edge: &Edge<'_>) -> io::Result<()> {
        let (Edge { source, target, kind, confidence, .. }, out) = (edge, &mut self.out);
        write!(
            out,
            "    <edge source=\"{}\" target=\"{}\"><data key=\"type\">{kind}</data>",
            source.id, target.id
        )?;
        writeln!(out, "<data key=\"sureness\">{confidence}</data></edge>")
    }

    fn finish(mut self: Box<Self>) -> io::Result<Finished> {
        self.out.write_all(b"  </graph>\n</graphml>\n")?;
        self.out.finish()?;
        Ok(Finished::default())
    }
}

/// A text as an element's content. What XML 1.0 can't hold in any way is shown by its picture.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            // A parser takes a bare one for a line's end.
            '\r' => f.write_str("&#13;"),
            c => f.write_char(drawable(c)),
        })
    }
}
