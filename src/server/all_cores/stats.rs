//! What a core and the whole server have and have done.

use std::time::Instant;

use sutra_net::{Context, Histogram};
use sutra_store::LastBackup;
use sutra_wire::{Counter, Stats};

use super::process;
use crate::core::Core;
use crate::core::message::{CoreStats, Message};
use crate::report::ServerInfo;

/// Shares of requests whose longest time is told, with what their counters' names end with.
const QUANTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p999")];

/// Adds another core's share.
pub(crate) fn add(sum: &mut CoreStats, more: &CoreStats) {
    sum.shard.add(&more.shard);
    for counter in &more.counters {
        match sum.counters.iter_mut().find(|known| known.name == counter.name) {
            Some(known) => known.value += counter.value,
            None => sum.counters.push(counter.clone()),
        }
    }
    for (opcode, latency) in &more.latencies {
        match sum.latencies.iter_mut().find(|(known, _)| known == opcode) {
            Some((_, known)) => known.add(latency),
            None => sum.latencies.push((*opcode, latency.clone())),
        }
    }
    sum.commits.add(&more.commits);
    sum.last_backup = sum.last_backup.or(more.last_backup);
    sum.disk_under_way = sum.disk_under_way.max(more.disk_under_way);
}

/// What this core has and has done, but for what its disk has under way.
pub(super) fn of_core(core: &Core, cx: &Context<'_, Message>) -> CoreStats {
    let mut counters = Vec::new();
    cx.counters(&mut counters);
    CoreStats {
        shard: core.shard().stats(),
        counters,
        latencies: cx.latencies().map(|(opcode, latency)| (opcode, latency.clone())).collect(),
        commits: core.shard().commits().clone(),
        last_backup: core.last_backup(),
        ..CoreStats::default()
    }
}

/// What the whole server has and has done.
pub(crate) fn of_server(info: &ServerInfo, cores: usize, now: Instant, all: CoreStats) -> Stats {
    let mut counters = all.counters;
    let shard = all.shard;
    for (name, value) in [
        ("log_bytes", shard.log_bytes),
        ("log_segments", shard.segments),
        ("memory_segments_bytes", shard.segment_memory),
        ("memory_tables_bytes", shard.table_memory),
        ("memory_vectors_bytes", shard.vector_memory),
        ("vectors_indexed", shard.vectors_indexed),
        ("vectors_tail", shard.vectors_tail),
        ("commits", shard.commits),
    ] {
        counters.push(Counter { name: name.into(), value });
    }
    for (opcode, latency) in &all.latencies {
        took(opcode.name(), latency, &mut counters);
    }
    took("commit", &all.commits, &mut counters);
    for (name, value) in info.recovery().fields() {
        counters.push(Counter { name: format!("recovered_{name}"), value });
    }
    let (trust, scrub) = (info.trust(), info.trust().report());
    for (name, value) in [
        ("read_only", u64::from(trust.is_read_only())),
        ("damaged_places", trust.damaged()),
        ("scrubs", scrub.ended),
        ("scrub_last_ended_us", scrub.last_ended),
        ("scrub_last_bytes", scrub.last_bytes),
    ] {
        counters.push(Counter { name: name.into(), value });
    }
    let backup = all.last_backup.map(|LastBackup { taken, bytes, elapsed }| {
        [
            ("last_backup_taken_us", taken),
            ("last_backup_bytes", bytes),
            ("last_backup_elapsed_us", elapsed),
        ]
    });
    for (name, value) in backup.into_iter().flatten() {
        counters.push(Counter { name: name.into(), value });
    }
    process::report(&mut counters);
    Stats {
        concepts: shard.concepts,
        associations: shard.associations,
        vectors: shard.vectors,
        written: shard.written,
        pending: shard.pending,
        uptime: info.uptime(now),
        cores: u32::try_from(cores).expect("fewer than 65,536 cores"),
        durability: info.durability().to_string(),
        write_path: info.write_path().to_owned(),
        data: info.data().display().to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        counters,
    }
}

/// How long something took, where it was done at all.
fn took(what: &str, latency: &Histogram, counters: &mut Vec<Counter>) {
    for (share, name) in QUANTILES {
        if let Some(duration) = latency.quantile(share) {
            let value = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            counters.push(Counter { name: format!("took_{what}_{name}_ns"), value });
        }
    }
}
