//! `sutra neighbors`: a concept's neighbours by name, with the association that leads to each.
//!
//! They are named and written reply by reply, so that memory holds one reply of a hub, however many
//! neighbours it has. Within a reply they are sorted. A reply with long contents is written in
//! parts, each sorted.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use clap::Args;
use serde::Serialize;
use sutra_client::{Client, Neighborhood};
use sutra_wire::{ArchivedNeighbor, AssociationKind, ConceptId, Direction, limits};

use crate::exit::{Answer, Failure};
use crate::json;
use crate::known::{Known, LookUp, is_known, not_known};
use crate::output::{Output, columns};
use crate::printable;
use crate::target::{Named, Server};
use crate::values::{Way, count, field, share};
use crate::words::{counted, first_line, shortest};

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    sutra neighbors n02084071 --type hierarchical --direction in --limit 10\n\n\
    Each line is an association. A neighbour with several of them has several lines.")]
pub(crate) struct Neighbors {
    #[command(flatten)]
    named: Named,
    /// Only associations of these types, separated by commas
    #[arg(
        long = "type",
        value_name = "TYPE",
        value_delimiter = ',',
        value_parser = field::<AssociationKind>,
        allow_hyphen_values = true
    )]
    kinds: Vec<AssociationKind>,
    /// Only associations that lead this way
    #[arg(long, value_enum, default_value = "both")]
    direction: Way,
    /// Only associations of at least this confidence, 0 to 1
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "0",
        allow_hyphen_values = true,
        value_parser = share
    )]
    min_confidence: f32,
    /// At most this many associations; 0 for all
    #[arg(
        long,
        value_name = "N",
        default_value_t = 50,
        value_parser = count::<0, { u64::MAX }>,
        allow_hyphen_values = true
    )]
    limit: u64,
}

impl Neighbors {
    pub(crate) fn server(&self) -> &Server {
        self.named.server()
    }
}

/// Bytes of contents that are held at a time, where one may go beyond.
const HELD: usize = 32 << 20;

/// A neighbour for programs.
#[derive(Debug, Serialize)]
struct Neighbor {
    #[serde(flatten)]
    known: Known,
    #[serde(rename = "type")]
    kind: String,
    direction: &'static str,
    #[serde(serialize_with = "shortest")]
    confidence: f32,
}

pub(crate) async fn run(
    client: &Client,
    neighbors: &Neighbors,
    output: Output,
) -> Result<Answer, Failure> {
    let client = client.namespace(&neighbors.named.place.namespace);
    let concept = &neighbors.named.concept;
    let limit = if neighbors.limit == 0 { u64::MAX } else { neighbors.limit };
    let of = Neighborhood::of(concept)
        .direction(neighbors.direction.into())
        .kinds(neighbors.kinds.iter().copied())
        .minimum_confidence(neighbors.min_confidence)
        .limit(
            u32::try_from(limit)
                .map_or(limits::MAX_NEIGHBORS, |limit| limit.min(limits::MAX_NEIGHBORS)),
        );
    let mut pages = client.neighbor_pages(of);
    let mut list = List::new(BufWriter::new(io::stdout().lock()), output.is_json());
    let mut more = false;
    while let Some(page) = pages.next().await {
        let page = page?;
        let room = usize::try_from(limit - list.count).unwrap_or(usize::MAX);
        let edges: Vec<_> = page.neighbors.iter().take(room).collect();
        let ids = edges.iter().map(|edge| ConceptId(edge.id)).collect();
        let mut found = LookUp::new(&client, ids, output.content());
        let mut edges = edges.into_iter();
        loop {
            let part = part(&mut edges, &mut found).await?;
            if part.is_empty() {
                break;
            }
            list.page(concept, &part)?;
        }
        // What a cursor leads to may be nothing: there is more when there is one more.
        more = page.neighbors.len() > room;
        if more {
            break;
        }
    }
    let is_known = list.count > 0 || is_known(&client, concept).await?;
    list.end(concept, &neighbors.named.place.namespace, is_known, more)?;
    Ok(if is_known { Answer::Yes } else { Answer::No })
}

/// The next neighbours with their names and contents, as many as memory may hold. Empty at the end.
async fn part(
    edges: &mut impl Iterator<Item = &ArchivedNeighbor>,
    found: &mut LookUp,
) -> Result<Vec<Neighbor>, Failure> {
    let (mut neighbors, mut held) = (Vec::new(), 0);
    while held < HELD
        && let (Some(known), Some(edge)) = (found.next().await?, edges.next())
    {
        held += known.content.len();
        neighbors.push(Neighbor {
            known,
            kind: AssociationKind(edge.kind.to_native()).to_string(),
            direction: if edge.direction == Direction::In as u8 { "in" } else { "out" },
            confidence: edge.confidence.to_native(),
        });
    }
    fn key(neighbor: &Neighbor) -> impl Ord + '_ {
        (&neighbor.kind, neighbor.direction, &neighbor.known.name, neighbor.known.id.0)
    }
    neighbors.sort_by(|a, b| key(a).cmp(&key(b)));
    Ok(neighbors)
}

/// The answer, written as its parts come: lines for people, one JSON document for programs.
struct List<W> {
    out: W,
    json: bool,
    /// Associations.
    count: u64,
    /// The neighbours that they lead to; several may lead to one. `None` where there are too many
    /// to keep.
    neighbors: Option<HashSet<ConceptId>>,
}

/// Neighbours up to which those of a hub are counted: some 40 MB.
const MOST_COUNTED: usize = 1 << 20;

