//! `sutra learn`: stores a concept.

use serde_json::json;
use sutra_client::{Client, Concept};
use sutra_wire::ConceptId;

use crate::args::{Learn, Named};
use crate::exit::{Answer, Failure};
use crate::output::{Output, name};

pub(crate) async fn run(client: &Client, learn: &Learn, output: Output) -> Result<Answer, Failure> {
    let embedding = learn.embedding.as_deref().map_or(Ok(Vec::new()), embedding)?;
    let Named { concept: called, place } = &learn.named;
    let concept = Concept::new(called)
        .content(&learn.content)
        .embedding(embedding)
        .strength(learn.strength)
        .confidence(learn.confidence)
        .namespace(&place.namespace);
    let sequence = client.learn(concept).await?;
    let id = ConceptId::from_name(called).map(|id| id.to_string()).unwrap_or_default();
    output.answer(&json!({ "name": called, "id": id, "sequence": sequence }), || {
        format!("learned {} (id {id}, sequence {sequence})", name(called))
    })?;
    Ok(Answer::Yes)
}

/// A JSON list of numbers, or the name of a file that holds one.
fn embedding(text: &str) -> Result<Vec<f32>, Failure> {
    let wrong = |problem: String| Failure::Usage(format!("--embedding: {problem}"));
    let in_file = !text.trim_start().starts_with('[');
    let list = if in_file {
        std::fs::read_to_string(text).map_err(|error| wrong(format!("cannot read the file {text}: {error}")))?
    } else {
        text.to_owned()
    };
    serde_json::from_str(&list).map_err(|error| {
        let place = if in_file { format!(" in {text}") } else { String::new() };
        wrong(format!("expected a JSON list of numbers{place}, like [0.1, 0.2]: {error}"))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_embedding_is_a_list_or_a_file_with_one() {
        assert_eq!(embedding(" [1, 0.5]").unwrap(), [1.0, 0.5]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[2.5]").unwrap();
        assert_eq!(embedding(file.path().to_str().unwrap()).unwrap(), [2.5]);
    }

    #[test]
    fn what_is_neither_is_wrong_usage_that_says_why() {
        for (text, says) in [("[1, \"a\"]", "list of numbers"), ("no-such-file", "no-such-file")] {
            let failure = embedding(text).unwrap_err();
            assert!(failure.code() == 2 && failure.to_string().contains(says), "{failure}");
        }
    }
}
