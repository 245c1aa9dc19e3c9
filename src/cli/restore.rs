//! `sutra restore`: a store made of a backup.

use std::io;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::json;
use sutra_backup::{restore_folder, restore_stream};

use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::words::{bytes, local_time, utc_time};

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sutra restore backups --data restored\n  \
    sutra restore - --data from-stream < sutra.tar\n\n\
    Every byte is checked on its way. A backup that is not complete, or damaged, is refused with \
    the file and the place, and nothing is left in the data folder. A restore that was killed \
    leaves a folder that no server starts on; run it again.\n\n\
    The store that is made is another one than was backed up, with the same content: its backups \
    need a folder of their own.")]
pub(crate) struct Restore {
    /// The folder of backups; - for a stream on standard input
    #[arg(value_name = "FOLDER|-")]
    from: PathBuf,
    /// The data folder to make; it must be empty or not there
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// The last backup that was taken by then, as 2026-01-31T12:00 by this host's clock, or with a
    /// Z at its end for UTC; the last one of all by default
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<u64>,
}

pub(crate) fn run(restore: &Restore, output: Output) -> Result<Answer, Failure> {
    let Restore { from, data, at } = restore;
    let is_stream = from.as_os_str() == "-";
    if is_stream && at.is_some() {
        return Err(Failure::Usage("--at is for folders: a stream is one backup".to_owned()));
    }
    let mut progress = Progress::new("restore", Unit::Bytes, output);
    let restored = match is_stream {
        true => restore_stream(io::stdin().lock(), data, &mut progress)?,
        false => restore_folder(from, *at, data, &mut progress)?,
    };
    drop(progress);
    let value = json!({
        "data": data,
        "taken": utc_time(restored.taken),
        "bytes": restored.bytes,
        "cores": restored.cores,
    });
    output.answer(&value, || {
        format!(
            "restored {} of {} into {}\nsutra serve --data {} serves it",
            bytes(restored.bytes),
            local_time(restored.taken),
            data.display(),
            data.display()
        )
    })?;
    Ok(Answer::Yes)
}

/// A moment, in µs since 1970.
fn moment(text: &str) -> Result<u64, String> {
    let local = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::system()).ok();
    let at = text.parse::<Timestamp>().ok().or_else(|| Some(local()?.timestamp()));
    // A date alone could mean its beginning or its end.
    let at = at.filter(|_| text.contains(['T', 't', ' ']));
    at.and_then(|at| u64::try_from(at.as_microsecond()).ok())
        .ok_or_else(|| "write a date and a time, like 2026-01-31T12:00 or 2026-01-31T12:00Z".into())
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn a_moment_has_a_date_and_a_time() {
        assert_eq!(moment("2023-11-14T22:13:20Z"), Ok(1_700_000_000_000_000));
        assert_eq!(moment("2023-11-14T23:13:20+01:00"), Ok(1_700_000_000_000_000));
        assert!(moment("2023-11-14T22:13").is_ok());
        for wrong in ["", "yesterday", "2023-11-14", "22:13", "1969-01-01T00:00Z"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
