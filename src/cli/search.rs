//! `sutra search`: the concepts whose embeddings are most like a concept's, or like a vector.

use std::fmt::Write as _;

use clap::{ArgGroup, Args};
use serde::Serialize;
use serde_json::json;
use sutra_client::{Client, SearchQuery};
use sutra_wire::{ConceptId, limits};

use crate::exit::{Answer, Failure};
use crate::known::{Known, is_known, look_up, not_known, unknown};
use crate::output::{Output, columns};
use crate::printable::name;
use crate::target::{Place, Server};
use crate::values::{count, from_zero, number, share};
use crate::vector::vector;
use crate::words::{first_line, shortest};

/// How many candidates the index looks at in any case.
const LEAST_WIDTH: u64 = 100;

#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("what").args(["like", "vector"]).required(true),
    after_help = "Example:\n  sutra search --like n02084071 -k 5\n\n\
    Each line is a concept's cosine similarity, name and first line of content. The most alike \
    comes first. Exits with 1 where nothing is found."
)]
pub(crate) struct Search {
    /// Find what is like this concept, by its stored embedding. The concept itself is left out
    #[arg(long, value_name = "NAME")]
    like: Option<String>,
    /// Find what is like this vector: a JSON list of numbers, or a file that holds one
    #[arg(long, value_name = "FILE|JSON", allow_hyphen_values = true)]
    vector: Option<String>,
    /// At most this many concepts
    #[arg(
        short,
        long = "count",
        value_name = "N",
        default_value_t = u64::from(SearchQuery::DEFAULT_K),
        value_parser = count::<1, { limits::MAX_RESULTS as u64 - 1 }>,
        allow_hyphen_values = true
    )]
    k: u64,
    /// How many candidates the index looks at; less than 100 is taken for 100. More of them find
    /// more of the true best, and take longer
    #[arg(
        long,
        value_name = "N",
        default_value_t = LEAST_WIDTH,
        value_parser = count::<0, { limits::MAX_SEARCH_WIDTH as u64 }>,
        allow_hyphen_values = true
    )]
    ef_search: u64,
    /// Only concepts of at least this strength
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "0",
        allow_hyphen_values = true,
        value_parser = from_zero
    )]
    min_strength: f32,
    /// Only concepts of at least this confidence, 0 to 1
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "0",
        allow_hyphen_values = true,
        value_parser = share
    )]
    min_confidence: f32,
    /// Only concepts in the neighbourhood of this one
    #[arg(long, value_name = "NAME", requires = "within")]
    near: Option<String>,
    /// How many associations that neighbourhood reaches
    #[arg(
        long,
        value_name = "N",
        requires = "near",
        value_parser = count::<0, { u32::MAX as u64 }>,
        allow_hyphen_values = true
    )]
    within: Option<u64>,
    /// Compare with every vector instead of asking the index
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    place: Place,
}

impl Search {
    pub(crate) fn server(&self) -> &Server {
        &self.place.server
    }
}

/// A result for programs.
#[derive(Debug, Serialize)]
struct Hit {
    #[serde(serialize_with = "shortest")]
    similarity: f32,
    #[serde(flatten)]
    known: Known,
}

/// What is searched for.
enum Like {
    Vector(Vec<f32>),
    /// The embedding of a concept that is not to be found itself.
    Concept(Vec<f32>, ConceptId),
    /// Why there is nothing to search for.
    Nothing(String),
}

