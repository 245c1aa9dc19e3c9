//! What a core and the whole server have and have done.

use sutra_net::Context;
use sutra_wire::{Counter, Stats};

use super::process;
use crate::core::Core;
use crate::core::message::{CoreStats, Message};

/// Adds another core's share.
pub(super) fn add(sum: &mut CoreStats, more: CoreStats) {
    sum.shard.add(&more.shard);
    for counter in more.counters {
        match sum.counters.iter_mut().find(|known| known.name == counter.name) {
            Some(known) => known.value += counter.value,
            None => sum.counters.push(counter),
        }
    }
}

/// What this core has and has done.
pub(super) fn of_core(core: &Core, cx: &Context<'_, Message>) -> CoreStats {
    let mut counters = Vec::new();
    cx.counters(&mut counters);
    CoreStats { shard: core.shard().stats(), counters }
}

/// What the whole server has and has done.
pub(super) fn of_server(
    core: &Core,
    cx: &Context<'_, Message>,
    all: CoreStats,
    uptime: u64,
) -> Stats {
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
    for (name, value) in core.info().recovery().fields() {
        counters.push(Counter { name: format!("recovered_{name}"), value });
    }
    process::report(&mut counters);
    Stats {
        concepts: shard.concepts,
        associations: shard.associations,
        vectors: shard.vectors,
        written: shard.written,
        pending: shard.pending,
        uptime,
        cores: u32::try_from(cx.cores()).expect("fewer than 65,536 cores"),
        durability: core.info().durability().to_string(),
        write_path: core.shard().write_path(),
        data: core.info().data().display().to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        counters,
    }
}
