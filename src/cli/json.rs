//! JSON as this program writes it: text in it that could steer or deceive the terminal that shows
//! it is escaped, which changes nothing for a parser.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use crate::printable::steers;

/// Writes a value as one line, without its end.
pub(crate) fn write(out: impl Write, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Escaping))
}

/// A value as one line, without its end.
pub(crate) fn line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = Vec::with_capacity(128);
    write(&mut line, value)?;
    Ok(String::from_utf8(line).expect("JSON is UTF-8"))
}

/// The usual format, but that what steers is written by its numbers.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| steers(*c)) {
            CompactFormatter.write_string_fragment(out, &rest[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(out, rest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_steers_is_escaped_and_read_back_as_it_was() {
        for (text, written) in [
            ("plain ä 犬 \u{1f600}", "\"plain ä 犬 \u{1f600}\""),
            ("a\u{202e}b\u{85}\n\u{7}", "\"a\\u202eb\\u0085\\n\\u0007\""),
            ("\u{e0041}", "\"\\udb40\\udc41\""),
        ] {
            let line = line(&text).unwrap();
            assert_eq!(line, written);
            assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
