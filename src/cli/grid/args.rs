//! The command line of `sutra grid`. Its settings go by `SUTRA_GRID…` variables, and by keys of the
//! settings file that begin with `grid`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use sutra_grid_agent::OnStop;
use sutra_server::Cores;

use crate::target::COMMON;
use crate::values::{OptionalPort, address, count, port, some_duration};

/// The native port of a master that was not told otherwise.
pub(crate) const DEFAULT_MASTER: &str = "127.0.0.1:7001";
/// The compat port of a master that was not told otherwise.
const DEFAULT_MASTER_COMPAT: &str = "127.0.0.1:7002";
/// Where its HTTP is.
const DEFAULT_MASTER_ADMIN: &str = "127.0.0.1:9002";
/// Where an agent's HTTP is.
const DEFAULT_AGENT_ADMIN: &str = "127.0.0.1:9003";
/// Where an agent listens that was not told otherwise.
const DEFAULT_AGENT: &str = "127.0.0.1:8001";

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sutra grid master --data sutra-grid\n  \
    sutra grid agent --id agent-1 --data sutra-agent\n  sutra grid spawn agent-1 --name orders\n  \
    sutra grid status")]
pub(crate) struct Grid {
    #[command(subcommand)]
    pub(crate) command: GridCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GridCommand {
    /// Run a master: it knows which storage nodes run on which hosts
    Master(RunMaster),
    /// Run an agent: it keeps this host's storage nodes alive
    Agent(RunAgent),
    /// Show agents and nodes; the exit code says whether the grid is healthy
    #[command(after_help = "Example:\n  sutra grid status --master 10.0.0.1:7001")]
    Status(Master),
    /// List the agents
    #[command(after_help = "Example:\n  sutra grid agents --json")]
    Agents(Master),
    /// List the storage nodes
    #[command(after_help = "Example:\n  sutra grid nodes --agent agent-1")]
    Nodes(Nodes),
    /// Start a storage node on an agent's host
    Spawn(Spawn),
    /// Stop a storage node; its data stays
    #[command(after_help = "Example:\n  sutra grid stop orders")]
    Stop(Stop),
    /// Show what happens, as it happens
    #[command(after_help = "Example:\n  sutra grid watch")]
    Watch(Watch),
    /// Make the master forget an agent; its nodes keep running
    #[command(after_help = "Example:\n  sutra grid unregister agent-1")]
    Unregister(Unregister),
}

/// Where the master is, and how long it may take.
#[derive(Args, Clone, Debug)]
pub(crate) struct Master {
    /// The master
    #[arg(
        long = "master",
        env = "SUTRA_GRID",
        value_name = "ADDRESS",
        default_value = DEFAULT_MASTER,
        help_heading = COMMON,
        display_order = 102
    )]
    pub(crate) address: String,
    /// How long an answer may take in all (10, 500ms, 1m); 10 s by default, 45 s where a node is
    /// started or stopped; `watch` goes on once it has begun
    #[arg(
        long,
        env = "SUTRA_TIMEOUT",
        value_name = "SECONDS",
        value_parser = some_duration,
        allow_hyphen_values = true,
        help_heading = COMMON,
        display_order = 103
    )]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    sutra grid master --data sutra-grid --listen 10.0.0.1:7001 --compat 10.0.0.1:7002")]
