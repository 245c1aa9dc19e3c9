//! Lines of a `.jsonl` file: reading them in bounded memory, and what each stands for.

use std::io::{self, BufRead};

use serde::Deserialize;
use sutra_wire::limits::MAX_PAYLOAD;
use sutra_wire::{
    AssociationKind, AssociationRecord, Checked, ConceptId, ConceptRecord, FrameBuffer, Header,
    Parsed, Payload, encode_archive, parse,
};

use crate::text;

/// Longest line, in bytes: the longest content that a request holds (16 MiB), each byte escaped in
/// the worst JSON way, fits.
const MAX_LINE: usize = 96 << 20;

/// A concept's line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConceptLine {
    /// What chooses the concept: a name, or an id in digits.
    pub(crate) name: String,
    /// What it is called, where that is said beside.
    pub(crate) called: Option<String>,
    pub(crate) content: String,
    pub(crate) embedding: Option<Vec<f32>>,
    pub(crate) strength: f32,
    pub(crate) confidence: f32,
    pub(crate) times: Times,
    pub(crate) namespace: Option<String>,
}

/// When a record was first and last written, in µs since 1970. 0 where a line does not say: then
/// the server does, and what it says is not held against the line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Times {
    pub(crate) created: u64,
    pub(crate) updated: u64,
}

impl Times {
    /// Whether a stored record has these times.
    pub(super) fn are(self, created: u64, updated: u64) -> bool {
        let is = |said: u64, stored: u64| said == 0 || said == stored;
        is(self.created, created) && is(self.updated, updated)
    }
}

/// An association's line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AssociationLine {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) kind: AssociationKind,
    pub(crate) confidence: f32,
    pub(crate) times: Times,
    pub(crate) namespace: Option<String>,
}

/// What a line stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    Concept(ConceptLine),
    Association(AssociationLine),
}

/// A line, or what is wrong with it, with its number from 1.
pub(super) type Numbered = (u64, Result<Line, Bad>);

/// Every key that a line may have. An unknown one is refused: a misspelt key would silently lose
/// what it holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    id: Option<String>,
    name: Option<String>,
    content: Option<String>,
    embedding: Option<Vec<f32>>,
    strength: Option<f32>,
    source: Option<String>,
    target: Option<String>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    confidence: Option<f32>,
    created: Option<u64>,
    updated: Option<u64>,
    namespace: Option<String>,
}

impl Keys {
    fn parse(text: &[u8]) -> Result<Self, String> {
        if !text.starts_with(b"{") {
            return Err("not a JSON object".into());
        }
        serde_json::from_slice(text).map_err(|error| reason(&error))
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "type is neither a text nor a number")]
enum Kind {
    Number(u32),
    Name(String),
}

/// A line that can't be imported.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bad {
    /// What is wrong with it.
    pub(crate) reason: String,
    /// Whether it may be meant for a concept: then a row of the embeddings belongs to it all the
    /// same.
    pub(crate) has_row: bool,
}

impl Line {
    /// Reads a line; the error says what is wrong with it.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Bad> {
        let keys = Keys::parse(text).map_err(|reason| Bad { reason, has_row: true })?;
        let has_row = keys.source.is_none() && keys.target.is_none();
        Self::of(keys).map_err(|reason| Bad { reason, has_row })
    }

    fn of(keys: Keys) -> Result<Self, String> {
        let confidence = keys.confidence.unwrap_or(1.0);
        let times = Times {
            created: keys.created.unwrap_or_default(),
            updated: keys.updated.unwrap_or_default(),
        };
        match keys {
            Keys {
                id: Some(name),
                name: called,
                source: None,
                target: None,
                kind: None,
                content,
                embedding,
                strength,
                namespace,
                ..
            } => {
                let content = content.ok_or("a concept needs \"content\"")?;
                let strength = strength.unwrap_or(1.0);
                let line = ConceptLine {
                    name,
                    called,
                    content,
                    embedding,
                    strength,
                    confidence,
                    times,
                    namespace,
                };
                line.check()?;
                Ok(Line::Concept(line))
            }
            Keys {
                source: Some(source),
                target: Some(target),
                id: None,
                name: None,
                content: None,
                embedding: None,
                strength: None,
                kind,
                namespace,
                ..
            } => {
                let kind = match kind {
                    None => AssociationKind::SEMANTIC,
                    Some(Kind::Number(number)) => AssociationKind(number),
                    Some(Kind::Name(name)) => name.parse().map_err(|error| format!("{error}"))?,
                };
                let line = AssociationLine { source, target, kind, confidence, times, namespace };
                line.check()?;
                Ok(Line::Association(line))
            }
            _ => Err("neither a concept (\"id\" and \"content\") nor an association \
                      (\"source\" and \"target\")"
                .into()),
        }
    }
}

