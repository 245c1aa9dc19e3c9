//! `sutra learn`: stores a concept, and says what of an earlier version it replaced.
//!
//! A learn is the whole record, so it also replaces what is not given. What was there is looked up
//! just before. A vector is dropped only where that is asked for. A concept that is learned by its
//! id keeps its name.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;
use sutra_client::{Client, Concept};
use sutra_wire::{ArchivedConceptRecord, ConceptId};

use crate::exit::{Answer, Failure};
use crate::output::{Output, columns};
use crate::printable::name;
use crate::target::{Named, Server};
use crate::values::{from_zero, share};
use crate::vector::vector;
use crate::words::{counted, first_line};

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sutra learn dog \"a domesticated carnivore\"\n  \
    sutra learn dog \"a domesticated carnivore\" --namespace pets \
    --embedding \"[0.1, 0.2, 0.3]\"\n\n\
    Learning a concept again replaces its whole record: content, embedding, strength and \
    confidence, even those that are not given. Only its associations stay. The answer says what \
    was replaced. Without --without-embedding no embedding is dropped. A concept that is learned \
    by its id keeps its name. All embeddings of a namespace have the same number of numbers.")]
pub(crate) struct Learn {
    #[command(flatten)]
    named: Named,
    /// Its text
    content: String,
    /// Its embedding: a JSON list of numbers, or a file that holds one
    #[arg(long, value_name = "FILE|JSON", allow_hyphen_values = true)]
    embedding: Option<String>,
    /// Drop the embedding that the concept has
    #[arg(long, conflicts_with = "embedding")]
    without_embedding: bool,
    /// Its strength, not negative
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "1",
        allow_hyphen_values = true,
        value_parser = from_zero
    )]
    strength: f32,
    /// Its confidence, 0 to 1
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "1",
        allow_hyphen_values = true,
        value_parser = share
    )]
    confidence: f32,
}

impl Learn {
    pub(crate) fn server(&self) -> &Server {
        self.named.server()
    }
}

/// The answer for programs.
#[derive(Serialize)]
struct Learned<'a> {
    name: &'a str,
    id: String,
    sequence: u64,
    /// `null` where the concept was not learned before.
    replaced: Option<Replaced>,
}

/// What an earlier version had otherwise; what is the same is left out.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Replaced {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<Vec<f32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
}

pub(crate) async fn run(client: &Client, learn: &Learn, output: Output) -> Result<Answer, Failure> {
    let patience = learn.server().timeout;
    let embedding = learn
        .embedding
        .as_deref()
        .map_or(Ok(Vec::new()), |text| vector("--embedding", text, patience))?;
    let Named { concept: called, place } = &learn.named;
    let client = client.namespace(&place.namespace);
    let earlier = client.query(called).await?;
    let numbers = earlier.as_ref().map_or(0, |earlier| earlier.embedding.len());
    if numbers > 0 && embedding.is_empty() && !learn.without_embedding {
        return Err(Failure::Refused(format!(
            "{} has an embedding of {}, which this would drop: learning replaces the whole record. \
             Give it again with --embedding, or drop it with --without-embedding",
            name(called),
            counted(numbers as u64, "number")
        )));
    }
    let mut concept = Concept::new(called)
        .content(&learn.content)
        .embedding(embedding.clone())
        .strength(learn.strength)
        .confidence(learn.confidence);
    let is_by_id = ConceptId::from_digits(called).is_some();
    let kept = earlier.as_ref().map_or("", |earlier| earlier.name.as_str());
    if is_by_id && ConceptId::from_digits(kept).is_none() {
        concept = concept.name(kept);
    }
    let sequence = client.learn(concept).await?;
    let replaced = earlier.as_ref().map(|earlier| replaced(earlier, learn, &embedding, is_by_id));
    let id = ConceptId::from_name(called).map(|id| id.to_string()).unwrap_or_default();
    let words = for_people(
        &name(called),
        &id,
        sequence,
        replaced.as_ref(),
        embedding.is_empty(),
        columns(),
    );
    output.answer(&Learned { name: called, id, sequence, replaced }, || words)?;
    Ok(Answer::Yes)
}

fn replaced(
    earlier: &ArchivedConceptRecord,
    learn: &Learn,
    embedding: &[f32],
    is_by_id: bool,
) -> Replaced {
    let unless_same = |was: f32, is: f32| Some(was).filter(|was| *was != is);
    let called = &learn.named.concept;
    let was: Vec<f32> = earlier.embedding.iter().map(|number| number.to_native()).collect();
    let keeps_name = is_by_id || earlier.name.is_empty() || earlier.name == called.as_str();
    Replaced {
        name: (!keeps_name).then(|| earlier.name.to_string()),
        content: (earlier.content != learn.content.as_str()).then(|| earlier.content.to_string()),
        embedding: Some(was).filter(|was| !was.is_empty() && was != embedding),
        strength: unless_same(earlier.strength.to_native(), learn.strength),
        confidence: unless_same(earlier.confidence.to_native(), learn.confidence),
    }
}

fn for_people(
    called: &str,
    id: &str,
    sequence: u64,
    replaced: Option<&Replaced>,
    has_no_vector: bool,
    columns: usize,
) -> String {
    let anew = if replaced.is_some() { " anew" } else { "" };
    let mut text = format!("learned {called}{anew} (id {id}, sequence {sequence})");
    let mut was = |field: &str, value: &str| {
        // Writing to a string can't fail.
        let _ = write!(text, "\n{}", first_line(&format!("  {field:<11} was: {value}"), columns));
    };
    let Some(Replaced { name: earlier_name, content, embedding, strength, confidence }) = replaced
    else {
        return text;
    };
    if let Some(earlier) = earlier_name {
        was("name", &name(earlier));
    }
    if let Some(content) = content {
        was("content", &name(content));
    }
    if let Some(embedding) = embedding {
        let now = if has_no_vector { "; it has none now" } else { "" };
        was("embedding", &format!("{}{now}", counted(embedding.len() as u64, "number")));
    }
    if let Some(strength) = strength {
        was("strength", &strength.to_string());
    }
    if let Some(confidence) = confidence {
        was("confidence", &confidence.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::*;
    use crate::args::{Arguments, Command};

    #[test]
    fn negative_values_get_to_the_checks_of_their_flags() {
        let line = ["sutra", "learn", "a", "b", "--embedding", "-1"];
        let Command::Learn(learn) = Arguments::try_parse_from(line).unwrap().command else {
            panic!("learn")
        };
        assert_eq!(learn.embedding.as_deref(), Some("-1"));
        for number in ["-1", "x", "inf", "NaN"] {
            let line = ["sutra", "learn", "a", "b", "--strength", number];
            let refused = Arguments::try_parse_from(line).unwrap_err().to_string();
            assert!(refused.contains("--strength"), "{refused}");
            assert!(refused.contains("expected a number from 0 on"), "{refused}");
        }
    }

    #[test]
    fn people_see_what_was_there_and_is_not_any_more() {
        let replaced = Replaced {
            content: Some("first\nsecond".into()),
            embedding: Some(vec![0.5; 3]),
            strength: Some(0.5),
            ..Replaced::default()
        };
        let text = for_people("dog", "06d8", 7, Some(&replaced), true, 200);
        let expected = [
            "learned dog anew (id 06d8, sequence 7)",
            "  content     was: first\\nsecond",
            "  embedding   was: 3 numbers; it has none now",
            "  strength    was: 0.5",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(
            for_people("dog", "06d8", 7, None, true, 200),
            "learned dog (id 06d8, sequence 7)"
        );
    }
}
