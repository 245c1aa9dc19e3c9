//! What a core and the whole server have and have done.

use sutra_net::Context;
use sutra_store::ShardStats;
use sutra_wire::{Counter, Stats};

use crate::fan_out::add_counters;
use crate::message::Message;
use crate::process;
use crate::service::StorageService;

/// One core's share.
#[derive(Default)]
pub(crate) struct CoreStats {
    shard: ShardStats,
    counters: Vec<Counter>,
}

impl CoreStats {
    pub(crate) fn add(&mut self, other: CoreStats) {
        self.shard.add(&other.shard);
        add_counters(&mut self.counters, other.counters);
    }
}

impl StorageService {
    pub(crate) fn core_stats(&self, cx: &Context<'_, Message>) -> CoreStats {
        let mut counters = Vec::new();
        cx.counters(&mut counters);
        CoreStats { shard: self.shard.stats(), counters }
    }

    pub(crate) fn merged_stats(&self, cx: &Context<'_, Message>, all: CoreStats, uptime: u64) -> Stats {
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
        for (name, value) in self.info.recovery.fields() {
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
            durability: self.info.durability.to_string(),
            write_path: self.shard.write_path(),
            data: self.info.data.display().to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            counters,
        }
    }
}
