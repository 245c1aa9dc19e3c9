//! `sutra neighbors`: a concept's neighbours by name, with the association that leads to each.

use std::fmt::Write;

use serde::Serialize;
use sutra_client::{Client, Neighborhood};
use sutra_wire::{AssociationKind, ConceptId, Direction, limits};

use crate::args::Neighbors;
use crate::exit::{Answer, Failure};
use crate::output::{self, Output, columns, first_line, printable};
use crate::query::in_namespace;

/// The answer for programs.
#[derive(Serialize)]
struct Found<'a> {
    found: bool,
    name: &'a str,
    neighbors: &'a [Neighbor],
    more: bool,
}

/// A neighbour for programs.
#[derive(Debug, Serialize)]
struct Neighbor {
    id: String,
    /// Empty where the concept is not learned yet, or was learned by its id.
    name: String,
    learned: bool,
    #[serde(rename = "type")]
    kind: String,
    direction: &'static str,
    confidence: f32,
    content: String,
    #[serde(skip)]
    concept: ConceptId,
}

pub(crate) async fn run(client: &Client, neighbors: &Neighbors, output: Output) -> Result<Answer, Failure> {
    let client = client.namespace(&neighbors.named.place.namespace);
    let (mut found, more) = ask(&client, neighbors).await?;
    if found.is_empty() && client.query(&neighbors.named.concept).await?.is_none() {
        let value = Found { found: false, name: &neighbors.named.concept, neighbors: &[], more: false };
        let place = in_namespace(&neighbors.named.place.namespace);
        output.answer(&value, || format!("{} is not known{place}", output::name(&neighbors.named.concept)))?;
        return Ok(Answer::No);
    }
    name(&client, &mut found).await?;
    found.sort_by(|a, b| (&a.kind, a.direction, &a.name, &a.id).cmp(&(&b.kind, b.direction, &b.name, &b.id)));
    let value = Found { found: true, name: &neighbors.named.concept, neighbors: &found, more };
    output.answer(&value, || for_people(&neighbors.named.concept, &found, more, columns()))?;
    Ok(Answer::Yes)
}

/// Asks for neighbours, reply by reply, up to the limit; also whether there are more.
async fn ask(client: &Client, neighbors: &Neighbors) -> Result<(Vec<Neighbor>, bool), Failure> {
    let limit = if neighbors.limit == 0 { usize::MAX } else { usize::try_from(neighbors.limit).unwrap_or(usize::MAX) };
    let page_limit = u32::try_from(limit).unwrap_or(limits::MAX_NEIGHBORS).min(limits::MAX_NEIGHBORS);
    let of = Neighborhood::of(&neighbors.named.concept)
        .direction(neighbors.direction.into())
        .kinds(neighbors.kinds.iter().copied())
        .limit(page_limit);
    let mut found = Vec::new();
    let mut pages = client.neighbor_pages(of);
    let mut more = false;
    while let Some(page) = pages.next().await {
        let page = page?;
        let room = limit - found.len();
        more = page.neighbors.len() > room || page.cursor != 0;
        found.extend(page.neighbors.iter().take(room).map(|neighbor| Neighbor {
            id: ConceptId(neighbor.id).to_string(),
            name: String::new(),
            learned: false,
            kind: AssociationKind(neighbor.kind.to_native()).to_string(),
            direction: if neighbor.direction == Direction::In as u8 { "in" } else { "out" },
            confidence: neighbor.confidence.to_native(),
            content: String::new(),
            concept: ConceptId(neighbor.id),
        }));
        if found.len() == limit {
            break;
        }
    }
    Ok((found, more))
}

/// Fills in what the neighbours are called and what they hold.
async fn name(client: &Client, neighbors: &mut [Neighbor]) -> Result<(), Failure> {
    let ids: Vec<ConceptId> = neighbors.iter().map(|neighbor| neighbor.concept).collect();
    let mut answers = client.query_many(ids);
    for neighbor in neighbors {
        let Some(answer) = answers.next().await else { break };
        if let Some(concept) = answer? {
            neighbor.learned = true;
            neighbor.name = concept.name.to_string();
            neighbor.content = concept.content.lines().next().unwrap_or_default().to_owned();
        }
    }
    Ok(())
}

fn for_people(concept: &str, neighbors: &[Neighbor], more: bool, columns: usize) -> String {
    let concept = output::name(concept);
    if neighbors.is_empty() {
        return format!("{concept}: no neighbours found");
    }
    let name = |neighbor: &Neighbor| output::name(if neighbor.name.is_empty() { &neighbor.id } else { &neighbor.name });
    let width = |text: usize, most: usize| text.min(most);
    let name_width = width(neighbors.iter().map(|neighbor| name(neighbor).chars().count()).max().unwrap_or(0), 40);
    let kind_width = neighbors.iter().map(|neighbor| neighbor.kind.len()).max().unwrap_or(0);
    let mut text = String::new();
    for neighbor in neighbors {
        let arrow = if neighbor.direction == "in" { "←" } else { "→" };
        let content = if neighbor.learned { printable(&neighbor.content) } else { "not learned yet".into() };
        let line = format!(
            "{arrow} {:<kind_width$}  {:<4.2}  {:<name_width$}  {content}",
            neighbor.kind,
            neighbor.confidence,
            name(neighbor)
        );
        // Writing to a string can't fail.
        let _ = writeln!(text, "{}", first_line(line.trim_end(), columns));
    }
    let plural = if neighbors.len() == 1 { "" } else { "s" };
    let _ = write!(text, "{} neighbour{plural} of {concept}", neighbors.len());
    if more {
        text.push_str("; there are more: ask with --limit 0 for all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbor(name: &str, learned: bool, direction: &'static str) -> Neighbor {
        Neighbor {
            id: "ab".repeat(16),
            name: name.into(),
            learned,
            kind: "hierarchical".into(),
            direction,
            confidence: 1.0,
            content: "canine, canid: any of various mammals".into(),
            concept: ConceptId([0xab; 16]),
        }
    }

    #[test]
    fn neighbours_go_by_name_and_unlearned_ones_by_id() {
        let text = for_people("dog", &[neighbor("canine", true, "out"), neighbor("", false, "in")], true, 70);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("→ hierarchical  1.00  canine ") && lines[0].chars().count() == 70, "{text}");
        assert!(
            lines[1].starts_with("← ") && lines[1].contains(&"ab".repeat(16)) && lines[1].contains("not learned"),
            "{text}"
        );
        assert!(lines[2].starts_with("2 neighbours of dog; there are more"), "{text}");
    }
}
