//! `sutra query`: shows a concept.

use std::fmt::Write;

use serde::Serialize;
use serde_json::json;
use sutra_client::Client;
use sutra_wire::{ArchivedConceptRecord, ConceptId};

use crate::exit::{Answer, Failure};
use crate::known::{is_known, not_known};
use crate::output::Output;
use crate::printable::{name, printable};
use crate::target::Named;
use crate::words::{counted, local_time, utc_time};

/// How many of an embedding's numbers people are shown.
const SHOWN: usize = 6;

/// A concept for programs.
#[derive(Serialize)]
struct Found<'a> {
    found: bool,
    name: &'a str,
    id: String,
    namespace: &'a str,
    content: &'a str,
    strength: f32,
    confidence: f32,
    created: String,
    updated: String,
    embedding: Vec<f32>,
}

pub(crate) async fn run(client: &Client, query: &Named, output: Output) -> Result<Answer, Failure> {
    let namespaced = client.namespace(&query.place.namespace);
    let Some(concept) = namespaced.query(&query.concept).await? else {
        let id = ConceptId::from_name(&query.concept).map(|id| id.to_string()).unwrap_or_default();
        let associated = is_known(&namespaced, &query.concept).await?;
        let value =
            json!({ "found": false, "name": query.concept, "id": id, "associated": associated });
        output.answer(&value, || match associated {
            true => format!("{} is not learned yet; associations name it", name(&query.concept)),
            false => not_known(&[&query.concept], &query.place.namespace),
        })?;
        return Ok(Answer::No);
    };
    output.answer(&for_programs(&concept), || for_people(&concept, &query.concept))?;
    Ok(Answer::Yes)
}

fn for_programs(concept: &ArchivedConceptRecord) -> Found<'_> {
    Found {
        found: true,
        name: &concept.name,
        id: ConceptId(concept.id).to_string(),
        namespace: &concept.namespace,
        content: &concept.content,
        strength: concept.strength.to_native(),
        confidence: concept.confidence.to_native(),
        created: utc_time(concept.created.to_native()),
        updated: utc_time(concept.updated.to_native()),
        embedding: concept.embedding.iter().map(|number| number.to_native()).collect(),
    }
}

fn for_people(concept: &ArchivedConceptRecord, asked: &str) -> String {
    let mut text = name(if concept.name.is_empty() { asked } else { &concept.name });
    let mut line = |label: &str, value: &str| {
        // Writing to a string can't fail.
        let _ = write!(text, "\n  {label:<11} {value}");
    };
    line("content", &printable(&concept.content).replace('\n', "\n              "));
    line("id", &ConceptId(concept.id).to_string());
    if !concept.namespace.is_empty() {
        line("namespace", &name(&concept.namespace));
    }
    line("strength", &concept.strength.to_native().to_string());
    line("confidence", &concept.confidence.to_native().to_string());
    line("created", &local_time(concept.created.to_native()));
    if concept.updated != concept.created {
        line("updated", &local_time(concept.updated.to_native()));
    }
    let numbers = concept.embedding.len();
    if numbers > 0 {
        let first: Vec<String> =
            concept.embedding.iter().take(SHOWN).map(|number| format!("{number:.4}")).collect();
        let more = if numbers > SHOWN { ", …" } else { "" };
        line(
            "embedding",
            &format!("{}: {}{more}", counted(numbers as u64, "number"), first.join(", ")),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use sutra_wire::{Checked, ConceptRecord, FrameBuffer, Header, Parsed, encode_archive, parse};

    use super::*;

    fn shown(record: &ConceptRecord) -> (String, serde_json::Value) {
        let mut out = FrameBuffer::new();
        encode_archive(&mut out, Header::default(), record);
        let Ok(Parsed::Frame(frame, _)) = parse(&out, u32::MAX) else { panic!("a whole frame") };
        let concept = Checked::<ConceptRecord>::new(frame.payload).expect("valid");
        (
            for_people(&concept, "asked"),
            serde_json::to_value(for_programs(&concept)).expect("plain data"),
        )
    }

    #[test]
    fn people_see_the_first_numbers_and_programs_all() {
        let record = ConceptRecord {
            id: [0xab; 16],
            content: "first\nsecond\u{1b}".into(),
            embedding: vec![0.25; 8],
            created: 1_700_000_000_000_000,
            updated: 1_700_000_000_000_000,
            ..ConceptRecord::default()
        };
        let (text, value) = shown(&record);
        assert!(
            text.starts_with("asked\n")
                && text.contains("8 numbers: 0.2500")
                && text.contains(", …"),
            "{text}"
        );
        assert!(
            !text.contains('\u{1b}') && !text.contains("updated") && !text.contains("namespace"),
            "{text}"
        );
        assert_eq!(value["embedding"].as_array().map(Vec::len), Some(8));
        assert_eq!(
            (&value["id"], &value["content"]),
            (&"ab".repeat(16).into(), &"first\nsecond\u{1b}".into())
        );
    }
}
