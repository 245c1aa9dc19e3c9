//! `sutra backup`: a backup of a server that runs, into a folder of backups or as one stream.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use sutra_backup::{Streamed, Taken, take, write_stream};
use sutra_client::blocking::Client;

use crate::connect;
use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::target::Server;
use crate::values::{count, number};
use crate::words::{bytes, counted, duration, local_time, utc_time};

/// How much less than other programs this one is to get of a CPU (nice).
const NICENESS: i32 = 10;

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sutra backup backups --keep 14\n  \
    sutra backup - > sutra.tar\n\n\
    A backup has every write that was acknowledged before it began, and of each core's log a \
    beginning without gaps. Writes go on meanwhile. The folder holds any number of backups, each \
    whole by itself; the next one takes what was written since. On the server's filesystem full \
    segments share their blocks with the server's files. - writes one tar to standard output.\n\n\
    sutra restore makes a store of a backup. tuning/BACKUP.md says how to take one every day.")]
pub(crate) struct Backup {
    /// The folder of backups, which is made where it is not there; - for standard output
    #[arg(value_name = "FOLDER|-")]
    to: PathBuf,
    /// Remove all but the last N backups of the folder when this one is complete
    #[arg(
        long,
        value_name = "N",
        value_parser = count::<1, 1_000_000>,
        allow_hyphen_values = true
    )]
    keep: Option<u64>,
    #[command(flatten)]
    server: Server,
}

pub(crate) fn run(backup: &Backup, output: Output) -> Result<Answer, Failure> {
    let is_stream = backup.to.as_os_str() == "-";
    if is_stream && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "a backup is no text: send standard output to a file or a program, or name a folder"
                .to_owned(),
        ));
    }
    if is_stream && backup.keep.is_some() {
        return Err(Failure::Usage(
            "--keep is for folders: a stream is one backup by itself".to_owned(),
        ));
    }
    // Servers and others go first. Where that can't be asked for, it is as fast as they are.
    let _ = rustix::process::nice(NICENESS);
    let client = connect::to(&backup.server).blocking()?;
    let mut progress = Progress::new("backup", Unit::Bytes, output);
    if is_stream {
        let streamed = stream(&client, &mut progress)?;
        drop(progress);
        output.note(&words_of_stream(&streamed));
        return Ok(Answer::Yes);
    }
    let keep = backup.keep.map(|keep| number(keep) as usize);
    let taken = take(&client, &backup.to, keep, env!("CARGO_PKG_VERSION"), &mut progress)?;
    drop(progress);
    if let Some(why) = &taken.untold {
        output.note(&format!(
            "the backup is complete, and the server could not note it: {why}; what it shows of \
             its last backup is older"
        ));
    }
    output.answer(&json_of(&taken), || words_of(&taken))?;
    Ok(Answer::Yes)
}

fn stream(client: &Client, progress: &mut Progress) -> Result<Streamed, Failure> {
    Ok(write_stream(client, io::stdout().lock(), env!("CARGO_PKG_VERSION"), progress)?)
}

fn json_of(taken: &Taken) -> serde_json::Value {
    json!({
        "catalog": taken.catalog,
        "store": format!("{:016x}", taken.store),
        "taken": utc_time(taken.taken),
        "bytes": taken.bytes,
        "fetched_bytes": taken.fetched,
        "shared_bytes": taken.shared,
        "elapsed_ms": u64::try_from(taken.elapsed.as_millis()).unwrap_or(u64::MAX),
        "removed": taken.removed,
        "noted": taken.untold.is_none(),
    })
}

fn words_of(taken: &Taken) -> String {
    let known = taken.bytes - taken.fetched - taken.shared;
    let mut words = format!(
        "backed up {} of {}: {} fetched",
        bytes(taken.bytes),
        local_time(taken.taken),
        bytes(taken.fetched)
    );
    if taken.shared > 0 {
        words += &format!(", {} shared with the server's files", bytes(taken.shared));
    }
    if known > 0 {
        words += &format!(", {} there already", bytes(known));
    }
    words += &format!(", in {}\n{}", duration(taken.elapsed), taken.catalog.display());
    if taken.removed > 0 {
        words += &format!("\nremoved {}", counted(taken.removed as u64, "earlier backup"));
    }
    words
}

fn words_of_stream(streamed: &Streamed) -> String {
    format!(
        "backed up {} of {} to standard output in {}",
        bytes(streamed.bytes),
        local_time(streamed.taken),
        duration(streamed.elapsed)
    )
}