pub(crate) struct RunMaster {
    /// The folder of its registry; made where it does not exist
    #[arg(
        long,
        env = "SUTRA_GRID_MASTER_DATA",
        value_name = "FOLDER",
        default_value = "sutra-grid"
    )]
    pub(crate) data: PathBuf,
    /// Addresses to listen on, separated by commas
    #[arg(
        long,
        env = "SUTRA_GRID_MASTER_LISTEN",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = DEFAULT_MASTER,
        value_parser = address
    )]
    pub(crate) listen: Vec<SocketAddr>,
    /// Addresses for agents and consoles of the old protocol (bincode), separated by commas, or off
    #[arg(
        long,
        env = "SUTRA_GRID_MASTER_COMPAT",
        value_name = "ADDRESS|off",
        value_delimiter = ',',
        default_value = DEFAULT_MASTER_COMPAT
    )]
    pub(crate) compat: Vec<OptionalPort>,
    /// Where health, metrics and the grid as JSON are served over HTTP, or off
    #[arg(
        long,
        env = "SUTRA_GRID_MASTER_ADMIN",
        value_name = "ADDRESS|off",
        default_value = DEFAULT_MASTER_ADMIN
    )]
    pub(crate) admin: OptionalPort,
    /// How often agents send a heartbeat (5, 500ms)
    #[arg(
        long,
        env = "SUTRA_GRID_MASTER_HEARTBEAT",
        value_name = "TIME",
        default_value = "5",
        value_parser = some_duration,
        allow_hyphen_values = true
    )]
    pub(crate) heartbeat: Duration,
    /// After how long without a heartbeat an agent is degraded
    #[arg(
        long,
        env = "SUTRA_GRID_MASTER_DEGRADED_AFTER",
        value_name = "TIME",
        default_value = "15",
        value_parser = some_duration,
        allow_hyphen_values = true
    )]
    pub(crate) degraded_after: Duration,
    /// After how long it is offline
    #[arg(
        long,
        env = "SUTRA_GRID_MASTER_OFFLINE_AFTER",
        value_name = "TIME",
        default_value = "30",
        value_parser = some_duration,
        allow_hyphen_values = true
    )]
    pub(crate) offline_after: Duration,
    /// The CPU that it has to itself; any by default
    #[arg(
        long,
        env = "SUTRA_GRID_MASTER_CPU",
        value_name = "CPU",
        value_parser = count::<0, 4095>,
        allow_hyphen_values = true
    )]
    pub(crate) cpu: Option<u64>,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    sutra grid agent --id agent-1 --master 10.0.0.1:7001 --data sutra-agent \
    --listen 10.0.0.2:8001\n\n\
    Nodes outlive their agent, which adopts them when it comes back. Under systemd set \
    KillMode=process, and for memory limits Delegate=memory and DelegateSubgroup=sutra-agent.")]
