//! Python's clients: an interpreter with their packages, and one process for each measurement. The
//! interpreter is made at the first use, below the build's folder.
//!
//! If there is no Python or no pip, or a package can't be fetched, the report says so, and the rest
//! of the comparison goes on.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde::Deserialize;
use sutra_load::{CpuTime, Measured, Report, ServerCpu};

use super::cell::Shape;
use super::record::Described;
use super::setup::{Operation, Setup, Timing};
use crate::Outcome;
use crate::process::{Running, printed, target_folder, version};

/// One of Python's clients.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its name in tables.
    pub(crate) name: &'static str,
    /// Its name on the script's command line.
    argument: &'static str,
    what: &'static str,
    is_over_compat: bool,
    setting: (&'static str, &'static str),
}

const PACKAGE: Client = Client {
    name: "sutra_storage_client",
    argument: "package",
    what: "Sutra's Python package, over the compat port",
    is_over_compat: true,
    setting: ("vectors as numpy arrays", "as its users have them; they are sent as they are"),
};
const FLOOR: Client = Client {
    name: "bare socket and msgpack",
    argument: "floor",
    what: "the least that Python can do over the same port",
    setting: ("no timeout, no retries, one receive", "nothing but the exchange itself"),
    ..PACKAGE
};
const GRPCIO: Client = Client {
    name: "grpcio",
    argument: "grpcio",
    what: "gRPC's Python client and the code that its compiler makes, on the tonic server",
    is_over_compat: false,
    setting: ("vectors as lists of floats", "what its messages take"),
};
const REDIS_PY: Client = Client {
    name: "redis-py",
    argument: "redis",
    what: "redis-py on Redis",
    is_over_compat: false,
    setting: ("hiredis installed", "the parser in C that its documentation recommends"),
};

/// All clients, ours first.
pub(crate) static CLIENTS: [Client; 4] = [PACKAGE, FLOOR, GRPCIO, REDIS_PY];

/// An interpreter with the packages of the clients that could be fetched. It is what
/// `python/environment.py` prints.
#[derive(Debug, Deserialize)]
struct Environment {
    python: PathBuf,
    stubs: PathBuf,
    version: String,
    packages: String,
    /// Clients whose packages can't be had, as the script knows them, with the reason.
    missing: HashMap<String, String>,
}

/// The environment, or why there is none. The first call makes it if it is not there.
fn environment() -> &'static Result<Environment, String> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| make().map_err(|error| error.to_string()))
}

fn make() -> Outcome<Environment> {
    version("python3")?;
    eprintln!("preparing Python's clients; their packages are fetched the first time");
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("python3");
    command.arg(benches.join("python/environment.py")).arg(target_folder()?.join("bench-python"));
    command.arg(benches.join("grpc"));
    printed(command)
}

/// Why a client can't be measured; `None` where it can.
pub(crate) fn missing(client: &Client) -> Option<&'static str> {
    match environment() {
        Err(why) => Some(why),
        Ok(environment) => environment.missing.get(client.argument).map(String::as_str),
    }
}

/// How each client is run.
pub(crate) fn describe() -> Vec<Described> {
    let described = |client: &Client| {
        let versions = environment()
            .as_ref()
            .map(|environment| format!("; {}, {}", environment.version, environment.packages));
        let what = format!("{}{}", client.what, versions.as_deref().unwrap_or_default());
        let name = format!("Python: {}", client.name);
        Described::new(&name, &what, &[client.setting], missing(client).map(str::to_owned))
    };
    CLIENTS.iter().map(described).collect()
}

/// What the script prints.
#[derive(Deserialize)]
struct Printed {
    calls: u64,
    seconds: f64,
    client_cpu_seconds: f64,
    latencies_ns: Vec<u64>,
}

/// One client's calls, one after the other, every answer checked.
pub(crate) fn ask(
    running: &Running,
    client: &Client,
    operation: Operation,
    shape: Shape,
    timing: Timing,
    setup: &Setup,
) -> Outcome<Report> {
    let environment = environment().as_ref().map_err(Clone::clone)?;
    let address = if client.is_over_compat { running.compat()? } else { running.address };
    let value_bytes =
        if operation == Operation::Learn { setup.archived.1 } else { setup.archived.0 };
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(&environment.python);
    command.arg(benches.join("python/clients.py")).args([
        client.argument,
        operation.name(),
        &address.to_string(),
    ]);
    command.args(["--seconds", &timing.measured.as_secs_f64().to_string()]);
    command.args(["--warm-up", &timing.warm_up.as_secs_f64().to_string()]);
    command.args([
        "--cpu",
        &setup.load_cpu.to_string(),
        "--value-bytes",
        &value_bytes.to_string(),
        "--stubs",
    ]);
    command.arg(&environment.stubs);
    // The package from its sources, which is what an installed one is: it has no compiled parts.
    command.env("PYTHONPATH", benches.join("../compat/python"));
    let mut cpu = ServerCpu::of_process(running.pid());
    let before = cpu.read()?;
    let printed: Printed = printed(command)?;
    let after = cpu.read()?;
    let mut measured = Measured::new();
    measured.seconds = printed.seconds;
    measured.answered = printed.latencies_ns.len() as u64;
    measured.load_cpu = printed.client_cpu_seconds;
    for ns in &printed.latencies_ns {
        measured.latencies.record(*ns)?;
    }
    // The server's CPU time was read around the whole run. The calls of the warm-up have their
    // share of it.
    let share = measured.answered as f64 / printed.calls.max(1) as f64;
    let used = |before: u64, after: u64| ((after.saturating_sub(before)) as f64 * share) as u64;
    let during = CpuTime {
        user: used(before.user, after.user),
        system: used(before.system, after.system),
        total: used(before.total, after.total),
        ..CpuTime::default()
    };
    measured.cpu = Some((CpuTime::default(), during));
    Ok(Report::of(operation.name(), &setup.plan(address, shape, timing), &[measured]))
}
