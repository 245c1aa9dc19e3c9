//! `sutra top --once`: what lies between two looks, as text or as JSON.

use serde_json::{Map, Value, json};
use sutra_runtime::Histogram;

use super::interval::Interval;
use super::poll::Look;
use super::tables;
use crate::admin_port::AdminAddress;
use crate::slow::{self, Columns};
use crate::words::duration;

/// Slow requests that are shown to people.
const SLOW: usize = 10;

pub(super) fn for_people(interval: &Interval, look: &Look, address: &AdminAddress) -> String {
    let stats = &look.stats;
    let mut text = format!(
        "{address}: {}\nin {}: {}\n",
        tables::server(stats),
        duration(interval.length),
        tables::summary(stats, interval)
    );
    for problem in tables::problems(stats) {
        text += &format!("! {problem}\n");
    }
    for table in [tables::operations(interval, true), tables::cores(stats, interval)] {
        text += &format!("\n{}\n", table.heading);
        table.lines.iter().for_each(|line| text += &format!("{line}\n"));
    }
    text += "\n";
    for (name, value) in tables::facts(stats, interval) {
        text += &format!("{name:<8}  {value}\n");
    }
    let shown = look.slow.requests.get(..SLOW).unwrap_or(&look.slow.requests);
    if !shown.is_empty() {
        text += "\nthe last slow requests\n";
        slow::table(shown, Columns::All).iter().for_each(|line| text += &format!("{line}\n"));
    }
    text.trim_end().to_owned()
}

pub(super) fn for_programs(interval: &Interval, look: &Look) -> Value {
    let stats = &look.stats;
    let operation = |operation: &super::interval::Operation| {
        let mut value = took(&operation.took);
        value["per_second"] = operation.requests.into();
        value["total"] = operation.total.into();
        (operation.name.clone(), value)
    };
    let operations: Map<String, Value> = interval.operations.iter().map(operation).collect();
    let error = |(status, often): &(String, f64)| (status.clone(), (*often).into());
    let errors: Map<String, Value> = interval.errors_by_status.iter().map(error).collect();
    let mut commits = took(&interval.commit_took);
    commits["per_second"] = interval.commits.into();
    let cores: Vec<Value> = stats
        .by_core
        .iter()
        .zip(&interval.cores)
        .map(|(core, rates)| {
            json!({
                "core": core.core, "answers": core.answers, "problem": core.problem,
                "requests_per_second": rates.requests, "turns_per_second": rates.turns,
                "sleeps_per_second": rates.sleeps, "messages_per_second": rates.messages,
                "in_flight": core.in_flight, "pending": core.pending,
                "connections": core.connections, "concepts": core.concepts,
                "log_bytes": core.log_bytes,
            })
        })
        .collect();
    json!({
        "interval_us": u64::try_from(interval.length.as_micros()).unwrap_or(u64::MAX),
        "status": stats.status, "healthy": stats.healthy, "ready": stats.ready,
        "version": stats.version, "uptime_us": stats.uptime_us,
        "durability": stats.durability, "data": stats.data,
        "requests_per_second": interval.requests,
        "errors_per_second": interval.errors,
        "slow_per_second": interval.slow,
        "writes_per_second": interval.writes,
        "accepted_per_second": interval.accepted,
        "failed_connections_per_second": interval.failed_connections,
        "waits_per_second": interval.waits,
        "received_bytes_per_second": interval.received,
        "sent_bytes_per_second": interval.sent,
        "cpus": interval.cpus,
        "operations": operations, "errors": errors, "commits": commits, "cores": cores,
        "in_flight": stats.in_flight, "connections": stats.connections.open,
        "writes_pending": stats.writes.pending,
        "held_bytes": stats.held.input_bytes + stats.held.output_bytes,
        "stored": {
            "concepts": stats.stored.concepts, "associations": stats.stored.associations,
            "vectors": stats.stored.vectors,
            "log_bytes": stats.stored.log_bytes, "log_segments": stats.stored.log_segments,
        },
        "memory": {
            "segments_bytes": stats.memory.segments_bytes,
            "tables_bytes": stats.memory.tables_bytes,
            "vectors_bytes": stats.memory.vectors_bytes,
            "resident_bytes": stats.memory.resident_bytes,
            "host_bytes": stats.memory.host_bytes,
            "host_available_bytes": stats.memory.host_available_bytes,
        },
        "disk": stats.disk.map(|disk| {
            json!({ "free_bytes": disk.free_bytes, "size_bytes": disk.size_bytes })
        }),
        "read_only": stats.read_only,
        "damaged": stats.damaged,
        "last_backup_taken_us": stats.counters.get("last_backup_taken_us"),
        "slow": look.slow,
    })
}

fn took(took: &Histogram) -> Value {
    let ns = |share| {
        let quantile = took.quantile(share);
        quantile.map(|took| u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))
    };
    json!({ "count": took.count(), "p50_ns": ns(0.5), "p99_ns": ns(0.99), "p999_ns": ns(0.999) })
}
