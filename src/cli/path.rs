//! `sutra path`: how two concepts are connected, association by association, by name.

use std::collections::HashMap;
use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use sutra_client::{Client, PathQuery, Paths, View};
use sutra_wire::{AssociationKind, ConceptId, limits};

use crate::exit::{Answer, Failure};
use crate::known::{Known, look_up, not_known, unknown};
use crate::output::{Output, columns};
use crate::printable::name;
use crate::target::{Place, Server};
use crate::values::{Way, count, field, number};
use crate::words::{counted, first_line, shortest};

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra path n02084071 n02264232 --max-depth 8\n\n\
    Each line is an association of the path. --> follows it from source to target, <-- from target \
    to source. Exits with 1 where there is no such path.")]
pub(crate) struct Path {
    /// Where it starts: name or id
    #[arg(value_name = "FROM")]
    start: String,
    /// Where it ends: name or id
    #[arg(value_name = "TO")]
    end: String,
    /// Only paths of at most this many associations
    #[arg(
        long,
        value_name = "N",
        default_value_t = u64::from(PathQuery::DEFAULT_MAX_DEPTH),
        value_parser = count::<0, { u32::MAX as u64 }>,
        allow_hyphen_values = true
    )]
    max_depth: u64,
    /// Only over associations of these types, separated by commas
    #[arg(
        long = "type",
        value_name = "TYPE",
        value_delimiter = ',',
        value_parser = field::<AssociationKind>,
        allow_hyphen_values = true
    )]
    kinds: Vec<AssociationKind>,
    /// Only over associations followed this way
    #[arg(long, value_enum, default_value = "both")]
    direction: Way,
    /// Up to this many paths, all equally short
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = count::<1, { limits::MAX_ALTERNATIVES as u64 }>,
        allow_hyphen_values = true
    )]
    alternatives: u64,
    /// The path whose product of confidences is greatest, instead of the shortest
    #[arg(long, conflicts_with = "alternatives")]
    most_confident: bool,
    /// How many concepts the server may visit before it gives up; 0 for the server's own limit
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        value_parser = count::<0, { u32::MAX as u64 }>,
        allow_hyphen_values = true
    )]
    max_visited: u64,
    #[command(flatten)]
    place: Place,
}

impl Path {
    pub(crate) fn server(&self) -> &Server {
        &self.place.server
    }
}

impl From<&Path> for PathQuery {
    fn from(path: &Path) -> Self {
        let query = PathQuery::between(&path.start, &path.end)
            .max_depth(number(path.max_depth))
            .kinds(path.kinds.iter().copied())
            .direction(path.direction.into())
            .alternatives(number(path.alternatives))
            .max_visited(number(path.max_visited));
        if path.most_confident { query.most_confident() } else { query }
    }
}

/// A path: the concepts, and the associations between them, one fewer.
#[derive(Debug, Serialize)]
struct NamedPath {
    length: usize,
    concepts: Vec<Known>,
    associations: Vec<Step>,
}

/// An association of a path.
#[derive(Debug, Serialize)]
struct Step {
    #[serde(rename = "type")]
    kind: String,
    /// "out" where the path follows it from source to target.
    direction: &'static str,
    #[serde(serialize_with = "shortest")]
    confidence: f32,
}

pub(crate) async fn run(client: &Client, path: &Path, output: Output) -> Result<Answer, Failure> {
    let client = client.namespace(&path.place.namespace);
    let found = client.path(PathQuery::from(path)).await?;
    let Path { start, end, .. } = path;
    if found.paths.is_empty() {
        let unknown = unknown(&client, [start.as_str(), end.as_str()]).await?;
        let value =
            json!({ "found": false, "start": start, "end": end, "unknown": unknown, "paths": [] });
        output.answer(&value, || match unknown.is_empty() {
            false => not_known(&unknown, &path.place.namespace),
            true => none(path),
        })?;
        return Ok(Answer::No);
    }
    let paths = named(&client, &found, [start, end], output).await?;
    let value = json!({ "found": true, "start": start, "end": end, "paths": paths });
    output.answer(&value, || for_people(&paths, columns()))?;
    Ok(Answer::Yes)
}

/// Words for a path that there is not.
fn none(path: &Path) -> String {
    let kinds: Vec<String> = path.kinds.iter().map(ToString::to_string).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!("{} ", kinds.join(" or ")) };
    let way = match path.direction {
        Way::Both => "",
        Way::Out => ", each followed from source to target",
        Way::In => ", each followed from target to source",
    };
    format!(
        "no path of at most {} from {} to {}{way}",
        counted(path.max_depth, &format!("{kinds}association")),
        name(&path.start),
        name(&path.end)
    )
}

