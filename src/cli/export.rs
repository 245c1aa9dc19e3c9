//! `sutra export`: a concept's neighbourhood, a namespace or all of them, as a file or folder for
//! other programs, for `sutra import`, or for an old server.
//!
//! Promises: memory is bounded by `--max-concepts` ids and some pages, whatever is exported; only
//! the old format keeps more (`legacy.rs`). A file or folder appears under its name when it is
//! whole. It is no snapshot: what is written meanwhile may be in it or not.

mod destination;
mod dot;
mod folder;
mod format;
mod graphml;
mod jsonl;
mod legacy;
mod lines;
mod npy;
mod walk;

use std::io;

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
use dot::Dot;
use folder::NewFolder;
use format::{Finished, Format, NotHeld};
use graphml::GraphMl;
use jsonl::JsonLines;
use legacy::OldFormat;
use npy::NpyFolder;
use walk::{Scope, Walk};

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    sutra export n02084071 --format graphml --within 2 --output dog.graphml\n\n\
    graphml is for Gephi, yEd, Cytoscape or networkx. dot is for Graphviz. jsonl is what \
    `sutra import` reads. npy is a folder of such files with the embeddings as NumPy arrays \
    beside. legacy is a folder that the servers before this one open; what that format can't hold \
    is listed.\n\n\
    Without NAME the whole namespace is written, or with --all-namespaces every one. jsonl and npy \
    then hold all that there is, times and ids without names among it. What is changed meanwhile \
    may be in it or not.")]
pub(crate) struct Export {
    /// The concept whose neighbourhood is exported: name or id. Without it, the whole namespace
    #[arg(value_name = "NAME")]
    concept: Option<String>,
    /// The format
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: FileFormat,
    /// Every namespace of the store, as jsonl or npy
    #[arg(long, conflicts_with = "concept")]
    all_namespaces: bool,
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
    /// complete, and keeps its permissions. Of npy and legacy, the folder to make
    #[arg(long, short, value_name = "FILE|FOLDER|-", default_value = "-")]
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
    Npy,
    Legacy,
}

impl FileFormat {
    /// Whether it is a drawing, which a whole namespace is too large for.
    fn is_drawing(self) -> bool {
        matches!(self, FileFormat::Graphml | FileFormat::Dot)
    }

    /// Whether it holds which namespace a record is of.
    fn has_namespaces(self) -> bool {
        matches!(self, FileFormat::Jsonl | FileFormat::Npy)
    }
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
    /// How many namespaces, where all were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespaces: Option<usize>,
    /// What the format can't hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_held: Vec<NotHeld>,
    #[serde(skip)]
    advice: Option<String>,
}

pub(crate) async fn run(
    client: &Client,
    export: &Export,
    output: Output,
) -> Result<Answer, Failure> {
    if export.format.is_drawing() && export.concept.is_none() {
        let problem = "a whole namespace is exported as jsonl, npy or legacy only: \
                       name the concept whose neighbourhood is meant";
        return Err(Failure::Usage(problem.into()));
    }
    if export.all_namespaces && !export.format.has_namespaces() {
        let problem = "an old server has no namespaces: \
                       --namespace names the one that is exported for it";
        return Err(Failure::Usage(problem.into()));
    }
    let mut namespaces = vec![export.place.namespace.clone()];
    let mut others = 0;
    if export.all_namespaces || export.format == FileFormat::Legacy {
        let info = client.store_info().await?;
        let all: Vec<String> = info.namespaces.iter().map(|name| name.as_str().into()).collect();
        others = all.iter().filter(|name| **name != export.place.namespace).count() as u64;
        if export.all_namespaces {
            namespaces = all;
        }
    }
    let (scope, cut) = match &export.concept {
        None => (Scope::Namespace, false),
        Some(concept) => {
            let namespace = &export.place.namespace;
            let client = client.namespace(namespace);
            if !is_known(&client, concept).await? {
                let value = json!({ "found": false, "name": concept });
                output.answer(&value, || not_known(&[concept], namespace))?;
                return Ok(Answer::No);
            }
            neighbourhood(&client, export, concept).await?
        }
    };
    let (mut format, is_named) = begin(export, others, output)?;
    let written = write(client, &namespaces, &scope, &mut *format).await;
    let (concepts, associations) =
        written.map_err(|failure| failure_of(export, is_named, failure))?;
    let finished = format.finish();
    let Finished { not_held, advice } =
        finished.map_err(|error| failure_of(export, is_named, error.into()))?;
    let namespaces = export.all_namespaces.then_some(namespaces.len());
    let summary = Summary { concepts, associations, cut, namespaces, not_held, advice };
    tell(&summary, export, is_named, output)?;
    Ok(Answer::Yes)
}

