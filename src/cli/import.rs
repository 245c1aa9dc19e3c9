//! `sutra import`: concepts and associations from `.jsonl` files and pipes, embeddings from `.npy`
//! files beside them; and all of it from an old server's folder.
//!
//! Promises:
//! - Memory is bounded, whatever the files' size; only an old server's folder is indexed
//!   (`old_store.rs`).
//! - All lines are read before the first is written. A bad line is told with file, number and
//!   reason, in the order of the lines, and the others go on.
//! - Concepts come before associations. Of lines about the same concept or association the last one
//!   counts.
//! - What the server already has is not written again: an import that was interrupted, or is
//!   repeated, does no harm.
//! - However it ends, it says what it did until then.

mod before;
mod dimensions;
mod embeddings;
mod input;
mod lines;
mod old_store;
mod origin;
mod passes;
mod pipeline;
mod records;
mod repeats;
mod stop;
mod summary;
mod survey;
mod zstd;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use sutra_client::Client;
use sutra_compat_files::OldFolder;
use sutra_server::ImportRecord;
use sutra_wire::IdRule;

use crate::connect;
use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::signals;
use crate::target::Place;
use before::Before;
use input::{Input, Patience};
use old_store::{OldReport, OldStore};
use passes::{Passes, Told};
use pipeline::Lookup;
pub(crate) use stop::Stop;
pub(crate) use summary::Summary;
use survey::survey;

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra import tests/data/wordnet\n\n\
    A line is a concept:\n  \
    {\"id\": NAME, \"content\": TEXT, \"embedding\"?: [..], \"strength\"?, \"confidence\"?, \
    \"name\"?, \"created\"?, \"updated\"?, \"namespace\"?}\n\
    or an association:\n  \
    {\"source\": NAME, \"target\": NAME, \"type\"?: NAME|NUMBER, \"confidence\"?, \
    \"created\"?, \"updated\"?, \"namespace\"?}\n\
    Times are in µs since 1970. They are kept as they stand; where they don't, the server says. \
    \"name\" is what a concept is called whose \"id\" is given in digits.\n\n\
    Embeddings may be in a file beside: FILE.npy for FILE.jsonl, or embeddings.npy. Row i is that \
    of concept i, in real numbers of any type. The first embedding of a namespace decides how many \
    numbers all of them have.\n\n\
    Files may be compressed by gzip or zstd (.jsonl.gz, .jsonl.zst), in UTF-8 or UTF-16. Pipes \
    and standard input are first read to their end, into a temporary file. --timeout says how long \
    each wait for them may take.\n\n\
    A folder with a storage.dat, or that file itself, is one of an old server. It must be whole. \
    What that server had acknowledged and lost is told, and what its format does not hold.\n\n\
    Importing again writes only what is new or different. It replaces the whole record: a line \
    without an embedding drops the one that is stored. A concept that a line names by its id keeps \
    its name. Of several lines about the same concept or association the last one counts. Ctrl-C \
    ends the import, which then says what was done.")]
pub(crate) struct Import {
    /// .jsonl files, folders of them, pipes, - for standard input, or an old server's folder
    #[arg(required = true, value_name = "FILE|FOLDER|-")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
}

impl Import {
    /// What `sutra serve --import` asks for.
    pub(crate) fn of_folder(folder: PathBuf, place: Place) -> Self {
        Self { paths: vec![folder], place }
    }
}

/// How often a request of an import is sent again: back-off makes that some seconds, so that an
/// import rides over a restart of the server.
const RETRIES: u32 = 12;

/// What to do with a record that the server has, but with other values.
#[derive(Clone, Copy)]
pub(crate) enum Existing<'a> {
    /// The imported one takes its place: an import that was asked for brings the server up to date
    /// with the files.
    Replace,
    /// It stays: an import that comes with every start must not undo what was changed since. For
    /// the same reason files that the store was given before, by this record, are passed over.
    Keep(&'a ImportRecord),
}

/// An import that has begun to write, and how it ended.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) summary: Summary,
    /// Why it could not go on.
    pub(crate) failure: Option<Failure>,
}

