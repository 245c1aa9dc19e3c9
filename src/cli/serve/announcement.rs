//! What a server says of itself when it has started.

use std::collections::BTreeMap;
use std::net::SocketAddr;

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
