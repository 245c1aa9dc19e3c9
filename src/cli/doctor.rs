//! `sutra doctor`: looks at a host and says what is wrong, why it matters to this server, and what
//! mends it.

mod report;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use sutra_client::Client;
use sutra_host::{Group, Health, Severity, State, named};

use crate::connect::runtime;
use crate::exit::{Answer, Failure};
use crate::host::HostArgs;
use crate::output::Output;
use crate::printable::printable;
use crate::target::reachable;
use report::{Finding, Report};

/// How long the server may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra doctor --quick kernel-version io-uring\n\n\
    It exits with 0 where nothing is worse than a hint, with 1 where something is a warning, and \
    with 3 where something is fatal: no server can run here then, or keep what it promises. What \
    this host does not tell is said to be unknown, and counts as neither good nor bad.\n\n\
    Limits, CPUs and cgroups are those of the server that runs on the data folder. Where none runs \
    they are those of this shell.\n\n\
    tuning/README.md says what each check is about.")]
pub(crate) struct Doctor {
    /// Only these checks, or those of these groups
    #[arg(value_name = "CHECK")]
    checks: Vec<String>,
    /// Measure nothing: leaves out the group fitness, which takes ten seconds
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn run(doctor: &Doctor, output: Output) -> Result<Answer, Failure> {
    let settings = named(&doctor.checks).map_err(|error| Failure::Usage(error.to_string()))?;
    let is_measured = |group: Group| group == Group::Fitness;
    if doctor.quick {
        check_some_are_left(&doctor.checks, is_measured)?;
    }
    let mut host = doctor.host.host()?;
    if host.root().is_here() && settings.iter().any(|setting| setting.group == Group::Store) {
        let health = host.listening().first().map(|address| ask(*address));
        host = match health {
            Some(health) => host.with_health(health),
            None => host,
        };
    }
    if !doctor.quick && settings.iter().any(|setting| is_measured(setting.group)) {
        output.note("measuring, which takes up to ten seconds; --quick leaves it out");
    }
    let looked =
        settings.into_iter().filter(|setting| !(doctor.quick && is_measured(setting.group)));
    let findings: Vec<Finding> =
        looked.map(|setting| Finding { setting, look: (setting.look)(&host) }).collect();
    let report = Report { host: &host, findings };
    output.answer(&report.as_json(), || report.in_words())?;
    Ok(match report.worst() {
        State::Wrong(Severity::Fatal) => Answer::Unfit,
        State::Wrong(Severity::Warning) => Answer::No,
        _ => Answer::Yes,
    })
}

/// How the server is that runs on the data folder, or why it does not say.
fn ask(address: SocketAddr) -> Result<Health, String> {
    let asked = runtime().map_err(|failure| failure.to_string())?.block_on(async {
        let client =
            Client::connect(reachable(Some(address)).to_string()).with_timeout(PATIENCE).await?;
        client.health().await
    });
    let health = asked.map_err(|error| error.to_string())?;
    Ok(Health { healthy: health.healthy, status: printable(&health.status) })
}

/// Refuses a name of which --quick leaves nothing to look at: silence would look like health.
fn check_some_are_left(checks: &[String], is_measured: fn(Group) -> bool) -> Result<(), Failure> {
    let is_left_out = |check: &&String| {
        named(std::slice::from_ref(check))
            .is_ok_and(|settings| settings.iter().all(|setting| is_measured(setting.group)))
    };
    match checks.iter().find(is_left_out) {
        None => Ok(()),
        Some(check) => Err(Failure::Usage(format!(
            "{check} measures, which --quick leaves out: name other checks, or leave out --quick"
        ))),
    }
}
