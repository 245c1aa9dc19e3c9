//! `sutra serve`: runs a server until it is told to stop, and says what it does and what to try
//! next.

mod next;
mod service;
mod startup_import;
mod successor;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use serde_json::json;
use sutra_api::Api;
use sutra_server::{Cores, End, Inherited, Limits, Numbering, ServerConfig, Spin, StartReport};
use sutra_wire::{Durability, IdRule};

use crate::admin_port::DEFAULT_ADMIN;
use crate::exit::{Answer, Failure};
use crate::exposure;
use crate::import;
use crate::output::Output;
use crate::signals;
use crate::systemd::{notify, watchdog};
use crate::target::DEFAULT_SERVER;
use crate::values::{OptionalPort, OptionalTime, address, compat_addresses, field, some_duration};
use next::suggestions;
use service::Service;

/// The compat port of a server that was not told otherwise.
const DEFAULT_COMPAT: &str = "127.0.0.1:50051";

/// From how long on a request is slow where nobody says. Queries take some 0.1 ms, durable writes
/// 0.2, and 1 beside long work: what takes ten times as long as that waited for something.
const DEFAULT_SLOW: &str = "10ms";

/// How long a server that ends waits for an import to say what it did.
const IMPORT_END: Duration = Duration::from_secs(5);

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    sutra serve --data sutra-data --listen 127.0.0.1:50050 --import tests/data/wordnet")]
pub(crate) struct Serve {
    /// The data folder; created if it does not exist
    #[arg(long, env = "SUTRA_DATA", value_name = "FOLDER", default_value = "sutra-data")]
    data: PathBuf,
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
    /// How many CPUs to serve on, or which ones (0,2,4-7; "3," for CPU 3 alone). By default all
    /// that the process may use
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
    import: Option<PathBuf>,
    /// Close connections that are silent for this long (90, 30s, 5m); never by default
    #[arg(
        long,
        env = "SUTRA_IDLE_TIMEOUT",
        value_name = "TIME",
        value_parser = some_duration,
        allow_hyphen_values = true
    )]
    idle_timeout: Option<Duration>,
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
    takeover: bool,
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

    fn config(&self, api: &Api) -> Result<ServerConfig, Failure> {
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
    fn fixed(&self) -> [(&'static str, String); 13] {
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

/// `reload_by` is told how to take settings over when they are read again.
pub(crate) fn run(
    serve: Serve,
    sockets: Inherited,
    output: Output,
    reload_by: impl FnOnce(TakeOver),
) -> Result<Answer, Failure> {
    if let Some(folder) = serve.import.as_ref().filter(|folder| !folder.exists()) {
        return Err(Failure::Usage(format!(
            "--import {}: there is no such file or folder",
            folder.display()
        )));
    }
    let service = Arc::<Service>::default();
    let ended_by = Arc::clone(&service);
    signals::heed_as_service(move |signal| ended_by.end(signal))?;
    let api = Api::default();
    let config = serve.config(&api)?;
    let mut server = if serve.takeover {
        sutra_server::take_over(config, || service.is_about_to_serve())?
    } else {
        notify::starting(&format!("reading {}", serve.data.display()));
        sutra_server::start_on(config, sockets)?
    };
    service.serves(&server);
    successor::start_by_signal();
    let report = server.report();
    exposure::warn("native", &report.listening, "may read, change and delete all that is stored");
    exposure::warn("compat", &report.compat, "may read, change and delete all that is stored");
    exposure::warn("admin", report.admin.as_slice(), "may read all that is stored");
    let address = reachable(server.listening().first().copied());
    api.serve(address.to_string());
    announce(server.report(), address, serve.import.is_some(), output)?;
    if let Some(departing) = server.take_departing() {
        // Until it has left, the service manager counts that one as this service.
        departing.wait();
    }
    let status = status(server.report());
    notify::ready(&status);
    let watched = watchdog::watch(server.pulse(), status)?;
    reload_by(reloading(&service, &serve));
    loop {
        let stop = service.begin_import();
        let begin =
            |folder| startup_import::spawn(folder, address, server.imports(), stop.clone(), output);
        let importing = serve.import.clone().map(begin).transpose()?;
        let ended = server.wait();
        if let Ok(End::TakenOver(following)) = &ended {
            notify::followed_by(following.pid);
        }
        // Whoever follows is told by that, and makes the import itself.
        let ended = ended.map(|ended| match ended {
            End::Back(server) => Some(server),
            End::Stopped | End::TakenOver(_) => None,
        });
        if let Some(importing) = importing {
            // Without a server it has nothing to wait for; told to stop, it says what it did. Its
            // progress may be on a terminal that is held (Ctrl-S), which must not hold the server.
            stop.ask(-1);
            let _ = importing.recv_timeout(IMPORT_END);
        }
        match ended? {
            Some(back) => server = *back,
            None => break,
        }
        service.serves(&server);
        watched.watch(server.pulse());
    }
    tracing::info!("stopped; everything acknowledged is stored");
    Ok(Answer::Yes)
}

/// What came of settings that were read again.
#[derive(Default)]
pub(crate) struct Reloaded {
    /// Settings that were taken over, with what they are now.
    pub(crate) changed: Vec<String>,
    /// Those that wait for the next start.
    pub(crate) waiting: Vec<&'static str>,
}

/// Takes over what can change of settings that were read again.
pub(crate) type TakeOver = Box<dyn Fn(Serve) -> Reloaded + Send + Sync>;

/// Takes over what can change while the server runs that was started with these.
fn reloading(service: &Arc<Service>, started: &Serve) -> TakeOver {
    let (service, current) = (Arc::clone(service), Mutex::new(started.idle_timeout));
    let started = started.fixed();
    Box::new(move |now| {
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Vec::new();
        if *current != now.idle_timeout {
            *current = now.idle_timeout;
            service.set_idle_timeout(now.idle_timeout);
            let words = now.idle_timeout.map_or("never".to_owned(), |time| format!("{time:?}"));
            changed.push(format!("idle-timeout: {words}"));
        }
        let pairs = started.iter().zip(now.fixed());
        let waiting = pairs.filter(|(before, now)| **before != *now);
        Reloaded { changed, waiting: waiting.map(|((name, _), _)| *name).collect() }
    })
}

/// How the server is, on one line.
fn status(report: &StartReport) -> String {
    let list = |addresses: &[SocketAddr]| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let compat = match report.compat.as_slice() {
        [] => String::new(),
        compat => format!(", old protocol on {}", list(compat)),
    };
    let (native, data) = (list(&report.listening), report.data.display());
    format!("serving {data} on {native}{compat}; {} cores", report.cpus.len())
}

/// Where a client on this host reaches a server that listens here.
fn reachable(listening: Option<SocketAddr>) -> SocketAddr {
    let mut address = listening.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        };
        address.set_ip(loopback);
    }
    address
}

fn announce(
    report: &StartReport,
    address: SocketAddr,
    importing: bool,
    output: Output,
) -> Result<(), Failure> {
    let value = json!({
        "listening": report.listening,
        "compat": report.compat,
        "admin": report.admin,
        "data": report.data,
        "durability": report.durability.to_string(),
        "write_path": report.write_path,
        "cpus": report.cpus,
        "pinned": report.pinned,
        "read_only": report.read_only.is_some(),
        "recovered": report.recovery.fields().into_iter().collect::<BTreeMap<_, _>>(),
    });
    output.answer(&value, || {
        if importing {
            return report.to_string();
        }
        let next = [("learn", "dog \"a domesticated carnivore\""), ("query", "dog"), ("stats", "")];
        format!("{report}\ntry next{}", suggestions(address, &next))
    })
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

    #[test]
    fn a_server_on_every_address_is_reached_on_the_loopback() {
        let reached = |text: &str| reachable(text.parse().ok()).to_string();
        assert_eq!(reached("0.0.0.0:7"), "127.0.0.1:7");
        assert_eq!(reached("[::]:7"), "[::1]:7");
        assert_eq!(reached("10.0.0.1:7"), "10.0.0.1:7");
    }
}
