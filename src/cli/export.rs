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

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;
use sutra_client::Client;
use sutra_wire::ConceptId;

use crate::exit::{Answer, Failure};
use crate::known::{is_known, not_known};
use crate::output::Output;
use crate::target::{Place, Server};
use crate::values::{count, number};
use crate::words::counted;
use destination::Destination;
use format::Format;
use walk::{Scope, Walk};

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    sutra export n02084071 --format graphml --within 2 --output dog.graphml\n\n\
    graphml is for Gephi, yEd, Cytoscape or networkx. dot is for Graphviz. jsonl is what \
    `sutra import` reads. Without NAME the whole namespace is written, as jsonl. It leaves out the \
    times of writing, and associations between two concepts that are not learned. What is changed \
    meanwhile may be in it or not.")]
pub(crate) struct Export {
    /// The concept whose neighbourhood is exported: name or id. Without it, the whole namespace
    #[arg(value_name = "NAME")]
    concept: Option<String>,
    /// The file's format
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: FileFormat,
    /// How many associations the neighbourhood reaches; 2 by default
    #[arg(
        long,
        value_name = "N",
        requires = "concept",
        value_parser = count::<0, { u32::MAX as u64 }>,
        allow_hyphen_values = true
    )]
    within: Option<u64>,
    /// At most this many concepts, the nearest ones; 10,000 by default
    #[arg(
        long,
        value_name = "N",
        requires = "concept",
        value_parser = count::<1, 10_000_000>,
        allow_hyphen_values = true
    )]
    max_concepts: Option<u64>,
    /// The file to write; - for standard output. A file that exists is replaced when the export is
    /// complete, and keeps its permissions
    #[arg(long, short, value_name = "FILE|-", default_value = "-")]
    output: std::path::PathBuf,
    #[command(flatten)]
    place: Place,
}

impl Export {
    pub(crate) fn server(&self) -> &Server {
        &self.place.server
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    Graphml,
    Dot,
    Jsonl,
}

/// How many associations a neighbourhood reaches by default.
const WITHIN: u64 = 2;
/// How many of its concepts are exported by default: more than a drawing can show well.
const MAX_CONCEPTS: u64 = 10_000;

/// What was exported.
#[derive(Serialize)]
struct Summary {
    concepts: u64,
    associations: u64,
    /// Whether the neighbourhood has more concepts than were asked for.
    cut: bool,
}

pub(crate) async fn run(
    client: &Client,
    export: &Export,
    output: Output,
) -> Result<Answer, Failure> {
    let namespace = &export.place.namespace;
    let client = client.namespace(namespace);
    let format: &dyn Format = match export.format {
        FileFormat::Graphml => &graphml::GraphMl,
        FileFormat::Dot => &dot::Dot,
        FileFormat::Jsonl => &jsonl::JsonLines { namespace },
    };
    let (scope, cut) = match &export.concept {
        None if export.format == FileFormat::Jsonl => (Scope::Namespace, false),
        None => {
            let problem = "a whole namespace is exported as jsonl only: \
                           name the concept whose neighbourhood is meant";
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
            let most = usize::try_from(export.max_concepts.unwrap_or(MAX_CONCEPTS))
                .expect("the flag's parser bounds it");
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
    let (concepts, associations) =
        (counted(summary.concepts, "concept"), counted(summary.associations, "association"));
    let mut words = format!("exported {concepts} and {associations}");
    if to_file {
        words.push_str(&format!(" to {}", export.output.display()));
    }
    if summary.cut {
        words.push_str(
            "; the neighbourhood has more concepts: \
             raise --max-concepts, or ask for less with --within",
        );
    }
    match to_file {
        true => output.answer(summary, || words),
        false => {
            output.note(&words);
            Ok(())
        }
    }
}
