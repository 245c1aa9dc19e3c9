//! `sutra export`: a concept's neighbourhood, or a whole namespace, as a file for other programs,
//! or for `sutra import`.
//!
//! Promises: memory is bounded by `--max-concepts` ids and some pages, whatever is exported; a file
//! appears under its name when it is whole. It is no snapshot: what is written meanwhile may be in
//! it or not.

mod destination;
mod dot;
mod format;
mod graphml;
mod jsonl;
mod walk;

use serde::Serialize;
use serde_json::json;
use sutra_client::Client;
use sutra_wire::ConceptId;

use crate::exit::{Answer, Failure};
use crate::graph_args::{self, Export, number};
use crate::known::{is_known, not_known};
use crate::output::{Output, grouped};
use destination::Destination;
use format::Format;
use walk::{Scope, Walk};

/// How many associations a neighbourhood reaches where nothing else was said.
const WITHIN: u64 = 2;
/// How many concepts of it are exported where nothing else was said: more than a program that draws
/// graphs shows with profit.
const MAX_CONCEPTS: u64 = 10_000;

/// What was exported.
#[derive(Serialize)]
struct Summary {
    concepts: u64,
    associations: u64,
    /// Whether the neighbourhood has more concepts than were asked for.
    cut: bool,
}

pub(crate) async fn run(client: &Client, export: &Export, output: Output) -> Result<Answer, Failure> {
    let namespace = &export.place.namespace;
    let client = client.namespace(namespace);
    let format: &dyn Format = match export.format {
        graph_args::Format::Graphml => &graphml::GraphMl,
        graph_args::Format::Dot => &dot::Dot,
        graph_args::Format::Jsonl => &jsonl::JsonLines { namespace },
    };
    let (scope, cut) = match &export.concept {
        None if export.format == graph_args::Format::Jsonl => (Scope::Namespace, false),
        None => {
            let problem = "a whole namespace is exported as jsonl only: name the concept whose neighbourhood is meant";
            return Err(Failure::Usage(problem.into()));
        }
        Some(concept) => {
            if !is_known(&client, concept).await? {
                let value = json!({ "found": false, "name": concept });
                output.answer(&value, || not_known(&[concept], namespace))?;
                return Ok(Answer::No);
            }
            let middle = ConceptId::from_name(concept).map_err(sutra_client::ClientError::from)?;
            let within = number(export.within.unwrap_or(WITHIN));
            let most =
                usize::try_from(export.max_concepts.unwrap_or(MAX_CONCEPTS)).expect("the flag's parser bounds it");
            walk::neighbourhood(&client, middle, within, most).await?
        }
    };
    let destination = Destination::create(&export.output, output)?;
    let to_file = destination.is_named();
    let mut walk = Walk::new(&client, format, destination);
    walk.all(&scope).await.map_err(|failure| failure_of(export, to_file, failure))?;
    let summary = Summary { concepts: walk.concepts, associations: walk.associations, cut };
    walk.into_out().finish().map_err(|error| failure_of(export, to_file, error.into()))?;
    tell(&summary, export, to_file, output)?;
    Ok(Answer::Yes)
}

/// What could not be written, by the file's name.
fn failure_of(export: &Export, to_file: bool, failure: Failure) -> Failure {
    match failure {
        Failure::Output(error) if to_file => {
            Failure::Host(format!("cannot write {}: {error}", export.output.display()))
        }
        failure => failure,
    }
}

/// Says what was exported: as the answer, unless that is the export itself.
fn tell(summary: &Summary, export: &Export, to_file: bool, output: Output) -> Result<(), Failure> {
    let (concepts, associations) = (grouped(summary.concepts), grouped(summary.associations));
    let plural = |count| if count == 1 { "" } else { "s" };
    let mut words = format!(
        "exported {concepts} concept{} and {associations} association{}",
        plural(summary.concepts),
        plural(summary.associations)
    );
    if to_file {
        words.push_str(&format!(" to {}", export.output.display()));
    }
    if summary.cut {
        words.push_str("; the neighbourhood has more concepts: raise --max-concepts, or ask for less with --within");
    }
    match to_file {
        true => output.answer(summary, || words),
        false => {
            output.note(&words);
            Ok(())
        }
    }
}
