//! From what size on is a stored record better sent from its segment than copied behind its header?
//! An echo on one core answers with pieces of a region. Each of the two ways has a process of its
//! own, and the load is on another core.
//!
//! It is the measurement behind `COPY_LIMIT` in src/net/output.rs. The server's CPU time a request
//! decides: with long replies the rate is bounded by the load's core and not by the server's.

use clap::Args;
use sutra_load::{Echo, Report, ServerCpu};

use crate::Outcome;
use crate::options::{Cpus, Rounds, load};
use crate::process::Running;
use crate::spread::{ratios, show};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    rounds: Rounds,
    /// Sizes of the replies in bytes, the 8 of their number included
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = [512, 1024, 2048, 4096, 8192, 16384, 32768]
    )]
    sizes: Vec<usize>,
    #[command(flatten)]
    cpus: Cpus,
}

/// Connections and depth: one reply at a time, many connections with one reply each, many replies
/// in one send.
const SHAPES: [(usize, usize); 3] = [(1, 1), (64, 1), (16, 16)];

/// Bytes of a request: fewer than any reply has, as with equal sizes the request itself would be
/// sent back.
const REQUEST: usize = 32;

/// A figure: its name, how it is read from a report, and the digits to show.
type Figure = (&'static str, fn(&Report) -> f64, usize);

const FIGURES: [Figure; 3] = [
    (
        "p50 µs",
        |report| report.latency.as_ref().map_or(f64::NAN, |latency| latency.p50_ns as f64 / 1000.0),
        1,
    ),
    ("thousand/s", |report| report.requests_per_second / 1000.0, 1),
    ("server CPU µs", |report| report.server_cpu.as_ref().map_or(f64::NAN, |cpu| cpu.total_us), 2),
];

pub(crate) fn run(options: &Options) -> Outcome {
    let Rounds { rounds, seconds } = options.rounds;
    println!(
        "replies copied beside their header, and sent from where they lie; \
         median over {rounds} rounds [lowest, highest]"
    );
    for bytes in &options.sizes {
        let server = |way| {
            let sizes =
                ["--request-bytes", &REQUEST.to_string(), "--reply-bytes", &bytes.to_string()];
            Running::own(
                options.cpus.server_cpu,
                &[&["runtime", "--pieces", way], &sizes[..]].concat(),
            )
        };
        let servers = [server("copied")?, server("shared")?];
        for (connections, depth) in SHAPES {
            println!("\n{bytes} bytes, {connections} × {depth}");
            let mut reports: [Vec<Report>; 2] = Default::default();
            for round in 0..rounds {
                // The ways take turns in being first.
                for which in [round % 2, (round + 1) % 2] {
                    let server = &servers[which];
                    let plan = load(server, connections, depth, seconds, options.cpus.load_cpu);
                    let cpu = ServerCpu::of_process(server.pid());
                    reports[which].push(sutra_load::run(
                        &plan,
                        vec![Echo::new(REQUEST, *bytes)],
                        Some(cpu),
                    )?);
                }
            }
            for (name, figure, digits) in FIGURES {
                let [copied, shared] = reports
                    .each_ref()
                    .map(|reports| reports.iter().map(figure).collect::<Vec<_>>());
                let ratio = show(ratios(&shared, &copied), 3);
                let (copied, shared) = (show(copied, digits), show(shared, digits));
                println!(
                    "  {name:<14} copied {copied:<26} shared {shared:<26} shared/copied {ratio}"
                );
            }
        }
    }
    Ok(())
}