async fn neighbourhood(
    client: &Client,
    export: &Export,
    concept: &str,
) -> Result<(Scope, bool), Failure> {
    let middle = ConceptId::from_name(concept).map_err(sutra_client::ClientError::from)?;
    let within = number(export.within.unwrap_or(WITHIN));
    let most = usize::try_from(export.max_concepts.unwrap_or(MAX_CONCEPTS))
        .expect("the flag's parser bounds it");
    walk::neighbourhood(client, middle, within, most).await
}

/// Opens what is written to, and whether that is anything else than standard output.
fn begin(export: &Export, others: u64, output: Output) -> Result<(Box<dyn Format>, bool), Failure> {
    let (path, says_default) = (&export.output, export.all_namespaces);
    match export.format {
        FileFormat::Npy => {
            let folder = NewFolder::create(path, output)?;
            Ok((Box::new(NpyFolder::new(folder, says_default)), true))
        }
        FileFormat::Legacy => {
            let folder = NewFolder::create(path, output)?;
            let format = OldFormat::begin(folder, others);
            let format = format.map_err(|error| failure_of(export, true, error.into()))?;
            Ok((Box::new(format), true))
        }
        FileFormat::Graphml | FileFormat::Dot | FileFormat::Jsonl => {
            let file = Destination::create(path, output)?;
            let is_named = file.is_named();
            let format: io::Result<Box<dyn Format>> = match export.format {
                FileFormat::Graphml => GraphMl::begin(file).map(|format| Box::new(format) as _),
                FileFormat::Dot => Dot::begin(file).map(|format| Box::new(format) as _),
                _ => Ok(Box::new(JsonLines::new(file, says_default))),
            };
            let format = format.map_err(|error| failure_of(export, is_named, error.into()))?;
            Ok((format, is_named))
        }
    }
}

/// Writes all of these namespaces, or a part of the only one: how many concepts and associations.
async fn write(
    client: &Client,
    namespaces: &[String],
    scope: &Scope,
    format: &mut dyn Format,
) -> Result<(u64, u64), Failure> {
    let (mut concepts, mut associations) = (0, 0);
    for namespace in namespaces {
        let client = client.namespace(namespace);
        format.namespace(namespace)?;
        let mut walk = Walk::new(&client, format);
        walk.all(scope).await?;
        concepts += walk.concepts;
        associations += walk.associations;
    }
    Ok((concepts, associations))
}

/// What could not be written, by the file's name.
fn failure_of(export: &Export, is_named: bool, failure: Failure) -> Failure {
    match failure {
        Failure::Output(error) if is_named => {
            Failure::Host(format!("cannot write {}: {error}", export.output.display()))
        }
        failure => failure,
    }
}

/// Says what was exported: as the answer, unless that is the export itself.
fn tell(summary: &Summary, export: &Export, is_named: bool, output: Output) -> Result<(), Failure> {
    let (concepts, associations) =
        (counted(summary.concepts, "concept"), counted(summary.associations, "association"));
    let mut words = format!("exported {concepts} and {associations}");
    if let Some(namespaces) = summary.namespaces {
        words.push_str(&format!(" of {}", counted(namespaces as u64, "namespace")));
    }
    if is_named {
        words.push_str(&format!(" to {}", export.output.display()));
    }
    if summary.cut {
        words.push_str(
            "; the neighbourhood has more concepts: \
             raise --max-concepts, or ask for less with --within",
        );
    }
    if !summary.not_held.is_empty() {
        words.push_str("\nwhat the old format can't hold:");
        summary.not_held.iter().for_each(|part| words.push_str(&format!("\n  {}", part.words)));
    }
    if let Some(advice) = &summary.advice {
        words.push_str(&format!("\n{advice}"));
    }
    match is_named {
        true => output.answer(summary, || words),
        false => {
            output.note(&words);
            Ok(())
        }
    }
}