pub(crate) fn run(import: &Import, output: Output) -> Result<Answer, Failure> {
    let stop = Stop::default();
    let asked = stop.clone();
    signals::heed(move |signal| asked.ask(signal) && asked.has_begun())?;
    let Imported { summary, failure } = files(import, Existing::Replace, &stop, output)?;
    output.answer(&summary, || summary.to_string())?;
    match (failure, stop.signal()) {
        (Some(failure), _) => Err(failure),
        (None, Some(signal)) if summary.stopped => Ok(Answer::Interrupted(signal)),
        (None, _) if summary.bad == 0 => Ok(Answer::Yes),
        (None, _) => Ok(Answer::No),
    }
}

/// Imports until all is done or it is asked to stop. An error is one that came before anything was
/// written.
pub(crate) fn files(
    import: &Import,
    existing: Existing<'_>,
    stop: &Stop,
    output: Output,
) -> Result<Imported, Failure> {
    let began = Instant::now();
    let Import { paths, place: Place { namespace, server } } = import;
    let inputs = Input::all(paths, &Patience { timeout: server.timeout, stop, output })?;
    let before = match existing {
        Existing::Replace => None,
        Existing::Keep(record) => Some(Before::of(&inputs, record, stop)?),
    };
    let is_new = |at: usize| before.as_ref().is_none_or(|before| !before.has(at));
    let passed_over = (0..inputs.len()).filter(|at| !is_new(*at)).count();
    if passed_over == inputs.len() {
        let summary = Summary { passed_over: passed_over as u64, ..Summary::default() };
        return Ok(Imported { summary, failure: None });
    }
    let old: Vec<OldReport> =
        inputs.iter().filter_map(|input| Some(input.old.as_ref()?.report())).collect();
    let inputs = inputs.into_iter().enumerate().map(|(at, input)| (input, is_new(at))).collect();
    let mut told = Told::new(output);
    let survey = survey(inputs, namespace, stop, |line| told.tell(line))?;
    connect::runtime()?.block_on(async {
        let client = connect::to(server).with_retries(RETRIES).await?.namespace(namespace);
        check_id_rule(&client, &old).await?;
        let lookup = lookup(&client, existing).await?;
        stop.begin();
        let mut passes = Passes::new(&survey, namespace, client.clone(), lookup, stop, told);
        let mut ended = passes.all().await;
        let mut summary = passes.end();
        if let (Ok(()), Some(before), false) = (&ended, before, summary.stopped) {
            ended = before.remember(&client).await;
        }
        summary.stopped |= ended.is_err();
        summary.passed_over = passed_over as u64;
        summary.old_stores = old;
        summary.seconds = began.elapsed().as_secs_f64();
        Ok(Imported { summary, failure: ended.err() })
    })
}

/// An error where the ids of an old server's folder are made by a rule that is not the store's: old
/// clients would not find them.
async fn check_id_rule(client: &Client, old: &[OldReport]) -> Result<(), Failure> {
    let Some(report) = old.iter().find(|report| report.needs_old_rule()) else { return Ok(()) };
    let info = client.store_info().await?;
    if info.id_rule == IdRule::Legacy.name() {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{} are ids that the old servers' rule made of shorter names in hexadecimal digits. \
         The store of this server has the rule {}, by which old clients would not find them: make \
         a new store with `sutra serve --id-rule legacy --data FOLDER` and import into that",
        report.padded_ids(),
        info.id_rule
    )))
}

/// The rule for ids that a new store needs for what is imported into it; `None` where any does, or
/// where that can't be told.
pub(crate) fn needed_id_rule(folder: &Path) -> Option<IdRule> {
    let old = OldStore::of_folder(folder, &OldFolder::find(folder)?).ok()?;
    old.report().needs_old_rule().then_some(IdRule::Legacy)
}

async fn lookup(client: &Client, existing: Existing<'_>) -> Result<Lookup, Failure> {
    // Others may write while a server that has just started is filled: it is asked even while it is
    // empty.
    if let Existing::Keep(_) = existing {
        return Ok(Lookup::Any);
    }
    let stats = client.stats().await?;
    Ok(if stats.concepts == 0 && stats.associations == 0 { Lookup::No } else { Lookup::Equal })
}