fn id(name: &str) -> Result<[u8; 16], String> {
    ConceptId::from_name(name).map(|id| id.0).map_err(|error| error.to_string())
}

impl ConceptLine {
    /// Whether a server would take it. It says so by the server's own checks, before anything is
    /// written.
    pub(super) fn check(&self) -> Result<(), String> {
        let record = ConceptRecord {
            id: id(&self.name)?,
            namespace: self.namespace.clone().unwrap_or_default(),
            name: self.called.as_ref().unwrap_or(&self.name).clone(),
            content: self.content.clone(),
            embedding: self.embedding.clone().unwrap_or_default(),
            strength: self.strength,
            confidence: self.confidence,
            ..ConceptRecord::default()
        };
        let mut out = FrameBuffer::new();
        encode_archive(&mut out, Header::default(), &record);
        check::<ConceptRecord>(&out)
    }
}

impl AssociationLine {
    /// As [`ConceptLine::check`].
    fn check(&self) -> Result<(), String> {
        let record = AssociationRecord {
            source: id(&self.source)?,
            target: id(&self.target)?,
            namespace: self.namespace.clone().unwrap_or_default(),
            kind: self.kind.0,
            confidence: self.confidence,
            ..AssociationRecord::default()
        };
        let mut out = FrameBuffer::new();
        encode_archive(&mut out, Header::default(), &record);
        check::<AssociationRecord>(&out)
    }
}

/// Whether the frame's payload is an archive that a server takes.
fn check<T: Payload>(frame: &[u8]) -> Result<(), String> {
    match parse(frame, MAX_PAYLOAD) {
        Ok(Parsed::Frame(frame, _)) => {
            Checked::<T>::new(frame.payload).map(|_| ()).map_err(|error| error.to_string())
        }
        _ => {
            Err(format!("takes {} bytes as a {}, the limit is {MAX_PAYLOAD}", frame.len(), T::NAME))
        }
    }
}

/// Leaves out the parser's line number: it is given one line at a time.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = if error.is_data() { "" } else { "not JSON: " };
    match text.strip_suffix(&place) {
        Some(words) => format!("{what}{words} (column {})", error.column()),
        None => format!("{what}{text}"),
    }
}

/// A line that was read: its text, or that it is too long to be one.
#[derive(Debug, PartialEq)]
pub(crate) enum Text<'a> {
    Whole(&'a [u8]),
    TooLong,
}

/// The non-blank lines of a file, one at a time.
pub(crate) struct Lines<R> {
    reader: R,
    number: u64,
    buffer: Vec<u8>,
    limit: usize,
}

/// A line without the white space around it, and without a byte order mark, which joined files
/// have in the middle.
fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    line.strip_prefix(text::MARK).unwrap_or(line).trim_ascii_start()
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(text: R) -> Self {
        Self::new(text, MAX_LINE)
    }

    fn new(reader: R, limit: usize) -> Self {
        Self { reader, number: 0, buffer: Vec::new(), limit }
    }

    /// The next line that is not blank, with its number in the file, from 1. Of a line beyond the
    /// limit no more than that is held.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Text<'_>)>> {
        loop {
            self.buffer.clear();
            let mut seen = 0;
            let mut ended = false;
            while !ended {
                let chunk = self.reader.fill_buf()?;
                if chunk.is_empty() {
                    break;
                }
                let newline = chunk.iter().position(|byte| *byte == b'\n');
                let used = newline.map_or(chunk.len(), |at| at + 1);
                let room = self.limit.saturating_sub(self.buffer.len());
                self.buffer.extend_from_slice(&chunk[..used.min(room)]);
                seen += used;
                ended = newline.is_some();
                self.reader.consume(used);
            }
            if seen == 0 {
                return Ok(None);
            }
            self.number += 1;
            if seen > self.limit {
                return Ok(Some((self.number, Text::TooLong)));
            }
            if !trimmed(&self.buffer).is_empty() {
                break;
            }
        }
        Ok(Some((self.number, Text::Whole(trimmed(&self.buffer)))))
    }
}