pub(crate) struct RunAgent {
    /// Its name, unique in the grid
    #[arg(long, env = "SUTRA_GRID_AGENT_ID", value_name = "NAME")]
    pub(crate) id: String,
    /// The master
    #[arg(long, env = "SUTRA_GRID", value_name = "ADDRESS", default_value = DEFAULT_MASTER)]
    pub(crate) master: String,
    /// Its folder, with the nodes' data below it; made where it does not exist
    #[arg(
        long,
        env = "SUTRA_GRID_AGENT_DATA",
        value_name = "FOLDER",
        default_value = "sutra-agent"
    )]
    pub(crate) data: PathBuf,
    /// Storage nodes that it keeps running at most
    #[arg(
        long,
        env = "SUTRA_GRID_AGENT_MAX_NODES",
        value_name = "N",
        default_value_t = 8,
        value_parser = count::<1, 256>,
        allow_hyphen_values = true
    )]
    pub(crate) max_nodes: u64,
    /// Where the master reaches it; its nodes listen on the same address, on ports of their own
    #[arg(
        long,
        env = "SUTRA_GRID_AGENT_LISTEN",
        value_name = "ADDRESS",
        default_value = DEFAULT_AGENT,
        value_parser = address
    )]
    pub(crate) listen: SocketAddr,
    /// Where health, metrics and the nodes as JSON are served over HTTP, or off. Its nodes serve
    /// theirs on the same address, on ports of their own
    #[arg(
        long,
        env = "SUTRA_GRID_AGENT_ADMIN",
        value_name = "ADDRESS|off",
        default_value = DEFAULT_AGENT_ADMIN
    )]
    pub(crate) admin: OptionalPort,
    /// The host that others reach it and its nodes by; the address that it listens on by default
    #[arg(long, env = "SUTRA_GRID_AGENT_ADVERTISE", value_name = "HOST")]
    pub(crate) advertise: Option<String>,
    /// What happens to the nodes when the agent is told to end: they keep running (leave), or are
    /// stopped and started again with it (stop)
    #[arg(
        long,
        env = "SUTRA_GRID_AGENT_ON_STOP",
        value_name = "leave|stop",
        default_value = "leave"
    )]
    pub(crate) on_stop: OnStop,
    /// The program to run as a node; this one by default
    #[arg(long, env = "SUTRA_GRID_AGENT_PROGRAM", value_name = "FILE", hide = true)]
    pub(crate) program: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Nodes {
    /// Only this agent's
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    #[command(flatten)]
    pub(crate) to: Master,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  sutra grid spawn agent-1 --name words --memory 4G --cores 1\n\n\
    A stopped node is started again, on its data, where its name or its path is given."
)]
pub(crate) struct Spawn {
    /// The agent
    pub(crate) agent: String,
    /// A name to find the node by, unique in the grid
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) name: String,
    /// Where it listens for native clients; any free port by default
    #[arg(long, value_name = "PORT", value_parser = port)]
    #[arg(default_value = "0", hide_default_value = true)]
    pub(crate) port: u16,
    /// Where it listens for clients of the old protocol; any free port by default
    #[arg(long, value_name = "PORT", value_parser = port)]
    #[arg(default_value = "0", hide_default_value = true)]
    pub(crate) compat_port: u16,
    /// Most memory (512M, 4G); no limit by default
    #[arg(long, value_name = "SIZE", value_parser = mebibytes, allow_hyphen_values = true)]
    pub(crate) memory: Option<u64>,
    /// How many CPUs it has to itself, or which (2, or 0,2,4-7; "3," for CPU 3 alone); by default
    /// one thread on any
    #[arg(
        long,
        value_name = "N|LIST",
        default_value = "",
        hide_default_value = true,
        value_parser = cores,
        allow_hyphen_values = true
    )]
    pub(crate) cores: String,
    /// Its data folder, below the agent's; one of its own by default
    #[arg(long, value_name = "FOLDER", default_value = "", hide_default_value = true)]
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) to: Master,
}

/// Checks what the agent's host will read as [`Cores`], and passes it on as it was typed.
fn cores(text: &str) -> Result<String, String> {
    if !text.is_empty() {
        text.parse::<Cores>()?;
    }
    Ok(text.to_owned())
}

#[derive(Args, Debug)]
pub(crate) struct Stop {
    /// The node's id or name
    pub(crate) node: String,
    #[command(flatten)]
    pub(crate) to: Master,
}

#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// Begin after the event with this number, as far back as the master keeps events; 0 for new
    /// events only
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    pub(crate) after: u64,
    #[command(flatten)]
    pub(crate) to: Master,
}

#[derive(Args, Debug)]
pub(crate) struct Unregister {
    /// The agent
    pub(crate) agent: String,
    #[command(flatten)]
    pub(crate) to: Master,
}

/// `512M`, `4G`, `1T`, or a number of MiB; in MiB.
fn mebibytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "m" | "mb" | "mib" => 1,
        "g" | "gb" | "gib" => 1 << 10,
        "t" | "tb" | "tib" => 1 << 20,
        _ => 0,
    };
    let size = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|size| *size > 0);
    size.filter(|size| *size < 1 << 40)
        .ok_or_else(|| format!("{text:?} is no size; write 512M, 4G or 1T"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_are_in_powers_of_two() {
        let read = |text| mebibytes(text).unwrap();
        assert_eq!(["512", "512M", "4G", "4GiB", "1t"].map(read), [512, 512, 4096, 4096, 1 << 20]);
        for wrong in ["", "0", "-1", "1K", "1.5G", "G", "99999999999999999T", "M5"] {
            assert!(mebibytes(wrong).is_err(), "{wrong}");
        }
    }
}
