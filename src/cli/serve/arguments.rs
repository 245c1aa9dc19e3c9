//! The settings of `sutra serve`: what each is called, where else it may stand, and what the server
//! is told of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use sutra_api::Api;
use sutra_server::{Cores, Limits, Numbering, ServerConfig, Spin};
use sutra_wire::{Durability, IdRule};

use crate::admin_port::DEFAULT_ADMIN;
use crate::exit::Failure;
use crate::import;
use crate::systemd::notify;
use crate::target::DEFAULT_SERVER;
use crate::values::{OptionalPort, OptionalTime, address, compat_addresses, field, some_duration};

/// The compat port of a server that was not told otherwise.
const DEFAULT_COMPAT: &str = "127.0.0.1:50051";

/// From how long on a request is slow where nobody says. Queries take some 0.1 ms, durable writes
/// 0.2, and 1 beside long work: what takes ten times as long as that waited for something.
const DEFAULT_SLOW: &str = "10ms";

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    sutra serve --data sutra-data --listen 127.0.0.1:50050 --import tests/data/wordnet")]
pub(crate) struct Serve {
    /// The data folder; created if it does not exist
    #[arg(long, env = "SUTRA_DATA", value_name = "FOLDER", default_value = "sutra-data")]
    pub(super) data: PathBuf,
    /// Addresses to listen on, separated by commas
    #[arg(
        long,
        env = "SUTRA_LISTEN",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = DEFAULT_SERVER,
        value_parser = address
    )]
    listen: Vec<SocketAddr>,
    /// Addresses for clients of the old protocol (msgpack and bincode), separated by commas, or
    /// off. 0.0.0.0:50051,[::]:50051 is every IPv4 and every IPv6 address
    #[allow(rustdoc::broken_intra_doc_links, reason = "the help prints it as it stands")]
    #[arg(
        long,
        env = "SUTRA_COMPAT",
        value_name = "ADDRESS|off",
        value_delimiter = ',',
        default_value = DEFAULT_COMPAT
    )]
    compat: Vec<OptionalPort>,
    /// How those clients number their bincode requests: as in the first TCP release, or as in
    /// those from late October 2025 on
    #[arg(
        long,
        env = "SUTRA_COMPAT_NUMBERING",
        value_name = "first|later",
        value_enum,
        default_value = "first"
    )]
    compat_numbering: CompatNumbering,
    /// Where health and metrics are served over HTTP, or off
    #[arg(long, env = "SUTRA_ADMIN", value_name = "ADDRESS|off", default_value = DEFAULT_ADMIN)]
    admin: OptionalPort,
    /// How names become ids in a new store: md5-or-hex, or legacy for the data of an old server.
    /// The store keeps its rule
    #[arg(long, env = "SUTRA_ID_RULE", value_name = "RULE")]
    id_rule: Option<IdRule>,
    /// How many CPUs to serve on, or which ones (0,2,4-7; "3," for CPU 3 alone). By default as many
    /// as the store was made for, and for a new one all that the process may use. A store that was
    /// made for another number is made over first
    #[arg(long, env = "SUTRA_CORES", value_name = "N|LIST", allow_hyphen_values = true)]
    cores: Option<Cores>,
    /// When a write is acknowledged: when it is on stable storage (always), or when the system has
    /// it. Then stable storage follows within MS milliseconds (interval=MS), or when the system
    /// likes (os)
    #[arg(
        long,
        env = "SUTRA_DURABILITY",
        value_name = "always|interval=MS|os",
        default_value = "always",
        value_parser = field::<Durability>
    )]
    durability: Durability,
    /// Whether an idle core looks for work before it sleeps: faster answers, for CPU time
    #[arg(
        long,
        env = "SUTRA_SPIN",
        value_name = "off|adaptive|always",
        value_enum,
        default_value = "off"
    )]
    spin: SpinMode,
    /// Import this folder's .jsonl files while serving, or an old server's folder: what the store
    /// does not have yet. A file that was imported before is left out, so that changes and
    /// deletions outlive a restart. `sutra import` imports again, and replaces
    #[arg(long, env = "SUTRA_IMPORT", value_name = "FOLDER")]
    pub(super) import: Option<PathBuf>,
    /// Close connections that are silent for this long (90, 30s, 5m); never by default
    #[arg(
        long,
        env = "SUTRA_IDLE_TIMEOUT",
        value_name = "TIME",
        value_parser = some_duration,
        allow_hyphen_values = true
    )]
    pub(super) idle_timeout: Option<Duration>,
    /// Keep the last requests that take at least this long, for `sutra slow` to show (10ms, 1s), or
    /// off
    #[arg(
        long,
        env = "SUTRA_SLOW",
        value_name = "TIME|off",
        default_value = DEFAULT_SLOW,
        allow_hyphen_values = true
    )]
    slow: OptionalTime,
    /// Take over from the server that runs on the data folder, with its connections: no client
    /// notices more than a pause. Where that fails, it goes on
    #[arg(long)]
    pub(super) takeover: bool,
    /// Serve the store and write nothing, not even to its folder: also one on a full disk, on a
    /// filesystem that is mounted read-only, or with damaged files. What is whole is served
    #[arg(
        long,
        env = "SUTRA_READ_ONLY",
        value_parser = BoolishValueParser::new(),
        conflicts_with_all = ["takeover", "import"]
    )]
    read_only: bool,
    /// Let the scheduler move the threads between CPUs, for hosts with a CPU quota
    #[arg(long, env = "SUTRA_NO_PIN", value_parser = BoolishValueParser::new())]
    no_pin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompatNumbering {
    /// GetStats is request 6
    First,
    /// QueryByMetadata is request 6, GetStats 7
    Later,
}

