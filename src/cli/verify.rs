//! `sutra verify`: whether a store's files are as they were written. Those of a folder are read
//! here, those of a server that runs by that server itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use sutra_client::Client;
use sutra_store::{Advance, Finding, VerifyReport};

use crate::connect::with_client;
use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::printable::printable;
use crate::progress::{Progress, Unit};
use crate::target::Server;
use crate::values::rate;
use crate::words::{bytes, counted};

/// How often a server is asked how far it has come.
const EVERY: Duration = Duration::from_millis(200);

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sutra verify --bandwidth 100M\n  \
    sutra verify --data sutra-data\n\n\
    Reads every file of a store: the manifest, each segment of the logs with every commit and \
    every record in it, and the checkpoints of the vector indexes. A server that runs does so by \
    itself (a scrub), from its disk and beside its work. With --data the files of a folder are \
    read that no server has. Each damaged place is named, with what it may have taken and what \
    helps. Nothing is changed.\n\n\
    It exits with 0 where all is as it was written, and with 1 where something is damaged. A \
    checkpoint counts for that, though the next start makes it again.")]
pub(crate) struct Verify {
    /// A data folder that no server has
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Bytes a second that a server reads at most (1M or more); 50M by default. A verification that
    /// is under way goes on with it
    #[arg(long, value_name = "RATE", value_parser = rate, conflicts_with = "data")]
    bandwidth: Option<u64>,
    #[command(flatten)]
    server: Server,
}

pub(crate) fn run(verify: &Verify, output: Output) -> Result<Answer, Failure> {
    match &verify.data {
        Some(data) => here(data, output),
        None => with_client(&verify.server, async |client| {
            there(&client, verify.bandwidth.unwrap_or_default(), output).await
        }),
    }
}

/// Reads a folder.
fn here(data: &Path, output: Output) -> Result<Answer, Failure> {
    let mut progress = Progress::new("reading", Unit::Bytes, output);
    let report = sutra_store::verify(data, &mut |advance| {
        progress.follow(advance);
        true
    })?;
    drop(progress);
    let (damaged, replaceable) = (report.damaged(), report.replaceable());
    let mut value = serde_json::to_value(&report).map_err(std::io::Error::from)?;
    (value["damaged"], value["replaceable"]) = (json!(damaged), json!(replaceable));
    output.answer(&value, || in_words(data, &report))?;
    Ok(if damaged + replaceable == 0 { Answer::Yes } else { Answer::No })
}

/// Has a server look at its files, and waits until it has.
async fn there(client: &Client, bandwidth: u64, output: Output) -> Result<Answer, Failure> {
    let mut progress = Progress::new("reading", Unit::Bytes, output);
    let before = client.scrub().await?.ended.to_native();
    let mut report = client.begin_scrub(bandwidth).await?;
    while report.is_running && report.ended.to_native() == before {
        let (done, total) = (report.done.to_native(), report.total.to_native());
        progress.follow(Advance { phase: "reading", done, total });
        tokio::time::sleep(EVERY).await;
        report = client.scrub().await?;
    }
    drop(progress);
    if !report.failed.is_empty() {
        return Err(Failure::Host(format!("the server could not look: {}", report.failed)));
    }
    let (damaged, read) = (report.damaged.to_native(), report.last_bytes.to_native());
    let findings: Vec<&str> = report.findings.iter().map(|found| found.as_str()).collect();
    let value = json!({ "bytes": read, "damaged": damaged, "findings": findings });
    let help = match damaged {
        0 => "",
        _ if is_read_only(client).await? => {
            "; this server was started to read only, and has what is whole: `sutra restore` and \
             `sutra repair` help"
        }
        _ => {
            "; the server's memory has what was written: back up now with `sutra backup`, before \
             it is stopped, and restore that into a new folder"
        }
    };
    output.answer(&value, || {
        // Damage comes first, as far as it is told.
        let told = usize::try_from(damaged).unwrap_or(usize::MAX).min(findings.len());
        let severities =
            std::iter::repeat_n("damage", told).chain(std::iter::repeat("replaceable"));
        let lines = severities.zip(&findings);
        let mut words: String =
            lines.map(|(severity, found)| format!("{severity}: {}\n", printable(found))).collect();
        if damaged > told as u64 {
            words += "the server's log has the others\n";
        }
        words += &format!("{} were read from the server's disk\n", bytes(read));
        words + &places(damaged, (findings.len() - told) as u64) + help
    })?;
    Ok(if findings.is_empty() { Answer::Yes } else { Answer::No })
}

/// Whether a server has its store to read it only, so that its memory lacks what was damaged.
async fn is_read_only(client: &Client) -> Result<bool, Failure> {
    let stats = client.stats().await?;
    let counter = stats.counters.iter().find(|counter| counter.name == "read_only");
    Ok(counter.is_some_and(|counter| counter.value.to_native() > 0))
}

fn places(damaged: u64, replaceable: u64) -> String {
    match (damaged, replaceable) {
        (0, 0) => "everything is as it was written".to_owned(),
        (0, files) => format!(
            "all that was stored is as it was written; {} that the next start makes again {} not: \
             check the disk",
            counted(files, "file"),
            if files == 1 { "is" } else { "are" },
        ),
        (1, _) => "1 place is damaged".to_owned(),
        (damaged, _) => format!("{damaged} places are damaged"),
    }
}

fn in_words(data: &Path, report: &VerifyReport) -> String {
    let VerifyReport { cores, segments, bytes: read, entries, checkpoints, findings, .. } = report;
    let mut words = listed(findings);
    words += &format!(
        "{}: {}, {}, {}, {}, {}\n",
        data.display(),
        counted(u64::from(*cores), "shard"),
        counted(*segments, "segment"),
        bytes(*read),
        counted(*entries, "log record"),
        counted(*checkpoints, "checkpoint"),
    );
    words += &places(report.damaged(), report.replaceable());
    words
}

/// What was found, a paragraph each.
pub(crate) fn listed(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n\n")).collect()
}
