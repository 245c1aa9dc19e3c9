//! Everything that a server counts, as JSON.

use serde_json::{Map, Value, json};
use sutra_admin::Readiness;
use sutra_wire::Stats;

/// The names are those of `sutra stats --json`.
pub(crate) fn of_server(stats: &Stats, status: &str, readiness: &Readiness) -> Value {
    let counters: Map<String, Value> =
        stats.counters.iter().map(|counter| (counter.name.clone(), counter.value.into())).collect();
    json!({
        "status": status,
        "ready": *readiness == Readiness::Ready,
        "concepts": stats.concepts,
        "associations": stats.associations,
        "vectors": stats.vectors,
        "written": stats.written,
        "pending": stats.pending,
        "uptime_us": stats.uptime,
        "cores": stats.cores,
        "durability": stats.durability,
        "write_path": stats.write_path,
        "data": stats.data,
        "version": stats.version,
        "counters": counters,
    })
}
