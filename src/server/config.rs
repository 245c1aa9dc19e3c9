//! What a storage server is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use sutra_compat::Numbering;
use sutra_net::Limits;
use sutra_runtime::Spin;
use sutra_wire::{Durability, IdRule};

/// Which CPUs serve.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Cores {
    /// Every CPU that the process may use.
    #[default]
    All,
    /// The first so many of them.
    Count(usize),
    /// These.
    List(Vec<usize>),
}

impl FromStr for Cores {
    type Err = String;

    /// `4` is a count; `0,2,4-7` is a list; `3,` is the one CPU 3.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a number of cores (4) nor a list of CPUs (0,2,4-7)");
        if let Ok(count) = text.parse::<usize>() {
            return if count == 0 { Err("at least one core is needed".into()) } else { Ok(Self::Count(count)) };
        }
        let mut list = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: usize = first.trim().parse().map_err(|_| wrong())?;
            let last: usize = last.trim().parse().map_err(|_| wrong())?;
            if last < first || last - first >= 4096 {
                return Err(wrong());
            }
            list.extend(first..=last);
        }
        let mut seen = list.clone();
        seen.sort_unstable();
        seen.dedup();
        if list.is_empty() {
            return Err(wrong());
        }
        if seen.len() != list.len() {
            return Err(format!("{text:?} names a CPU twice; each core has a CPU of its own"));
        }
        Ok(Self::List(list))
    }
}

/// What a storage server is started with.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The data folder; made where it does not exist.
    pub data: PathBuf,
    /// Where to listen for native clients.
    pub listen: Vec<SocketAddr>,
    /// Where to listen for clients of the old protocol; nowhere where this is empty.
    pub compat: Vec<SocketAddr>,
    /// The variant numbers of their bincode messages.
    pub numbering: Numbering,
    /// How a name becomes an id in a store that is made; `None` for the default, or for what the store has.
    pub id_rule: Option<IdRule>,
    /// Which CPUs serve.
    pub cores: Cores,
    /// Whether each core's thread stays on its CPU.
    pub pin: bool,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// Whether a core with nothing to do polls before it sleeps.
    pub spin: Spin,
    /// What connections may take up.
    pub limits: Limits,
    /// Size of a new log segment, in bytes.
    pub segment_bytes: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            data: PathBuf::from("sutra-data"),
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 50050))],
            compat: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 50051))],
            numbering: Numbering::First,
            id_rule: None,
            cores: Cores::All,
            pin: true,
            durability: Durability::Always,
            spin: Spin::Off,
            limits: Limits::default(),
            segment_bytes: 64 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_read_as_a_count_or_as_a_list() {
        assert_eq!("4".parse(), Ok(Cores::Count(4)));
        assert_eq!("0,2,4-6".parse(), Ok(Cores::List(vec![0, 2, 4, 5, 6])));
        assert_eq!("3,".parse(), Ok(Cores::List(vec![3])));
        for wrong in ["", "0", "x", "3-1", "1,1", "0-99999"] {
            assert!(wrong.parse::<Cores>().is_err(), "{wrong}");
        }
    }
}
