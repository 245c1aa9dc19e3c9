//! `sutra stats`: what a server has and has done.

mod show;

use clap::Args;
use serde_json::{Map, Value, json};
use sutra_client::Client;
use sutra_wire::ArchivedStats;

use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::target::Server;

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra stats --json")]
pub(crate) struct Stats {
    /// Show every counter by its own name as well
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    server: Server,
}

impl Stats {
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }
}

pub(crate) async fn run(client: &Client, asked: &Stats, output: Output) -> Result<Answer, Failure> {
    let stats = client.stats().await?;
    output.answer(&for_programs(&stats), || {
        let text = show::for_people(&stats);
        if asked.all { format!("{text}\n\n{}", show::counters(&stats)) } else { text }
    })?;
    Ok(Answer::Yes)
}

fn for_programs(stats: &ArchivedStats) -> Value {
    let counters: Map<String, Value> = stats
        .counters
        .iter()
        .map(|counter| (counter.name.to_string(), counter.value.to_native().into()))
        .collect();
    json!({
        "concepts": stats.concepts.to_native(),
        "associations": stats.associations.to_native(),
        "vectors": stats.vectors.to_native(),
        "written": stats.written.to_native(),
        "pending": stats.pending.to_native(),
        "uptime_us": stats.uptime.to_native(),
        "cores": stats.cores.to_native(),
        "durability": stats.durability.as_str(),
        "write_path": stats.write_path.as_str(),
        "data": stats.data.as_str(),
        "version": stats.version.as_str(),
        "counters": counters,
    })
}

#[cfg(test)]
mod tests {
    use sutra_wire::{Checked, Counter, FrameBuffer, Header, Parsed, Stats, encode_archive, parse};

    use super::*;

    #[test]
    fn people_see_what_has_happened_and_programs_every_counter() {
        let counter = |name: &str, value| Counter { name: name.into(), value };
        let counters = vec![
            counter("requests_query", 1_234_567),
            counter("took_query_p50_ns", 52_100),
            counter("took_query_p99_ns", 110_000),
            counter("took_query_p999_ns", 1_230_000),
            counter("requests_flush", 1),
            counter("errors_not_found", 3),
            counter("errors_internal", 0),
            counter("vectors_tail", 200),
            counter("log_bytes", 64 << 20),
            counter("log_segments", 1),
        ];
        let stats =
            Stats { concepts: 3900, durability: "always".into(), counters, ..Stats::default() };
        let mut out = FrameBuffer::new();
        encode_archive(&mut out, Header::default(), &stats);
        let Ok(Parsed::Frame(frame, _)) = parse(&out, u32::MAX) else { panic!("a whole frame") };
        let stats = Checked::<Stats>::new(frame.payload).expect("valid");
        let text = show::for_people(&stats);
        for lines in [
            "stored\n  concepts      3,900\n",
            "vectors       0 (200 not indexed yet: every search scans them)\n",
            "asked     requests      p50     p99    p99.9\n",
            "\n  query  1,234,567  52.1 µs  110 µs  1.23 ms\n",
            "  flush          1\n\nrefused\n  not found  3\n",
            "log         64.0 MiB in 1 segment\n",
        ] {
            assert!(text.contains(lines), "{lines}\n---\n{text}");
        }
        assert!(!text.contains("internal"), "{text}");
        assert!(show::counters(&stats).contains("errors_not_found    3"));
        let counters = &for_programs(&stats)["counters"];
        assert_eq!(
            (&counters["requests_query"], &counters["errors_internal"]),
            (&1_234_567.into(), &0.into())
        );
    }
}
