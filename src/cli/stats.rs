//! `sutra stats`: what a server has and has done.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sutra_client::Client;
use sutra_wire::ArchivedStats;

use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::printable::printable;
use crate::words::{counted, duration, grouped};

pub(crate) async fn run(client: &Client, output: Output) -> Result<Answer, Failure> {
    let stats = client.stats().await?;
    output.answer(&for_programs(&stats), || for_people(&stats))?;
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

fn for_people(stats: &ArchivedStats) -> String {
    let count = |number: u64| grouped(number);
    let mut rows = vec![
        ("concepts", count(stats.concepts.to_native())),
        ("associations", count(stats.associations.to_native())),
        ("vectors", count(stats.vectors.to_native())),
        (
            "written",
            format!(
                "{} since the start, {} pending",
                count(stats.written.to_native()),
                count(stats.pending.to_native())
            ),
        ),
        (
            "durability",
            format!("{} ({})", printable(&stats.durability), printable(&stats.write_path)),
        ),
        ("data", printable(&stats.data)),
        (
            "server",
            format!(
                "version {}, {}",
                printable(&stats.version),
                counted(stats.cores.to_native().into(), "core")
            ),
        ),
        ("uptime", duration(Duration::from_micros(stats.uptime.to_native()))),
    ];
    // What never happened is left to `--json`.
    let happened = stats.counters.iter().filter(|counter| counter.value != 0);
    rows.extend(happened.map(|counter| (counter.name.as_str(), count(counter.value.to_native()))));
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in rows {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{name:<width$}  {value}");
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use sutra_wire::{Checked, Counter, FrameBuffer, Header, Parsed, Stats, encode_archive, parse};

    use super::*;

    #[test]
    fn people_see_what_has_happened_and_programs_every_counter() {
        let never = Counter { name: "errors_internal".into(), value: 0 };
        let counters = vec![Counter { name: "requests_answered".into(), value: 1_234_567 }, never];
        let stats =
            Stats { concepts: 3900, durability: "always".into(), counters, ..Stats::default() };
        let mut out = FrameBuffer::new();
        encode_archive(&mut out, Header::default(), &stats);
        let Ok(Parsed::Frame(frame, _)) = parse(&out, u32::MAX) else { panic!("a whole frame") };
        let stats = Checked::<Stats>::new(frame.payload).expect("valid");
        let text = for_people(&stats);
        assert!(
            text.contains("concepts           3,900")
                && text.ends_with("requests_answered  1,234,567"),
            "{text}"
        );
        assert!(!text.contains("errors_internal"), "{text}");
        let counters = &for_programs(&stats)["counters"];
        assert_eq!(
            (&counters["requests_answered"], &counters["errors_internal"]),
            (&1_234_567.into(), &0.into())
        );
    }
}
