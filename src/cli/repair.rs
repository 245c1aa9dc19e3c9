//! `sutra repair`: what is whole of a damaged store, as a new store in a folder of its own.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use sutra_store::{RepairReport, Severity};

use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::verify::listed;
use crate::words::{bytes, counted};

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    sutra repair --data sutra-data --to repaired && sutra serve --data repaired\n\n\
    The damaged folder is only read. All that passes its checksums is written to the new one, \
    with its times. What may be lost is listed with its place and its time, and in the new folder \
    in repair-report.jsonl. A backup that is recent enough loses less: `sutra restore`.\n\n\
    It exits with 0 where nothing is lost, and with 1 where something may be. A repair that was \
    interrupted is run again.")]
pub(crate) struct Repair {
    /// The damaged data folder, while no server has it
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// The new data folder, which is not there yet or empty
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

pub(crate) fn run(repair: &Repair, output: Output) -> Result<Answer, Failure> {
    let mut progress = Progress::new("reading", Unit::Bytes, output);
    let report = sutra_store::repair(&repair.data, &repair.to, &mut |advance| {
        progress.follow(advance);
        true
    })?;
    drop(progress);
    let mut value = serde_json::to_value(&report).map_err(std::io::Error::from)?;
    value["losses"] = json!(report.losses());
    value["findings"] = json!(report.findings);
    output.answer(&value, || in_words(&report))?;
    Ok(if report.losses() == 0 { Answer::Yes } else { Answer::No })
}

fn in_words(report: &RepairReport) -> String {
    let damage = report.findings.iter().filter(|found| found.severity == Severity::Damage);
    let damage: Vec<_> = damage.cloned().collect();
    let mut words = listed(&damage);
    words += &format!(
        "{} in {} are in the new store {}, of {} with the id rule {}\n",
        counted(report.entries, "log record"),
        bytes(report.bytes),
        report.to.display(),
        counted(u64::from(report.cores), "core"),
        report.id_rule,
    );
    words += &match report.losses() {
        0 => "nothing is lost".to_owned(),
        1 => "something may be lost in 1 place".to_owned(),
        losses => format!("something may be lost in {losses} places"),
    };
    if report.may_bring_back() {
        words += "; what was deleted may be back";
    }
    words += &format!("\nall of it is listed in {}", report.list.display());
    words
}