pub(crate) async fn run(
    client: &Client,
    search: &Search,
    output: Output,
) -> Result<Answer, Failure> {
    let client = client.namespace(&search.place.namespace);
    let k = number(search.k);
    let (vector, without) = match like(&client, search).await? {
        Like::Vector(vector) => (vector, None),
        Like::Concept(vector, id) => (vector, Some(id)),
        Like::Nothing(reason) => {
            output.answer(&json!({ "found": false, "reason": reason, "results": [] }), || {
                reason.clone()
            })?;
            return Ok(Answer::No);
        }
    };
    let mut query = SearchQuery::like(vector)
        // One more than is shown, as the concept itself is found as well, and left out.
        .k(k + u32::from(without.is_some()))
        .ef_search(number(search.ef_search))
        .minimum_strength(search.min_strength)
        .minimum_confidence(search.min_confidence);
    if let (Some(near), Some(within)) = (&search.near, search.within) {
        query = query.near(near, number(within));
    }
    if search.exact {
        query = query.exact();
    }
    let found = client.search(query).await?;
    let hits: Vec<_> = found
        .hits
        .iter()
        .map(|hit| (ConceptId(hit.id), hit.similarity.to_native()))
        .filter(|(id, _)| Some(*id) != without)
        .take(k as usize)
        .collect();
    if hits.is_empty()
        && let Some(near) = search.near.as_deref().filter(|_| search.within.is_some())
    {
        let unknown = unknown(&client, [near]).await?;
        if !unknown.is_empty() {
            let reason = not_known(&unknown, &search.place.namespace);
            output.answer(&json!({ "found": false, "reason": reason, "results": [] }), || {
                reason.clone()
            })?;
            return Ok(Answer::No);
        }
    }
    let known =
        look_up(&client, hits.iter().map(|(id, _)| *id).collect(), output.content()).await?;
    let hits: Vec<Hit> = hits
        .into_iter()
        .zip(known)
        .map(|((_, similarity), known)| Hit { similarity, known })
        .collect();
    output.answer(&json!({ "found": !hits.is_empty(), "results": hits }), || {
        for_people(&hits, columns())
    })?;
    Ok(if hits.is_empty() { Answer::No } else { Answer::Yes })
}

async fn like(client: &Client, search: &Search) -> Result<Like, Failure> {
    let Some(concept) = &search.like else {
        let text =
            search.vector.as_deref().expect("one of the two is given: their group is required");
        let vector = vector("--vector", text, search.place.server.timeout)?;
        if vector.is_empty() {
            return Err(Failure::Usage(
                "--vector: the vector is empty; give its numbers, like [0.1, 0.2]".into(),
            ));
        }
        return Ok(Like::Vector(vector));
    };
    Ok(match client.query(concept).await? {
        None if is_known(client, concept).await? => Like::Nothing(format!(
            "{} is not learned yet, so it has no embedding to search by",
            name(concept)
        )),
        None => Like::Nothing(not_known(&[concept], &search.place.namespace)),
        Some(record) if record.embedding.is_empty() => Like::Nothing(format!(
            "{} has no embedding to search by: learn it with --embedding",
            name(concept)
        )),
        Some(record) => {
            let vector = record.embedding.iter().map(|number| number.to_native()).collect();
            Like::Concept(vector, ConceptId(record.id))
        }
    })
}

fn for_people(hits: &[Hit], columns: usize) -> String {
    if hits.is_empty() {
        return "nothing found".into();
    }
    let width =
        hits.iter().map(|hit| hit.known.called().chars().count()).max().unwrap_or(0).min(40);
    let mut text = String::new();
    for hit in hits {
        // One that has no name goes by what it holds, and one that was deleted meanwhile by its id.
        let holds = if hit.known.name.is_empty() { String::new() } else { hit.known.holds() };
        let line = format!("{:>7.4}  {:<width$}  {holds}", hit.similarity, hit.known.called());
        // Writing to a string can't fail.
        let _ = writeln!(text, "{}", first_line(line.trim_end(), columns));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_similarity_a_name_and_what_is_there() {
        let hit = |similarity, name: &str, content: &str| Hit {
            similarity,
            known: Known {
                id: ConceptId([0xab; 16]),
                name: name.into(),
                learned: true,
                content: content.into(),
            },
        };
        let text = for_people(
            &[hit(0.98766, "dog", "barks"), hit(-0.5, "canine", "has teeth"), hit(0.0, "", "x")],
            30,
        );
        let expected = [" 0.9877  dog     barks", "-0.5000  canine  has teeth", " 0.0000  x"];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(for_people(&[], 30), "nothing found");
    }
}
