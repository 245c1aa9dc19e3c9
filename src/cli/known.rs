//! What concepts that an answer gives by their ids are called, and what they hold.

use std::collections::VecDeque;

use serde::Serialize;
use sutra_client::Client;
use sutra_wire::ConceptId;

use crate::exit::Failure;
use crate::output;

/// A concept as answers show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Known {
    #[serde(serialize_with = "digits")]
    pub(crate) id: ConceptId,
    /// Empty where the concept is not learned yet, or was learned by its id.
    pub(crate) name: String,
    pub(crate) learned: bool,
    /// The first line.
    pub(crate) content: String,
}

fn digits<S: serde::Serializer>(id: &ConceptId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

impl Known {
    /// What people call it: its name, else what it says, else its id.
    pub(crate) fn called(&self) -> String {
        let text = [&self.name, &self.content].into_iter().find(|text| !text.is_empty());
        text.map_or_else(|| self.id.to_string(), |text| output::name(text))
    }

    /// What it holds, for people.
    pub(crate) fn holds(&self) -> String {
        if self.learned { output::name(&self.content) } else { "not learned yet".into() }
    }
}

/// Looks concepts up, many at a time; the answers come in the order of the ids.
pub(crate) async fn look_up(client: &Client, ids: Vec<ConceptId>) -> Result<VecDeque<Known>, Failure> {
    let mut known = VecDeque::with_capacity(ids.len());
    let mut answers = client.query_many(ids.clone());
    for id in ids {
        let Some(answer) = answers.next().await else { break };
        let concept = answer?;
        let (name, content) = concept.as_ref().map_or(("", ""), |concept| (&*concept.name, &*concept.content));
        known.push_back(Known {
            id,
            name: name.to_owned(),
            learned: concept.is_some(),
            content: content.lines().next().unwrap_or_default().to_owned(),
        });
    }
    Ok(known)
}

/// Whether anything is known of a concept: that it is learned, or that something is associated with it.
pub(crate) async fn is_known(client: &Client, concept: &str) -> Result<bool, Failure> {
    if client.query(concept).await?.is_some() {
        return Ok(true);
    }
    // A page may be empty and not the last.
    let mut pages = client.neighbor_pages(sutra_client::Neighborhood::of(concept).limit(1));
    while let Some(page) = pages.next().await {
        if !page?.neighbors.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
