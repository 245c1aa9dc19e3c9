//! Ports for nodes: the ones that are asked for, or free ones.
//!
//! Free ones lie below the range that the system takes outgoing connections' ports from, so that a
//! node that is started again finds its port as it left it. Where to begin is drawn, as several
//! agents of one host look for ports at the same time.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, TcpListener};

use crate::error::Refusal;
use crate::list::NodeRecord;

/// The lowest port that is chosen.
const FIRST: u16 = 20_000;
/// The lowest of the system's own range by default.
const SYSTEM: u16 = 32_768;

/// Whether nobody listens there.
pub(crate) fn check(ip: IpAddr, port: u16) -> Result<(), String> {
    // Without SO_REUSEPORT: a server of ours that has it is met, too.
    TcpListener::bind((ip, port)).map(|_| ()).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => "it is in use by another process".into(),
        _ => error.to_string(),
    })
}

/// The port that was asked for, if it is free and not in `taken`; for 0, `before` if that is, or
/// any that is.
pub(crate) fn choose(
    ip: IpAddr,
    asked: u32,
    before: u16,
    taken: &HashSet<u16>,
) -> Result<u16, Refusal> {
    if asked != 0 {
        let wrong = |reason: String| Refusal::Port { port: asked, reason };
        let port = u16::try_from(asked).map_err(|_| wrong("ports end at 65535".into()))?;
        if taken.contains(&port) {
            return Err(wrong("another node of this agent has it".into()));
        }
        check(ip, port).map_err(wrong)?;
        return Ok(port);
    }
    let is_free = |port: &u16| !taken.contains(port) && check(ip, *port).is_ok();
    if before != 0 && is_free(&before) {
        return Ok(before);
    }
    let (first, last) = range();
    let start = rand::random_range(first..=last);
    let found = (start..=last).chain(first..start).find(is_free);
    found.ok_or(Refusal::NoPort { first, last })
}

/// The ports of a node that is started again: its own, or others for those that nobody asked for
/// and that somebody else has by now. `taken` are those of other nodes.
pub(crate) fn renew(
    ip: IpAddr,
    node: &NodeRecord,
    mut taken: HashSet<u16>,
) -> Result<[u16; 2], Refusal> {
    let (mut port, mut compat_port) = (node.port, node.compat_port);
    if !node.asked_port {
        taken.insert(compat_port);
        port = choose(ip, 0, port, &taken)?;
        taken.remove(&compat_port);
    }
    if !node.asked_compat_port {
        taken.insert(port);
        compat_port = choose(ip, 0, compat_port, &taken)?;
    }
    Ok([port, compat_port])
}

/// Where such a node serves HTTP: on its own port, or on another where somebody else has that.
/// `taken` are all other ports of nodes.
pub(crate) fn renew_admin(
    ip: IpAddr,
    node: &NodeRecord,
    taken: &HashSet<u16>,
) -> Result<SocketAddr, Refusal> {
    let before = node.admin.map_or(0, |admin| admin.port());
    Ok(SocketAddr::new(ip, choose(ip, 0, before, taken)?))
}

fn range() -> (u16, u16) {
    let text =
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let system =
        text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(SYSTEM);
    // A host that gives the system nearly all ports has no better ones.
    if system > FIRST + 1_000 { (FIRST, system - 1) } else { (FIRST, SYSTEM - 1) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_port_in_use_or_reserved_is_refused_and_a_free_one_is_found() {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let used = listener.local_addr().unwrap().port();
        let error = choose(HERE, u32::from(used), 0, &HashSet::new()).unwrap_err().to_string();
        assert!(error.contains("in use") && error.contains(&used.to_string()), "{error}");
        let free = choose(HERE, 0, used, &HashSet::new()).unwrap();
        assert_ne!(free, used);
        let taken = HashSet::from([free]);
        let error = choose(HERE, u32::from(free), 0, &taken).unwrap_err().to_string();
        assert!(error.contains("another node"), "{error}");
        assert_ne!(choose(HERE, 0, free, &taken).unwrap(), free);
        assert_eq!(choose(HERE, 0, free, &HashSet::new()).unwrap(), free, "what it had before");
        assert!(choose(HERE, 70_000, 0, &taken).unwrap_err().to_string().contains("65535"));
    }
}