/// The paths with what their concepts are called and hold. Each concept is looked up once; an end
/// that is not learned goes by the name that it was asked by.
async fn named(
    client: &Client,
    found: &View<Paths>,
    asked: [&String; 2],
    output: Output,
) -> Result<Vec<NamedPath>, Failure> {
    let mut ids: Vec<ConceptId> =
        found.paths.iter().flat_map(|path| path.concepts.iter().map(|id| ConceptId(*id))).collect();
    ids.sort_unstable();
    ids.dedup();
    let looked_up = look_up(client, ids, output.content()).await?;
    let mut known: HashMap<ConceptId, Known> =
        looked_up.into_iter().map(|known| (known.id, known)).collect();
    for name in asked {
        let end = ConceptId::from_name(name).ok().and_then(|id| known.get_mut(&id));
        if let Some(end) = end.filter(|end| !end.learned) {
            end.name.clone_from(name);
        }
    }
    let paths = found.paths.iter().map(|path| NamedPath {
        length: path.edges.len(),
        concepts: path
            .concepts
            .iter()
            .filter_map(|id| known.get(&ConceptId(*id)).cloned())
            .collect(),
        associations: path
            .edges
            .iter()
            .map(|edge| Step {
                kind: AssociationKind(edge.kind.to_native()).to_string(),
                direction: if edge.forward { "out" } else { "in" },
                confidence: edge.confidence.to_native(),
            })
            .collect(),
    });
    Ok(paths.collect())
}

/// A line for each association: where it starts, what it is, where it ends, and what is there.
/// Several paths are numbered.
fn for_people(paths: &[NamedPath], columns: usize) -> String {
    let mut text = String::new();
    for (at, path) in paths.iter().enumerate() {
        let length = counted(path.length as u64, "association");
        if paths.len() > 1 {
            // Writing to a string can't fail.
            let _ = writeln!(text, "path {} of {}: {length}", at + 1, paths.len());
        }
        if let [alone] = path.concepts.as_slice() {
            let line = format!("{}  {}", alone.called(), alone.holds());
            let _ = writeln!(text, "{}", first_line(&line, columns));
        }
        for (step, ends) in path.associations.iter().zip(path.concepts.windows(2)) {
            let _ = writeln!(text, "{}", first_line(&step.line(&ends[0], &ends[1]), columns));
        }
        if let ([_, ..], [first, .., last], 1) =
            (path.associations.as_slice(), path.concepts.as_slice(), paths.len())
        {
            let _ = writeln!(text, "{length} from {} to {}", first.called(), last.called());
        }
    }
    text.truncate(text.trim_end().len());
    text
}

impl Step {
    fn line(&self, from: &Known, to: &Known) -> String {
        let kind = match self.confidence {
            1.0 => self.kind.clone(),
            confidence => format!("{} {confidence}", self.kind),
        };
        let arrow =
            if self.direction == "out" { format!("--{kind}-->") } else { format!("<--{kind}--") };
        let called = to.called();
        // A concept without a name is called by its content, which then stands there already.
        let holds = if to.name.is_empty() && to.learned {
            String::new()
        } else {
            format!("  {}", to.holds())
        };
        format!("{} {arrow} {called}{holds}", from.called())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, content: &str, learned: bool) -> Known {
        Known { id: ConceptId([0xab; 16]), name: name.into(), learned, content: content.into() }
    }

    fn step(kind: &str, direction: &'static str, confidence: f32) -> Step {
        Step { kind: kind.into(), direction, confidence }
    }

    fn path(concepts: Vec<Known>, associations: Vec<Step>) -> NamedPath {
        NamedPath { length: associations.len(), concepts, associations }
    }

    #[test]
    fn each_line_is_an_association_by_the_names_of_its_ends() {
        let concepts = vec![
            known("dog", "barks", true),
            known("canine", "has teeth", true),
            known("", "a nameless one", true),
            known("", "", false),
        ];
        let steps = vec![
            step("hierarchical", "out", 1.0),
            step("causal", "in", 0.75),
            step("semantic", "out", 1.0),
        ];
        let text = for_people(&[path(concepts, steps)], 200);
        let id = "ab".repeat(16);
        let expected = [
            "dog --hierarchical--> canine  has teeth",
            "canine <--causal 0.75-- a nameless one",
            &format!("a nameless one --semantic--> {id}  not learned yet"),
            &format!("3 associations from dog to {id}"),
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn several_paths_are_numbered_and_a_concept_is_a_path_to_itself() {
        let short =
            || path(vec![known("a", "", true), known("b", "x", true)], vec![step("7", "out", 1.0)]);
        let text = for_people(&[short(), short()], 200);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "path 1 of 2: 1 association",
                "a --7--> b  x",
                "path 2 of 2: 1 association",
                "a --7--> b  x"
            ]
        );
        assert_eq!(for_people(&[path(vec![known("a", "x", true)], Vec::new())], 200), "a  x");
    }

    #[test]
    fn lines_are_cut_to_the_terminal_and_can_not_steer_it() {
        let concepts = vec![known("a\u{1b}[2J", "", true), known("b", &"long ".repeat(100), true)];
        let text = for_people(&[path(concepts, vec![step("causal", "in", 1.0)])], 40);
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("a\\u{1b}[2J <--causal-- b  long") && first.chars().count() == 40,
            "{text}"
        );
    }
}