impl Text<'_> {
    /// What the line stands for.
    pub(crate) fn parse(&self) -> Result<Line, Bad> {
        match self {
            Text::Whole(text) => Line::parse(text),
            Text::TooLong => {
                Err(Bad { reason: format!("longer than {MAX_LINE} bytes"), has_row: true })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::BufReader;

    use super::*;

    #[test]
    fn concepts_and_associations_are_told_apart_by_their_keys() {
        let Line::Concept(concept) =
            Line::parse(br#"{"id":"dog","content":"a \"dog\"","strength":2}"#).unwrap()
        else {
            panic!("a concept")
        };
        assert_eq!(
            (concept.content.as_str(), concept.strength, concept.confidence),
            ("a \"dog\"", 2.0, 1.0)
        );
        for (kind, number) in [("\"hierarchical\"", 3), ("77", 77)] {
            let text = format!(r#"{{"source":"a","target":"b","type":{kind},"confidence":0.5}}"#);
            let Line::Association(association) = Line::parse(text.as_bytes()).unwrap() else {
                panic!("an association")
            };
            assert_eq!((association.kind, association.confidence), (AssociationKind(number), 0.5));
        }
    }

    #[test]
    fn a_bad_line_says_what_is_wrong_with_it() {
        for (text, says) in [
            (&b"{\"id\":\"a\""[..], "EOF"),
            (b"[\"dog\", \"text\"]", "not a JSON object"),
            (b"{\"id\":\"a\"}", "needs \"content\""),
            (b"{\"id\":\"a\",\"contents\":\"b\"}", "unknown field `contents`"),
            (b"{\"id\":5,\"content\":\"b\"}", "expected a string"),
            (b"{\"id\":\"a\",\"content\":\"b\",\"created\":-1}", "invalid value"),
            (b"{\"source\":\"a\",\"target\":\"b\",\"name\":\"c\"}", "neither"),
            (b"{\"source\":\"a\"}", "neither"),
            (b"{\"id\":\"a\",\"content\":\"b\",\"source\":\"c\",\"target\":\"d\"}", "neither"),
            (b"{\"source\":\"a\",\"target\":\"b\",\"type\":\"partly\"}", "partly"),
            (b"{\"source\":\"a\",\"target\":\"b\",\"type\":-1}", "type is neither"),
            (b"{\"id\":\"a\",\"content\":\"\xff\"}", "unicode"),
        ] {
            let reason = Line::parse(text).unwrap_err().reason;
            assert!(reason.contains(says) && !reason.contains("at line"), "{reason}");
        }
    }

    #[test]
    fn blank_lines_are_passed_over_and_still_counted() {
        let mut lines = Lines::new(&b"\n{}\r\n  \n\xef\xbb\xbf{ }"[..], 100);
        assert_eq!(lines.next().unwrap(), Some((2, Text::Whole(b"{}"))));
        assert_eq!(lines.next().unwrap(), Some((4, Text::Whole(b"{ }"))));
        assert_eq!(lines.next().unwrap(), None);
    }

    #[test]
    fn a_line_beyond_the_limit_is_not_held_and_the_next_is_read() {
        let text = format!("{}\n{{}}\n", "x".repeat(5000));
        let mut lines = Lines::new(BufReader::with_capacity(64, text.as_bytes()), 100);
        assert_eq!(lines.next().unwrap(), Some((1, Text::TooLong)));
        assert!(lines.buffer.capacity() < 400, "{}", lines.buffer.capacity());
        assert_eq!(lines.next().unwrap(), Some((2, Text::Whole(b"{}"))));
    }
}
