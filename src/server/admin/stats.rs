//! Everything that a server counts, for programs that look again and again: `/api/v1/stats`.
//!
//! All counts are since the start, or since this server took over from the one before it, so that
//! whoever asks twice has what lies between. `counting_since_us` says when that was. Latencies come
//! by bucket for the same reason: quantiles of a time span are those of the buckets' differences.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use sutra_admin::{Host, Readiness};
use sutra_net::Histogram;

use super::metrics::{FAILED, count};
use super::seen::Seen;
use crate::all_cores;
use crate::core::message::{CoreStats, CoreView};
use crate::report::ServerInfo;

/// All of a running server.
pub(super) fn of_server(seen: &Seen) -> Value {
    let (all, host, info) = (seen.all(), Host::read(seen.info().data()), seen.info());
    let counter = |name| count(&all.counters, name);
    let latency = all.latencies.iter().filter(|(_, latency)| latency.count() > 0);
    let latency: Map<String, Value> =
        latency.map(|(opcode, latency)| (opcode.name().to_owned(), buckets(latency))).collect();
    let failed: Map<String, Value> =
        FAILED.iter().map(|(what, name)| ((*what).to_owned(), counter(name).into())).collect();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "time_us": u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX),
        "status": seen.status(),
        "healthy": seen.problems().is_empty(),
        "ready": seen.readiness() == Readiness::Ready,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_us": info.uptime(Instant::now()),
        "counting_since_us": info.counting_since(),
        "cores": seen.cores(),
        "durability": info.durability().to_string(),
        "write_path": info.write_path(),
        "data": info.data().display().to_string(),
        "read_only": info.trust().is_read_only(),
        "damaged": info.trust().damaged(),
        "scrub": scrub(info),
        "stored": {
            "concepts": all.shard.concepts,
            "associations": all.shard.associations,
            "vectors": all.shard.vectors,
            "vectors_unindexed": all.shard.vectors_tail,
            "log_bytes": all.shard.log_bytes,
            "log_segments": all.shard.segments,
        },
        "memory": memory(&all, &host),
        "disk": host.disk.map(|(free, size)| json!({ "free_bytes": free, "size_bytes": size })),
        "cpu_us": u64::try_from(host.used.cpu.as_micros()).unwrap_or(u64::MAX),
        "files": { "open": host.open_files, "limit": host.open_files_limit },
        "requests": named(&all, "requests_"),
        "errors": named(&all, "errors_"),
        "in_flight": counter("requests_in_flight"),
        "connections": {
            "open": counter("connections"),
            "accepted": counter("connections_accepted"),
            "failed": failed,
        },
        "network": {
            "received_bytes": counter("received_bytes"),
            "sent_bytes": counter("sent_bytes"),
        },
        "held": {
            "input_bytes": counter("input_held_bytes"),
            "output_bytes": counter("output_held_bytes"),
        },
        "writes": { "acknowledged": all.shard.written, "pending": all.shard.pending },
        "latency": latency,
        "commits": commits(&all),
        "by_core": seen.views().iter().enumerate().map(of_core).collect::<Vec<_>>(),
        "counters": counters(seen, all),
    })
}

fn scrub(info: &ServerInfo) -> Value {
    let scrub = info.trust().report();
    json!({
        "running": scrub.is_running,
        "done_bytes": scrub.done,
        "total_bytes": scrub.total,
        "ended": scrub.ended,
        "last_ended_us": scrub.last_ended,
        "last_bytes": scrub.last_bytes,
        "damaged": scrub.damaged,
        "findings": scrub.findings,
        "failed": scrub.failed,
    })
}

fn memory(all: &CoreStats, host: &Host) -> Value {
    let (available, of_host) = host.memory.unzip();
    json!({
        "segments_bytes": all.shard.segment_memory,
        "tables_bytes": all.shard.table_memory,
        "vectors_bytes": all.shard.vector_memory,
        "resident_bytes": host.used.resident,
        "host_bytes": of_host,
        "host_available_bytes": available,
        "limit_bytes": host.memory_limit,
    })
}

/// Counters that are not zero, by what follows `prefix` in their names. Of those of requests, only
/// the operations.
fn named(all: &CoreStats, prefix: &'static str) -> Map<String, Value> {
    let counters = all.counters.iter().filter_map(|counter| {
        let name = counter.name.strip_prefix(prefix)?;
        // What is in flight and what was translated is no operation.
        let is_one = counter.value > 0 && !["in_flight", "translated"].contains(&name);
        is_one.then(|| (name.to_owned(), counter.value.into()))
    });
    counters.collect()
}

fn buckets(latency: &Histogram) -> Value {
    let buckets: Vec<_> = latency.buckets().map(|(bound, count)| json!([bound, count])).collect();
    json!({ "count": latency.count(), "buckets": buckets })
}

fn commits(all: &CoreStats) -> Value {
    let mut commits = buckets(&all.commits);
    commits["in_flight_us"] =
        u64::try_from(all.disk_under_way.as_micros()).unwrap_or(u64::MAX).into();
    commits
}

fn of_core((core, view): (usize, &Option<CoreView>)) -> Value {
    let Some(CoreView { stats, problem, .. }) = view else {
        return json!({ "core": core, "answers": false });
    };
    let counter = |name| count(&stats.counters, name);
    json!({
        "core": core,
        "answers": true,
        "problem": problem,
        "requests": stats.latencies.iter().map(|(_, all)| all.count()).sum::<u64>(),
        "connections": counter("connections"),
        "in_flight": counter("requests_in_flight"),
        "pending": stats.shard.pending,
        "turns": counter("turns"),
        "sleeps": counter("sleeps"),
        "messages": counter("messages_sent"),
        "concepts": stats.shard.concepts,
        "log_bytes": stats.shard.log_bytes,
    })
}

/// The counters of `sutra stats`.
fn counters(seen: &Seen, all: CoreStats) -> Map<String, Value> {
    let stats = all_cores::of_server(seen.info(), seen.cores(), Instant::now(), all);
    stats.counters.into_iter().map(|counter| (counter.name, counter.value.into())).collect()
}
