//! `sutra tune`: changes settings of a host, and changes them back. All is printed before it is
//! done, and done as a whole or not at all.

mod show;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use sutra_host::{Boot, Choice, Host, Plan, Setting, TuneError, plan, tunable, undo};

use crate::exit::{Answer, Failure};
use crate::host::HostArgs;
use crate::output::Output;
use crate::words::counted;

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra tune --all --dry-run\n\n\
    Without a setting it lists what it can change. Each change is printed before any is made: the \
    file, and what is old and new in it. What stood there before is kept in \
    /var/lib/sutra-tune/state.json, from which --undo brings it back byte for byte. A file that \
    somebody has changed since is left alone.\n\n\
    It never changes what it was not told to, the kernel's command line, a mount, or a disk's \
    cache. Settings that cost something are changed only where they are named.\n\n\
    tuning/README.md says what each setting does.")]
pub(crate) struct Tune {
    /// The settings to change
    #[arg(value_name = "SETTING")]
    settings: Vec<String>,
    /// All settings that are not as they should be, and cost nothing
    #[arg(long, conflicts_with = "settings")]
    all: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Change back: these settings, or all that were ever changed
    #[arg(long, conflicts_with = "boot")]
    undo: bool,
    /// Apply them at each boot as well, by a unit of systemd, which names the data folder (--data)
    #[arg(long)]
    boot: bool,
    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn run(tune: &Tune, output: Output) -> Result<Answer, Failure> {
    let settings = tunable(&tune.settings).map_err(|error| Failure::Usage(error.to_string()))?;
    let host = tune.host.host()?;
    if settings.is_empty() && !tune.all && !tune.undo && !tune.boot {
        return show::list(&host, output);
    }
    let planned = if tune.undo {
        let names = (!tune.settings.is_empty()).then_some(tune.settings.as_slice());
        undo(&host, names)
    } else {
        let boot = tune.boot.then(|| boot(tune, &host)).transpose()?;
        plan(&host, &choice(settings, tune.all), boot)
    };
    let planned = planned.map_err(failure)?;
    show::plan(&planned, output)?;
    if tune.dry_run {
        return done(&planned, false, tune.undo, output);
    }
    planned.carry_out(&host).map_err(failure)?;
    done(&planned, true, tune.undo, output)
}

fn choice(settings: Vec<&'static Setting>, all: bool) -> Choice {
    if all { Choice::All } else { Choice::Named(settings) }
}

fn failure(error: TuneError) -> Failure {
    Failure::Host(error.to_string())
}

/// What a unit on the host would run.
fn boot(tune: &Tune, host: &Host) -> Result<Boot, Failure> {
    check_data(&tune.host.data, host)?;
    let program = if host.root().is_here() {
        std::env::current_exe()
            .map_err(|error| Failure::Host(format!("cannot tell where this program is: {error}")))?
    } else {
        let usual = ["/usr/bin/sutra", "/usr/local/bin/sutra"].map(Path::new);
        let installed = usual.into_iter().find(|path| host.root().at(path).is_file());
        installed.map(PathBuf::from).ok_or_else(|| {
            let root = host.root().folder().display();
            Failure::Host(format!(
                "{root} has no /usr/bin/sutra that could run at boot; install it there first"
            ))
        })?
    };
    let data = host.data().display().to_string();
    Ok(Boot { program: program.display().to_string(), data })
}

/// The unit names the data folder, so it must be known: another host's is not below the folder in
/// which this command happens to be called.
fn check_data(told: &Path, host: &Host) -> Result<(), Failure> {
    let is_known = match host.root().is_here() {
        true => told.is_absolute() || host.data().is_dir(),
        false => told.is_absolute(),
    };
    if is_known {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "--boot: the unit names the data folder, and {} is not known to be it; name it with \
         --data, as that host has it (--data /var/lib/sutra is the package's)",
        host.data().display()
    )))
}

/// Says what was done.
fn done(plan: &Plan, is_done: bool, undo: bool, output: Output) -> Result<Answer, Failure> {
    let count = plan.changes.len() as u64;
    let value = json!({ "changed": if is_done { count } else { 0 }, "dry_run": !is_done });
    output.answer(&value, || {
        let files = counted(count, "file");
        match (count, is_done, undo) {
            (0, _, _) => "nothing to change".into(),
            (_, false, _) => format!("{files} would change; nothing was changed"),
            (_, true, true) => format!("changed {files} back"),
            (_, true, false) => {
                format!("changed {files}; `sutra tune --undo` changes them back")
            }
        }
    })?;
    Ok(Answer::Yes)
}
