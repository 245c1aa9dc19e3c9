//! What a server can say of itself once it has started.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sutra_store::{Finding, OpenReport, Severity};
use sutra_wire::{Durability, IdRule};

use crate::trust::Trust;

/// What every core knows of the server.
#[derive(Debug)]
pub(crate) struct ServerInfo {
    data: PathBuf,
    durability: Durability,
    id_rule: IdRule,
    recovery: OpenReport,
    write_path: String,
    started_at: Instant,
    counting_since: u64,
    trust: Arc<Trust>,
}

impl ServerInfo {
    pub(crate) fn new(report: &StartReport, started_at: Instant, trust: Trust) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let StartReport { data, durability, id_rule, recovery, write_path, .. } = report;
        Self {
            data: data.clone(),
            durability: *durability,
            id_rule: *id_rule,
            recovery: recovery.clone(),
            write_path: write_path.clone(),
            started_at,
            counting_since: u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX),
            trust: Arc::new(trust),
        }
    }

    /// What is known of the state of its files.
    pub(crate) fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// When a write is acknowledged.
    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// How the store makes ids of the old protocol's strings.
    pub(crate) fn id_rule(&self) -> IdRule {
        self.id_rule
    }

    /// What recovery read.
    pub(crate) fn recovery(&self) -> &OpenReport {
        &self.recovery
    }

    /// How the log reaches the disk, in words.
    pub(crate) fn write_path(&self) -> &str {
        &self.write_path
    }

    /// When its counts were zero, in µs since 1970: at its start, or when it took over.
    pub(crate) fn counting_since(&self) -> u64 {
        self.counting_since
    }

    /// How long the server has run by this moment of the cores' clock, in µs.
    pub(crate) fn uptime(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started_at).as_micros() as u64
    }
}

/// What a start found and set up.
#[derive(Clone, Debug)]
pub struct StartReport {
    /// Where it listens for native clients.
    pub listening: Vec<SocketAddr>,
    /// Where it listens for clients of the old protocol.
    pub compat: Vec<SocketAddr>,
    /// Where it serves health and metrics over HTTP.
    pub admin: Option<SocketAddr>,
    /// The CPUs of its cores.
    pub cpus: Vec<usize>,
    /// The CPUs that the process may use.
    pub allowed: Vec<usize>,
    /// Whether each core's thread stays on its CPU.
    pub pinned: bool,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// How the store makes ids of the old protocol's strings.
    pub id_rule: IdRule,
    /// How the log reaches the disk, in words.
    pub write_path: String,
    /// The data folder.
    pub data: PathBuf,
    /// What recovery read.
    pub recovery: OpenReport,
    /// What is damaged of a store that is only read; `None` for one that is written.
    pub read_only: Option<Vec<Finding>>,
}

impl fmt::Display for StartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: &[SocketAddr]| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let cpus: Vec<String> = self.cpus.iter().map(ToString::to_string).collect();
        writeln!(f, "listening   {}", list(&self.listening))?;
        if !self.compat.is_empty() {
            writeln!(
                f,
                "compat      {} (msgpack and bincode clients of the old protocol)",
                list(&self.compat)
            )?;
        }
        if let Some(admin) = self.admin {
            writeln!(
                f,
                "admin       http://{admin} (a page; /healthz, /readyz, /metrics, /stats.json)"
            )?;
        }
        writeln!(f, "data        {}", self.data.display())?;
        writeln!(f, "durability  {} ({})", self.durability, self.write_path)?;
        let choice = self.allowed.len();
        let (count, cpus) = (self.cpus.len(), cpus.join(", "));
        match self.pinned {
            true if count < choice => {
                writeln!(f, "cores       {count} (pinned: CPU {cpus}, of {choice})")?;
            }
            true => writeln!(f, "cores       {count} (pinned: CPU {cpus})")?,
            false => writeln!(f, "cores       {count} (not pinned: CPU {cpus})")?,
        }
        if let Some(findings) = &self.read_only {
            let is_damage = |finding: &&Finding| finding.severity == Severity::Damage;
            match findings.iter().filter(is_damage).count() {
                0 => writeln!(f, "read-only   no writes are taken, and nothing is written")?,
                damaged => writeln!(
                    f,
                    "read-only   no writes are taken; damaged places: {damaged} (the log lists \
                     them), and what is whole is served"
                )?,
            }
        }
        write!(f, "recovered   {}", self.recovery)
    }
}