impl<W: Write> List<W> {
    fn new(out: W, json: bool) -> Self {
        Self { out, json, count: 0, neighbors: Some(HashSet::new()) }
    }

    fn page(&mut self, concept: &str, neighbors: &[Neighbor]) -> io::Result<()> {
        if self.json {
            for neighbor in neighbors {
                match self.count {
                    0 => self.open(concept, true)?,
                    _ => write!(self.out, ",")?,
                }
                json::write(&mut self.out, neighbor)?;
                self.count += 1;
            }
        } else {
            write!(self.out, "{}", for_people(neighbors, columns()))?;
            self.count += neighbors.len() as u64;
            let seen = self.neighbors.take().map(|mut seen| {
                seen.extend(neighbors.iter().map(|neighbor| neighbor.known.id));
                seen
            });
            self.neighbors = seen.filter(|seen| seen.len() <= MOST_COUNTED);
        }
        // What has come is shown while more is on its way.
        self.out.flush()
    }

    fn open(&mut self, concept: &str, found: bool) -> io::Result<()> {
        write!(self.out, "{{\"found\":{found},\"name\":{},\"neighbors\":[", json::line(&concept)?)
    }

    fn end(
        &mut self,
        concept: &str,
        namespace: &str,
        is_known: bool,
        more: bool,
    ) -> io::Result<()> {
        let count = self.count;
        let called = printable::name(concept);
        match (self.json, is_known, count) {
            (true, ..) => {
                if count == 0 {
                    self.open(concept, is_known)?;
                }
                writeln!(self.out, "],\"more\":{more}}}")?;
            }
            (false, false, _) => writeln!(self.out, "{}", not_known(&[concept], namespace))?,
            (false, true, 0) => writeln!(self.out, "{called}: no neighbours found")?,
            (false, true, _) => {
                let neighbors = self.neighbors.as_ref().map(|neighbors| neighbors.len() as u64);
                let listed = match neighbors {
                    Some(neighbors) if neighbors == count => {
                        format!("{} of {called}", counted(count, "neighbour"))
                    }
                    Some(neighbors) => {
                        format!(
                            "{} of {called}, by {}",
                            counted(neighbors, "neighbour"),
                            counted(count, "association")
                        )
                    }
                    None => format!("{} of {called}", counted(count, "association")),
                };
                let more = if more { "; there are more: ask with --limit 0 for all" } else { "" };
                writeln!(self.out, "{listed}{more}")?;
            }
        }
        self.out.flush()
    }
}

fn for_people(neighbors: &[Neighbor], columns: usize) -> String {
    let name = |neighbor: &Neighbor| match neighbor.known.name.as_str() {
        "" => neighbor.known.id.to_string(),
        name => printable::name(name),
    };
    let name_width =
        neighbors.iter().map(|neighbor| name(neighbor).chars().count()).max().unwrap_or(0).min(40);
    let kind_width = neighbors.iter().map(|neighbor| neighbor.kind.len()).max().unwrap_or(0);
    let mut text = String::new();
    for neighbor in neighbors {
        let arrow = if neighbor.direction == "in" { "←" } else { "→" };
        let line = format!(
            "{arrow} {:<kind_width$}  {:<4.2}  {:<name_width$}  {}",
            neighbor.kind,
            neighbor.confidence,
            name(neighbor),
            neighbor.known.holds()
        );
        // Writing to a string can't fail.
        let _ = writeln!(text, "{}", first_line(line.trim_end(), columns));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbor(name: &str, learned: bool, direction: &'static str) -> Neighbor {
        Neighbor {
            known: Known {
                id: ConceptId([0xab; 16]),
                name: name.into(),
                learned,
                content: "canine, canid: any of various mammals".into(),
            },
            kind: "hierarchical".into(),
            direction,
            confidence: 1.0,
        }
    }

    #[test]
    fn neighbours_go_by_name_and_unlearned_ones_by_id() {
        let text = for_people(&[neighbor("canine", true, "out"), neighbor("", false, "in")], 70);
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[0].starts_with("→ hierarchical  1.00  canine ") && lines[0].chars().count() == 70,
            "{text}"
        );
        assert!(
            lines[1].starts_with("← ")
                && lines[1].contains(&"ab".repeat(16))
                && lines[1].contains("not learned"),
            "{text}"
        );
    }

    #[test]
    fn several_replies_make_one_list_and_one_document() {
        for json in [false, true] {
            let mut list = List::new(Vec::new(), json);
            list.page("dog", &[neighbor("a", true, "out"), neighbor("b", true, "in")])
                .expect("memory");
            list.page("dog", &[neighbor("c", true, "out")]).expect("memory");
            list.end("dog", "", true, true).expect("memory");
            let text = String::from_utf8(list.out).expect("UTF-8");
            if json {
                let value: serde_json::Value = serde_json::from_str(&text).expect("one document");
                let names: Vec<_> = value["neighbors"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|one| &one["name"])
                    .collect();
                assert!(names == ["a", "b", "c"] && value["more"] == true, "{text}");
            } else {
                assert!(
                    text.lines().count() == 4
                        && text.contains("1 neighbour of dog, by 3 associations; there are more"),
                    "{text}"
                );
            }
        }
        let mut none = List::new(Vec::new(), true);
        none.end("d\"og", "", false, false).expect("memory");
        let value: serde_json::Value = serde_json::from_slice(&none.out).expect("one document");
        assert_eq!((&value["found"], &value["name"]), (&false.into(), &"d\"og".into()));
    }
}
