//! What a storage server is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sutra_admin::Routes;
use sutra_compat::Numbering;
use sutra_net::Limits;
use sutra_runtime::{Cores, Spin};
use sutra_wire::{Durability, IdRule};

/// What a storage server is started with.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The data folder; made where it does not exist.
    pub data: PathBuf,
    /// Where to listen for native clients.
    pub listen: Vec<SocketAddr>,
    /// Where to listen for clients of the old protocol; nowhere where this is empty.
    pub compat: Vec<SocketAddr>,
    /// Where health and metrics are served over HTTP; nowhere where there is none.
    pub admin: Option<SocketAddr>,
    /// What is served there besides what the server tells of itself.
    pub api: Routes,
    /// The variant numbers of their bincode messages.
    pub numbering: Numbering,
    /// How a name becomes an id in a store that is made; `None` for the default, or for what the
    /// store has.
    pub id_rule: Option<IdRule>,
    /// Which CPUs serve; a store that is there says how many where nobody does.
    pub cores: Cores,
    /// Whether each core's thread stays on its CPU.
    pub pin: bool,
    /// Whether the store is only read: nothing is written to its folder, and a damaged one is
    /// served as far as it is whole.
    pub read_only: bool,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// Whether a core with nothing to do polls before it sleeps.
    pub spin: Spin,
    /// What connections may take up.
    pub limits: Limits,
    /// How long a request takes whose stages are kept, at least; `None` to keep none.
    pub slow: Option<Duration>,
    /// Size of a new log segment, in bytes.
    pub segment_bytes: u64,
    /// Whether a service manager looks after this process: then only a process that it counts as
    /// the same service's may take over.
    pub is_managed: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            data: PathBuf::from("sutra-data"),
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 50050))],
            compat: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 50051))],
            admin: None,
            api: Routes::default(),
            numbering: Numbering::First,
            id_rule: None,
            cores: Cores::All,
            pin: true,
            read_only: false,
            durability: Durability::Always,
            spin: Spin::Off,
            limits: Limits::default(),
            slow: Some(Duration::from_millis(10)),
            segment_bytes: 64 << 20,
            is_managed: false,
        }
    }
}