impl From<CompatNumbering> for Numbering {
    fn from(numbering: CompatNumbering) -> Self {
        match numbering {
            CompatNumbering::First => Numbering::First,
            CompatNumbering::Later => Numbering::Later,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpinMode {
    /// Sleep at once
    Off,
    /// Look for a while, then sleep
    Adaptive,
    /// Never sleep
    Always,
}

impl From<SpinMode> for Spin {
    fn from(mode: SpinMode) -> Self {
        match mode {
            SpinMode::Off => Spin::Off,
            SpinMode::Adaptive => Spin::Adaptive,
            SpinMode::Always => Spin::Always,
        }
    }
}

impl Serve {
    /// The rule for ids that a new store needs for what it is filled with.
    fn needed_id_rule(&self) -> Option<IdRule> {
        let folder = self.import.as_deref().filter(|_| !sutra_server::has_store(&self.data))?;
        import::needed_id_rule(folder)
    }

    /// What the server itself is told.
    pub(super) fn config(&self, api: &Api) -> Result<ServerConfig, Failure> {
        Ok(ServerConfig {
            data: self.data.clone(),
            listen: self.listen.clone(),
            compat: compat_addresses(&self.compat)?,
            admin: self.admin.address(),
            api: api.routes(),
            numbering: self.compat_numbering.into(),
            id_rule: self.id_rule.or_else(|| self.needed_id_rule()),
            cores: self.cores.clone().unwrap_or(Cores::All),
            pin: !self.no_pin,
            read_only: self.read_only,
            durability: self.durability,
            spin: self.spin.into(),
            limits: Limits { idle_timeout: self.idle_timeout, ..Limits::default() },
            slow: self.slow.0,
            is_managed: notify::is_managed(),
            ..ServerConfig::default()
        })
    }

    /// What can't be changed while a server runs, by the names of the settings.
    pub(super) fn fixed(&self) -> [(&'static str, String); 13] {
        let Self {
            data,
            listen,
            compat,
            compat_numbering,
            admin,
            id_rule,
            cores,
            durability,
            spin,
            import,
            idle_timeout: _,
            slow,
            takeover: _,
            read_only,
            no_pin,
        } = self;
        [
            ("data", format!("{data:?}")),
            ("listen", format!("{listen:?}")),
            ("compat", format!("{compat:?}")),
            ("compat-numbering", format!("{compat_numbering:?}")),
            ("admin", format!("{admin:?}")),
            ("id-rule", format!("{id_rule:?}")),
            ("cores", format!("{cores:?}")),
            ("durability", format!("{durability:?}")),
            ("spin", format!("{spin:?}")),
            ("import", format!("{import:?}")),
            ("slow", format!("{:?}", slow.0)),
            ("read-only", format!("{read_only:?}")),
            ("no-pin", format!("{no_pin:?}")),
        ]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::*;
    use crate::args::{Arguments, Command};

    #[test]
    fn cores_spin_and_listen_read_as_the_server_takes_them() {
        let line = [
            "sutra",
            "serve",
            "--cores",
            "0,2-3",
            "--spin",
            "adaptive",
            "--listen",
            "127.0.0.1:1,[::1]:2",
            "--no-pin",
        ];
        let Command::Serve(serve) = Arguments::try_parse_from(line).unwrap().command else {
            panic!("serve")
        };
        assert_eq!(serve.cores, Some(Cores::List(vec![0, 2, 3])));
        assert_eq!(
            (Spin::from(serve.spin), serve.listen.len(), serve.no_pin),
            (Spin::Adaptive, 2, true)
        );
    }
}
