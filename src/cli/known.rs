//! What concepts that an answer gives by their ids are called, and what they hold.

use std::vec::IntoIter;

use serde::Serialize;
use sutra_client::{Client, ConceptRecord, Many, PathQuery, View};
use sutra_wire::ConceptId;

use crate::exit::Failure;
use crate::printable::{in_namespace, name};

/// Records under way at a time: few, as one may have 16 MiB.
pub(crate) const RECORDS: usize = 64;

/// How much of a concept's content is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// All of it, as programs get it.
    Whole,
    /// As people are shown it in lists.
    FirstLine,
}

/// A concept as answers show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Known {
    #[serde(serialize_with = "digits")]
    pub(crate) id: ConceptId,
    /// Empty where the concept is not learned yet, or was learned by its id.
    pub(crate) name: String,
    pub(crate) learned: bool,
    /// As much of it as was asked for.
    pub(crate) content: String,
}

fn digits<S: serde::Serializer>(id: &ConceptId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

impl Known {
    /// What people call it: its name, else what it says, else its id.
    pub(crate) fn called(&self) -> String {
        let text =
            [&*self.name, first_line(&self.content)].into_iter().find(|text| !text.is_empty());
        text.map_or_else(|| self.id.to_string(), name)
    }

    /// What it holds, for people.
    pub(crate) fn holds(&self) -> String {
        if self.learned { name(first_line(&self.content)) } else { "not learned yet".into() }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Concepts that are looked up, many at a time; they come in the order of their ids.
pub(crate) struct LookUp {
    ids: IntoIter<ConceptId>,
    answers: Many<IntoIter<ConceptId>, Option<View<ConceptRecord>>>,
    content: Content,
}

impl LookUp {
    pub(crate) fn new(client: &Client, ids: Vec<ConceptId>, content: Content) -> Self {
        let answers = client.query_many(ids.clone()).in_flight(RECORDS);
        Self { ids: ids.into_iter(), answers, content }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Known>, Failure> {
        let (Some(id), Some(answer)) = (self.ids.next(), self.answers.next().await) else {
            return Ok(None);
        };
        let concept = answer?;
        let (name, content) =
            concept.as_ref().map_or(("", ""), |concept| (&*concept.name, &*concept.content));
        let content = if self.content == Content::Whole { content } else { first_line(content) };
        Ok(Some(Known {
            id,
            name: name.to_owned(),
            learned: concept.is_some(),
            content: content.to_owned(),
        }))
    }
}

/// Looks concepts up, all of them.
pub(crate) async fn look_up(
    client: &Client,
    ids: Vec<ConceptId>,
    content: Content,
) -> Result<Vec<Known>, Failure> {
    let mut known = Vec::with_capacity(ids.len());
    let mut found = LookUp::new(client, ids, content);
    while let Some(concept) = found.next().await? {
        known.push(concept);
    }
    Ok(known)
}

/// Whether anything is known of a concept: that it is learned, or that something is associated with
/// it. The server finds a path from it to itself then.
pub(crate) async fn is_known(client: &Client, concept: &str) -> Result<bool, Failure> {
    Ok(!client.path(PathQuery::between(concept, concept).max_depth(0)).await?.paths.is_empty())
}

/// Those of these concepts that the server does not know, each once.
pub(crate) async fn unknown<'a>(
    client: &Client,
    concepts: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<&'a str>, Failure> {
    let mut unknown = Vec::new();
    for concept in concepts {
        if !unknown.contains(&concept) && !is_known(client, concept).await? {
            unknown.push(concept);
        }
    }
    Ok(unknown)
}

/// Words for concepts that the server does not know.
pub(crate) fn not_known(concepts: &[&str], namespace: &str) -> String {
    let names: Vec<String> = concepts.iter().map(|concept| name(concept)).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb} not known{}", names.join(" and "), in_namespace(namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_named_with_where_it_was_looked_for() {
        assert_eq!(not_known(&["a\n"], ""), "a\\n is not known");
        assert_eq!(not_known(&["a", "b"], "n"), "a and b are not known in the namespace n");
    }
}
