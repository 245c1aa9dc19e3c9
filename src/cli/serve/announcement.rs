//! What a server says of itself when it has started.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::json;
use sutra_server::StartReport;

use super::next::suggestions;
use crate::exit::Failure;
use crate::output::Output;

/// How the server is, on one line.
pub(super) fn status(report: &StartReport) -> String {
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
pub(super) fn reachable(listening: Option<SocketAddr>) -> SocketAddr {
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

pub(super) fn announce(
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

    use super::*;

    #[test]
    fn a_server_on_every_address_is_reached_on_the_loopback() {
        let reached = |text: &str| reachable(text.parse().ok()).to_string();
        assert_eq!(reached("0.0.0.0:7"), "127.0.0.1:7");
        assert_eq!(reached("[::]:7"), "[::1]:7");
        assert_eq!(reached("10.0.0.1:7"), "10.0.0.1:7");
    }
}
